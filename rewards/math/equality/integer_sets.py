"""Sets of integers as tests of membership, with the bounds beyond which they repeat themselves, and how they are joined.

`6k + 1` repeats with period 6 everywhere, `{2, 4, ..., 12}` with period 1 outside of 2 to 12. Two sets are the same when no
integer between all bounds, and one common period beyond them, tells them apart: an exact decision by finitely many tests.
"""

from collections.abc import Callable, Iterable
from math import lcm
from typing import NamedTuple

from rewards.math.equality.progressions import Progression

MAX_TESTS = 5000
MAX_SIZE = 10**6  # of an integer that such a set mentions


class IntegerSet(NamedTuple):
    """A test that repeats with `period` below `low` and above `high`; `variable` is the name of a member where one is free."""

    has: Callable[[int], bool]
    period: int
    low: int
    high: int
    variable: str | None = None


ALL = IntegerSet(lambda _: True, 1, 0, 0)


def same_members(one: IntegerSet, other: IntegerSet) -> bool:
    """Tell whether two sets surely have the same members."""
    period = lcm(one.period, other.period)
    low, high = min(one.low, other.low) - period, max(one.high, other.high) + period
    if high - low > MAX_TESTS:
        return False
    return all(one.has(value) == other.has(value) for value in range(low, high + 1))


def half_line(end: int, upwards: bool) -> IntegerSet:
    """Return all integers from `end` on, upwards or downwards."""
    if upwards:
        return IntegerSet(lambda value: value >= end, 1, end - 1, end)
    return IntegerSet(lambda value: value <= end, 1, end, end + 1)


def only(value: int) -> IntegerSet:
    """Return the set of one integer."""
    return IntegerSet(lambda other: other == value, 1, value - 1, value + 1)


def multiples(divisor: int, rest: int = 0) -> IntegerSet:
    """Return the integers with this rest when divided by `divisor`."""
    return IntegerSet(lambda value: value % divisor == rest, divisor, 0, 0)


def image(start: int, step: int, of: IntegerSet) -> IntegerSet:
    """Return start + step * k for all members k of a set."""
    ends = (start + step * of.low, start + step * of.high)

    def has(value: int) -> bool:
        index, rest = divmod(value - start, step)
        return rest == 0 and of.has(index)

    return IntegerSet(has, abs(step) * of.period, min(ends) - abs(step), max(ends) + abs(step))


def complement(part: IntegerSet) -> IntegerSet:
    """Return the integers that are not in a set."""
    has = part.has
    return part._replace(has=lambda value: not has(value))


def joined(parts: Iterable[IntegerSet | None], how: Callable[[list[bool]], bool]) -> IntegerSet | None:
    """Return the union (`any`) or the intersection (`all`) of sets in one variable."""
    sets: list[IntegerSet] = []
    for part in parts:
        if part is None:
            return None
        sets.append(part)
    if not sets:
        return None
    names = {part.variable for part in sets if part.variable}
    if len(names) > 1:
        return None
    period = lcm(*(part.period for part in sets))
    if period > MAX_TESTS:
        return None

    def has(value: int) -> bool:
        return how([part.has(value) for part in sets])

    return IntegerSet(has, period, min(part.low for part in sets), max(part.high for part in sets), next(iter(names), None))


def progression(written: Progression) -> IntegerSet | None:
    """Return a progression between two ends, either of which may be missing; None where it is too large."""
    start, step, end, anchor = written
    low, high = (start, end) if step > 0 else (end, start)
    size = abs(step)
    if max(abs(anchor), abs(low or 0), abs(high or 0)) > MAX_SIZE:
        return None

    def has(value: int) -> bool:
        inside = (low is None or value >= low) and (high is None or value <= high)
        return inside and (value - anchor) % size == 0

    ends = [place for place in (low, high, anchor) if place is not None]
    return IntegerSet(has, size, min(ends) - 1, max(ends) + 1)
