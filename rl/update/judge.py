"""Is a Triton kernel right? Each against plain torch in float64, forward and backward, on random numbers.

`errors_of_...` return |found - expected| / |expected| of everything that a kernel writes; torch's random state stays as it is.
"""

from collections.abc import Callable, Sequence

import torch

from rl.update import triton_attention, triton_head, triton_layers

Errors = dict[str, float]
_EPS = 1e-6
_TEMPERATURE = 0.7


class _Drawn:
    """Normal numbers on a device."""

    def __init__(self, device: torch.device, dtype: torch.dtype):
        self.device, self.dtype = device, dtype
        self.generator = torch.Generator(device).manual_seed(0)

    def __call__(self, *shape: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        numbers = torch.randn(shape, generator=self.generator, device=self.device)
        return numbers.to(dtype or self.dtype)


def _apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.detach().double() - expected).norm() / expected.norm())


def errors_of_head(tokens: int, vocabulary: int, dtype: torch.dtype, device: torch.device) -> Errors:
    """Check log-probability, entropy, log-sum-exp, and the gradient of the logits in `dtype` with each of the two and both."""
    draw = _Drawn(device, torch.float32)
    logits = 3 * draw(tokens, vocabulary)
    targets = torch.randint(vocabulary, (tokens,), generator=draw.generator, device=device)
    found = [torch.full((tokens,), torch.nan, device=device) for _ in range(3)]
    triton_head.look(logits, targets, _TEMPERATURE, tuple(found))
    exact = logits.double().requires_grad_(True)
    log_p = torch.log_softmax(exact / _TEMPERATURE, -1)
    logprobs, entropies = log_p.gather(-1, targets[:, None])[:, 0], -(log_p.exp() * log_p).sum(-1)
    normalisers = torch.logsumexp(logits.double() / _TEMPERATURE, -1)
    names = ("log-probability", "entropy", "log-sum-exp")
    expected = (logprobs.detach(), entropies.detach(), normalisers)
    errors = {name: _apart(mine, theirs) for name, mine, theirs in zip(names, found, expected, strict=True)}
    first, second = draw(tokens), draw(tokens)
    cases = {"d log-probability": (first, None), "d entropy": (None, second), "d both": (first, second)}
    for name, upstream in cases.items():
        pairs = zip(upstream, (logprobs, entropies), strict=True)
        whole = torch.stack([given.double() @ output for given, output in pairs if given is not None]).sum()
        (theirs,) = torch.autograd.grad(whole, exact, retain_graph=True)
        # in float32 in place, as the head does it
        out = logits.clone() if dtype == torch.float32 else torch.full_like(logits, torch.nan, dtype=dtype)
        given = out if dtype == torch.float32 else logits
        triton_head.gradient(given, targets, found[2], found[1], *upstream, _TEMPERATURE, out)
        errors[name] = _apart(out, theirs)
    return errors


def errors_of_norm(rows: int, width: int, dtype: torch.dtype, device: torch.device) -> Errors:
    """Check the RMSNorm of [rows, width]."""
    draw = _Drawn(device, dtype)
    inputs = (3 * draw(rows, width), 1 + draw(width))

    def plain(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + _EPS) * weight

    def mine(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return triton_layers.norm(x, weight, _EPS)

    return _compared(mine, plain, inputs, (draw(rows, width),), ("output", "d input", "d weight"))


def errors_of_swiglu(rows: int, width: int, dtype: torch.dtype, device: torch.device) -> Errors:
    """Check silu(gate) * up of [rows, width]."""
    draw = _Drawn(device, dtype)
    inputs = (2 * draw(rows, width), draw(rows, width))

    def plain(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.silu(gate) * up

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
            return x * cosine[:, :, None].double() + torch.cat([-high, low], -1) * sine[:, :, None].double()

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
    both = torch.logaddexp(normaliser.double()[:, places], total.double())
    shares = [(part.double() - both).exp().T[..., None] for part in (normaliser[:, places], total)]  # [R, h, 1]
    expected, merged = output.double(), normaliser.double()
    expected[places] = output[places].double() * shares[0] + of_prompt.double() * shares[1]
    merged[:, places] = both
    added = output.double().index_add(0, places, of_prompt.double())
    sums = output.clone()
    triton_attention.add_rows(sums, places, of_prompt)
    normaliser = triton_attention.merge(output, normaliser, of_prompt, total, places)
    return {"output": _apart(output, expected), "log-sum-exp": _apart(normaliser, merged), "sums": _apart(sums, added)}


def _compared(
    mine: Callable[..., torch.Tensor | tuple[torch.Tensor, ...]],
    plain: Callable[..., torch.Tensor | tuple[torch.Tensor, ...]],
    inputs: Sequence[torch.Tensor],
    gradients: Sequence[torch.Tensor],
    names: Sequence[str],
) -> Errors:
    """Return the errors of all outputs and of the gradients of all inputs."""
    results = []
    for function, exact in ((mine, False), (plain, True)):
        leaves = [(part.double() if exact else part.clone()).requires_grad_(True) for part in inputs]
        outputs = function(*leaves)
        outputs = (outputs,) if isinstance(outputs, torch.Tensor) else outputs
        upstream = [part.double() if exact else part for part in gradients]
        results.append([part.detach() for part in outputs] + list(torch.autograd.grad(outputs, leaves, upstream)))
    return {name: _apart(found, expected) for name, found, expected in zip(names, *results, strict=True)}
