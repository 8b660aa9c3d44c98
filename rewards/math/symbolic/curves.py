"""Curves and surfaces: have two equations in several names the same real points?

Both become polynomials that vanish where they hold; those are the same points when they have the same irreducible factors, up
to factors that vanish nowhere. A denominator must not vanish with its numerator: there a point would be lost.
"""

from typing import Any

import sympy

from rewards.math.symbolic.convert import UnknownError
from rewards.math.symbolic.evaluate import tried

Expression = Any
MAX_DEGREE = 12
MAX_TERMS = 200


def same_points(one: Expression, other: Expression, names: list[Expression]) -> bool | None:
    """Compare `one = 0` and `other = 0`; None where they are no polynomials, or a point might be lost."""
    ours, theirs = _factors(one, names), _factors(other, names)
    return None if ours is None or theirs is None else ours == theirs


def _factors(difference: Expression, names: list[Expression]) -> frozenset[Expression] | None:
    """Return the irreducible factors of the polynomial whose zeros are those of `difference`."""
    difference = _squared(difference)
    for radical in sorted(difference.atoms(sympy.Pow), key=sympy.count_ops, reverse=True):
        if radical.exp == sympy.Rational(1, 2) and radical.free_symbols:
            squared = _without_root(difference, radical)
            if squared is None:
                return None
            difference = squared
            break
    top, bottom = sympy.fraction(sympy.together(difference))
    polynomial = tried(lambda: sympy.Poly(top, *names, domain="QQ"))
    if polynomial is None or polynomial.total_degree() > MAX_DEGREE or len(polynomial.terms()) > MAX_TERMS:
        return None
    if bottom.free_symbols and not _never_together(top, bottom, names):
        return None
    found = {factor.monic() for factor, _ in polynomial.factor_list()[1] if not _never_vanishes(factor)}
    return frozenset(factor for factor in found if not _lies_on_another(factor, found))


def _lies_on_another(factor: Expression, factors: set[Expression]) -> bool:
    """Tell whether a factor vanishes only where some names are all zero, and another factor vanishes there too."""
    origin = _vanishes_at(factor)
    if origin is None:
        return False
    there = dict.fromkeys(origin, 0)
    return any(other != factor and other.as_expr().subs(there) == 0 for other in factors)


def _vanishes_at(factor: Expression) -> set[Expression] | None:
    """Return the names that must all be zero for a factor to vanish, and with which it does; None for any other factor."""
    terms = factor.terms()
    used = [name for place, name in enumerate(factor.gens) if any(powers[place] for powers, _ in terms)]
    if len(used) == 2 and all(sum(powers) == 2 for powers, _ in terms):
        one, other = used
        a, b, c = (factor.coeff_monomial(part) for part in (one**2, one * other, other**2))
        return set(used) if b**2 < 4 * a * c else None
    coefficients = [coefficient for _, coefficient in terms]
    if any(power % 2 for powers, _ in terms for power in powers) or len({coefficient > 0 for coefficient in coefficients}) > 1:
        return None
    alone = {factor.gens[place] for powers, _ in terms for place, power in enumerate(powers) if power and sum(powers) == power}
    covered = all(any(power and factor.gens[place] in alone for place, power in enumerate(powers)) for powers, _ in terms)
    return alone if alone and covered else None


def _squared(difference: Expression) -> Expression:
    """Return u^2 - v^2 for |u| = |v|, u^2 - c^2 for |u| = c > 0, u - e^c for ln u = c; anything else as it is."""
    if isinstance(difference, sympy.log):
        return difference.args[0] - 1
    sizes = sorted(difference.atoms(sympy.Abs), key=str)
    if difference.is_Add and len(difference.args) == 2:
        one, other = difference.args
        if len(sizes) == 2 and sympy.expand(difference**2 - (sizes[0] - sizes[1]) ** 2) == 0:
            return sizes[0].args[0] ** 2 - sizes[1].args[0] ** 2
        constant, size = (one, other) if one.is_number else (other, one)
        if isinstance(size, sympy.Abs) and constant.is_negative:
            return size.args[0] ** 2 - constant**2
        if isinstance(size, sympy.log) and constant.is_number:
            return size.args[0] - sympy.exp(-constant)
    return difference


def _without_root(difference: Expression, radical: Expression) -> Expression | None:
    """Return u - c^2 for a*sqrt(u) = b with c = b/a a constant, 1 for a negative one; None for anything else."""
    root = sympy.Dummy("root", nonnegative=True)
    linear = tried(lambda: sympy.Poly(difference.subs(radical, root), root))
    if linear is None or linear.degree() != 1 or any(part.free_symbols for part in linear.all_coeffs()):
        return None
    slope, start = linear.all_coeffs()
    value = -start / slope
    if value.is_negative:
        return sympy.Integer(1)
    return radical.base - value**2 if value.is_nonnegative else None


def _never_together(top: Expression, bottom: Expression, names: list[Expression]) -> bool:
    """Tell whether two polynomials surely have no zero in common."""
    basis = tried(lambda: sympy.groebner([top, bottom], *names, order="grevlex"))
    return basis is not None and basis.exprs == [1]


def _never_vanishes(factor: Expression) -> bool:
    """Tell whether a polynomial is a sum of even powers and a constant of one sign, so that it has no real zero."""
    coefficients = [coefficient for _, coefficient in factor.terms()]
    even = all(power % 2 == 0 for powers, _ in factor.terms() for power in powers)
    constant = factor.coeff_monomial(1)
    one_sign = all(c > 0 for c in coefficients) or all(c < 0 for c in coefficients)
    return even and one_sign and constant != 0


def isolated(difference: Expression, name: Expression) -> Expression | None:
    """Return what `name` is where an equation holds, by undoing one injective step after the other; None where that fails.

    Only steps that lose and gain nothing over the reals are undone: sums, products with numbers, logarithms, exponentials, odd
    powers.
    """
    left, right = difference, sympy.Integer(0)
    for _ in range(20):
        if left == name:
            return right
        if left.is_Add:
            inside = [part for part in left.args if part.has(name)]
            if len(inside) != 1:
                return None
            right -= left - inside[0]
            left = inside[0]
        elif left.is_Mul:
            inside = [part for part in left.args if part.has(name)]
            factor = left / inside[0] if len(inside) == 1 else None
            if factor is None or not factor.is_number or factor.is_zero:
                return None
            left, right = inside[0], right / factor
        elif isinstance(left, sympy.log):
            left, right = left.args[0], sympy.exp(right)
        elif isinstance(left, sympy.exp):
            left, right = left.args[0], sympy.log(right)
        elif left.is_Pow and left.exp.is_Integer and left.exp.is_odd and left.exp.is_positive and right.is_number:
            left, right = left.base, sympy.real_root(right, left.exp)
        else:
            return None
    raise UnknownError("an equation of too many steps")
