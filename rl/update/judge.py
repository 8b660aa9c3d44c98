"""Is a Triton kernel right? Each against plain torch in float64, forward and backward, on random numbers.

`errors_of_...` return how far everything that a kernel writes is from float64, |found - expected| / |expected|, and how far
plain torch is, doing the same in the same type: a kernel is sound if it is no farther. torch's random state stays as it is.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import silu

from rl.update import triton_attention, triton_head, triton_layers
from rl.update.logprobs import plain_gradient, plain_look
from rl.update.packing import plain_merge

_EPS = 1e-6
_TEMPERATURE = 0.7
_FARTHER, _ANYWAY = 1.1, 1e-5  # than plain torch; float32 arithmetic in another order


class Apart(NamedTuple):
    """How far from float64."""

    kernel: float
    plain: float

    @property
    def is_sound(self) -> bool:
        """Whether the kernel does as well as plain torch; NaN does not."""
        return self.kernel <= _FARTHER * self.plain + _ANYWAY


Errors = dict[str, Apart]
Function = Callable[..., torch.Tensor | tuple[torch.Tensor, ...]]


class _Drawn:
    """Normal numbers on a device."""

    def __init__(self, device: torch.device, dtype: torch.dtype):
        self.device, self.dtype = device, dtype
        self.generator = torch.Generator(device).manual_seed(0)

    def __call__(self, *shape: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        numbers = torch.randn(shape, generator=self.generator, device=self.device)
        return numbers.to(dtype or self.dtype)


def _apart(kernel: torch.Tensor, plain: torch.Tensor, exact: torch.Tensor) -> Apart:
    return Apart(*(float((found.detach().double() - exact).norm() / exact.norm()) for found in (kernel, plain)))


def errors_of_head(tokens: int, vocabulary: int, dtype: torch.dtype, device: torch.device) -> Errors:
    """Check log-probability, entropy, log-sum-exp, and the gradient of the logits in `dtype` with each of the two and both."""
    draw = _Drawn(device, torch.float32)
    logits, room = 3 * draw(tokens, vocabulary), torch.empty(tokens, vocabulary, device=device)
    targets = torch.randint(vocabulary, (tokens,), generator=draw.generator, device=device)
    mine, plain = ([torch.full((tokens,), torch.nan, device=device) for _ in range(3)] for _ in range(2))
    triton_head.look(logits, targets, _TEMPERATURE, tuple(mine))
    plain_look(room, logits.clone(), targets, _TEMPERATURE, tuple(plain))
    exact = logits.double().requires_grad_(True)
    log_p = torch.log_softmax(exact / _TEMPERATURE, -1)
    outputs = log_p.gather(-1, targets[:, None])[:, 0], -(log_p.exp() * log_p).sum(-1)
    expected = (*outputs, torch.logsumexp(exact / _TEMPERATURE, -1))
    names = ("log-probability", "entropy", "log-sum-exp")
    errors = {name: _apart(*each) for name, *each in zip(names, mine, plain, [part.detach() for part in expected], strict=True)}
    first, second = draw(tokens), draw(tokens)
    cases = {"d log-probability": (first, None), "d entropy": (None, second), "d both": (first, second)}
    for name, upstream in cases.items():
        pairs = zip(upstream, outputs, strict=True)
        whole = torch.stack([given.double() @ output for given, output in pairs if given is not None]).sum()
        (theirs,) = torch.autograd.grad(whole, exact, retain_graph=True)
        found = []
        for function, known in ((triton_head.gradient, mine), (_plain_gradient, plain)):
            work = logits.clone()  # in float32 in place, as the head does it
            out = work if dtype == torch.float32 else torch.full_like(logits, torch.nan, dtype=dtype)
            function(work, targets, known[2], known[1], *upstream, _TEMPERATURE, out)
            found.append(out)
        errors[name] = _apart(found[0], found[1], theirs)
    return errors


def _plain_gradient(logits: torch.Tensor, *given: torch.Tensor | float | None) -> None:
    plain_gradient(torch.empty_like(logits), logits, *given)  # type: ignore[arg-type]


def errors_of_norm(rows: int, width: int, dtype: torch.dtype, device: torch.device) -> Errors:
    """Check the RMSNorm of [rows, width]."""
    draw = _Drawn(device, dtype)
    inputs = (3 * draw(rows, width), 1 + draw(width))

    def plain(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """As transformers does it, rounded twice."""
        states = x.to(torch.promote_types(x.dtype, torch.float32))
        return weight * (states * torch.rsqrt(states.pow(2).mean(-1, keepdim=True) + _EPS)).to(x.dtype)

    def mine(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return triton_layers.norm(x, weight, _EPS)

    return _compared(mine, plain, inputs, (draw(rows, width),), ("output", "d input", "d weight"))


def errors_of_swiglu(rows: int, width: int, dtype: torch.dtype, device: torch.device) -> Errors:
    """Check silu(gate) * up of [rows, width]."""
    draw = _Drawn(device, dtype)
    inputs = (2 * draw(rows, width), draw(rows, width))

    def plain(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return silu(gate) * up

    return _compared(triton_layers.swiglu, plain, inputs, (draw(rows, width),), ("output", "d gate", "d up"))


def errors_of_rotary(rows: int, heads: int, kv_heads: int, size: int, dtype: torch.dtype, device: torch.device) -> Errors:
    """Check the rotation of queries [2, rows, heads, size] and keys; the halves of a head get angles of their own."""
    draw = _Drawn(device, dtype)
    angles = 3 * draw(2, rows, size, dtype=torch.float32)
    cosine, sine = angles.cos().to(dtype), angles.sin().to(dtype)
    shapes = ((2, rows, heads, size), (2, rows, kv_heads, size))
    inputs, gradients = tuple(draw(*shape) for shape in shapes), tuple(draw(*shape) for shape in shapes)

    def plain(query: torch.Tensor, key: torch.Tensor) -> tuple[torch.Tensor, ...]:
        def turned(x: torch.Tensor) -> torch.Tensor:
            low, high = x.chunk(2, -1)
            return x * cosine[:, :, None].to(x.dtype) + torch.cat([-high, low], -1) * sine[:, :, None].to(x.dtype)

        return turned(query), turned(key)

    def mine(query: torch.Tensor, key: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return triton_layers.rotary(query, key, cosine, sine)

    return _compared(mine, plain, inputs, gradients, ("query", "key", "d query", "d key"))


def errors_of_attention(tokens: int, heads: int, size: int, dtype: torch.dtype, device: torch.device) -> Errors:
    """Check the merging of two softmaxes for every third of `tokens`, in place, and the adding of rows."""
    draw = _Drawn(device, dtype)
    places = torch.arange(0, tokens, 3, device=device)
    output, normaliser = draw(tokens, heads, size), 3 * draw(heads, tokens, dtype=torch.float32)
    of_prompt, total = draw(len(places), heads, size), 3 * draw(heads, len(places), dtype=torch.float32)
    found = []
    for merge, exact in ((triton_attention.merge, False), (plain_merge, False), (plain_merge, True)):
        given = [part.double() if exact else part.clone() for part in (output, normaliser, of_prompt, total)]
        found.append((given[0], merge(given[0], given[1], given[2], given[3], places)))
    sums = output.clone()
    triton_attention.add_rows(sums, places, of_prompt)
    errors = {name: _apart(*each) for name, *each in zip(("output", "log-sum-exp"), *found, strict=True)}
    added = output.index_add(0, places, of_prompt), output.double().index_add(0, places, of_prompt.double())
    return {**errors, "sums": _apart(sums, *added)}


def _compared(
    mine: Function, plain: Function, inputs: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor], names: Sequence[str]
) -> Errors:
    """Return the errors of all outputs and of the gradients of all inputs."""
    results = []
    for function, exact in ((mine, False), (plain, False), (plain, True)):
        leaves = [(part.double() if exact else part.clone()).requires_grad_(True) for part in inputs]
        outputs = function(*leaves)
        outputs = (outputs,) if isinstance(outputs, torch.Tensor) else outputs
        upstream = [part.double() if exact else part for part in gradients]
        results.append([part.detach() for part in outputs] + list(torch.autograd.grad(outputs, leaves, upstream)))
    return {name: _apart(*each) for name, *each in zip(names, *results, strict=True)}
