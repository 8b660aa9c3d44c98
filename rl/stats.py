"""Estimates with honest error bars: several samples of one problem are not independent, so problems are the unit.

Where problems share a source (one passage, one template), the clusters of such problems are.
"""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from problems.seeding import derive_rng

Floats = NDArray[np.float64]
_LEVEL = 0.95
_PSEUDO = 0.25  # of a cluster that is all right, and of one that is all wrong, counted too when the spread is measured
_MANY = 2000  # degrees of freedom from which on Student's distribution is the normal one to three digits


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean in [0, 1] with its 95 % interval, the number of problems behind it and of clusters that these fall into."""

    value: float
    low: float
    high: float
    problems: int
    clusters: int

    def as_dict(self) -> dict[str, float | int]:
        """Return plain data for JSON."""
        return asdict(self)


def estimate(per_problem: Sequence[float], clusters: Sequence[Hashable] | None = None) -> Estimate:
    """Return the mean of one value in [0, 1] a problem with its 95 % interval; `clusters` names the cluster of each."""
    if not per_problem:
        return Estimate(value=math.nan, low=0.0, high=1.0, problems=0, clusters=0)
    labels = numbered(range(len(per_problem)) if clusters is None else clusters)
    value, low, high = (float(found[0]) for found in intervals(np.asarray([per_problem], dtype=np.float64), labels))
    return Estimate(value=value, low=low, high=high, problems=len(per_problem), clusters=int(labels.max()) + 1)


def numbered(names: Sequence[Hashable]) -> NDArray[np.int64]:
    """Return a number for each name [P]: equal names get the same, counted from 0 in the order in which they come."""
    numbers: dict[Hashable, int] = {}
    return np.asarray([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def intervals(values: Floats, labels: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Return means, lower and upper ends [D] of 95 % intervals for D experiments with values [D, P] in [0, 1].

    `labels` [P] numbers the G clusters. Wilson's interval (1927) with the number of independent trials that would be as sure
    of the mean as these clusters are, p (1 - p) / SE^2, and Student's quantile of G - 1 degrees of freedom, as is done for
    proportions in surveys (Korn and Graubard, Survey Methodology 24, 1998; "modified Wilson" of SAS's SURVEYFREQ). SE^2 is
    that of clusters (Miller, arXiv 2411.00640, section 2.2). Near 0 and 1, or of few clusters, SE is too small whenever the
    rare kind happened not to come, and such intervals cover too little (Franco et al., J. Surv. Stat. Methodol. 7, 2019): it
    is measured with a quarter of a right and of a wrong cluster added, Agresti and Coull's (1998) remedy applied to the
    spread. The trials are never fewer than clusters that are right or wrong as a whole would be.
    tests/rl/test_coverage.py says how often the truth is inside.
    """
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels).astype(np.float64)  # [G]
    sums = np.add.reduceat(values[:, order], np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64), axis=1)  # [D, G]
    problems, clusters = values.shape[1], len(sizes)
    p = np.clip(values.mean(axis=1), 0.0, 1.0)
    trials = np.maximum(_independent_trials(sums, sizes), problems**2 / (sizes**2).sum())
    t = student_quantile(max(1, clusters - 1))
    centre = (p + t**2 / (2 * trials)) / (1 + t**2 / trials)
    half = t / (1 + t**2 / trials) * np.sqrt(p * (1 - p) / trials + t**2 / (4 * trials**2))
    # rounding must not put p outside of its interval, nor the interval outside of [0, 1]
    return p, np.clip(np.minimum(p, centre - half), 0.0, 1.0), np.clip(np.maximum(p, centre + half), 0.0, 1.0)


def _independent_trials(sums: Floats, sizes: Floats) -> Floats:
    """Return how many independent trials [D] would be as sure of their mean as clusters of `sizes` [G] with `sums` [D, G]."""
    problems, usual = sizes.sum(), sizes.mean()
    counted, clusters = problems + 2 * _PSEUDO * usual, len(sizes) + 2 * _PSEUDO
    q = (sums.sum(axis=1) + _PSEUDO * usual) / counted  # [D], never 0 or 1
    squares = ((sums - q[:, None] * sizes) ** 2).sum(axis=1) + _PSEUDO * usual**2 * (q**2 + (1 - q) ** 2)
    squared_error = squares * clusters / (clusters - 1) / counted**2
    trials: Floats = q * (1 - q) / squared_error * problems / counted
    return trials


def student_within(t: float, df: int) -> float:
    """Return the probability that Student's t with `df` degrees of freedom lies within [-t, t].

    In closed form for whole df (Abramowitz and Stegun 26.7.3 and 26.7.4).
    """
    if df > _MANY:
        return math.erf(abs(t) / math.sqrt(2))
    angle = math.atan(abs(t) / math.sqrt(df))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = df % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(odd, df - 1, 2):  # cos (1 + 2/3 cos^2 + 2 4 / 3 5 cos^4 ...) or 1 + 1/2 cos^2 + 1 3 / 2 4 cos^4 ...
        total += term
        term *= cosine**2 * (k + 1) / (k + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


@lru_cache(maxsize=4096)
def student_quantile(df: int, level: float = _LEVEL) -> float:
    """Return the t for which Student's t with `df` degrees of freedom lies within [-t, t] with probability `level`."""
    low, high = 0.0, 1000.0
    while high - low > 1e-12 * (1 + high):
        middle = (low + high) / 2
        low, high = (middle, high) if student_within(middle, df) < level else (low, middle)
    return high


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Return the unbiased chance that k of `samples` drawn without replacement hold a correct one.

    Chen et al. 2021 (arXiv 2107.03374, eq. 1): 1 - C(n - c, k) / C(n, k).
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} needs at least {k} samples, there are {samples}")
    if samples - correct < k:
        return 1.0
    return 1.0 - math.prod(1 - k / i for i in range(samples - correct + 1, samples + 1))


def best_of_k(scores: Sequence[float], correct: Sequence[bool], k: int) -> float:
    """Return the chance that the sample with the highest score among k, drawn without replacement, is correct.

    Exact: the sample of rank r (0 for the highest) is the best of k with chance C(n - 1 - r, k - 1) / C(n, k). Equal scores
    are decided at random, so each of them counts the correct share of them all.
    """
    n = len(scores)
    if not 1 <= k <= n:
        raise ValueError(f"best-of-{k} needs at least {k} samples, there are {n}")
    alike: dict[float, list[bool]] = {}
    for score, right in zip(scores, correct, strict=True):
        alike.setdefault(score, []).append(right)
    total = 0.0
    for rank, score in enumerate(sorted(scores, reverse=True)):
        total += math.comb(n - 1 - rank, k - 1) * sum(alike[score]) / len(alike[score])
    return total / math.comb(n, k)


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


def over_seeds(found: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Return (mean, low, high) of one (value, low, high) a seed, each with the 95 % interval over its problems.

    The interval is about other seeds and other problems: two half widths whose squares add up, as do variances. That of the
    seeds is their standard error by Student's quantile of S - 1 degrees of freedom, 4.3 of three seeds. That of the problems is
    the root mean square of the seeds' own, and not less for there being several seeds: they are asked the same problems. It is
    cautious, since a seed's own chance is in both. One seed says nothing of others, and its interval is that of its problems.
    """
    values, lows, highs = (np.asarray(column, dtype=np.float64) for column in zip(*found, strict=True))
    middle, seeds = float(values.mean()), len(values)
    of_seeds = student_quantile(seeds - 1) * float(values.std(ddof=1)) / math.sqrt(seeds) if seeds > 1 else 0.0
    below, above = (math.sqrt(of_seeds**2 + float(np.mean(half**2))) for half in (values - lows, highs - values))
    return middle, middle - below, middle + above


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, or None of nothing."""
    return sum(values) / len(values) if values else None


def p_value_in_words(p_value: float) -> str:
    """Return a p-value with four digits; none is 0."""
    return f"{p_value:.4f}" if p_value >= 1e-4 else "below 0.0001"


def number_in_words(value: float | None, digits: int = 3, sign: str = "") -> str:
    """Return a number with so many digits behind the point, "-" where there is none; with `sign` "+" also of positive ones."""
    return "-" if value is None or math.isnan(value) else f"{value:{sign}.{digits}f}"


def interval_in_words(low: float | None, high: float | None, digits: int = 3, sign: str = "") -> str:
    """Return an interval by its ends, "-" where there is none."""
    if low is None or high is None:
        return "-"
    return f"{number_in_words(low, digits, sign)} to {number_in_words(high, digits, sign)}"


def estimate_in_words(estimate: Mapping[str, Any], digits: int = 3) -> str:
    """Return an estimate, of the keys value, low and high, with its interval in parentheses."""
    return f"{number_in_words(estimate['value'], digits)} ({interval_in_words(estimate['low'], estimate['high'], digits)})"
