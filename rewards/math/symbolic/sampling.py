"""Numbers: the values of sympy expressions at points of the whole domain of their names.

A point where one side is real and the other is not, or is not defined, tells the sides apart; one where neither is real says
nothing. Nothing is printed and compiled on the way (`lambdify` does): expressions are evaluated as they are.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import mpmath
import sympy

Expression = Any
Number = Any
DIGITS = 50
MAX_DIGITS = 1500
GUARD = 15
ENOUGH = 6
LOST = 25  # digits of a term that must be seen beside the others
SATURATED = 20.0  # tanh of more is 1 in seventeen digits
MAX_OPERATIONS = 150  # of both sides together, for a look at every part
MAX_IN_INTEGRAL, MAX_IN_SERIES = 100, 20  # numbers in them for which agreement of digits means something
STEPS = (sympy.floor, sympy.ceiling, sympy.Max, sympy.Min, sympy.sign, sympy.Mod, sympy.Piecewise, sympy.Heaviside, sympy.frac)
_SATURATING = (sympy.tanh, sympy.coth, sympy.sech, sympy.csch, sympy.erf, sympy.erfc)
_REALS = [
    "0.37", "1.83", "-0.62", "-2.41", "7.29", "-11.3", "0.081", "-0.0457", "0.913", "-0.938", "0.558", "103.7", "-254.1",
    "3.27", "23.9", "-5.77", "0.0123", "4021.3", "-90017.6", "0.741",
]  # fmt: skip
_INTEGERS = [2, 3, 5, 4, 7, 10, 13, 1, 8, 21, 34, 6, 55, 90]
_POINTS = 20


class Finding(NamedTuple):
    """What points say: whether the sides agree, None where too few of them say anything; and how many did."""

    agree: bool | None
    points: int
    digits: int


def compared(left: Expression, right: Expression, said: Mapping[Expression, tuple[float, float]], known: int | None) -> Finding:
    """Compare two expressions at points; `said` bounds names, as the problem does; only `known` digits may be trusted."""
    names = sorted(left.free_symbols | right.free_symbols, key=str)
    digits = digits_needed(left, right) + (DIGITS if not names and known is None else 0)
    if digits > MAX_DIGITS or (known is not None and digits > DIGITS + GUARD):
        return Finding(None, 0, digits)
    if known is not None:
        digits = min(digits, known + GUARD - 2)
    agreed = 0
    for point in points(names, said) if names else iter([{}]):
        verdict = _same_at(left, right, point, digits)
        if verdict is False:
            return Finding(False, agreed, digits)
        agreed += verdict is True
    return Finding(True if agreed >= (ENOUGH if names else 1) else None, agreed, digits - GUARD)


def may_hide(side: Expression) -> bool:
    """Tell whether an integral or series could agree with something else to many digits and yet differ.

    Steps and what saturates hide the difference far down; series of slowly varying terms come very near to their integral:
    the sum of e^(-n^2/100) is 5 sqrt(pi) - 1/2 in 400 digits; and a narrow peak falls between the places an integral looks at.
    """
    return any(_hides(part) for part in side.atoms(sympy.Integral, sympy.Sum, sympy.Product))


def _hides(part: Expression) -> bool:
    inner, names = part.function, [limits[0] for limits in part.limits]
    if inner.has(*STEPS, *_SATURATING, sympy.Integral, sympy.Sum, sympy.Product):
        return True
    most = MAX_IN_INTEGRAL if isinstance(part, sympy.Integral) else MAX_IN_SERIES
    if any(max(abs(number.p), number.q) > most for number in inner.atoms(sympy.Rational)):
        return True
    for power in inner.atoms(sympy.Pow, sympy.exp):
        base, exponent = power.as_base_exp()
        if exponent.is_number and abs(exponent) > most / 2:
            return True
        if exponent.has(*names) and (base.has(*names) or _is_steep(exponent, names, isinstance(part, sympy.Integral))):
            return True
    return False


def _is_steep(exponent: Expression, names: Sequence[Expression], in_integral: bool) -> bool:
    """Tell whether an exponent holds an exponential or, in a series, is not linear."""
    if in_integral:
        return any(part.as_base_exp()[1].has(*names) for part in exponent.atoms(sympy.Pow, sympy.exp))
    return any(sympy.diff(exponent, name, 2) != 0 for name in names)


def tells(expression: Expression, point: Mapping[Expression, Number], digits: int) -> bool:
    """Tell whether the value at a point shows all parts of an expression: no term is lost beside another, nothing saturates.

    x + e^(-10^7 x^2) is x in fifty digits nearly everywhere.
    """
    for part in sympy.preorder_traversal(expression):
        if isinstance(part, _SATURATING) and not part.is_number:
            inner = value(part.args[0], point, 15)
            if inner is None or abs(inner) > SATURATED:
                return False
        elif part.is_Add:
            sizes = [0 if (number := value(term, point, 15)) is None else abs(number) for term in part.args]
            smallest = min((size for size in sizes if size), default=0)
            if smallest < max(sizes) * mpmath.mpf(10) ** (LOST - digits):
                return False
    return True


def tell_enough(left: Expression, right: Expression, said: Mapping[Expression, tuple[float, float]], digits: int) -> bool:
    """Tell whether enough points show all of both sides, so that agreement there means something."""
    names = sorted(left.free_symbols | right.free_symbols, key=str)
    if sympy.count_ops(left) + sympy.count_ops(right) > MAX_OPERATIONS:
        return False
    if not names:
        return True  # `digits_needed` has looked at constants
    telling = sum(tells(left, point, digits) and tells(right, point, digits) for point in points(names, said))
    return telling >= ENOUGH


def _same_at(left: Expression, right: Expression, point: Mapping[Expression, Number], digits: int) -> bool | None:
    """Tell whether both sides agree at a point; None where neither has a real value there."""
    one, other = value(left, point, digits), value(right, point, digits)
    if one is None or other is None:
        return None if one is other else _unless_numbers_fail(left if one is None else right)
    complex_names = any(symbol.is_real is None for symbol in point)
    both_may_be = complex_names or left.has(sympy.I) or right.has(sympy.I)
    if not both_may_be and is_real(one, digits) != is_real(other, digits):
        return False
    if not both_may_be and not is_real(one, digits):
        return None
    return close(one, other, digits)


def _unless_numbers_fail(expression: Expression) -> bool | None:
    """Return what a missing value says: that the sides differ, or nothing where only our numbers may have failed."""
    hard = (sympy.Integral, sympy.Sum, sympy.Product, sympy.Limit, sympy.Derivative, sympy.Subs)
    return None if expression.has(*hard) else False


def points(names: Sequence[Expression], said: Mapping[Expression, tuple[float, float]]) -> Iterator[dict[Expression, Number]]:
    """Yield points: each name runs through its domain at a pace of its own."""
    choices = [_domain(name, said.get(name)) for name in names]
    for index in range(_POINTS):
        yield {
            name: domain[(index * (2 * place + 1) + 3 * place) % len(domain)]
            for place, (name, domain) in enumerate(zip(names, choices, strict=True))
        }


def _domain(name: Expression, bounds: tuple[float, float] | None) -> list[Number]:
    """Return values from all over the domain of a name."""
    if name.is_integer:
        signs = (1,) if name.is_nonnegative else (1, -1)
        values = [sympy.Integer(number * sign) for number in _INTEGERS for sign in signs]
    elif name.is_real is None:
        parts = [sympy.Rational(text) for text in _REALS[:12]]
        values = [a + sympy.I * b for a, b in itertools.islice(zip(parts, [*parts[5:], *parts[:5]], strict=True), 12)]
    else:
        values = [sympy.Rational(text) for text in _REALS]
    if name.is_positive or name.is_nonnegative:
        values = [abs(number) for number in values]
    elif name.is_negative:
        values = [-abs(number) for number in values]
    if bounds is not None:
        values = _between(values, *bounds, whole=bool(name.is_integer)) or values
    return list(dict.fromkeys(values))


def _between(values: list[Number], low: float, high: float, *, whole: bool) -> list[Number]:
    """Return numbers between two ends, near both of them too."""
    inside = [number for number in values if low < number < high]
    if whole:
        start = math.floor(low) if math.isfinite(low) else math.ceil(high) - _POINTS
        return inside + [sympy.Integer(start + step) for step in range(1, _POINTS) if low < start + step < high]
    if math.isfinite(low) and math.isfinite(high):
        parts = [sympy.Rational(text) for text in (*_REALS, "0.997") if 0 < float(text) < 1]
        return [sympy.Rational(low) + (sympy.Rational(high) - sympy.Rational(low)) * part for part in parts] + inside
    sizes = [abs(sympy.Rational(text)) for text in _REALS]
    end = sympy.Rational(low if math.isfinite(low) else high)
    return [end + size if math.isfinite(low) else end - size for size in sizes]


def value(expression: Expression, point: Mapping[Expression, Number], digits: int) -> Number | None:
    """Return the value at a point as an mpmath number, or None where there is none."""
    try:
        # whole numbers are put in as they are, others only as numbers: an exact power of one could be huge
        whole = {name: number for name, number in point.items() if number.is_Integer}
        others = {name: number for name, number in point.items() if not number.is_Integer}
        there = expression.subs(whole) if whole else expression
        number = there.evalf(digits, subs=others, maxn=4 * digits + 200)
        if not number.is_number or number.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo):
            return None
        real, imaginary = number.as_real_imag()
        if not (real.is_Float or real.is_Rational) or not (imaginary.is_Float or imaginary.is_Rational):
            return None
        with mpmath.workdps(digits):
            return mpmath.mpc(real._to_mpmath(mpmath.mp.prec), imaginary._to_mpmath(mpmath.mp.prec))
    except (ArithmeticError, ValueError, TypeError, NotImplementedError, AttributeError, RecursionError):
        return None


def is_real(number: Number, digits: int) -> bool:
    """Tell whether the imaginary part is rounding only."""
    with mpmath.workdps(digits):
        return bool(abs(number.imag) <= mpmath.mpf(10) ** (GUARD - digits) * max(1, abs(number.real)))


def close(one: Number, other: Number, digits: int) -> bool:
    """Tell whether two numbers agree in all but the guard digits."""
    with mpmath.workdps(digits):
        size = max(abs(one), abs(other))
        tiny = mpmath.mpf(10) ** (GUARD - digits)
        return bool(abs(one - other) <= size * tiny or size <= tiny * tiny)


def digits_needed(*expressions: Expression) -> int:
    """Return how many digits it takes so that agreement means something: more for huge, tiny and saturating parts."""
    extra = 0.0
    for expression in expressions:
        for part in sympy.preorder_traversal(expression):
            if (part.is_Rational and not part.is_Integer) or (part.is_Integer and abs(part) > 10**6):
                extra += math.log10(abs(int(part.p)) + 1) + math.log10(int(part.q))
            elif (part.is_Pow and part.is_number) or (part.is_Function and part.is_number):
                extra += _weight(part)
            if extra > MAX_DIGITS:
                return MAX_DIGITS + 1
    return DIGITS + int(extra)


def _weight(part: Expression) -> float:
    """Return how many digits a constant power or function may hide or add."""
    try:
        if part.is_Pow:
            base, exponent = (abs(complex(argument)) for argument in part.args)
            return exponent * abs(math.log10(base)) if base else 0.0
        argument = abs(complex(part.args[0]))
        if isinstance(part, (sympy.factorial, sympy.gamma)):
            return argument * math.log10(argument + 1)
        if isinstance(part, (sympy.erf, sympy.erfc)):
            return argument**2
        saturates = (sympy.exp, sympy.tanh, sympy.coth, sympy.sinh, sympy.cosh, sympy.sech, sympy.csch)
        return argument if isinstance(part, saturates) else 0.0
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return 2.0 * MAX_DIGITS if part.is_Pow else 0.0
