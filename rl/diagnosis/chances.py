"""What counts of paid completions can say: how large a share may be, whether one way pays more, which groups have contrast."""

from math import comb, exp, lgamma, log, log1p

_DOUBT = 0.05


def at_most(count: int, of: int) -> float:
    """Return the largest share of which no more than `count` among `of` are no surprise: the upper 95 % bound.

    Clopper and Pearson (1934), of one side; for none of n about 3 / n. By halving, to a millionth.
    """
    if count >= of:
        return 1.0
    low, high = count / of, 1.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        seen = sum(_chance(k, of, middle) for k in range(count + 1))
        low, high = (middle, high) if seen > _DOUBT else (low, middle)
    return high


def _chance(count: int, of: int, share: float) -> float:
    """Return the chance of exactly `count` among `of`; by logarithms: the ways of thousands are too many for a float."""
    ways = lgamma(of + 1) - lgamma(count + 1) - lgamma(of - count + 1)
    return exp(ways + count * log(share) + (of - count) * log1p(-share))


def of_so_many_more(paid: int, drawn: int, paid_before: int, drawn_before: int) -> float:
    """Return the chance that `paid` or more of all the paid ones lie among `drawn`, if neither way pays more (Fisher, 1922)."""
    every, all_paid = drawn + drawn_before, paid + paid_before
    ways = sum(comb(all_paid, k) * comb(every - all_paid, drawn - k) for k in range(paid, min(all_paid, drawn) + 1))
    return ways / comb(every, drawn)


def with_contrast(share: float, group_size: int) -> float:
    """Return the share of groups in which one completion is paid and another is not, if each is with chance `share`.

    Problems differ, and where some are harder than others fewer groups have contrast: the curve bends downwards.
    """
    return 1 - (1 - share) ** group_size - share**group_size
