"""Integrals and series by numbers, with how many digits of them may be trusted; None where they cannot be trusted at all.

A divergent integral gives other numbers when it is cut in other places, and a divergent series has partial sums that come no
nearer: both are refused, whatever an accelerated method makes of them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import sympy

from rewards.math.symbolic.closures import closure

Expression = Any
Number = Any
DIGITS = 30
MANY_DIGITS = 60  # where numbers decide without a proof
LEAST = 8
_NEAR, _FAR = 40, 400  # terms of the partial sums that are looked at
_INFINITY = mpmath.inf


class Measured(NamedTuple):
    """A number and how many of its digits may be trusted."""

    value: Number
    digits: int


def numeric_integral(integral: Expression, digits: int = DIGITS) -> Measured | None:
    """Return the value of an integral over one name without other names, to at most `digits` digits."""
    symbol, low, high = integral.limits[0]
    if len(integral.limits) != 1 or integral.free_symbols:
        return None
    with mpmath.workdps(digits):
        try:
            function = closure(integral.function, symbol, digits + 5)
            start, end = _end(low), _end(high)
            cuts = _cuts(start, end)
            first, error = mpmath.quad(function, cuts[0], error=True)
            second, other_error = mpmath.quad(function, cuts[1], error=True)
        except (ArithmeticError, ValueError, TypeError, mpmath.NoConvergence):
            return None
        size = max(abs(first), abs(second), mpmath.mpf(10) ** -5)
        doubt = max(abs(first - second), abs(error), abs(other_error)) / size
        return _measured(mpmath.mpc(second), doubt, digits)


def _measured(number: Number, doubt: Number, most: int) -> Measured | None:
    if not mpmath.isfinite(number) or not mpmath.isfinite(doubt):
        return None
    digits = most if not doubt else int(min(most, -mpmath.log10(doubt)))
    return Measured(number, digits - 2) if digits - 2 >= LEAST else None


def _end(bound: Expression) -> Number:
    if bound.is_infinite:
        return _INFINITY if bound == sympy.oo else -_INFINITY
    return mpmath.mpf(bound.evalf(MANY_DIGITS + 5)._to_mpmath(mpmath.mp.prec))


def _cuts(start: Number, end: Number) -> tuple[list[Number], list[Number]]:
    """Return two ways to cut a range."""
    if mpmath.isinf(start) and mpmath.isinf(end):
        return [start, 0, end], [start, -1.7, 0.6, end]
    if mpmath.isinf(end):
        return [start, start + 1, end], [start, start + 0.3, start + 2.7, end]
    if mpmath.isinf(start):
        return [start, end - 1, end], [start, end - 2.7, end - 0.3, end]
    width = end - start
    return [start, start + width / 2, end], [start, start + width * 0.31, start + width * 0.77, end]


def numeric_series(left: Expression, digits: int = DIGITS) -> Measured | None:
    """Return the value of an endless sum or product without other names; its partial results must come nearer to it."""
    index, low, high = left.limits[0]
    if len(left.limits) != 1 or left.free_symbols or not low.is_Integer or high != sympy.oo:
        return None
    is_sum = isinstance(left, sympy.Sum)
    with mpmath.workdps(digits):
        try:
            term = closure(left.function, index, digits + 10)
            accelerated = mpmath.nsum if is_sum else mpmath.nprod
            total = accelerated(term, [int(low), _INFINITY])
            near, far = (_partial(term, int(low), count, is_sum) for count in (_NEAR, _FAR))
        except (ArithmeticError, ValueError, TypeError, AttributeError, mpmath.NoConvergence):
            return None
        first, second = abs(near - total), abs(far - total)
        tiny = mpmath.mpf(10) ** (5 - digits) * (1 + abs(total))
        nearer = second <= tiny or (second < first * 0.75 and second < 0.2 * (1 + abs(total)))
        return Measured(mpmath.mpc(total), digits - (12 if digits <= DIGITS else 20)) if nearer else None


def _partial(term: Callable[[Number], Number], low: int, count: int, is_sum: bool) -> Number:
    numbers = [term(mpmath.mpf(place)) for place in range(low, low + count)]
    return mpmath.fsum(numbers) if is_sum else mpmath.fprod(numbers)
