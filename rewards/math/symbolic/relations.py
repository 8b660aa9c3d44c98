"""For which reals does `left operator right` hold? Exact critical points, numbers in between that must all say the same.

Critical points are the zeros of the difference and of all that may end its domain: denominators, radicands, logarithms. Zeros
of polynomials are all found (Sturm); those that `solveset` finds are checked by the numbers in between, which change their sign
where one is missing.
"""

from typing import Any

import mpmath
import sympy

from rewards.math.symbolic import sampling
from rewards.math.symbolic.convert import UnknownError
from rewards.math.symbolic.evaluate import tried
from rewards.math.symbolic.proofs import is_zero
from rewards.math.symbolic.realline import RealLine, middles, ordered

Expression = Any
DIGITS = 50
MAX_DEGREE = 40


def holds(difference: Expression, operator: str, name: Expression) -> RealLine:
    """Return the reals for which `difference operator 0` holds; raises UnknownError where they are not found."""
    zeros = real_zeros(difference, name)
    critical = [*zeros]
    for part in sympy.preorder_traversal(difference):
        for edge in _edges(part):
            if edge.has(name):
                critical += real_zeros(edge, name)
    points = ordered(critical)
    at = tuple(_true(_sign(difference, name, point), operator) for point in points)
    between = []
    for places in middles(points):
        signs = {_true(_sign(difference, name, place), operator) for place in places}
        if len(signs) != 1:
            raise UnknownError("a zero that was not found")
        between.append(signs.pop())
    return RealLine(tuple(points), at, tuple(between))


def _true(sign: int | None, operator: str) -> bool:
    """Tell whether the operator holds for a number of that sign; None is no real number, for which nothing holds."""
    if sign is None:
        return False
    return {"<": sign < 0, ">": sign > 0, "<=": sign <= 0, ">=": sign >= 0, "=": sign == 0, "!=": sign != 0}[operator]


def _sign(expression: Expression, name: Expression, place: Expression) -> int | None:
    """Return the sign of an expression at a place, None where it is not real or not defined."""
    number = sampling.value(expression, {name: place}, DIGITS)
    if number is None or not sampling.is_real(number, DIGITS):
        return None
    if abs(number) < mpmath.mpf(10) ** (20 - DIGITS) and not _is_surely_small(expression, name, place, number):
        there = tried(lambda: expression.subs(name, place))
        if there is None or not is_zero(there):
            raise UnknownError("a value too near to zero")
        return 0
    return 1 if number.real > 0 else -1


def _is_surely_small(expression: Expression, name: Expression, place: Expression, number: Any) -> bool:
    """Tell whether a tiny value is no rounding: with twice the digits it is the same."""
    again = sampling.value(expression, {name: place}, 2 * DIGITS)
    return again is not None and bool(abs(number - again) < abs(number) * mpmath.mpf(10) ** -20)


def _edges(part: Expression) -> list[Expression]:
    """Return what must not vanish, or change its sign, where a part of an expression is defined."""
    if part.is_Pow and part.exp.is_Rational and part.exp.q % 2 and part.exp.q > 1:
        raise UnknownError("an odd root, which is real on both sides of zero and not so to sympy")
    if part.is_Pow and not (part.exp.is_Integer and part.exp.is_positive):
        return [part.base]
    if isinstance(part, sympy.log):
        return [part.args[0]]
    if isinstance(part, (sympy.asin, sympy.acos)):
        return [part.args[0] - 1, part.args[0] + 1]
    if isinstance(
        part, (sympy.tan, sympy.cot, sympy.sec, sympy.csc, sympy.floor, sympy.ceiling, sympy.Mod, sympy.acosh, sympy.atanh)
    ):
        raise UnknownError("steps or poles without end")
    if isinstance(part, (sympy.Abs, sympy.sign, sympy.Max, sympy.Min)):
        return [part.args[0] if len(part.args) == 1 else part.args[0] - part.args[1]]
    return []


def real_zeros(expression: Expression, name: Expression) -> list[Expression]:
    """Return all real zeros of an expression; raises UnknownError where they are endless or not found."""
    if not expression.has(name):
        return []
    top, _ = sympy.fraction(sympy.together(expression))
    polynomial = tried(lambda: sympy.Poly(top, name, domain="QQ"))
    if polynomial is not None:
        if polynomial.degree() > MAX_DEGREE:
            raise UnknownError("a polynomial of a high degree")
        return [root for root, _ in polynomial.sqf_part().real_roots(multiple=False)]
    if top.is_Mul:
        return [zero for factor in top.args for zero in real_zeros(factor, name)]
    found = tried(lambda: sympy.solveset(expression, name, sympy.S.Reals))
    if isinstance(found, sympy.Intersection) and sympy.S.Reals in found.args:
        rest = [part for part in found.args if part != sympy.S.Reals]
        found = rest[0] if len(rest) == 1 else found
    if isinstance(found, sympy.Complement):
        found = found.args[0]
    if found == sympy.S.EmptySet:
        return []
    if isinstance(found, sympy.FiniteSet):
        return [zero for zero in found if _is_real_zero(zero)]
    if isinstance(found, (sympy.Interval, sympy.Union)):
        return _ends(found)
    raise UnknownError("zeros that are not found")


def _is_real_zero(zero: Expression) -> bool:
    number = sampling.value(zero, {}, DIGITS)
    if number is None:
        raise UnknownError("a zero without a value")
    return sampling.is_real(number, DIGITS)


def _ends(found: Expression) -> list[Expression]:
    """Return the ends of intervals on which an expression vanishes, |x| - x for one."""
    ends: list[Expression] = []
    for part in found.args if isinstance(found, sympy.Union) else (found,):
        if isinstance(part, sympy.Interval):
            ends += [end for end in (part.start, part.end) if end.is_finite]
        elif isinstance(part, sympy.FiniteSet):
            ends += list(part)
        else:
            raise UnknownError("zeros that are not found")
    return ends
