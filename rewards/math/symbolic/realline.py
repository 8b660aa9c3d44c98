"""Sets of reals as critical points in order, with what belongs to the set at each of them and between them.

`[0, 1) and {3}` has the points 0, 1, 3, at them (yes, no, yes) and between them (no, yes, no, no). Points are exact; two of
them are ordered by 60 digits and are one point only when their difference is proved to be zero.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import mpmath
import sympy

from rewards.math.symbolic import proofs, sampling
from rewards.math.symbolic.convert import UnknownError

Expression = Any
DIGITS = 60
MAX_POINTS = 120


class RealLine(NamedTuple):
    """A set of reals: `at[i]` is for `points[i]`, `between[i]` for what lies below it, the last one for what lies above."""

    points: tuple[Expression, ...]
    at: tuple[bool, ...]
    between: tuple[bool, ...]


EVERYTHING = RealLine((), (), (True,))
NOTHING = RealLine((), (), (False,))


def size(point: Expression) -> Any:
    """Return the value of a real constant."""
    number = sampling.value(point, {}, DIGITS)
    if number is None or not sampling.is_real(number, DIGITS):
        raise UnknownError("an end that is no real number")
    return number.real


def ordered(points: Sequence[Expression]) -> list[Expression]:
    """Return points in order, each once."""
    sized = sorted(((size(point), point) for point in points), key=lambda pair: pair[0])
    if len(sized) > MAX_POINTS:
        raise UnknownError("too many points")
    kept: list[tuple[Any, Expression]] = []
    for number, point in sized:
        if kept and same_point(kept[-1], (number, point)):
            continue
        kept.append((number, point))
    return [point for _, point in kept]


def same_point(one: tuple[Any, Expression], other: tuple[Any, Expression]) -> bool:
    """Tell whether two sized points are one; raises UnknownError where they are too near to tell."""
    with mpmath.workdps(DIGITS):
        if abs(one[0] - other[0]) > mpmath.mpf(10) ** (20 - DIGITS) * (1 + abs(one[0])):
            return False
    if proofs.is_zero(one[1] - other[1]):
        return True
    raise UnknownError("points too near to each other")


def interval(low: Expression, high: Expression, low_in: bool, high_in: bool) -> RealLine:
    """Return the interval between two ends, infinite ones too."""
    ends = [end for end in (low, high) if not end.is_infinite]
    if len(ends) == 2:
        order = ordered(ends)
        if len(order) == 1:
            return RealLine(tuple(order), (low_in and high_in,), (False, False))
        if order[0] is not low:
            raise UnknownError("an interval the wrong way round")
        return RealLine((low, high), (low_in, high_in), (False, True, False))
    if not ends:
        return EVERYTHING
    if low.is_infinite:
        return RealLine((high,), (high_in,), (True, False))
    return RealLine((low,), (low_in,), (False, True))


def of_points(points: Sequence[Expression]) -> RealLine:
    """Return the set of some points."""
    order = ordered(points)
    return RealLine(tuple(order), (True,) * len(order), (False,) * (len(order) + 1))


def combined(one: RealLine, other: RealLine, keep: Callable[[bool, bool], bool]) -> RealLine:
    """Return the set of what `keep` says of belonging to the one and to the other."""
    points = ordered([*one.points, *other.points])
    flags = [(_at_points(line, points), _between_points(line, points)) for line in (one, other)]
    at = tuple(keep(*pair) for pair in zip(flags[0][0], flags[1][0], strict=True))
    between = tuple(keep(*pair) for pair in zip(flags[0][1], flags[1][1], strict=True))
    return RealLine(tuple(points), at, between)


def _place(line: RealLine, point: Expression) -> tuple[int, bool]:
    """Return how many points of a set lie below a point, and whether the next one is that point."""
    number = size(point)
    for index, own in enumerate(line.points):
        if own is point or own == point:
            return index, True
        if size(own) >= number:
            return index, same_point((size(own), own), (number, point))
        if same_point((size(own), own), (number, point)):
            return index, True
    return len(line.points), False


def _at_points(line: RealLine, points: Sequence[Expression]) -> list[bool]:
    found = []
    for point in points:
        index, is_own = _place(line, point)
        found.append(line.at[index] if is_own else line.between[index])
    return found


def _between_points(line: RealLine, points: Sequence[Expression]) -> list[bool]:
    """Return what belongs to the set just below each point and above the last."""
    found = []
    for point in points:
        index, _ = _place(line, point)
        found.append(line.between[index])
    found.append(line.between[-1])
    return found


def same_line(one: RealLine, other: RealLine) -> bool:
    """Tell whether two sets of reals are the same."""
    differ = combined(one, other, lambda left, right: left != right)
    return not any(differ.at) and not any(differ.between)


def middles(points: Sequence[Expression]) -> list[list[Expression]]:
    """Return places to look at in each gap between points: rationals, many of them, near the ends too."""
    shares = [sympy.Rational(part, 211) for part in (1, 2, 11, 29, 53, 76, 97, 105, 131, 149, 173, 190, 205, 209, 210)]
    far = [
        sympy.Rational(text)
        for text in ("0.0013", "0.11", "0.73", "1.9", "4.7", "13.3", "61.7", "407.9", "12345.6", "987654.3")
    ]
    if not points:
        return [[sign * step for step in far for sign in (1, -1)]]
    exact = [sympy.Rational(str(mpmath.nstr(size(point), 40))) for point in points]
    gaps = [[exact[0] - step for step in far]]
    gaps += [[low + (high - low) * share for share in shares] for low, high in itertools.pairwise(exact)]
    return [*gaps, [exact[-1] + step for step in far]]
