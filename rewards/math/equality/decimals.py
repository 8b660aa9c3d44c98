"""Decimals as rounded numbers: when `0.333333` stands for `1/3` and `3.14159 r^2` for `pi r^2`.

A decimal of at least DECIMAL_DIGITS significant digits stands for every number that it is when rounded or cut off; a
shorter one is exact. Only one side may be written with decimals: two of them are compared exactly.
"""

from fractions import Fraction

from rewards.math.equality.exact import rational
from rewards.math.equality.numeric import Complex, Number
from rewards.math.equality.points import Point
from rewards.math.equality.rules import DECIMAL_DIGITS
from rewards.math.tree import Node, contains, number

MAX_DECIMALS = 12  # in one expression, of those that may be rounded
_TEN = number(10)


def only_one_has_decimals(gold: Node, answer: Node) -> bool:
    """Tell whether exactly one side is written with decimals, so that it may be the other side rounded."""
    return contains(gold, "dec") != contains(answer, "dec")


def as_decimal(node: Node) -> tuple[Fraction, int] | None:
    """Return (value, significant digits) of a decimal literal, also with sign, percent or a power of ten."""
    if node.op == "dec":
        return Fraction(node.value[0]), int(node.value[1])
    if node.op in ("neg", "pct"):
        inner = as_decimal(node.args[0])
        if inner is None:
            return None
        value, digits = inner
        return (-value if node.op == "neg" else value / 100), digits
    if node.op == "mul" and node.args[1].op == "pow" and node.args[1].args[0] == _TEN:
        return _scientific(*node.args)
    if (
        node.op == "mul"
        and node.args[0].op == "num"
        and (inner := as_decimal(node.args[1]))
        and _is_power_of_ten(node.args[0].value)
    ):
        return inner[0] * node.args[0].value, inner[1]  # in another unit
    return None


def _is_power_of_ten(value: Fraction) -> bool:
    return value > 0 and value == Fraction(10) ** _exponent(value)


def _scientific(mantissa: Node, power: Node) -> tuple[Fraction, int] | None:
    inner = as_decimal(mantissa)
    try:
        exponent = rational(power.args[1])
    except ArithmeticError:
        return None
    if inner is None or exponent.denominator != 1 or abs(exponent) > 300:
        return None
    value, digits = inner
    return value * Fraction(10) ** int(exponent), digits


def rounds(decimal: tuple[Fraction, int], exact: Fraction) -> bool:
    """Tell whether `decimal` is `exact` written with at least DECIMAL_DIGITS correct significant digits."""
    value, digits = decimal
    if digits < DECIMAL_DIGITS or not value or not exact:
        return False
    difference = abs(value - exact)
    last_place = _last_place(value, digits)
    cut_off = 0 < abs(exact) - abs(value) < last_place
    if difference <= last_place / 2 or cut_off:
        return True
    return not _terminates(exact, digits) and digits > DECIMAL_DIGITS and difference <= abs(exact) * Fraction(1, 10**7)


def _last_place(value: Fraction, digits: int) -> Fraction:
    """Return what one more in the last of `digits` significant digits adds."""
    return Fraction(10) ** (_exponent(value) - digits + 1)


def _exponent(value: Fraction) -> int:
    """Return the decimal exponent of the leading digit."""
    size = abs(value)
    estimate = len(str(size.numerator)) - len(str(size.denominator))
    return estimate if size >= Fraction(10) ** estimate else estimate - 1


def _terminates(value: Fraction, digits: int) -> bool:
    """Tell whether `value` has a decimal expansion of at most max(digits, 15) places: then a decimal must be exact."""
    return (value * Fraction(10) ** max(digits, 15)).denominator == 1


def rounds_at(gold: Node, answer: Node, left: Number, right: Number, at: Point) -> bool:
    """Tell whether the side with decimals is the other one rounded, as far as their values `left` and `right` tell.

    This is for decimals inside of larger expressions, and for a decimal against an irrational value.
    """
    if not only_one_has_decimals(gold, answer):
        return False
    near, value, exact = (gold, left, right) if contains(gold, "dec") else (answer, right, left)
    decimal = as_decimal(near)
    if decimal is None or at.values:
        return _rounded_parts(near, value, exact, at)
    literal, digits = decimal
    if isinstance(exact, Complex) or digits < DECIMAL_DIGITS or not literal:
        return False
    last_place = exact.context.mpf(10) ** (_exponent(literal) - digits + 1)
    difference = abs(left - right)
    cut_off = 0 < abs(exact) - abs(value) < last_place
    return bool(difference <= last_place / 2 or cut_off or (digits > DECIMAL_DIGITS and difference <= abs(exact) * 1e-7))


def _rounded_parts(near: Node, value: Number, exact: Number, at: Point) -> bool:
    """Tell whether the decimals in `near` are exact numbers rounded or cut off, as far as the two values tell.

    Each decimal of enough digits stands for the numbers from half a last place below it to one above (cut off); shorter
    ones are exact. Moving each by its last place says how far the value may be off, to first order.
    """
    moved = _moved(near)
    if not 0 < len(moved) <= MAX_DECIMALS:
        return False
    steps = [at.evaluator().value(node) - value for node in moved]
    off = exact - value
    if abs(off) > abs(exact) * exact.context.mpf(10) ** (1 - DECIMAL_DIGITS):
        return False
    if any(isinstance(size, Complex) for size in (off, *steps)):
        return bool(abs(off) <= sum(abs(step) for step in steps) / 2)
    low = sum(min(-step / 2, step) for step in steps)
    high = sum(max(-step / 2, step) for step in steps)
    inside = 1 - exact.context.mpf(10) ** -9  # a whole last place off is another number
    return bool(low * inside <= off <= high * inside)


def _moved(node: Node) -> list[Node]:
    """Return `node` once for each decimal of at least DECIMAL_DIGITS digits in it, with that one moved by its last place."""
    if node.op == "dec":
        value, digits = node.value
        if digits < DECIMAL_DIGITS or not value:
            return []
        return [node._replace(value=(value + _last_place(value, digits), digits))]
    return [
        node._replace(args=(*node.args[:place], moved, *node.args[place + 1 :]))
        for place, part in enumerate(node.args)
        for moved in _moved(part)
    ]
