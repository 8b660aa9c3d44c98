r"""Lists up to a name: `1, 2, \ldots, n` is `1, 2, 3, \ldots, n`, in the order in which they count.

They are the same where they begin with the same number, count on by the same step and end with the same term, which has to
be linear in one name and to fit the step: `2, 4, \ldots, 2^n` is left alone, for it may go on in two ways.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from rewards.math.equality.exact import rational
from rewards.math.equality.progressions import ELLIPSIS
from rewards.math.tree import Node, number, substituted, symbols


class OpenList(NamedTuple):
    """An arithmetic list from `start` on by `step`, up to the term at + slope * (the value of `name`)."""

    start: Fraction
    step: Fraction
    name: str
    at: Fraction
    slope: Fraction


def open_list(items: Sequence[Node]) -> OpenList | None:
    """Return what items with an ellipsis in front of a term with a name stand for; None for anything else."""
    places = [place for place, item in enumerate(items) if item == ELLIPSIS]
    if len(places) != 1 or places[0] == 0 or places[0] == len(items) - 1:
        return None
    line = _line(items[-1])
    try:
        front = [rational(item) for item in items[: places[0]]]
        before_last = [] if len(items) == places[0] + 2 else [_line(item) for item in items[places[0] + 1 : -1]]
    except ArithmeticError:
        return None
    if line is None or not front:
        return None
    steps = {after - before for before, after in pairwise(front)} or {Fraction(1)}
    step = next(iter(steps))
    name, at, slope = line
    if len(steps) > 1 or step <= 0 or slope <= 0 or (at - front[0]) % step or slope % step:
        return None
    back = len(before_last)
    wanted = [(name, at - step * (back - place), slope) for place in range(back)]
    return OpenList(front[0], step, name, at, slope) if before_last == wanted else None


def _line(node: Node) -> tuple[str, Fraction, Fraction] | None:
    """Return (name, value at 0, slope) of a term that is linear in its one name, None for another term."""
    names = symbols(node)
    if len(names) != 1:
        return None
    name = next(iter(names))
    try:
        zero, one, two, far = (rational(substituted(node, name, number(value))) for value in (0, 1, 2, -7))
    except (ArithmeticError, ValueError):
        return None
    slope = one - zero
    return (name, zero, slope) if two == zero + 2 * slope and far == zero - 7 * slope else None
