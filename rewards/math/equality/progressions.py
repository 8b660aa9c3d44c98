r"""Ellipses in sets and lists: `2, 4, \ldots, 12` stands for 2, 4, 6, 8, 10, 12 where the terms that are written say so.

Arithmetic: two terms in front and every term in the pattern, and where only two are written no geometric progression has the
last one too; a single term in front of an ellipsis counts on by one, `1, \ldots, 6`. Geometric: three terms in front at least.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from rewards.math.tree import Node, number

MAX_TERMS = 200  # written out
ELLIPSIS = Node("sym", (), "\\ldots")


def _integer(node: Node) -> int | None:
    if node.op == "num" and node.value.denominator == 1:
        return int(node.value)
    if node.op == "neg" and (value := _integer(node.args[0])) is not None:
        return -value
    return None


class Progression(NamedTuple):
    """An arithmetic progression of integers through `term`; an end is None where an ellipsis stands in its place."""

    start: int | None
    step: int
    end: int | None
    term: int


def elided(items: Sequence[Node]) -> Progression | None:
    """Return the arithmetic progression of integers that items with an ellipsis stand for, None for anything else."""
    if any(item.op == "pm" for item in items):
        return _both_ways(items)
    written = [_integer(item) for item in items if item != ELLIPSIS]
    terms = [term for term in written if term is not None]
    if len(terms) == len(items) or len(terms) < len(written) or len(terms) < 2:
        return None
    places = [index for index, item in enumerate(items) if item == ELLIPSIS]
    if len(places) == 2 and places == [0, len(items) - 1]:
        step = _common_step(terms)
        return None if step is None or len(terms) < 3 else Progression(None, abs(step), None, terms[0])
    if len(places) != 1:
        return None
    (place,) = places
    if place == 0:
        step = _common_step(terms)
        return None if step is None or len(terms) < 3 else Progression(None, step, terms[-1], terms[-1])
    if place == len(items) - 1:
        step = _common_step(terms)
        return None if step is None or (len(terms) < 3 and step != 1) else Progression(terms[0], step, None, terms[0])
    return _between(terms[:place], terms[place:])


def _both_ways(items: Sequence[Node]) -> Progression | None:
    r"""Return 0, \\pm 1, \\pm 2, ... and \\pm 1, \\pm 3, ..., which have no ends."""
    *front, last = items
    if last != ELLIPSIS or not front:
        return None
    terms = [_integer(item.args[0]) if item.op == "pm" and len(item.args) == 1 else _integer(item) for item in front]
    values = [term for term in terms if term is not None]
    if len(values) < len(terms) or any((item.op == "pm") == (value == 0) for item, value in zip(front, values, strict=True)):
        return None
    step = _common_step(values)
    if step is None or len(values) < 3 - (values[0] != 0) or (values[0] and step != 2 * values[0]):
        return None
    return Progression(None, step, None, values[0])


def _common_step(terms: list[int]) -> int | None:
    steps = {after - before for before, after in pairwise(terms)}
    return next(iter(steps)) if len(steps) == 1 and 0 not in steps else None


def _between(before: list[int], after: list[int]) -> Progression | None:
    """Return the progression whose first terms are `before` and whose last are `after`."""
    step = 1 if len(before) == 1 and len(after) == 1 else _common_step(before) if len(before) > 1 else _common_step(after)
    if step is None or any((term - before[0]) % step for term in after):
        return None
    if len(before) > 1 and len(after) > 1 and _common_step(after) != step:
        return None
    gap = after[0] - before[-1]
    if gap * step <= 0:
        return None
    if len(before) == 2 and step != 1 and _is_power_of(before, after[0]):
        return None  # 2, 4, ..., 64
    return Progression(before[0], step, after[-1], before[0])


def _is_power_of(before: list[int], last: int) -> bool:
    """Tell whether the two terms go on to `last` as a geometric progression too."""
    if not before[0] or abs(before[1]) <= abs(before[0]):
        return False
    ratio, term = Fraction(before[1], before[0]), Fraction(before[1])
    while abs(term) < abs(last):
        term *= ratio
    return term == last


def written_out(node: Node) -> Node:
    """Return a set, list or sequence with one ellipsis as all of its terms where they are determined and not too many."""
    if node.op not in ("set", "list", "seq") or ELLIPSIS not in node.args:
        return node
    if (progression := elided(node.args)) is not None:
        start, step, end, _ = progression
        if start is None or end is None or (end - start) // step >= MAX_TERMS:
            return node
        return node._replace(args=tuple(number(start + step * index) for index in range((end - start) // step + 1)))
    terms = _geometric(node)
    return node._replace(args=tuple(map(number, terms))) if terms else node


def _geometric(node: Node) -> list[Fraction] | None:
    """Return the terms of 1, 2, 4, ..., 64; None where it is none."""
    place = node.args.index(ELLIPSIS)
    before, after = node.args[:place], node.args[place + 1 :]
    if len(before) < 3 or not after or any(term.op != "num" for term in (*before, *after)):
        return None
    terms = [term.value for term in before]
    if not terms[0] or abs(terms[1]) <= abs(terms[0]):
        return None
    ratio = terms[1] / terms[0]
    last = after[-1].value
    while len(terms) < MAX_TERMS and abs(terms[-1]) < abs(last):
        terms.append(terms[-1] * ratio)
    pattern = [terms[0] * ratio**index for index in range(len(terms))]
    is_right = terms == pattern and terms[-len(after) :] == [term.value for term in after]
    return terms if is_right and len(terms) > len(before) else None
