"""Is a difference zero? What sympy can prove, the cheap ways first."""

from collections.abc import Callable, Sequence
from typing import Any

import sympy
from sympy.simplify.fu import TR5, TR6, fu

from rewards.math.symbolic.evaluate import tried

Expression = Any
MAX_OPERATIONS = 400  # of a difference that the slow ways are tried on
Way = Callable[[Expression], Expression]

_CHEAP: Sequence[Way] = (
    sympy.expand,
    lambda difference: sympy.cancel(sympy.together(difference)),
    sympy.powsimp,
    sympy.radsimp,
    sympy.trigsimp,
    lambda difference: sympy.expand(sympy.expand_log(sympy.expand_trig(difference))),
    sympy.logcombine,
)
_SLOW: Sequence[Way] = (
    sympy.gammasimp,
    sympy.combsimp,
    lambda difference: sympy.expand(TR6(TR5(difference))),
    sympy.simplify,
    lambda difference: sympy.simplify(difference.rewrite(sympy.exp)),
    lambda difference: sympy.simplify(sympy.expand_func(difference)),
    fu,
    lambda difference: sympy.simplify(sympy.piecewise_fold(difference)),
    sympy.sqrtdenest,
    lambda difference: sympy.simplify(difference.rewrite(sympy.Piecewise)),
)


def without_signs(difference: Expression) -> Expression:
    """Return an expression with sign(u) as |u|/u, so that sign(u)/|u|, the slope of ln|u|, is 1/u."""
    if not difference.has(sympy.sign):
        return difference
    simpler = difference.replace(sympy.sign, lambda inner: sympy.Abs(inner) / inner)
    return simpler.replace(
        lambda part: part.is_Pow and isinstance(part.base, sympy.Abs) and part.exp.is_even and part.base.args[0].is_real,
        lambda part: part.base.args[0] ** part.exp,
    )


def is_zero(difference: Expression) -> bool:
    """Tell whether sympy proves that an expression is zero; False says nothing."""
    difference = without_signs(difference)
    if difference.is_zero or difference == 0 or sympy.expand(difference) == 0:
        return True
    undone = (sympy.Integral, sympy.Sum, sympy.Product, sympy.Limit, sympy.Derivative, sympy.Subs)
    if difference.has(*undone):
        return False
    ways = [*_CHEAP, *_SLOW] if sympy.count_ops(difference) <= MAX_OPERATIONS else _CHEAP
    for way in ways:
        simpler = tried(lambda way=way: way(difference))  # type: ignore[misc]
        if simpler is not None and (simpler == 0 or simpler.is_zero):
            return True
    return _is_algebraic_zero(difference)


def _is_algebraic_zero(difference: Expression) -> bool:
    """Decide about algebraic numbers by their minimal polynomial."""
    if difference.free_symbols or not difference.is_algebraic:
        return False
    unknown = sympy.Dummy("x")
    return bool(tried(lambda: sympy.minimal_polynomial(difference, unknown)) == unknown)
