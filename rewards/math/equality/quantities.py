"""Expressions with units: what is measured, in which unit, and whether two of them are the same.

Units that conflict are wrong, units that convert are converted, and a unit on one side only is taken as understood. So is a
degree sign outside of functions, and a percent sign where the question asks for a percentage.
"""

import re
from fractions import Fraction

from rewards.math import units
from rewards.math.equality.expressions import equal_expressions
from rewards.math.equality.rules import Rule, Trail
from rewards.math.tree import Node, contains, number, replaced, symbols

_CURRENCIES = "$€£¥"  # written in front of the number
_LETTERS = re.compile(r"[A-Za-zμ]{2,3}")
Quantity = tuple[Node, str | None]
"""A value and its unit phrase, or the whole expression and None."""


def same_quantities(gold: Node, answer: Node, trail: Trail, strict: bool) -> bool:
    """Tell whether two expressions are the same with their units; where only one side has one, it counts unless `strict`."""
    (left, left_unit), (right, right_unit) = quantity(gold), quantity(answer)
    if left_unit is None is right_unit and symbols(left) and symbols(right) and equal_expressions(left, right, trail):
        return True
    if (left_unit is None) != (right_unit is None) and _same_as_names((left, left_unit), (right, right_unit), trail):
        return True
    (left, left_unit), (right, right_unit) = _with_short_units((left, left_unit), (right, right_unit))
    both_have_units = left_unit is not None and right_unit is not None
    if (left_unit is None) != (right_unit is None) and (
        strict or _may_be_names(left, left_unit) or _may_be_names(right, right_unit)
    ):
        return False
    if left_unit is not None and right_unit is not None:
        in_one_unit = _in_one_unit(left, left_unit, right, right_unit)
        if in_one_unit is None:
            trail.decide(Rule.UNITS_CONFLICT, left_unit, right_unit)
            return False
        left, right = in_one_unit
    left, right = _inner_units_as_names(left), _inner_units_as_names(right)
    if _equal_with_names_apart(left, right, trail):
        if both_have_units:
            trail.units_agree()
        return True
    if strict:
        return False
    if _only_counts(left_unit) and right_unit is None and _same_without_percent(left, right, trail):
        return True
    return _same_without_degrees(left, left_unit, right, right_unit, trail)


def _may_be_names(value: Node, unit: str | None) -> bool:
    """Tell whether a unit may be a product of names, so that it is not to be left out: `3/2 kT`, but not `1.5 mT`."""
    return unit is not None and unit.endswith(units.UNSURE) and unit[-2] not in "JWFB" and not contains(value, "dec")


def _in_one_unit(left: Node, left_unit: str, right: Node, right_unit: str) -> tuple[Node, Node] | None:
    """Return both values in one unit, or None where the units conflict."""
    left_scale, right_scale = units.temperature(left_unit), units.temperature(right_unit)
    if left_scale and right_scale and left_scale != right_scale:
        left, right, right_unit = _kelvin(left, left_scale), _kelvin(right, right_scale), left_unit
    factor = units.ratio(left_unit, right_unit)
    if factor is None:
        return None
    return left, right if factor == 1 else Node("mul", (number(factor), right))


def _kelvin(value: Node, scale: tuple[Fraction, Fraction]) -> Node:
    factor, offset = scale
    return Node("add", (Node("mul", (number(factor), value)), number(offset)))


def _same_without_degrees(left: Node, left_unit: str | None, right: Node, right_unit: str | None, trail: Trail) -> bool:
    """Compare without degree signs where one side has one and the other side has no unit, or is a temperature."""
    bare_left, bare_right = _without_degrees(left), _without_degrees(right)
    left_has, right_has = bare_left != left, bare_right != right
    other_unit = right_unit if left_has else left_unit
    is_understood = other_unit is None or other_unit in ("celsius", "fahrenheit")
    if left_has == right_has or not is_understood or not equal_expressions(bare_left, bare_right, trail):
        return False
    trail.decide(Rule.DEGREE_SIGN)
    return True


def _without_degrees(node: Node) -> Node:
    """Return `node` with degree signs dropped, except inside functions, where they change the value."""
    return replaced(node, "deg", keep_inside=("fn", "call"))


def _same_without_percent(left: Node, right: Node, trail: Trail) -> bool:
    """Compare without percent signs: a bare n for the gold n %, and n % for a bare gold n where the question asks for it.

    A gold with the sign says that the question asked for a percentage, whether it is at hand or not.
    """
    if _is_percentage(left) and not contains(right, "pct"):
        left = replaced(left, "pct")
    elif trail.percent and _is_percentage(right) and not contains(left, "pct"):
        right = replaced(right, "pct")
    else:
        return False
    if not equal_expressions(left, right, trail):
        return False
    trail.decide(Rule.PERCENTAGE)
    return True


def _only_counts(unit: str | None) -> bool:
    """Tell whether there is no unit of measure but at most words: a 35 % increase."""
    meaning = units.amount(unit) if unit else None
    return unit is None or (meaning is not None and not meaning.dimensions and meaning.factor == 1)


def _is_percentage(node: Node) -> bool:
    """Tell whether it is one number in hundredths, and no expression with such a number in it."""
    return node.op == "pct" or (node.op in ("neg", "pm") and all(map(_is_percentage, node.args)))


# -- the unit of an expression


def quantity(node: Node) -> Quantity:
    """Return (value, unit phrase or None); `5 ft 3 in` is turned into the first unit.

    A unit in front of a name stays where it is: in `10 cm x` it is no unit of the whole.
    """
    if node.op == "unit":
        inner, unit = quantity(node.args[0])
        return inner, _side_by_side(unit, node.value) if unit else node.value
    if node.op == "neg":
        inner, unit = quantity(node.args[0])
        return Node("neg", (inner,)), unit
    if node.op in ("mul", "div"):
        return _product(node)
    if node.op == "pow":
        return _power(node)
    if node.op == "add":
        return _sum(node)
    return node, None


def _product(node: Node) -> Quantity:
    (one, unit), (other, second) = (quantity(part) for part in node.args)
    if (unit or second) is None:
        return node, None
    if unit and unit not in _CURRENCIES and (symbols(other) or units.measure(unit) is None):
        return node, None
    if second and _is_quotient(second):
        return node, None
    phrase = f"{unit or ''} / ({second})" if second and node.op == "div" else _side_by_side(unit or "", second or "")
    return node._replace(args=(one, other)), phrase.strip()


def _power(node: Node) -> Quantity:
    base, exponent = node.args
    if exponent.op != "num" or exponent.value not in range(2, 7):
        return node, None
    inner, unit = quantity(base)
    if unit is None or _is_quotient(unit):
        return node, None
    return Node("pow", (inner, exponent)), " ".join([unit] * int(exponent.value))


def _sum(node: Node) -> Quantity:
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
        terms.append(Node("mul", (number(factor), value)))
    return Node("add", tuple(terms)), first


def _is_quotient(unit: str) -> bool:
    return "/" in unit or " per " in unit


def _side_by_side(one: str, other: str) -> str:
    """Return a product of units with the quotient last: everything behind a slash is divided by."""
    return " ".join(sorted((one, other), key=_is_quotient)).strip()


def _inner_units_as_names(node: Node) -> Node:
    """Return `node` with the units that belong to a part of it as names, so that none is lost."""
    args = tuple(_inner_units_as_names(part) for part in node.args)
    return Node("mul", (*args, Node("sym", (), f"unit {node.value}"))) if node.op == "unit" else node._replace(args=args)


# -- units of one letter, which may be names


def _with_short_units(left: Quantity, right: Quantity) -> tuple[Quantity, Quantity]:
    """Read `10 m` on a side as a quantity where the other side is one too or has no names."""
    short_left = _short_unit(left[0]) if left[1] is None else None
    short_right = _short_unit(right[0]) if right[1] is None else None
    if short_left and (short_right or _may_leave_out_unit(right, short_left)):
        left = short_left
    if short_right and (short_left or _may_leave_out_unit(left, short_right)):
        right = short_right
    return left, right


def _may_leave_out_unit(other: Quantity, short: tuple[Node, str]) -> bool:
    """Tell whether `other` has a unit of its own, or is a number beside a letter that is rather a unit than a name."""
    value, unit = other
    if symbols(value) or (unit is None and set("mgh") >= set(short[1]) - {" "} and len(short[1]) > 1):  # mgh is an energy
        return False
    return (
        unit is not None
        or contains(short[0], "dec")
        or set(re.findall(r"\\?[A-Za-z]+|[^\W\d_]", short[1])) <= units.SHORT | {"k"}
    )


def _short_unit(node: Node) -> tuple[Node, str] | None:
    """Read `10 m` or `3 m/s` as a quantity: a number times single letters that are units."""
    if node.op == "neg":
        inner = _short_unit(node.args[0])
        return None if inner is None else (Node("neg", (inner[0],)), inner[1])
    names = symbols(node)
    letters = units.LETTERS | {"k"} if "\\Omega" in names else units.LETTERS
    if not names or not names <= letters or contains(node, "add", "fn", "call"):
        return None
    value = node
    phrase: list[str] = []
    while value.op in ("mul", "div"):
        letter = _unit_letters(value.args[1])
        if letter is None:
            return None
        phrase.insert(0, ("/ " if value.op == "div" else "") + letter)
        value = value.args[0]
        if not symbols(value):
            return value, " ".join(phrase)
    return None


def _unit_letters(node: Node) -> str | None:
    """Return `s^2` or `(A m)` as a phrase; None for what is no product of letters with small powers."""
    if node.op == "sym":
        return str(node.value)
    if node.op == "pow" and node.args[0].op == "sym":
        exponent = node.args[1]
        size = exponent.args[0] if exponent.op == "neg" else exponent
        if size.op == "num" and size.value in range(1, 10):
            return f"{node.args[0].value}^{'-' if exponent.op == 'neg' else ''}{size.value}"
    if node.op == "mul":
        one, other = (_unit_letters(part) for part in node.args)
        return f"({one} {other})" if one and other else None
    return None


def _same_as_names(left: Quantity, right: Quantity, trail: Trail) -> bool:
    """Compare `3 pV` as a product where it was read as a unit and the other side has names that are none."""
    as_names = _letters_of_unit(left), _letters_of_unit(right)
    one, other = as_names[0] or left[0], as_names[1] or right[0]
    if as_names == (None, None) or (left[1] and not as_names[0]) or (right[1] and not as_names[1]):
        return False
    names = symbols(one)
    if not names or names != symbols(other) or (names <= units.LETTERS and names != {"m", "g"}):  # 5 mN is not 5 N m
        return False
    return equal_expressions(one, other, trail)


def _letters_of_unit(quantity: Quantity) -> Node | None:
    """Return a value times the letters of its short unit, each a name."""
    value, unit = quantity
    unit = (unit or "").removesuffix(units.UNSURE)
    if not _LETTERS.fullmatch(unit):
        return None
    for letter in unit:
        value = Node("mul", (value, Node("sym", (), "\\mu" if letter == "μ" else letter)))
    return value


# -- names side by side


def _equal_with_names_apart(left: Node, right: Node, trail: Trail) -> bool:
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
