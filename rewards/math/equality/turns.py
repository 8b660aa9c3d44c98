r"""Angles that are fractions of a turn: the rational multiple of pi that an expression writes, as `\frac{2\pi}{7}` does."""

from fractions import Fraction
from typing import NamedTuple

from rewards.math.tree import Node

MAX_BITS = 256  # of a coefficient
_ZERO, _ONE = Fraction(0), Fraction(1)


class Linear(NamedTuple):
    """`real + imaginary i + (real_pi + imaginary_pi i) pi` with rational coefficients."""

    real: Fraction = _ZERO
    imaginary: Fraction = _ZERO
    real_pi: Fraction = _ZERO
    imaginary_pi: Fraction = _ZERO


def linear_in_pi(node: Node) -> Linear | None:
    """Return an expression that is linear in pi with rational (and imaginary rational) coefficients, or None."""
    value = _value(node)
    if value is None or any(part.numerator.bit_length() + part.denominator.bit_length() > MAX_BITS for part in value):
        return None
    return value


def _value(node: Node) -> Linear | None:
    if node.op == "num":
        return Linear(node.value)
    if node.op == "dec":
        return Linear(node.value[0])
    if node.op == "const":
        return {"pi": Linear(real_pi=_ONE), "i": Linear(imaginary=_ONE)}.get(node.value)
    parts: list[Linear] = []
    for part in node.args:
        inner = linear_in_pi(part)
        if inner is None:
            return None
        parts.append(inner)
    if node.op == "add":
        return Linear(*(sum(column, _ZERO) for column in zip(*parts, strict=True)))
    if node.op == "neg":
        return Linear(*(-part for part in parts[0]))
    if node.op == "mul":
        return _product(*parts)
    if node.op == "div":
        bottom = parts[1].real
        return Linear(*(part / bottom for part in parts[0])) if bottom and parts[1] == Linear(bottom) else None
    if node.op == "deg":
        return _product(parts[0], Linear(real_pi=Fraction(1, 180)))
    return None


def _product(one: Linear, other: Linear) -> Linear | None:
    a, b, c, d = one
    e, f, g, h = other
    if (c or d) and (g or h):  # pi squared
        return None
    return Linear(a * e - b * f, a * f + b * e, a * g - b * h + c * e - d * f, a * h + b * g + c * f + d * e)
