"""The policy-gradient losses by name: what a token's objective is, and what the token counts.

The loss of a batch is the sum over its tokens of weight * objective, minus the entropy bonus. All weights are fixed from the
whole batch before it is cut, so the gradient does not depend on micro-batches, ranks, ZeRO stage, packing or row order. A
sequence is never cut: two losses need the whole of it.

Log-probabilities enter as the ratio in `token_loss`, advantages in the objective. An objective must be proportional to the
advantage: rows and tokens of advantage 0 are left out before they get here. Advantages are in rl/advantages.py, settings by
paper in docs/losses.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from rl.settings.algorithm import AlgorithmSettings, LossName

SAPO_TEMPERATURES = (1.0, 1.05)  # for positive advantages and for the others, the values of the paper


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Flat tensors over the N completion tokens of a micro-batch, all [N]; log-probabilities in nats.

    `old_logprobs` are the centre of the importance ratio (AlgorithmSettings.ratio_centre), `sampling_logprobs` the sampler's
    word. `rows` numbers the sequence a token belongs to, from 0. `entropies` need a gradient only where there is an entropy
    bonus.
    """

    logprobs: torch.Tensor  # with gradient
    old_logprobs: torch.Tensor  # without gradient
    sampling_logprobs: torch.Tensor
    advantages: torch.Tensor
    entropies: torch.Tensor
    rows: torch.Tensor  # int64
    reference_logprobs: torch.Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class TokenLoss:
    """Per-token results, all [N]: the loss before weights, and what was clipped, penalised and corrected on the way."""

    loss: torch.Tensor
    clipped_low: torch.Tensor
    clipped_high: torch.Tensor
    kl: torch.Tensor | None  # the estimator that is in the loss
    correction: torch.Tensor | None  # weight of the policy term, 0 in a masked sequence


# ---- what a token counts: from the lengths of all completions that count, and the limit, to a weight for each completion


def token_mean(lengths: Sequence[int], max_completion_tokens: int) -> list[float]:
    """Every token counts the same: 1 / all tokens of the batch. DAPO (arXiv 2503.14476, eq. 12)."""
    total = sum(lengths)
    return [1 / total for _ in lengths]


def sequence_mean(lengths: Sequence[int], max_completion_tokens: int) -> list[float]:
    """Every completion counts the same: 1 / (B * its length). GRPO (arXiv 2402.03300, eq. 3)."""
    return [1 / (len(lengths) * length) for length in lengths]


def constant(lengths: Sequence[int], max_completion_tokens: int) -> list[float]:
    """A constant: 1 / (B * max_completion_tokens), so that length changes nothing. Dr. GRPO (arXiv 2503.20783)."""
    return [1 / (len(lengths) * max_completion_tokens) for _ in lengths]


# ---- the importance ratio


def sequence_means(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return the mean of `values` over each sequence, at each of its tokens [N]; `rows` [N] counts from 0, none is left out."""
    # as many places as there are tokens: how many sequences there are is not known without waiting for a GPU
    nothing = torch.zeros_like(values)
    sums = nothing.index_add(0, rows, values)
    counts = nothing.index_add(0, rows, torch.ones_like(values))
    return sums[rows] / counts[rows]


def token_ratio(log_ratio: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return policy / old policy of each token. PPO (arXiv 1707.06347, section 3)."""
    return log_ratio.exp()


def sequence_ratio(log_ratio: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return the geometric mean of the token ratios of each sequence, at each of its tokens. GSPO (arXiv 2507.18071).

    The gradient reaches every token of the sequence: with T tokens that weigh 1 / T each it is 1 / T of the sequence's.
    """
    return sequence_means(log_ratio, rows).exp()


# ---- what a token's objective is: from the ratio, the tokens and the settings to the loss [N]


def clipped(ratio: torch.Tensor, tokens: Tokens, settings: AlgorithmSettings) -> torch.Tensor:
    """Return -min(r A, clip(r) A), the clipped surrogate of PPO (arXiv 1707.06347, eq. 7).

    Different bounds below and above are the clip-higher of DAPO (arXiv 2503.14476, section 3.1). `clip_two_sided` also bounds r
    in the first term, where a negative advantage would let it grow without end: INTELLECT-2 (arXiv 2505.07291).
    """
    bounded = ratio if settings.clip_two_sided is None else ratio.clamp(max=settings.clip_two_sided)
    return -torch.minimum(bounded * tokens.advantages, ratio.clamp(*settings.ratio_bounds) * tokens.advantages)


def cispo(ratio: torch.Tensor, tokens: Tokens, settings: AlgorithmSettings) -> torch.Tensor:
    """Return -sg(clip(r)) A log p: REINFORCE under a clipped weight, no token loses its gradient.

    CISPO of MiniMax-M1 (arXiv 2506.13585); with the upper bound alone, as in ScaleRL (arXiv 2510.13786).
    """
    return -ratio.clamp(*settings.ratio_bounds).detach() * tokens.advantages * tokens.logprobs


def sapo(ratio: torch.Tensor, tokens: Tokens, settings: AlgorithmSettings) -> torch.Tensor:
    """Return -f(r) A with the soft gate f(r) = 4 / t sigmoid(t (r - 1)) in place of a clip. SAPO (arXiv 2511.20347).

    The gate's slope is 1 at r = 1; t is larger where the advantage is not positive, so that there it falls off sooner.
    """
    temperature = torch.where(tokens.advantages > 0, *SAPO_TEMPERATURES)
    return -torch.sigmoid(temperature * (ratio - 1)) * 4 / temperature * tokens.advantages


def reinforce(ratio: torch.Tensor, tokens: Tokens, settings: AlgorithmSettings) -> torch.Tensor:
    """Return -A log p: REINFORCE (Williams 1992; for language models arXiv 2402.14740). The ratio plays no part."""
    return -tokens.advantages * tokens.logprobs


@dataclass(frozen=True)
class Loss:
    """An objective, how its tokens are weighted and the ratio it is made of."""

    objective: Callable[[torch.Tensor, Tokens, AlgorithmSettings], torch.Tensor]
    weights: Callable[[Sequence[int], int], list[float]]
    ratio: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = token_ratio


LOSSES: dict[LossName, Loss] = {
    "dapo": Loss(clipped, token_mean),  # arXiv 2503.14476
    "grpo": Loss(clipped, sequence_mean),  # arXiv 2402.03300
    "dr_grpo": Loss(clipped, constant),  # arXiv 2503.20783
    # TRL's name for a mean over the tokens of the local batch. Ours is over the whole batch, which makes it the same as
    # dapo: a normaliser that moves with the micro-batch would make the gradient depend on the cut.
    "bnpo": Loss(clipped, token_mean),
    "gspo": Loss(clipped, sequence_mean, sequence_ratio),  # arXiv 2507.18071, eq. 5
    "cispo": Loss(cispo, token_mean),  # arXiv 2506.13585
    "sapo": Loss(sapo, sequence_mean),  # arXiv 2511.20347
    "reinforce": Loss(reinforce, constant),  # the sum over a completion's tokens is its log-probability
}


# ---- KL(policy, reference) from d = log policy - log reference, http://joschu.net/blog/kl-approx.html


def k2(d: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
    """Return d² / 2: biased, but its gradient on the policy's own samples is that of the KL."""
    return d.square() / 2


def k3(d: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
    """Return exp(-d) + d - 1: never negative, unbiased on the policy's own samples. GRPO (arXiv 2402.03300)."""
    return torch.exp(-d) + d - 1


def k3_corrected(d: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
    """Return r k3, unbiased on the old policy's samples in value and gradient. DeepSeek-V3.2 (arXiv 2512.02556).

    That holds for the token ratio; under gspo r is the ratio of the sequence, as in TRL.
    """
    return ratio * k3(d, ratio)


KL_IN_LOSS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "k2": k2,
    "k3": k3,
    "k3_corrected": k3_corrected,
}


def correction_weights(tokens: Tokens, settings: AlgorithmSettings) -> torch.Tensor | None:
    """Return what multiplies each token's policy term [N], without gradient, or None where nothing is corrected.

    min(exp(old - sampling), cap) is truncated importance sampling (Ionides 2008; https://fengyao.notion.site/off-policy-rl).
    A sequence whose geometric-mean ratio leaves the interval weighs 0; the mean, not the sum, so that length does not decide.
    """
    if settings.correction is None:
        return None
    cap, interval = settings.correction.token_cap, settings.correction.sequence_mask
    gap = (tokens.old_logprobs - tokens.sampling_logprobs).detach()
    weights = gap.exp() if cap is None else gap.exp().clamp(max=cap)
    if interval is not None:
        mean_ratio = sequence_means(gap, tokens.rows).exp()
        weights = weights * ((mean_ratio >= interval[0]) & (mean_ratio <= interval[1]))
    return weights


def token_loss(tokens: Tokens, settings: AlgorithmSettings) -> TokenLoss:
    """Return the loss of each token before weights: correction * policy term + kl_coef * KL."""
    chosen = LOSSES[settings.loss]
    ratio = chosen.ratio(tokens.logprobs - tokens.old_logprobs, tokens.rows)
    loss = chosen.objective(ratio, tokens, settings)
    correction = correction_weights(tokens, settings)
    if correction is not None:
        loss = loss * correction
    kl = None
    if settings.kl_in_loss:
        assert tokens.reference_logprobs is not None, "a KL in the loss needs the reference's log-probabilities"
        kl = KL_IN_LOSS[settings.kl](tokens.logprobs - tokens.reference_logprobs, ratio)
        loss = loss + settings.kl_coef * kl
    lowest, highest = settings.ratio_bounds
    return TokenLoss(
        loss=loss,
        clipped_low=(ratio < lowest) & (tokens.advantages < 0),
        clipped_high=(ratio > highest) & (tokens.advantages > 0),
        kl=kl,
        correction=correction,
    )


def total_loss(
    result: TokenLoss,
    tokens: Tokens,
    weights: torch.Tensor,  # [N]
    entropy_weights: torch.Tensor,  # [N]
    settings: AlgorithmSettings,
) -> torch.Tensor:
    """Return this micro-batch's part of the loss of the whole batch, a scalar with gradient."""
    total = (result.loss * weights).sum()
    if settings.entropy_coef:
        assert tokens.entropies.requires_grad, "an entropy bonus needs entropies with a gradient"
        total = total - settings.entropy_coef * (tokens.entropies * entropy_weights).sum()
    return total
