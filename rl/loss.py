"""The policy-gradient loss: a clipped token objective and, by name, what each token counts.

The loss is a plain sum over tokens of weight * objective. All weights are fixed from the whole batch before it is cut, so
the gradient does not depend on micro-batches, ranks, ZeRO stage, padding or row order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


def dapo_weights(lengths: Sequence[int], max_completion_tokens: int) -> list[float]:
    """Every token counts the same: 1 / all tokens of the batch. DAPO (arXiv 2503.14476, eq. 12)."""
    total = sum(lengths)
    return [1 / total for _ in lengths]


def grpo_weights(lengths: Sequence[int], max_completion_tokens: int) -> list[float]:
    """Every completion counts the same: 1 / (B * its length). GRPO (arXiv 2402.03300, eq. 3)."""
    return [1 / (len(lengths) * length) for length in lengths]


def dr_grpo_weights(lengths: Sequence[int], max_completion_tokens: int) -> list[float]:
    """A constant: 1 / (B * max_completion_tokens), so that length changes nothing. Dr. GRPO (arXiv 2503.20783)."""
    return [1 / (len(lengths) * max_completion_tokens) for _ in lengths]


TOKEN_WEIGHTS: dict[str, Callable[[Sequence[int], int], list[float]]] = {
    "dapo": dapo_weights,
    "grpo": grpo_weights,
    "dr_grpo": dr_grpo_weights,
}


@dataclass(frozen=True, kw_only=True)
class TokenLoss:
    """Per-token results, all [N]: the loss before weights, and where the clip was active."""

    loss: torch.Tensor
    clipped_low: torch.Tensor
    clipped_high: torch.Tensor
    kl: torch.Tensor | None


def token_loss(
    logprobs: torch.Tensor,  # [N], with gradient
    sampling_logprobs: torch.Tensor,  # [N]
    advantages: torch.Tensor,  # [N]
    *,
    clip_low: float,
    clip_high: float,
    reference_logprobs: torch.Tensor | None = None,  # [N]
    kl_coef: float = 0.0,
) -> TokenLoss:
    """Return the clipped surrogate of PPO (arXiv 1707.06347, eq. 7) with clip-higher, plus the k3 KL to a reference.

    With r = exp(logprob - sampling logprob) the token's loss is -min(r A, clip(r, 1 - low, 1 + high) A). The k3 estimator
    of KL(policy, reference) is exp(d) - d - 1 with d = reference - policy (http://joschu.net/blog/kl-approx.html).
    """
    ratio = torch.exp(logprobs - sampling_logprobs)
    clipped = torch.clamp(ratio, 1 - clip_low, 1 + clip_high)
    loss = -torch.minimum(ratio * advantages, clipped * advantages)
    kl = None
    if reference_logprobs is not None:
        gap = reference_logprobs - logprobs
        kl = torch.exp(gap) - gap - 1
        loss = loss + kl_coef * kl
    return TokenLoss(
        loss=loss,
        clipped_low=(ratio < 1 - clip_low) & (advantages < 0),
        clipped_high=(ratio > 1 + clip_high) & (advantages > 0),
        kl=kl,
    )
