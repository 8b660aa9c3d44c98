"""Two evaluations of the same problems: how far apart, how sure, and how many problems more would tell them apart.

The difference of each problem is what counts: how hard it is drops out (Miller, arXiv 2411.00640, section 4).
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction

import numpy as np

from rl.stats import intervals, numbered

TEST = (
    "exact sign-flip test of the differences of problems or clusters (Fisher's randomisation test, The Design of Experiments, "
    "1935, section 21; with one sample a problem it is McNemar's exact test)"
)
_FOUND = 1.959963984540054 + 0.8416212335729143  # normal quantiles of a two-sided test at 5 % and of a power of 80 %
_GRID = 2_000_000  # sums of differences that are told apart, where exact fractions would be more


@dataclass(frozen=True, kw_only=True)
class Paired:
    """The mean difference, second minus first, in [-1, 1]."""

    difference: float
    low: float  # of the 95 % interval
    high: float
    p_value: float  # two-sided, that the two differ in nothing but chance
    problems: int
    clusters: int
    detectable: float  # difference that so many problems would show (p < 0.05) in 8 of 10 experiments
    more_problems: int | None  # for a difference as seen to be shown so often; 0: it is shown already, None: no number would do

    def as_dict(self) -> dict[str, float | int | None]:
        """Return plain data for JSON."""
        return asdict(self)


def paired(differences: Sequence[Fraction], clusters: Sequence[Hashable]) -> Paired:
    """Return what the differences of at least two problems say; `clusters` names the cluster of each."""
    whole, scale = _whole(differences)
    values = np.asarray([[one / scale for one in whole]])
    labels = numbered(clusters)
    # a difference in [-1, 1] is a value in [0, 1], stretched: the interval of rates serves, and has a width where all agree
    _, low, high = (float(2 * ends[0] - 1) for ends in intervals((values + 1) / 2, labels))
    middle = sum(whole) / (scale * len(whole))  # exactly 0 where they cancel
    sums: dict[Hashable, int] = defaultdict(int)
    for name, one in zip(clusters, whole, strict=True):
        sums[name] += one
    p_value = sign_flip_p_value(list(sums.values()))
    error = _standard_error(values[0], labels)
    return Paired(
        difference=middle,
        low=low,
        high=high,
        p_value=p_value,
        problems=len(differences),
        clusters=len(sums),
        detectable=_FOUND * error,
        more_problems=_more_problems(len(differences), middle, error, p_value),
    )


def _more_problems(problems: int, difference: float, error: float, p_value: float) -> int | None:
    """Return how many problems more would show `difference`; None where no number would, or nothing is known of its spread."""
    if p_value < 0.05:
        return 0
    if not difference or not math.isfinite(error):
        return None
    return max(1, math.ceil(problems * (_FOUND * error / difference) ** 2) - problems)


def _standard_error(values: np.ndarray, labels: np.ndarray) -> float:
    """Return the standard error of the mean of `values` [P] in clusters; of one cluster there is none, and it is infinite.

    As in rl/stats.py a quarter of a cluster that is all better and of one that is all worse are counted too, so that a few
    differences that happen to be equal do not pass for certainty.
    """
    mean = values.mean()
    sums = np.bincount(labels, weights=values - mean)
    if len(sums) < 2:
        return math.inf
    usual = len(values) / len(sums)  # problems of a cluster
    squares = (sums**2).sum() + usual**2 * ((1 - mean) ** 2 + (1 + mean) ** 2) / 4
    return float(np.sqrt(squares * len(sums) / (len(sums) - 1)) / len(values))


def _whole(values: Sequence[Fraction | int]) -> tuple[list[int], int]:
    """Return values times the least number that makes all of them whole, and that number: exact, and they add up in no time."""
    scale = math.lcm(*[one.denominator for one in values])
    return [one.numerator * (scale // one.denominator) for one in values], scale


def sign_flip_p_value(sums: Sequence[Fraction | int]) -> float:
    """Return how likely a sum as far from 0 as that of `sums` is, if each could as well have had the other sign.

    Exact: the distribution of the sum is built up one term after another. Fractions with many denominators are rounded to a
    grid of two million steps, and what rounding may have put apart counts as equal.
    """
    whole, _ = _whole(sums)
    common = math.gcd(*whole) or 1
    whole, slack = [one // common for one in whole], 0
    total = sum(map(abs, whole))
    if total > _GRID:
        whole, slack = [round(Fraction(one * _GRID, total)) for one in whole], len(whole)
    largest = sum(map(abs, whole))
    chances = np.zeros(largest + 1)  # of the sum of those terms that come out positive
    chances[0] = 1.0
    reached = 0
    for size in (abs(one) for one in whole if one):
        chances[: reached + size + 1] *= 0.5
        chances[size : reached + size + 1] += chances[: reached + 1].copy()
        reached += size
    sums_of_all = 2 * np.arange(largest + 1) - largest
    return min(1.0, float(chances[np.abs(sums_of_all) >= abs(sum(whole)) - slack].sum()))
