"""Sympy expressions of one name as functions of a number, without printing or compiling anything: a closure for each part."""

from collections.abc import Callable, Mapping
from typing import Any

import mpmath
import sympy

Expression = Any
Number = Any
Closure = Callable[[Number], Number]

_OF_ONE: Mapping[type, Closure] = {
    sympy.exp: mpmath.exp, sympy.log: mpmath.log, sympy.sin: mpmath.sin, sympy.cos: mpmath.cos, sympy.tan: mpmath.tan,
    sympy.cot: mpmath.cot, sympy.sec: mpmath.sec, sympy.csc: mpmath.csc, sympy.asin: mpmath.asin, sympy.acos: mpmath.acos,
    sympy.atan: mpmath.atan, sympy.sinh: mpmath.sinh, sympy.cosh: mpmath.cosh, sympy.tanh: mpmath.tanh,
    sympy.asinh: mpmath.asinh, sympy.acosh: mpmath.acosh, sympy.atanh: mpmath.atanh,
    sympy.Abs: abs, sympy.floor: mpmath.floor, sympy.ceiling: mpmath.ceil,
    sympy.sign: mpmath.sign, sympy.factorial: mpmath.factorial, sympy.gamma: mpmath.gamma, sympy.erf: mpmath.erf,
}  # fmt: skip


def closure(expression: Expression, symbol: Expression, digits: int) -> Closure:
    """Return the function of the number that `symbol` is, with constants to `digits` digits."""
    if expression == symbol:
        return lambda number: number
    if not expression.has(symbol):
        constant = as_number(expression.evalf(digits), digits)
        return lambda number: constant
    parts = [closure(part, symbol, digits) for part in expression.args]
    if expression.is_Add:
        return lambda number: mpmath.fsum(part(number) for part in parts)
    if expression.is_Mul:
        return lambda number: mpmath.fprod(part(number) for part in parts)
    if expression.is_Pow:
        base, exponent = parts
        return _power(expression, base, exponent)
    function = _OF_ONE.get(expression.func)
    if function is not None and len(parts) == 1:
        only = parts[0]
        return lambda number: function(only(number))
    return lambda number: as_number(expression.subs(symbol, sympy.Float(number, digits)).evalf(digits), digits)


def _power(expression: Expression, base: Closure, exponent: Closure) -> Closure:
    if expression.exp.is_Integer:
        whole = int(expression.exp)
        return lambda number: base(number) ** whole
    if expression.exp == sympy.Rational(1, 2):
        return lambda number: mpmath.sqrt(base(number))
    return lambda number: mpmath.power(base(number), exponent(number))


def as_number(value: Expression, digits: int) -> Number:
    """Return a sympy number as one of mpmath; raises TypeError or AttributeError for anything else."""
    with mpmath.workdps(digits):
        real, imaginary = value.as_real_imag()
        whole = real._to_mpmath(mpmath.mp.prec)
        return mpmath.mpc(whole, imaginary._to_mpmath(mpmath.mp.prec)) if imaginary else mpmath.mpf(whole)
