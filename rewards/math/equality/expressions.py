"""Are two expressions equal? Exact rationals, then residues, then guarded numbers; see `evaluate.py` for the probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from rewards.math.equality.evaluate import (
    PRIMES,
    Complex,
    Exact,
    NotRationalError,
    Numeric,
    UndefinedError,
    integer_symbols,
    points,
    rational,
)
from rewards.math.tree import Node, TooBigError, contains, replaced, symbols

DECIMAL_DIGITS = 6  # significant digits with which a decimal counts as an exact value
MAX_DECIMALS = 12  # in one expression, of those that may be rounded
LOW, HIGH = 40, 110
POINTS = 8


@dataclass
class Trail:
    """What decided, for the explanation; `percent` tells that the question asks for a percentage."""

    rule: str = "different kinds"
    percent: bool = False
    too_big: bool = False


def as_decimal(node: Node) -> tuple[Fraction, int] | None:
    """Return (value, significant digits) of a decimal literal, also with sign, percent or a power of ten."""
    if node.op == "dec":
        return Fraction(node.value[0]), int(node.value[1])
    if node.op in ("neg", "pct"):
        inner = as_decimal(node.args[0])
        if inner is None:
            return None
        return (-inner[0] if node.op == "neg" else inner[0] / 100), inner[1]
    if node.op == "mul" and node.args[1].op == "pow" and node.args[1].args[0] == Node("num", (), Fraction(10)):
        inner = as_decimal(node.args[0])
        try:
            exponent = rational(node.args[1].args[1])
        except ArithmeticError:
            return None
        if inner is None or exponent.denominator != 1 or abs(exponent) > 300:
            return None
        return inner[0] * Fraction(10) ** int(exponent), inner[1]
    return None


def _rounds(decimal: tuple[Fraction, int], exact: Fraction) -> bool:
    """Tell whether `decimal` is `exact` written with at least DECIMAL_DIGITS correct significant digits."""
    value, digits = decimal
    difference = abs(value - exact)
    if digits < DECIMAL_DIGITS or not value or not exact:
        return False
    leading = _exponent(value)
    last_place = Fraction(10) ** (leading - digits + 1)
    below = abs(exact) - abs(value)  # cut off, which is below the exact value, or rounded
    if difference <= last_place / 2 or 0 < below < last_place:
        return True
    return not _terminates(exact, digits) and digits > DECIMAL_DIGITS and difference <= abs(exact) * Fraction(1, 10**7)


def _exponent(value: Fraction) -> int:
    """Return the decimal exponent of the leading digit."""
    size = abs(value)
    estimate = len(str(size.numerator)) - len(str(size.denominator))
    return estimate if size >= Fraction(10) ** estimate else estimate - 1


def _terminates(value: Fraction, digits: int) -> bool:
    """Tell whether `value` has a decimal expansion of at most max(digits, 15) places: then a decimal must be exact."""
    return (value * Fraction(10) ** max(digits, 15)).denominator == 1


def _has_symbols(node: Node) -> bool:
    return bool(symbols(node))


def equal_expressions(gold: Node, answer: Node, trail: Trail) -> bool:
    """Tell whether two expressions have the same value for all values of their symbols."""
    if gold == answer:
        trail.rule = "same structure"
        return True
    free = symbols(gold) | symbols(answer)
    if not free:
        verdict = _rational_constants(gold, answer, trail)
        if verdict is not None:
            return verdict
    verdict = _residues(gold, answer, trail)
    if verdict is False and not _approximate(gold, answer):
        return False
    if verdict:
        return True
    try:
        return _numeric(gold, answer, free, trail)
    except TooBigError as error:
        trail.too_big = True
        trail.rule = f"refused: {error}"
    except NotRationalError as error:
        trail.rule = f"not evaluated: {error}"
    except (UndefinedError, ValueError, ZeroDivisionError, OverflowError) as error:
        trail.rule = f"undefined: {error}"
    return False


def _approximate(gold: Node, answer: Node) -> bool:
    """Tell whether exactly one side is written with decimals."""
    return contains(gold, "dec") != contains(answer, "dec")


def _rational_constants(gold: Node, answer: Node, trail: Trail) -> bool | None:
    try:
        left, right = rational(gold), rational(answer)
    except (NotRationalError, TooBigError):
        return None
    except UndefinedError as error:
        trail.rule = f"undefined: {error}"
        return False
    trail.rule = "exact rationals"
    if left == right:
        return True
    for near, exact, other in ((gold, right, answer), (answer, left, gold)):
        decimal = as_decimal(near)
        if decimal is not None and not contains(other, "dec") and _rounds(decimal, exact):
            trail.rule = f"a decimal with at least {DECIMAL_DIGITS} correct digits"
            return True
    return False


def _residues(gold: Node, answer: Node, trail: Trail) -> bool | None:
    """Compare rational functions modulo two primes; None where an expression is none."""
    for prime, root in PRIMES:
        for salt in range(2):
            try:
                left = Exact(prime, root, salt=salt).value(gold)
                right = Exact(prime, root, salt=salt).value(answer)
            except UndefinedError:
                continue
            except (NotRationalError, TooBigError, ValueError):
                return None
            trail.rule = "residues modulo two primes"
            if left != right:
                return False
            break
        else:
            return None
    return True


class _Point(NamedTuple):
    """Where expressions are evaluated, to how many digits, and whether `log` is to the base ten."""

    values: Mapping[str, Fraction]
    digits: int
    ten: bool

    def evaluator(self) -> Numeric:
        """Return a fresh evaluator."""
        numeric = Numeric(self.digits, {}, self.ten)
        numeric.env = {name: numeric.ctx.mpf(value.numerator) / value.denominator for name, value in self.values.items()}
        return numeric

    def both(self, gold: Node, answer: Node) -> tuple[Any, Any, bool]:
        """Return both values, and whether one of them left the reals."""
        first, second = self.evaluator(), self.evaluator()
        left, right = first.value(gold), second.value(answer)
        return left, right, first.complex_seen or second.complex_seen


def _numeric(gold: Node, answer: Node, free: frozenset[str], trail: Trail) -> bool:
    logs = (contains(gold, "fn") and _has_plain_log(gold)) or _has_plain_log(answer)
    if _numeric_with(gold, answer, free, trail, False):
        return True
    return bool(logs and _numeric_with(gold, answer, free, trail, True))


def _has_plain_log(node: Node) -> bool:
    return (node.op == "fn" and node.value == "log") or any(_has_plain_log(part) for part in node.args)


def _numeric_with(gold: Node, answer: Node, free: frozenset[str], trail: Trail, ten: bool) -> bool:
    imaginary = _mentions_i(gold) or _mentions_i(answer)
    integers = integer_symbols(gold) | integer_symbols(answer)
    agreed = 0
    sample = points(free, integers, 2 * POINTS) if free else [{}]
    for index, point in enumerate(sample):
        try:
            low, high = _Point(point, LOW, ten), _Point(point, HIGH, ten)
            left, right, left_reals = low.both(gold, answer)
            if not _close(left, right, LOW) and not _decimals_close(gold, answer, left, right, low, trail):
                if left_reals and not imaginary and index >= POINTS:
                    continue
                # cancellation can spoil 40 digits: look again before saying no
                left, right, left_reals = high.both(gold, answer)
                if not _close(left, right, HIGH):
                    trail.rule = "numbers differ"
                    return False
        except (UndefinedError, ZeroDivisionError, ValueError, OverflowError):
            if not free:
                raise
            continue
        agreed += 1
        if not _approximate(gold, answer) or index == 0:
            left, right, _ = high.both(gold, answer)
            if not _close(left, right, HIGH) and not _decimals_close(gold, answer, left, right, high, trail):
                trail.rule = "numbers differ"
                return False
    if agreed >= (1 if not free else 4):
        trail.rule = trail.rule if trail.rule.startswith("a decimal") else f"equal to {HIGH - 20} digits at {agreed} point(s)"
        return True
    trail.rule = "not enough points where both sides are defined"
    return False


def _mentions_i(node: Node) -> bool:
    return (node.op == "const" and node.value == "i") or any(_mentions_i(part) for part in node.args)


def _close(left: Any, right: Any, digits: int) -> bool:
    """Tell whether two values agree in all but the guard digits; zero is compared with the size one."""
    difference = abs(left - right)
    if not difference:
        return True
    size = max(abs(left), abs(right))
    context = left.context
    limit = context.mpf(10) ** (20 - digits)
    if difference <= size * limit:
        return True
    # both vanish: what is left is rounding
    return bool(size < context.mpf(10) ** (15 - digits) and _is_noise(left, digits) and _is_noise(right, digits))


def _is_noise(value: Any, digits: int) -> bool:
    return bool(abs(value) < value.context.mpf(10) ** (15 - digits))


def _decimals_close(gold: Node, answer: Node, left: Any, right: Any, at: _Point, trail: Trail) -> bool:
    """The rule for decimals inside larger expressions, and for a decimal against an irrational value."""
    if not _approximate(gold, answer):
        return False
    near, value, exact = (gold, left, right) if contains(gold, "dec") else (answer, right, left)
    decimal = as_decimal(near)
    if decimal is None or at.values:
        fits = _rounded_parts(near, value, exact, at)
    elif isinstance(exact, Complex) or decimal[1] < DECIMAL_DIGITS or not decimal[0]:
        fits = False
    else:
        last_place = exact.context.mpf(10) ** (_exponent(decimal[0]) - decimal[1] + 1)
        difference = abs(left - right)
        fits = (
            difference <= last_place / 2
            or 0 < abs(exact) - abs(value) < last_place
            or (decimal[1] > DECIMAL_DIGITS and difference <= abs(exact) * 1e-7)
        )
    if fits:
        trail.rule = f"a decimal with at least {DECIMAL_DIGITS} correct digits"
    return bool(fits)


def _rounded_parts(near: Node, value: Any, exact: Any, at: _Point) -> bool:
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
    if any(isinstance(number, Complex) for number in (off, *steps)):
        return bool(abs(off) <= sum(abs(step) for step in steps) / 2)
    low, high = sum(min(-step / 2, step) for step in steps), sum(max(-step / 2, step) for step in steps)
    inside = 1 - exact.context.mpf(10) ** -9  # a whole last place off is another number
    return bool(low * inside <= off <= high * inside)


def _moved(node: Node) -> list[Node]:
    """Return `node` once for each decimal of at least DECIMAL_DIGITS digits in it, with that one moved by its last place."""
    if node.op == "dec":
        value, digits = node.value
        if digits < DECIMAL_DIGITS or not value:
            return []
        return [node._replace(value=(value + Fraction(10) ** (_exponent(value) - digits + 1), digits))]
    return [
        node._replace(args=(*node.args[:place], moved, *node.args[place + 1 :]))
        for place, part in enumerate(node.args)
        for moved in _moved(part)
    ]


def numeric_value(node: Node, digits: int = 30) -> Any:
    """Return the real value of a constant for ordering, or None where there is none."""
    try:
        value = Numeric(digits, {}).value(node)
    except (ArithmeticError, ValueError):
        return None
    if isinstance(value, Complex):
        return None
    return value


def without_degrees(node: Node) -> Node:
    """Return `node` with degree signs dropped, except inside functions, where they change the value."""
    return replaced(node, "deg", keep_inside=("fn", "call"))
