"""Sets of reals as sorted disjoint intervals, with their union, complement and intersection.

Endpoints stay expressions; they are ordered by their numeric value (30 digits), and two of them are the same point only
when `equal_expressions` says so. Ends that have no real value cannot be ordered: then the result is None.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from rewards.math.equality.expressions import equal_expressions
from rewards.math.equality.numeric import Number, numeric_value
from rewards.math.equality.rules import Trail
from rewards.math.tree import INFINITY, Node, contains

MINUS_INFINITY = Node("neg", (INFINITY,))
MAX_PIECES = 200


class Piece(NamedTuple):
    """An interval with its ends; `low_in` and `high_in` tell whether an end belongs to it."""

    low: Node
    high: Node
    low_in: bool
    high_in: bool


_STEPS = (Fraction(1, 100), Fraction(17, 13), Fraction(211, 7))
LINE = (Piece(MINUS_INFINITY, INFINITY, False, False),)


def _size(node: Node) -> Number | float | None:
    if node in (INFINITY, Node("add", (INFINITY,))):
        return float("inf")
    if node == MINUS_INFINITY:
        return float("-inf")
    return numeric_value(node)


def _order(a: Node, b: Node) -> int | None:
    """Return -1 where a is below b, 0 where they are one point, 1 where it is above; None where one is no real constant."""
    left, right = _size(a), _size(b)
    if left is None or right is None:
        return None
    if isinstance(left, float) or isinstance(right, float):
        return int(left > right) - int(left < right)
    if abs(left - right) <= (abs(left) + abs(right)) * 1e-20 and equal_expressions(a, b, Trail()):
        return 0
    return 1 if left > right else -1


def union(pieces: Iterable[Piece]) -> tuple[Piece, ...] | None:
    """Return the pieces without the empty ones, sorted, and merged where they touch."""
    pieces = list(pieces)
    if len(pieces) > MAX_PIECES:
        return None
    with_points: list[Piece] = []
    for piece in pieces:
        order = _order(piece.low, piece.high)
        if order is None:
            return None
        if order < 0 or (order == 0 and piece.low_in and piece.high_in):
            with_points.append(piece)
    try:
        with_points.sort(key=_start)
    except OverflowError:
        return None
    merged: list[Piece] = []
    for piece in with_points:
        if not merged:
            merged.append(piece)
            continue
        last = merged[-1]
        order = _order(piece.low, last.high)
        if order is None:
            return None
        if order > 0 or (order == 0 and not piece.low_in and not last.high_in):
            merged.append(piece)
            continue
        joined = _joined(last, piece)
        if joined is None:
            return None
        merged[-1] = joined
    return tuple(merged)


def _start(piece: Piece) -> tuple[float, bool]:
    low = _size(piece.low)
    assert low is not None  # pieces without order are refused before they are sorted
    return float(low), not piece.low_in


def _joined(first: Piece, second: Piece) -> Piece | None:
    """Return two pieces that touch as one, from the low end of the first."""
    order = _order(second.high, first.high)
    if order is None:
        return None
    if order == 0:
        return first._replace(high_in=first.high_in or second.high_in)
    return first._replace(high=second.high, high_in=second.high_in) if order > 0 else first


def complement(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """Return the gaps of sorted disjoint pieces."""
    low, low_in = MINUS_INFINITY, False
    gaps = []
    for piece in pieces:
        gaps.append(Piece(low, piece.low, low_in, not piece.low_in and piece.low != MINUS_INFINITY))
        low, low_in = piece.high, not piece.high_in and piece.high != INFINITY
    gaps.append(Piece(low, INFINITY, low_in, False))
    return tuple(gap for gap in gaps if gap.low != gap.high or (gap.low_in and gap.high_in))


def intersection(a: tuple[Piece, ...], b: tuple[Piece, ...]) -> tuple[Piece, ...] | None:
    """Return what belongs to both: the complement of the union of the complements."""
    left, right = union(complement(a)), union(complement(b))
    if left is None or right is None:
        return None
    outside = union([*left, *right])
    return None if outside is None else union(complement(outside))


def is_one_sided(pieces: tuple[Piece, ...]) -> bool:
    """Tell whether it is a half line or a line without points."""
    return bool(pieces) and (pieces[0].low == MINUS_INFINITY or pieces[-1].high == INFINITY)


def same_pieces(gold: tuple[Piece, ...], answer: tuple[Piece, ...]) -> bool:
    """Tell whether two sets have the same pieces."""
    if len(gold) != len(answer):
        return False
    for one, other in zip(gold, answer, strict=True):
        if (one.low_in, one.high_in) != (other.low_in, other.high_in):
            return False
        if not _same_end(one.low, other.low) or not _same_end(one.high, other.high):
            return False
    return True


def _same_end(one: Node, other: Node) -> bool:
    if _order(one, other) == 0:
        return True
    return not contains(one, "const") and not contains(other, "const") and equal_expressions(one, other, Trail())


def points_outside(pieces: tuple[Piece, ...]) -> list[Fraction]:
    """Return some rational points of each gap between the pieces, none where an end has no numeric value."""
    points: list[Fraction] = []
    for gap in complement(pieces):
        low, high = _size(gap.low), _size(gap.high)
        if low is None or high is None:
            return []
        start, end = (None if abs(float(end)) == float("inf") else Fraction(float(end)) for end in (low, high))
        if start is None and end is None:
            return []
        if start == end:
            points.append(start if start is not None else Fraction(0))
        elif start is None or end is None:
            base, sign = (start, 1) if start is not None else (end, -1)
            points += [(base or Fraction(0)) + sign * step for step in _STEPS]
        else:
            points += [start + (end - start) * part for part in (Fraction(1, 5), Fraction(1, 2), Fraction(7, 9))]
    return points
