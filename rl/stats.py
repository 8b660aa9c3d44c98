"""Estimates with honest error bars: several samples of one problem are not independent, so problems are the unit."""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass

from problems.seeding import derive_rng

Z95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean in [0, 1] with its 95 % interval and the number of problems behind it."""

    value: float
    low: float
    high: float
    problems: int

    def as_dict(self) -> dict[str, float | int]:
        """Return plain data for JSON."""
        return asdict(self)


def estimate(per_problem: Sequence[float]) -> Estimate:
    """Return the mean of one value in [0, 1] a problem with a Wilson interval that respects clustering.

    The variance between problems gives the effective number of independent trials, p (1 - p) / SE^2 (Miller, arXiv
    2411.00640, section 2; Wilson 1927). Where all problems agree there is no variance to measure, and the number of
    problems is used: the cautious choice.
    """
    count = len(per_problem)
    if count == 0:
        return Estimate(value=math.nan, low=0.0, high=1.0, problems=0)
    p = sum(per_problem) / count
    trials = _independent_trials(per_problem, p)
    centre = (p + Z95**2 / (2 * trials)) / (1 + Z95**2 / trials)
    half = Z95 / (1 + Z95**2 / trials) * math.sqrt(p * (1 - p) / trials + Z95**2 / (4 * trials**2))
    # rounding must not put p outside of its interval, nor the interval outside of [0, 1]
    low = max(0.0, min(p, centre - half))
    high = min(1.0, max(p, centre + half))
    return Estimate(value=p, low=low, high=high, problems=count)


def _independent_trials(per_problem: Sequence[float], p: float) -> float:
    """Return how many independent trials with chance `p` would be as sure of their mean as these problems are."""
    count = len(per_problem)
    all_agree = min(per_problem) == max(per_problem)  # asked first: rounding of the mean must not pass for a variance
    if all_agree:
        return count
    squared_error = sum((value - p) ** 2 for value in per_problem) / (count - 1) / count  # SE^2 of the mean
    if squared_error == 0:
        return count
    return max(count, p * (1 - p) / squared_error)


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Return the unbiased chance that k of `samples` drawn without replacement hold a correct one.

    Chen et al. 2021 (arXiv 2107.03374, eq. 1): 1 - C(n - c, k) / C(n, k).
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} needs at least {k} samples, there are {samples}")
    if samples - correct < k:
        return 1.0
    return 1.0 - math.prod(1 - k / i for i in range(samples - correct + 1, samples + 1))


def majority_at_k(answers: Sequence[Hashable | None], correct: Sequence[bool], k: int, name: str, draws: int = 200) -> float:
    """Return the chance that the most frequent answer of k samples is correct.

    Samples without an answer (None) do not vote; a tie is decided at random, so it counts the correct share of the tied
    answers; no votes at all is wrong. For k below the number of samples the mean over `draws` random subsets, drawn
    from a stream named by `name`.
    """
    order = list(range(len(answers)))
    if not 1 <= k <= len(order):
        raise ValueError(f"maj@{k} needs at least {k} samples, there are {len(order)}")
    rng = derive_rng("majority", name, k)
    subsets = [order] if k == len(order) else [rng.sample(order, k) for _ in range(draws)]
    chances = [_vote([answers[i] for i in subset], [correct[i] for i in subset]) for subset in subsets]
    return sum(chances) / len(subsets)


def _vote(answers: Sequence[Hashable | None], correct: Sequence[bool]) -> float:
    """Return the chance that the winner of one vote is correct."""
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return 0.0
    most = max(votes.values())
    tied = [answer for answer, count in votes.items() if count == most]
    right = {answer for answer, ok in zip(answers, correct, strict=True) if ok}
    return sum(answer in right for answer in tied) / len(tied)


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, or None of nothing."""
    return sum(values) / len(values) if values else None
