"""Algebraic numbers as balls: a number to so many bits, and a bound of its error that is never too small.

The terms come from `algebraic.py`, which also tells how small a term can be without being zero.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from rewards.math.equality.exact import UndefinedError
from rewards.math.equality.numeric import CONTEXT, Complex, Number

MAX_BITS = 10**6
GUARD_BITS = 12  # what one operation of mpmath may be off, generously


class NotAlgebraicError(ArithmeticError):
    """The expression has a part that is not known to be algebraic, or is too large."""


class UnsureError(ArithmeticError):
    """More bits are needed."""


class Term(NamedTuple):
    """One step: an operator, the steps before it that it takes, its parameter, and log2 of u and l (see `algebraic.py`)."""

    op: str
    args: tuple[int, ...]
    value: Fraction
    upper: float
    lower: float


class Ball(NamedTuple):
    """A real or complex number, and how far it may be off."""

    middle: Number
    error: Number

    def is_apart_from_zero(self) -> bool:
        """Tell whether the true number is another one than zero."""
        return bool(abs(self.middle) > self.error)

    def is_below(self, bits: float) -> bool:
        """Tell whether the true number is smaller than 2^-bits."""
        return bits < MAX_BITS and bool(abs(self.middle) + self.error < CONTEXT.ldexp(1, -int(bits) - 1))


class Balls:
    """Evaluates terms with `bits` bits; `bound_bits` tells of a term the b for which it is zero or at least 2^-b."""

    def __init__(self, terms: Sequence[Term], bound_bits: Callable[[int], float], bits: int):
        self.terms, self.bound_bits, self.bits = terms, bound_bits, bits

    def value(self, last: int) -> Ball:
        """Return the ball of term `last`; raises UnsureError, UndefinedError or NotAlgebraicError."""
        with CONTEXT.workprec(self.bits):
            balls: list[Ball] = []
            for term in self.terms[: last + 1]:
                balls.append(self._step(term, balls))
            return balls[last]

    def _step(self, term: Term, balls: Sequence[Ball]) -> Ball:
        parts = [balls[part] for part in term.args]
        if term.op == "num":
            return self._rounded(CONTEXT.mpf(term.value.numerator) / term.value.denominator, CONTEXT.zero)
        if term.op == "unity":
            return self._rounded(self._unity(term.value), CONTEXT.zero)
        if term.op == "cos":
            turn = CONTEXT.mpf(2 * term.value.numerator) / term.value.denominator
            return Ball(CONTEXT.cospi(turn), CONTEXT.ldexp(1, GUARD_BITS - self.bits))
        if term.op == "add":
            return self._sum(parts)
        if term.op == "mul":
            return self._product(*parts)
        if term.op == "pow":
            return self._power(parts[0], int(term.value))
        if term.op == "abs":
            return Ball(abs(parts[0].middle), parts[0].error) if self._is_real(parts[0]) else self._refuse()
        if term.op == "div":
            return self._quotient(parts[0], self._settled(parts[1], term.args[1]))
        return self._root(self._settled(parts[0], term.args[0]), int(term.value))

    # -- guards

    def _refuse(self) -> Ball:
        raise NotAlgebraicError("a complex number")

    def _is_real(self, ball: Ball) -> bool:
        return not isinstance(ball.middle, Complex)

    def _rounded(self, middle: Number, error: Number) -> Ball:
        """Add what the last operation may be off."""
        return Ball(middle, error + CONTEXT.ldexp(abs(middle), GUARD_BITS - self.bits))

    def _settled(self, ball: Ball, index: int) -> Ball:
        """Return a ball that is apart from zero, or exactly zero; raises UnsureError where it may be either."""
        if ball.is_apart_from_zero():
            return ball
        if ball.is_below(self.bound_bits(index)):
            return Ball(CONTEXT.zero, CONTEXT.zero)
        raise UnsureError

    # -- operations

    def _unity(self, turn: Fraction) -> Number:
        if turn == Fraction(1, 2):
            return CONTEXT.mpf(-1)
        return CONTEXT.expjpi(CONTEXT.mpf(2 * turn.numerator) / turn.denominator) if turn else CONTEXT.one

    def _sum(self, parts: Sequence[Ball]) -> Ball:
        total = parts[0]
        for part in parts[1:]:
            total = self._rounded(total.middle + part.middle, total.error + part.error)
        return total

    def _product(self, one: Ball, other: Ball) -> Ball:
        size, other_size = abs(one.middle), abs(other.middle)
        error = size * other.error + other_size * one.error + one.error * other.error
        return self._rounded(one.middle * other.middle, error)

    def _power(self, base: Ball, exponent: int) -> Ball:
        result = Ball(CONTEXT.one, CONTEXT.zero)
        while exponent:
            if exponent & 1:
                result = self._product(result, base)
            exponent >>= 1
            base = self._product(base, base) if exponent else base
        return result

    def _quotient(self, top: Ball, bottom: Ball) -> Ball:
        if not bottom.middle:
            raise UndefinedError("division by zero")
        size = abs(bottom.middle)
        middle = top.middle / bottom.middle
        return self._rounded(middle, (top.error + abs(middle) * bottom.error) / (size - bottom.error))

    def _root(self, base: Ball, index: int) -> Ball:
        if not base.middle:
            return base
        size = abs(base.middle)
        if self._is_real(base):
            middle = self._real_root(base.middle, index)
        elif base.middle.real < 0 and abs(base.middle.imag) <= base.error:
            raise NotAlgebraicError("a root on its branch cut")
        else:
            middle = CONTEXT.root(base.middle, index)
        return self._rounded(middle, abs(middle) * base.error / (size - base.error))

    def _real_root(self, base: Number, index: int) -> Number:
        if base > 0:
            return CONTEXT.root(base, index)
        if index % 2:
            return -CONTEXT.root(-base, index)
        return CONTEXT.root(-base, index) * CONTEXT.expjpi(CONTEXT.one / index)
