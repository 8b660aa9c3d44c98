"""Advantages: how much better a rollout did than its group. Pure functions by name.

A rollout that could not be scored (reward None) is left out of every mean and gets advantage 0.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Rewards = Sequence[Sequence[float | None]]  # [P][G]
EPSILON = 1e-4  # as TRL's, in reward units


def _array(rewards: Rewards) -> NDArray[np.float64]:
    return np.array([[np.nan if r is None else r for r in group] for group in rewards], dtype=np.float64)


def _centred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract each group's mean. A group of equal rewards is exactly 0, whatever rounding does to its mean."""
    scored = ~np.isnan(values)
    counts = np.maximum(scored.sum(axis=1, keepdims=True), 1)
    means = np.where(scored, values, 0).sum(axis=1, keepdims=True) / counts
    highest = np.where(scored, values, -np.inf).max(axis=1, keepdims=True)
    lowest = np.where(scored, values, np.inf).min(axis=1, keepdims=True)
    centred: NDArray[np.float64] = np.where(scored & (highest > lowest), values - means, 0.0)
    return centred


def mean_centred(rewards: Rewards) -> NDArray[np.float64]:
    """Reward minus the group's mean: Dr. GRPO (arXiv 2503.20783, section 3.2). Returns [P, G]."""
    return _centred(_array(rewards))


def group_standardised(rewards: Rewards) -> NDArray[np.float64]:
    """Divided by the group's standard deviation too: GRPO (arXiv 2402.03300, section 4.1.2). Returns [P, G]."""
    values = _array(rewards)
    counts = np.maximum((~np.isnan(values)).sum(axis=1, keepdims=True), 2)
    centred = _centred(values)
    deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / (counts - 1))
    standardised: NDArray[np.float64] = centred / (deviation + EPSILON)
    return standardised


def batch_standardised(rewards: Rewards) -> NDArray[np.float64]:
    """Centred by group, divided by the standard deviation of all rewards (arXiv 2508.08221, section 4). Returns [P, G]."""
    values = _array(rewards)
    scored = values[~np.isnan(values)]
    deviation = scored.std(ddof=1) if scored.size > 1 else 0.0
    return _centred(values) / (deviation + EPSILON)


def leave_one_out(rewards: Rewards) -> NDArray[np.float64]:
    """Reward minus the mean of the group's other rewards: RLOO (Kool et al. 2019; arXiv 2402.14740). Returns [P, G].

    With n scored rollouts that is n / (n - 1) times the reward minus the mean of all.
    """
    values = _array(rewards)
    counts = (~np.isnan(values)).sum(axis=1, keepdims=True)
    result: NDArray[np.float64] = _centred(values) * (counts / np.maximum(counts - 1, 1))
    return result


def mean_divided(rewards: Rewards) -> NDArray[np.float64]:
    """Centred and divided by the group's mean: MaxRL (arXiv 2602.02710). Returns [P, G].

    For rewards of 0 and 1 this averages the gradient of the log-probability over the right rollouts alone. Where no rollout
    is right there is nothing to average and all are 0; so they are wherever the mean is not above 0.
    """
    values = _array(rewards)
    scored = ~np.isnan(values)
    means = np.where(scored, values, 0).sum(axis=1, keepdims=True) / np.maximum(scored.sum(axis=1, keepdims=True), 1)
    return _centred(values) / np.where(means > 0, means, np.inf)


def positive(rewards: Rewards) -> NDArray[np.float64]:
    """The reward itself where it is above 0, without a baseline: what is right is imitated, the rest is left alone. [P, G].

    Rejection-sampling fine-tuning (arXiv 2308.01825) and, from round to round, STaR (arXiv 2203.14465) and RAFT (arXiv
    2304.06767), as a coefficient of the policy gradient (arXiv 2402.03300, section 5.2.1).
    """
    result: NDArray[np.float64] = np.maximum(np.nan_to_num(_array(rewards), nan=0.0), 0.0)
    return result


ADVANTAGES: dict[str, Callable[[Rewards], NDArray[np.float64]]] = {
    "mean": mean_centred,
    "group_std": group_standardised,
    "batch_std": batch_standardised,
    "rloo": leave_one_out,
    "maxrl": mean_divided,
    "rft": positive,
}


def minus_kl(reward: float | None, kl: float | None, coef: float) -> float | None:
    """Return reward - coef * KL, the k1 penalty in the reward (arXiv 1909.08593); without a reward there is nothing to take.

    `kl` is the sum over the completion's tokens of sampling minus reference log-probability, in nats.
    """
    if reward is None or kl is None:
        return reward
    return reward - coef * kl
