"""Integrals, limits, sums, products and derivatives worked out by sympy, each checked by numbers where that is possible.

What sympy cannot work out, or what numbers speak against, stays unevaluated: then only its own numbers count.
"""

import itertools
from collections.abc import Callable
from typing import Any

import mpmath
import sympy

from rewards.math.symbolic.closures import as_number, closure
from rewards.math.symbolic.quadrature import numeric_integral, numeric_series
from rewards.math.symbolic.sampling import close, value

Expression = Any
CHECK_DIGITS = 45
QUICK_DIGITS = 15
_PARAMETERS = ("0.37", "1.83", "-0.62")  # of what is checked with names in it
_WHOLE = (4, 7, 5)
MAX_PIECES = 60
NO_VALUE = sympy.nan


def tried(work: Callable[[], Expression]) -> Expression | None:
    """Return what sympy makes of something, None where it fails: it raises almost anything."""
    try:
        return work()
    except MemoryError:
        raise
    except Exception:  # of its own kinds and of anybody else's: a fault of sympy's is no finding
        return None


def _at_parameters(expression: Expression, number: int) -> dict[Expression, Expression]:
    """Return values for the free names of an expression, the `number`th choice of them."""
    point: dict[Expression, Expression] = {}
    for place, name in enumerate(sorted(expression.free_symbols, key=str)):
        chosen = (number + place) % len(_PARAMETERS)
        there = sympy.Integer(_WHOLE[chosen]) if name.is_integer else sympy.Rational(_PARAMETERS[chosen])
        point[name] = abs(there) if name.is_nonnegative or name.is_positive else there
    return point


# -- integrals


def integrated(body: Expression, symbol: Expression, low: Expression, high: Expression) -> Expression:
    """Return the integral of `body` from `low` to `high`."""
    if low == high:
        return sympy.Integer(0)
    left = sympy.Integral(body, (symbol, low, high))
    if body.has(sympy.nan, sympy.zoo):
        return NO_VALUE
    if body.has(sympy.floor, sympy.ceiling, sympy.Abs, sympy.sign, sympy.Max, sympy.Min):
        exact = tried(lambda: _in_pieces(body, symbol, low, high))
        if exact is not None:
            return exact
    exact = tried(lambda: sympy.integrate(body, (symbol, low, high)))
    if exact is None or exact.has(sympy.Integral) or exact.has(sympy.nan, sympy.zoo, sympy.AccumBounds):
        return left
    exact = _main_branch(exact).replace(_is_power_of_zero, lambda part: sympy.Integer(0))
    return exact if _integral_is_right(exact, left) else left


def _is_power_of_zero(part: Expression) -> bool:
    """Tell whether it is 0^(n+1), the lower end of an integral of x^n: zero wherever the integral converges."""
    return bool(part.is_Pow and part.base == 0 and part.exp.free_symbols)


def _integral_is_right(exact: Expression, integral: Expression) -> bool:
    """Tell whether numbers agree with a value; where they cannot tell, an integral over a finite range is not trusted."""
    if exact in (sympy.oo, -sympy.oo):
        return True
    for number in range(2 if integral.free_symbols else 1):
        point = _at_parameters(integral, number)
        numeric = numeric_integral(integral.subs(point), QUICK_DIGITS)
        expected = value(exact, point, CHECK_DIGITS)
        if numeric is None:  # an oscillation without end is beyond the numbers
            if expected is None or not integral.has(sympy.sin, sympy.cos) or not integral.limits[0][2].is_infinite:
                return False
        elif expected is None or not close(expected, numeric.value, numeric.digits + 15):
            return False
    return True


def _in_pieces(body: Expression, symbol: Expression, low: Expression, high: Expression) -> Expression | None:
    """Integrate what has corners and steps piece by piece, between the places where a part of it changes."""
    if not (low.is_number and high.is_number and low.is_finite and high.is_finite):
        return None
    if high < low:
        turned = _in_pieces(body, symbol, high, low)
        return None if turned is None else -turned
    ends = {low, high}
    kinks = body.atoms(sympy.floor, sympy.ceiling, sympy.Abs, sympy.sign, sympy.Max, sympy.Min)
    for kink in kinks:
        places = _changes(kink, symbol, low, high)
        if places is None or len(ends) + len(places) > MAX_PIECES:
            return None
        ends |= places
    inner = sorted((end for end in ends if low <= end <= high), key=float)
    total = sympy.Integer(0)
    for start, end in itertools.pairwise(inner):
        middle = (start + end) / 2
        smooth = body
        for kink in sorted(kinks, key=lambda part: -sympy.count_ops(part)):
            smooth = smooth.subs(kink, _there(kink, symbol, middle))
        total += integrated(smooth, symbol, start, end)
    return None if total.has(sympy.Integral) else total


def _changes(kink: Expression, symbol: Expression, low: Expression, high: Expression) -> set[Expression] | None:
    """Return the places where a step or corner lies between two ends, or None where they are not to be found."""
    inside = sympy.Interval(low, high)
    if isinstance(kink, (sympy.floor, sympy.ceiling)):
        inner = kink.args[0]
        slope = sympy.diff(inner, symbol)
        if not slope.is_number or slope.is_zero:
            return None
        first, last = sorted((inner.subs(symbol, low), inner.subs(symbol, high)), key=float)
        if last - first > MAX_PIECES:
            return None
        start = inner.subs(symbol, 0)
        steps = range(int(sympy.floor(first)), int(sympy.ceiling(last)) + 1)
        return {place for step in steps if (place := (step - start) / slope) in inside}
    pairs = [kink.args[0]] if len(kink.args) == 1 else [kink.args[0] - other for other in kink.args[1:]]
    if len(kink.args) > 2:
        return None
    found = sympy.solveset(pairs[0], symbol, inside)
    return set(found) if isinstance(found, sympy.FiniteSet) or found == sympy.S.EmptySet else None


def _there(kink: Expression, symbol: Expression, middle: Expression) -> Expression:
    """Return what a step or corner is on the piece around `middle`."""
    if isinstance(kink, (sympy.floor, sympy.ceiling)):
        return kink.subs(symbol, middle)
    if isinstance(kink, (sympy.Max, sympy.Min)):
        chosen = max if isinstance(kink, sympy.Max) else min
        return chosen(kink.args, key=lambda part: float(part.subs(symbol, middle)))
    positive = bool(kink.args[0].subs(symbol, middle) > 0)
    size = kink.args[0] if isinstance(kink, sympy.Abs) else sympy.Integer(1)
    return size if positive else -size


def _main_branch(exact: Expression) -> Expression:
    """Return a result by cases as its first case where the others are only what sympy left undone, or none."""
    for piecewise in exact.atoms(sympy.Piecewise):
        pairs = piecewise.args
        undone = [pair for pair in pairs[1:] if pair[0].has(sympy.Integral, sympy.Sum, sympy.Product, sympy.nan, sympy.oo)]
        everywhere_else = isinstance(pairs[0][1], sympy.Ne)  # the other case is a single point
        if everywhere_else or len(undone) == len(pairs) - 1:
            exact = exact.subs(piecewise, pairs[0][0])
    return exact


# -- limits


def limit_of(body: Expression, symbol: Expression, point: Expression, side: str | None) -> Expression:
    """Return the limit, or nan where there is none."""
    if body.has(sympy.nan, sympy.zoo):
        return NO_VALUE
    at_infinity = point in (sympy.oo, -sympy.oo)
    direction = side or ("-" if at_infinity else "+-")
    exact = tried(lambda: sympy.limit(body, symbol, point, direction))
    if exact is None or isinstance(exact, sympy.Limit) or exact.has(sympy.Limit, sympy.AccumBounds, sympy.nan, sympy.zoo):
        if symbol.is_integer and point == sympy.oo:
            exact = tried(lambda: sympy.limit_seq(body, symbol))
        if exact is None or exact.has(sympy.Limit, sympy.AccumBounds, sympy.nan, sympy.zoo):
            return NO_VALUE
    if exact.has(symbol) or not all(_approached(exact, body, symbol, point, way) for way in _ways(point, direction)):
        return NO_VALUE
    return exact


def _ways(point: Expression, direction: str) -> list[int]:
    if point in (sympy.oo, -sympy.oo):
        return [1 if point == sympy.oo else -1]
    return [{"+": 1, "-": -1}[sign] for sign in direction]


def _near(body: Expression, symbol: Expression, place: Expression) -> Any:
    """Return the value at a place near the point, None where there is none."""
    with mpmath.workdps(60):
        number = mpmath.mpc(closure(body, symbol, 60)(as_number(place.evalf(60), 60)))
        return number if mpmath.isfinite(number) else None


def _approached(exact: Expression, body: Expression, symbol: Expression, point: Expression, way: int) -> bool:
    """Tell whether values near the point come nearer to a limit; far away they must grow where it is infinite."""
    distances: list[Any] = []
    infinite = exact.is_infinite
    for exponent in (3, 6, 12):
        step = sympy.Integer(10) ** exponent
        there = way * step if point.is_infinite else point + way / step
        names = _at_parameters(sympy.Tuple(body, exact, point), 0)
        names.pop(symbol, None)
        near = tried(lambda there=there, names=names: _near(body.subs(names), symbol, there.subs(names)))  # type: ignore[misc]
        if near is None:
            return True  # beyond the numbers
        if infinite:
            growth = near.real if exact == sympy.oo else -near.real
            distances.append(-growth)
            continue
        goal = value(exact, names, 60)
        if goal is None:
            return False
        distances.append(abs(near - goal))
    if infinite:
        return bool(distances[2] < distances[0] and distances[2] < 0)
    return bool(distances[2] <= distances[0] + mpmath.mpf(10) ** -30 and distances[2] < 1)


# -- sums and products


def series(op: str, body: Expression, index: Expression, low: Expression, high: Expression) -> Expression:
    """Return a sum or product over an index, finite or not."""
    kind = sympy.Sum if op == "sum" else sympy.Product
    left = kind(body, (index, low, high))
    if body.has(sympy.nan, sympy.zoo):
        return NO_VALUE
    if low.is_Integer and high.is_Integer and high < low:
        return sympy.Integer(op == "prod")
    worker = sympy.summation if op == "sum" else sympy.product
    exact = tried(lambda: worker(body, (index, low, high)))
    if exact is None or exact.has(sympy.nan, sympy.zoo, sympy.AccumBounds):
        return NO_VALUE if high.is_infinite and exact is not None else left
    exact = _main_branch(exact)
    if exact.has(sympy.Sum, sympy.Product):
        return left
    return exact if _series_is_right(exact, left) else left


def _series_is_right(exact: Expression, left: Expression) -> bool:
    """Tell whether numbers agree with the value of a series."""
    endless = left.limits[0][2].is_infinite or left.limits[0][1].is_infinite
    for number in range(2 if left.free_symbols else 1):
        point = _at_parameters(left, number)
        there = left.subs(point)
        if not endless:
            if not _same_finite(exact.subs(point), there):
                return False
            continue
        if exact.is_infinite:
            return numeric_series(there) is None
        numeric = numeric_series(there)
        expected = value(exact, point, CHECK_DIGITS)
        if numeric is None:
            if number == 0 and left.free_symbols:
                continue  # this choice of parameters lies outside of where it converges
            return False
        if expected is None or not close(expected, numeric.value, numeric.digits + 15):
            return False
    return True


def _same_finite(exact: Expression, left: Expression) -> bool:
    """Tell whether a finite series has the value, by its terms where they are few."""
    _, low, high = left.limits[0]
    if not (low.is_Integer and high.is_Integer) or high - low > 200:
        return True  # Faulhaber's and the like, which are exact
    terms = [left.function.subs(left.limits[0][0], number) for number in range(int(low), int(high) + 1)]
    total = sympy.Add(*terms) if isinstance(left, sympy.Sum) else sympy.Mul(*terms)
    one, other = value(exact, {}, 40), value(total, {}, 40)
    return one is not None and other is not None and close(one, other, 40)


# -- derivatives


def derived(body: Expression, symbol: Expression, order: int) -> Expression:
    """Return a derivative."""
    exact = sympy.diff(body, symbol, order)
    return exact.doit() if exact.has(sympy.Derivative) else exact
