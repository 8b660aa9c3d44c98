r"""Families over all integers as unions of progressions: numbers, points and intervals that repeat by a fixed step.

`x = \pm 1 + 4k` and `2k + 1`, both over k in Z, are the same union; a point or an interval has a step for each of its
coordinates or ends. Progressions are split to one common step, then each must have its like on the other side.
"""

from fractions import Fraction
from math import lcm
from typing import NamedTuple

from rewards.math.equality.compare import equal
from rewards.math.equality.definitions import assignment, without_names
from rewards.math.equality.expressions import equal_expressions
from rewards.math.equality.labels import labels_agree
from rewards.math.equality.linear import difference
from rewards.math.equality.named import named_values
from rewards.math.equality.normal import without_plus_minus
from rewards.math.equality.numeric import numeric_value
from rewards.math.equality.rules import Trail
from rewards.math.tree import ZERO, Node, Op, contains, number, substituted, symbols

MAX_ITEMS = 20
MAX_SPLIT = 40  # progressions of one side after splitting
MAX_RATIO = 24
MAX_SHIFT = 10**9
_FLAT_OPS: tuple[Op, ...] = ("rel", "list", "seq", "set", "mat", "unit", "cases", "bound", "build")
_OPEN_OR_CLOSED = {"<": ("(", ")"), "<=": ("[", "]")}


class Coset(NamedTuple):
    """All start + step * k; `kind` is "" for numbers, "!=" for what is no value, else the brackets of a point or interval."""

    kind: str
    start: tuple[Node, ...]
    step: tuple[Node, ...]


def same_cosets(gold: Node, answer: Node) -> bool:
    """Tell whether two `bound` nodes over all integers are the same union of progressions."""
    (left, ours), (right, theirs) = _cosets(gold, False), _cosets(answer, True)
    if not ours or not theirs or (left and right and not labels_agree(left, right)):
        return False
    split, other_split = _with_common_step(ours, ours[0].step), _with_common_step(theirs, ours[0].step)
    if split is None or other_split is None:
        return False
    factor = lcm(split[0], other_split[0])
    one, other = (
        _split(cosets, ratios, factor, ours[0].step) for cosets, (_, ratios) in ((ours, split), (theirs, other_split))
    )
    if max(len(one), len(other)) > MAX_SPLIT:
        return False
    return all(any(_same(a, b) for b in other) for a in one) and all(any(_same(a, b) for b in one) for a in other)


# -- reading


def _cosets(node: Node, answer: bool) -> tuple[Node | None, list[Coset]]:
    """Return the name of what has the values, if any, and its progressions; none where one is no progression."""
    names = node.value[0]
    body = without_plus_minus(node.args[0])
    values = named_values(body, equal)
    if values is not None and len(values) > 1:  # x = 3 + 5t, y = 2 - 7t
        ordered = sorted(values.values(), key=lambda pair: str(pair[0].value))
        name, body = (
            Node("seq", tuple(pair[0] for pair in ordered), "()"),
            Node("seq", tuple(pair[1] for pair in ordered), "()"),
        )
        coset = _coset(body, names)
        return name, [coset] if coset else []
    body = without_names(body, equal)
    pair = assignment(body, answer, equal) if body.op == "rel" else None
    head, value = pair or (None, body)
    items = value.args if value.op in ("list", "set", "union") else (value,)
    cosets = [_coset(item, names) for item in items]
    if len(items) > MAX_ITEMS or None in cosets:
        return head, []
    heads = {item.args[0] for item in items if item.op == "rel" and item.value in (("in",), ("!=",))}
    return head or (heads.pop() if len(heads) == 1 else None), [coset for coset in cosets if coset is not None]


def _coset(node: Node, names: tuple[str, ...]) -> Coset | None:
    """Return a number, a point, an interval or a chain of inequalities as a progression in the one name that it uses."""
    kind, coordinates = _coordinates(node)
    used = frozenset().union(*map(symbols, coordinates)).intersection(names)
    if len(used) != 1 or any(contains(part, *_FLAT_OPS) for part in coordinates):
        return None
    (name,) = used
    lines = [_line(part, name) for part in coordinates]
    if not lines or any(line is None for line in lines):
        return None
    starts, steps = zip(*(line for line in lines if line is not None), strict=True)
    return Coset(kind, starts, steps)


def _coordinates(node: Node) -> tuple[str, tuple[Node, ...]]:
    if node.op == "seq":
        return "()" if node.value == "<>" else node.value, node.args
    if node.op == "rel" and node.value == ("in",) and node.args[1].op == "seq":
        return node.args[1].value, node.args[1].args
    if node.op == "rel" and node.value == ("!=",):
        return "!=", (node.args[1],)
    if node.op == "rel" and len(node.args) == 3:
        low, _, high = node.args
        first, second = node.value
        if first in (">", ">="):
            low, high, first, second = high, low, second.replace(">", "<"), first.replace(">", "<")
        if first in _OPEN_OR_CLOSED and second in _OPEN_OR_CLOSED:
            return _OPEN_OR_CLOSED[first][0] + _OPEN_OR_CLOSED[second][1], (low, high)
    return "", (node,)


def _line(node: Node, name: str) -> tuple[Node, Node] | None:
    """Return (start, step) of an expression that is linear in `name`, or None."""
    start = substituted(node, name, ZERO)
    if name not in symbols(node):
        return start, ZERO
    step = difference(substituted(node, name, number(1)), start)
    line = Node("add", (start, Node("mul", (step, Node("sym", (), name)))))
    return (start, step) if equal_expressions(node, line, Trail()) else None


# -- comparing


def _with_common_step(cosets: list[Coset], unit: tuple[Node, ...]) -> tuple[int, list[Fraction]] | None:
    """Return a multiple of `unit` that is one of every step, and the steps as multiples of `unit`; None where there is none."""
    ratios: list[Fraction] = []
    for coset in cosets:
        ratio = _ratio(coset.step, unit)
        if ratio is None:
            return None
        ratios.append(ratio)
    return lcm(*(ratio.numerator for ratio in ratios)), ratios


def _ratio(step: tuple[Node, ...], unit: tuple[Node, ...]) -> Fraction | None:
    """Return the small rational factor, without its sign, by which `step` is a multiple of `unit`."""
    if len(step) != len(unit):
        return None
    for one, base in zip(step, unit, strict=True):
        value = numeric_value(Node("div", (one, base))) if numeric_value(base) != 0 else None
        if value is None or not 1 / MAX_RATIO <= abs(value) <= MAX_RATIO:
            continue
        ratio = Fraction(float(value)).limit_denominator(MAX_RATIO)
        if not all(_is_multiple(one, ratio, base) for one, base in zip(step, unit, strict=True)):
            return None
        return abs(ratio)
    return None


def _is_multiple(one: Node, ratio: Fraction, base: Node) -> bool:
    return equal_expressions(one, Node("mul", (number(ratio), base)), Trail())


def _split(cosets: list[Coset], ratios: list[Fraction], factor: int, unit: tuple[Node, ...]) -> list[Coset]:
    """Return progressions of the common step `factor` times `unit`."""
    step = tuple(Node("mul", (number(factor), part)) for part in unit)
    split: list[Coset] = []
    for coset, ratio in zip(cosets, ratios, strict=True):
        count = int(factor / ratio)
        for index in range(min(count, MAX_SPLIT + 1)):
            moved = (
                Node("add", (start, Node("mul", (number(index), own))))
                for start, own in zip(coset.start, coset.step, strict=True)
            )
            split.append(Coset(coset.kind, tuple(moved), step))
        if len(split) > MAX_SPLIT:
            break
    return split


def _same(one: Coset, other: Coset) -> bool:
    """Tell whether two progressions of the same step have the same members."""
    if one.kind != other.kind or len(one.start) != len(other.start):
        return False
    gaps = [difference(a, b) for a, b in zip(one.start, other.start, strict=True)]
    count: int | None = None
    for gap, step in zip(gaps, one.step, strict=True):
        if (size := numeric_value(step)) is None or size == 0:
            continue
        steps = numeric_value(Node("div", (gap, step)))
        count = round(steps) if steps is not None and abs(steps) < MAX_SHIFT else 0
        break
    shift = number(count or 0)
    return all(equal_expressions(gap, Node("mul", (shift, step)), Trail()) for gap, step in zip(gaps, one.step, strict=True))
