"""The fused attention kernels against float64, over a grid of widths, heads and types: which are wrong, and how far off."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch

from rl.runtime import device
from rl.update import kernels

_SHAPES = ((14, 2, 64), (12, 2, 128), (28, 4, 128), (4, 4, 24))  # heads, key-value heads, size: Qwen2.5's and the demo's
_WIDTHS = (1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 95, 96, 97, 127, 128, 129, 160, 300, 512, 1023)
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
    """Return the worst error of each quantity by type, the cases that are beyond the tolerance, and those that raised."""
    torch.manual_seed(0)
    worst: dict[str, float] = {}
    wrong, raised, count = [], [], 0
    for case in cases(toy):
        count += 1
        try:
            errors = error_of(case)
        except RuntimeError as error:
            raised.append(f"{case}: {str(error).splitlines()[0][:200]}")
            continue
        for name, value in errors.items():
            key = f"{name}, {case.dtype}"
            worst[key] = max(worst.get(key, 0.0), value)
            if not value <= _TOLERANCES[case.dtype]:
                wrong.append(f"{case}: {name} is {value:.2g} off")
    return {"cases": count, "worst": worst, "wrong": wrong[:40], "num_wrong": len(wrong), "raised": raised[:40]}


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
