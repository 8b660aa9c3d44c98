"""Finite sets of complex numbers: the roots of a polynomial, or values side by side."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sympy

from rewards.math.symbolic import proofs, sampling
from rewards.math.symbolic.convert import UnknownError

Expression = Any
MAX_DEGREE = 12
DIGITS = 60


class Roots(NamedTuple):
    """Values, or a polynomial without repeated roots in place of them."""

    values: tuple[Expression, ...] | None
    polynomial: Any = None


def of_values(values: Sequence[Expression]) -> Roots:
    """Return different values as a set; raises UnknownError where two of them may be the same."""
    for index, one in enumerate(values):
        for other in values[:index]:
            if _same(one, other):
                raise UnknownError("a value that is written twice")
    return Roots(tuple(values))


def of_equation(difference: Expression, name: Expression) -> Roots:
    """Return the roots of `difference`, a polynomial over the rationals and i; raises UnknownError for anything else."""
    if difference.free_symbols != {name} or not difference.is_polynomial(name):
        raise UnknownError("no polynomial")
    polynomial = sympy.Poly(difference, name)
    parts = [part for coefficient in polynomial.all_coeffs() for part in coefficient.as_real_imag()]
    if not 0 < polynomial.degree() <= MAX_DEGREE or not all(part.is_Rational for part in parts):
        raise UnknownError("no polynomial over the rationals and i")
    polynomial = sympy.Poly(difference, name, domain="QQ_I")
    return Roots(None, polynomial.sqf_part())


def same_roots(left: Roots, right: Roots) -> bool:
    """Tell whether two sets have the same members; as many different values as the degree, each a root, are all roots."""
    if left.values is None and right.values is None:
        return bool(left.polynomial.monic() == right.polynomial.monic().replace(left.polynomial.gen))
    if left.values is not None and right.values is not None:
        theirs = right.values
        return len(left.values) == len(theirs) and all(any(_same(one, other) for other in theirs) for one in left.values)
    values, polynomial = (left.values, right.polynomial) if left.values is not None else (right.values, left.polynomial)
    assert values is not None
    return len(values) == polynomial.degree() and all(_same(_at(polynomial, one), sympy.S.Zero) for one in values)


def _at(polynomial: Any, place: Expression) -> Expression:
    return polynomial.as_expr().subs(polynomial.gen, place)


def _same(one: Expression, other: Expression) -> bool:
    """Tell whether two constants are the same: refuted by numbers, or proved."""
    difference = sympy.expand(one - other)
    if difference == 0:
        return True
    number = sampling.value(difference, {}, DIGITS)
    if number is not None and abs(number) > sympy.Float("1e-30"):
        return False
    if proofs.is_zero(difference) or proofs.is_zero(sympy.expand_complex(difference)):
        return True
    raise UnknownError("values that may be the same")
