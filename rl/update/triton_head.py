"""The elementwise work of the LM head on a GPU: one pass over the logits forward, one backward, in Triton.

Plain torch needs some sixteen passes over float32 logits for log-probability and entropy, and eight for their gradient
(rl/update/logprobs.py, which is the judge of these kernels). The matrix products stay torch's.

Only to be imported where Triton is installed. Dimension letters: n tokens, V vocabulary.
"""

import torch
import triton
import triton.language as tl

_BLOCK = 2048  # logits that a program holds at one time
_GRADIENT_BLOCK = 4096


@triton.jit
def _look(
    logits, targets, logprobs, entropies, normalisers, inverse_temperature, vocabulary: tl.constexpr, BLOCK: tl.constexpr
):
    """One row a program. Each lane keeps its own maximum and sums, so the loop needs no reduction."""
    row = tl.program_id(0).to(tl.int64)  # a row times V passes 2^31
    logits += row * vocabulary
    places = tl.arange(0, BLOCK)
    most = tl.full([BLOCK], -1e30, tl.float32)  # finite: infinities would make NaN of their difference
    total = tl.zeros([BLOCK], tl.float32)  # of exp(x - most)
    product = tl.zeros([BLOCK], tl.float32)  # of exp(x - most) (x - most)
    for start in range(0, vocabulary, BLOCK):
        inside = start + places < vocabulary
        x = tl.load(logits + start + places, mask=inside, other=-float("inf")) * inverse_temperature
        higher = tl.maximum(most, x)
        shrink = tl.exp(most - higher)
        share = tl.exp(x - higher)
        product = shrink * (product + (most - higher) * total) + tl.where(share > 0, share * (x - higher), 0.0)
        total = shrink * total + share
        most = higher
    highest = tl.max(most, 0)
    shrink = tl.exp(most - highest)
    product = tl.sum(shrink * (product + (most - highest) * total), 0)
    total = tl.sum(shrink * total, 0)
    normaliser = highest + tl.log(total)
    chosen = tl.load(logits + tl.load(targets + row)) * inverse_temperature
    tl.store(logprobs + row, chosen - normaliser)
    tl.store(entropies + row, tl.log(total) - product / total)
    tl.store(normalisers + row, normaliser)


@triton.jit
def _gradient(
    logits, targets, normalisers, entropies, d_logprobs, d_entropies, d_logits, inverse_temperature,
    vocabulary: tl.constexpr, HAS_LOGPROBS: tl.constexpr, HAS_ENTROPIES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A block of one row a program; `d_logits` may be `logits` itself."""
    row = tl.program_id(1).to(tl.int64)
    places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = places < vocabulary
    x = tl.load(logits + row * vocabulary + places, mask=inside, other=-float("inf"))
    log_p = x * inverse_temperature - tl.load(normalisers + row)
    p = tl.exp(log_p)
    gradient = tl.zeros([BLOCK], tl.float32)
    if HAS_LOGPROBS:
        upstream = tl.load(d_logprobs + row)
        gradient += upstream * (tl.where(places == tl.load(targets + row), 1.0, 0.0) - p)
    if HAS_ENTROPIES:
        # p log p is 0 where p is: -inf times 0 would be NaN
        gradient -= tl.load(d_entropies + row) * tl.where(p > 0, p * (log_p + tl.load(entropies + row)), 0.0)
    tl.store(d_logits + row * vocabulary + places, gradient * inverse_temperature, mask=inside)


def look(logits: torch.Tensor, targets: torch.Tensor, temperature: float, found: tuple[torch.Tensor, ...]) -> None:
    """Write log-probabilities of `targets` [n], entropies and log-sum-exps of `logits` [n, V] over the temperature to `found`.

    All are float32 and contiguous, each of `found` is [n].
    """
    _look[(len(logits),)](logits, targets, *found, 1 / temperature, vocabulary=logits.shape[1], BLOCK=_BLOCK, num_warps=8)


def gradient(
    logits: torch.Tensor,  # [n, V], float32, contiguous
    targets: torch.Tensor,  # [n]
    normalisers: torch.Tensor,  # [n]
    entropies: torch.Tensor,  # [n]
    d_logprobs: torch.Tensor | None,  # [n]
    d_entropies: torch.Tensor | None,  # [n]
    temperature: float,
    out: torch.Tensor,  # [n, V], contiguous; float32: may be `logits`
) -> torch.Tensor:
    """Write the gradient of the logits, before the temperature, to `out` and return it.

    d logprob of target t / d logit v = [v = t] - p_v;  d entropy / d logit v = -p_v (log p_v + entropy).
    """
    vocabulary = logits.shape[1]
    _gradient[(triton.cdiv(vocabulary, _GRADIENT_BLOCK), len(logits))](
        logits, targets, normalisers, entropies,
        normalisers if d_logprobs is None else d_logprobs, normalisers if d_entropies is None else d_entropies,
        out, 1 / temperature, vocabulary=vocabulary, HAS_LOGPROBS=d_logprobs is not None, HAS_ENTROPIES=d_entropies is not None,
        BLOCK=_GRADIENT_BLOCK, num_warps=8,
    )  # fmt: skip
    return out
