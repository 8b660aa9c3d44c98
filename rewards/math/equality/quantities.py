"""Expressions with units: what is measured, in which unit, and whether two of them are the same."""

from fractions import Fraction

from rewards.math import units
from rewards.math.equality.expressions import Trail, equal_expressions, without_degrees
from rewards.math.tree import Node, contains, replaced, symbols


def quantity(node: Node) -> tuple[Node, str | None]:
    """Return (value, unit phrase or None); `5 ft 3 in` is turned into the first unit.

    A unit in front of a name stays where it is: in `10 cm x` it is no unit of the whole.
    """
    if node.op == "unit":
        inner, unit = quantity(node.args[0])
        return inner, _side_by_side(unit, node.value) if unit and unit not in "$€£¥" else node.value
    if node.op == "neg":
        inner, unit = quantity(node.args[0])
        return Node("neg", (inner,)), unit
    if node.op in ("mul", "div"):
        (one, unit), (other, second) = (quantity(part) for part in node.args)
        lost = unit and unit not in "$€£¥" and (symbols(other) or units.measure(unit) is None)
        if (unit or second) is None or lost or (second and _quotient(second)):
            return node, None
        phrase = f"{unit or ''} / {second}" if second and node.op == "div" else _side_by_side(unit or "", second or "")
        return node._replace(args=(one, other)), phrase.strip()
    if node.op == "pow" and node.args[1].op == "num" and node.args[1].value in range(2, 7):
        inner, unit = quantity(node.args[0])
        if unit is None or _quotient(unit):
            return node, None
        return Node("pow", (inner, node.args[1])), " ".join([unit] * int(node.args[1].value))
    if node.op == "add":
        parts = [quantity(part) for part in node.args]
        first, last = parts[0][1], parts[-1][1]
        if last is not None and all(unit is None for _, unit in parts[:-1]):  # 2 + 3 sqrt(3) cm
            return node._replace(args=tuple(value for value, _ in parts)), last
        if first is None or any(unit is None for _, unit in parts):
            return node, None
        terms = []
        for value, unit in parts:
            factor = units.ratio(first, unit or "")
            if factor is None:
                return node, None
            terms.append(Node("mul", (Node("num", (), factor), value)))
        return Node("add", tuple(terms)), first
    return node, None


def _quotient(unit: str) -> bool:
    return "/" in unit or " per " in unit


def _side_by_side(one: str, other: str) -> str:
    """Return a product of units with the quotient last: everything behind a slash is divided by."""
    return " ".join(sorted((one, other), key=_quotient)).strip()


def _kept_units(node: Node) -> Node:
    """Return `node` with the units that belong to a part of it as names, so that none is lost."""
    args = tuple(_kept_units(part) for part in node.args)
    return Node("mul", (*args, Node("sym", (), f"unit {node.value}"))) if node.op == "unit" else node._replace(args=args)


def _short_unit(node: Node) -> tuple[Node, str] | None:
    """Read `10 m` or `3 m/s` as a quantity: a number times single letters that are units."""
    names = symbols(node)
    if (
        not names
        or not names <= (units.SHORT | {"k"} if "\\Omega" in names else units.SHORT)
        or node.op not in ("mul", "div")
        or contains(node, "add", "fn", "call")
    ):
        return None
    value: Node = node
    phrase: list[str] = []
    while value.op in ("mul", "div"):
        part = value.args[1]
        power = ""
        if part.op == "pow" and part.args[0].op == "sym" and part.args[1].op == "num":
            power, part = f"^{part.args[1].value}", part.args[0]
        if part.op != "sym":
            return None
        phrase.insert(0, ("/ " if value.op == "div" else "") + part.value + power)
        value = value.args[0]
        if not symbols(value):
            return value, " ".join(phrase)
    return None


def _equal_names(left: Node, right: Node, trail: Trail) -> bool:
    """Compare expressions; capitals side by side (GM) are one name first, then a product, never where they are all there is."""
    if equal_expressions(left, right, trail):
        return True
    if left.op == "sym" or right.op == "sym":
        return False
    apart = _split_capitals(left), _split_capitals(right)
    return apart != (left, right) and equal_expressions(*apart, trail)


def _split_capitals(node: Node) -> Node:
    if node.op == "sym" and len(node.value) > 1 and node.value.isalpha() and node.value.isupper():
        whole = Node("sym", (), node.value[0])
        for letter in node.value[1:]:
            whole = Node("mul", (whole, Node("sym", (), letter)))
        return whole
    return node._replace(args=tuple(_split_capitals(part) for part in node.args)) if node.args else node


def _kelvin(value: Node, scale: tuple[Fraction, Fraction]) -> Node:
    return Node("add", (Node("mul", (Node("num", (), scale[0]), value)), Node("num", (), scale[1])))


def same_quantities(gold: Node, answer: Node, trail: Trail, strict: bool) -> bool:
    """Tell whether two expressions are the same with their units; where only one side has one, it counts unless `strict`."""
    (left, left_unit), (right, right_unit) = quantity(gold), quantity(answer)
    if left_unit is None is right_unit and symbols(left) and symbols(right) and equal_expressions(left, right, trail):
        return True
    short_left = _short_unit(left) if left_unit is None else None
    short_right = _short_unit(right) if right_unit is None else None
    if short_left and (short_right or not symbols(right)):
        left, left_unit = short_left
    if short_right and (short_left or not symbols(left)):
        right, right_unit = short_right
    if strict and (left_unit is None) != (right_unit is None):
        return False
    if left_unit is not None and right_unit is not None:
        scales = units.temperature(left_unit), units.temperature(right_unit)
        if scales[0] and scales[1] and scales[0] != scales[1]:
            left, right = (_kelvin(value, scale) for value, scale in ((left, scales[0]), (right, scales[1])))
            right_unit = left_unit
        factor = units.ratio(left_unit, right_unit)
        if factor is None:
            trail.rule = f"units conflict: {left_unit} and {right_unit}"
            return False
        if factor != 1:
            right = Node("mul", (Node("num", (), factor), right))
    left, right = _kept_units(left), _kept_units(right)
    if _equal_names(left, right, trail):
        if left_unit is not None and right_unit is not None:
            trail.rule += ", units agree"
        return True
    if strict:
        return False
    bare_left, bare_right = without_degrees(left), without_degrees(right)
    other_unit = right_unit if bare_left != left else left_unit
    if (bare_left != left) != (bare_right != right) and other_unit is None and equal_expressions(bare_left, bare_right, trail):
        trail.rule = "degree sign on one side only"
        return True
    if trail.percent:
        plain_left, plain_right = replaced(left, "pct"), replaced(right, "pct")
        if (plain_left != left) != (plain_right != right) and equal_expressions(plain_left, plain_right, trail):
            trail.rule = "the question asks for a percentage"
            return True
    return False
