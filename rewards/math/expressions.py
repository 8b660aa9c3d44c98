"""Are two expressions equal? Exact rationals, then residues, then guarded numbers; see `evaluate.py` for the probabilities."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rewards.math.evaluate import (
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


def _evaluations(gold: Node, answer: Node, digits: int, point: dict[str, Fraction], ten: bool) -> tuple[Any, Any, bool, Any]:
    """Return both values, whether one of them left the reals, and the largest intermediate size."""
    first = Numeric(digits, {}, ten)
    env = {name: first.ctx.mpf(value.numerator) / value.denominator for name, value in point.items()}
    first.env = dict(env)
    left = first.value(gold)
    second = Numeric(digits, env, ten)
    right = second.value(answer)
    return (
        left,
        right,
        first.complex_seen != second.complex_seen or (first.complex_seen and second.complex_seen),
        max(first.largest, second.largest),
    )


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
            left, right, left_reals, _ = _evaluations(gold, answer, LOW, point, ten)
            if not _close(left, right, LOW) and not _decimals_close(gold, answer, left, right, bool(free), trail):
                if left_reals and not imaginary and index >= POINTS:
                    continue
                # cancellation can spoil 40 digits: look again before saying no
                left, right, left_reals, _ = _evaluations(gold, answer, HIGH, point, ten)
                if not _close(left, right, HIGH):
                    trail.rule = "numbers differ"
                    return False
        except (UndefinedError, ZeroDivisionError, ValueError, OverflowError):
            if not free:
                raise
            continue
        agreed += 1
        if not _decimals_only(gold, answer) or index == 0:
            left, right, _, _ = _evaluations(gold, answer, HIGH, point, ten)
            if not _close(left, right, HIGH) and not _decimals_close(gold, answer, left, right, bool(free), trail):
                trail.rule = "numbers differ"
                return False
    if agreed >= (1 if not free else 4):
        trail.rule = trail.rule if trail.rule.startswith("a decimal") else f"equal to {HIGH - 20} digits at {agreed} point(s)"
        return True
    trail.rule = "not enough points where both sides are defined"
    return False


def _decimals_only(gold: Node, answer: Node) -> bool:
    return _approximate(gold, answer)


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


def _decimals_close(gold: Node, answer: Node, left: Any, right: Any, free: bool, trail: Trail) -> bool:
    """The rule for decimals inside larger expressions, and for a decimal against an irrational value."""
    if not _approximate(gold, answer):
        return False
    near = gold if contains(gold, "dec") else answer
    decimal = as_decimal(near)
    if decimal is not None and not free:
        exact = right if near is gold else left
        if isinstance(exact, Complex) or decimal[1] < DECIMAL_DIGITS or not decimal[0]:
            return False
        last_place = exact.context.mpf(10) ** (_exponent(decimal[0]) - decimal[1] + 1)
        difference = abs(left - right)
        below = abs(exact) - abs(right if near is answer else left)
        fits = (
            difference <= last_place / 2
            or 0 < below < last_place
            or (decimal[1] > DECIMAL_DIGITS and difference <= abs(exact) * 1e-7)
        )
    else:
        if min(_digits(near)) < DECIMAL_DIGITS:
            return False
        fits = abs(left - right) <= max(abs(left), abs(right)) * exact_tolerance(min(_digits(near)), left)
    if fits:
        trail.rule = f"a decimal with at least {DECIMAL_DIGITS} correct digits"
    return bool(fits)


def exact_tolerance(digits: int, like: Any) -> Any:
    """Return the relative tolerance for a composite with decimals of `digits` significant digits."""
    return like.context.mpf(10) ** (1 - min(digits, 8))


def _digits(node: Node) -> list[int]:
    """Return the significant digits of every decimal literal that is not obviously exact."""
    if node.op == "dec":
        return [int(node.value[1])]
    return [digits for part in node.args for digits in _digits(part)]


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
