"""The fused attention kernels against float64, over a grid of widths, heads and types: which are wrong, and how far off."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import torch

from rl.runtime import device
from rl.update import kernels
from rl.update.packing import Layout

_SHAPES = ((14, 2, 64), (12, 2, 128), (28, 4, 128), (4, 4, 24))  # heads, key-value heads, size: Qwen2.5's and the demo's
_WIDTHS = (1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 95, 96, 97, 127, 128, 129, 160, 300, 512, 1023)
_PROMPTS = (33, 8, 130)
_STRETCHES = ((1,), (1, 1, 1), (7, 31, 64), (300, 2, 97, 1), (128, 127, 129, 33))  # lengths of a prompt's completions
# of the norm; a fused kernel rounds what it multiplies to its own type, of 8 bits (bf16) or tf32's 11
_TOLERANCES = {torch.float32: 2e-3, torch.bfloat16: 2e-2}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One call forward and backward."""

    heads: int
    kv_heads: int
    size: int
    width: int  # of the queries
    keys: int
    causal: bool
    dtype: torch.dtype


def cases(toy: bool) -> Iterator[Case]:
    """Yield the grid."""
    widths = _WIDTHS[:6] if toy else _WIDTHS
    for (heads, kv_heads, size), width, causal, dtype in product(_SHAPES, widths, (True, False), _TOLERANCES):
        keys = width if causal else 37
        yield Case(heads=heads, kv_heads=kv_heads, size=size, width=width, keys=keys, causal=causal, dtype=dtype)


def check_kernels(*, toy: bool) -> dict[str, Any]:
    """Return what was found of the batched kernels and, where there are any, of those of stretches."""
    torch.manual_seed(0)
    batched = [(str(case), case.dtype, partial(error_of, case)) for case in cases(toy)]
    found = {"batched": _worst(batched)}
    if device().type == "cuda":
        flash = []
        for (heads, kv_heads, size), lengths in product(_SHAPES, _STRETCHES):
            name = f"{heads} heads on {kv_heads} of {size}, {lengths}"
            flash.append((name, torch.bfloat16, partial(error_of_stretches, heads, kv_heads, size, lengths)))
        found["stretches"] = _worst(flash)
    return found


def _worst(checks: Sequence[tuple[str, torch.dtype, Callable[[], dict[str, float]]]]) -> dict[str, Any]:
    """Return the worst error of each quantity by type, the cases that are beyond the tolerance, and those that raised."""
    worst: dict[str, float] = {}
    wrong, raised = [], []
    for case, dtype, check in checks:
        try:
            errors = check()
        except RuntimeError as error:
            raised.append(f"{case}: {str(error).splitlines()[0][:200]}")
            continue
        for name, value in errors.items():
            key = f"{name}, {dtype}"
            worst[key] = max(worst.get(key, 0.0), value)
            if not value <= _TOLERANCES[dtype]:
                wrong.append(f"{case}: {name} is {value:.2g} off")
    return {"cases": len(checks), "worst": worst, "num_wrong": len(wrong), "wrong": wrong[:20], "raised": raised[:20]}


def error_of(case: Case) -> dict[str, float]:
    """Return |found - expected| / |expected| of output, log-sum-exp and the three gradients."""
    batch = 2

    def drawn(tokens: int, heads: int) -> torch.Tensor:
        """[b, h, T, d], laid out as the packed rows hand it over: [b, T, h, d]."""
        numbers = torch.randn(batch, tokens, heads, case.size, device=device())
        return numbers.to(case.dtype).transpose(1, 2)

    query, gradient = drawn(case.width, case.heads), drawn(case.width, case.heads)
    key, value = drawn(case.keys, case.kv_heads), drawn(case.keys, case.kv_heads)
    scaling = case.size**-0.5
    output, normaliser = kernels.forward(query, key, value, causal=case.causal, scaling=scaling)
    expected, exact = _in_float64(query, key, value, gradient, case.causal, scaling)
    # as packing gathers it: [b, T, h] seen from the side
    gathered = normaliser.transpose(1, 2).contiguous().transpose(1, 2)
    gradients = kernels.backward(gradient, query, key, value, output, gathered, causal=case.causal, scaling=scaling)
    found = (output, normaliser, *gradients)
    names = ("output", "log-sum-exp", "d query", "d key", "d value")
    # an only key takes all the weight, whatever the query: those gradients are 0, and held against that of the values
    floor = float(exact[-1].norm())
    return {
        name: float((mine.double() - theirs).norm() / max(float(theirs.norm()), 0.05 * floor))
        for name, mine, theirs in zip(names, found, (*expected, *exact), strict=True)
    }


def error_of_stretches(heads: int, kv_heads: int, size: int, lengths: Sequence[int]) -> dict[str, float]:
    """Return the errors of a whole layer of packed rows: prompts of several lengths, each with completions of `lengths`."""
    tokens, segments, pairs = 0, [], []
    for prompt in _PROMPTS:
        segments.append((tokens, prompt))
        first = tokens + prompt
        for length in lengths:
            segments.append((segments[-1][0] + segments[-1][1], length))
        pairs.append(((tokens, prompt), (first, sum(lengths))))
        tokens = first + sum(lengths)
    layout = Layout(segments=tuple(segments), pairs=tuple(pairs), device=device())
    inputs = [torch.randn(1, n, tokens, size, device=device()).bfloat16() for n in (heads, kv_heads, kv_heads)]
    gradient = torch.randn(1, tokens, heads, size, device=device()).bfloat16()
    found = _layer(layout, inputs, gradient, size**-0.5)
    allowed = torch.zeros(tokens, tokens, dtype=torch.bool, device=device())
    for start, length in segments:
        allowed[start : start + length, start : start + length] = True
    for (start, length), (first, count) in pairs:
        allowed[first : first + count, start : start + length] = True
    exact = [part.double().requires_grad_(True) for part in inputs]
    keys, values = (part.repeat_interleave(heads // kv_heads, 1) for part in exact[1:])
    scores = (exact[0] @ keys.mT * size**-0.5).masked_fill(~allowed.tril(), -torch.inf)
    output = (torch.softmax(scores, -1) @ values).transpose(1, 2)
    expected = (output, *torch.autograd.grad(output, exact, gradient.double()))
    names = ("output", "d query", "d key", "d value")
    return {
        name: float((mine.double() - theirs.detach()).norm() / theirs.detach().norm())
        for name, mine, theirs in zip(names, found, expected, strict=True)
    }


def _layer(layout: Layout, inputs: Sequence[torch.Tensor], gradient: torch.Tensor, scaling: float) -> list[torch.Tensor]:
    leaves = [part.detach().requires_grad_(True) for part in inputs]
    output = layout.attend(0, leaves[0], leaves[1], leaves[2], scaling, None)
    return [output.detach(), *torch.autograd.grad(output, leaves, gradient)]


def _in_float64(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, gradient: torch.Tensor, causal: bool, scaling: float
) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, ...]]:
    """Return (output, log-sum-exp) and the gradients of query, key and value by plain arithmetic."""
    inputs = [part.double().requires_grad_(True) for part in (query, key, value)]
    repeats = query.shape[1] // key.shape[1]
    keys, values = (part.repeat_interleave(repeats, 1) for part in inputs[1:])
    scores = inputs[0] @ keys.mT * scaling
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    output = torch.softmax(scores, -1) @ values
    exact = torch.autograd.grad(output, inputs, gradient.double())
    return (output.detach(), torch.logsumexp(scores, -1).detach()), exact
