"""gcd and lcm of polynomials in one whole number: the same for all whole numbers, or not."""

import math
from typing import Any

import sympy

from rewards.math.symbolic.convert import Converter, UnknownError
from rewards.math.tree import Node, symbols

Expression = Any
MAX_PERIOD = 20_000


def same_divisors(gold: Node, answer: Node) -> bool | None:
    """Compare two sides with gcd, lcm or mod of polynomials in one name; None where that is not what they are.

    gcd(f(n), g(n)) depends only on n modulo the resultant of f and g: so one period of n proves it for all.
    """
    names = symbols(gold) | symbols(answer)
    if not (_has(gold) or _has(answer)) or len(names) != 1:
        return None
    name = next(iter(names))
    period = _period(gold, name)
    other = _period(answer, name)
    if period is None or other is None:
        return None
    length = math.lcm(period, other)
    if length > MAX_PERIOD:
        return None
    whole = range(1, 2 * length + 60)
    return all(_value(gold, name, number) == _value(answer, name, number) for number in whole)


def _has(node: Node) -> bool:
    return (node.op == "fn" and node.value in ("gcd", "lcm", "mod")) or any(_has(part) for part in node.args)


def _polynomial(node: Node, name: str) -> Expression:
    convert = Converter({name: {"integer": True, "positive": True}})
    return sympy.Poly(convert.of(node), convert.symbol(name), domain="QQ")


def _period(node: Node, name: str) -> int | None:
    """Return a number of steps after which all that is no polynomial repeats, or None where none is found."""
    if node.op == "fn" and node.value in ("gcd", "lcm", "mod"):
        try:
            parts = [_polynomial(part, name) for part in node.args]
        except (UnknownError, sympy.PolynomialError, ArithmeticError):
            return None
        if len(parts) != 2 or any(coefficient.q != 1 for part in parts for coefficient in part.all_coeffs()):
            return None
        if node.value == "mod":
            return int(abs(parts[1].LC())) or None if parts[1].is_ground else None
        common = sympy.gcd(*parts)
        one, other = (sympy.quo(part, common) for part in parts)
        denominators = math.lcm(*(int(c.q) for part in (one, other) for c in part.all_coeffs()))
        shared = sympy.resultant(one * denominators, other * denominators)
        period = int(abs(shared))
        return period if 0 < period <= MAX_PERIOD else None
    periods = [_period(part, name) for part in node.args]
    if any(period is None for period in periods):
        return None
    return math.lcm(*(period for period in periods if period is not None), 1)


def _value(node: Node, name: str, number: int) -> Expression:
    from rewards.math.tree import number as literal
    from rewards.math.tree import substituted

    return Converter({}).of(substituted(node, name, literal(number)))
