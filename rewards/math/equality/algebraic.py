r"""Is an algebraic constant zero? Decided by a proven bound: roots of roots, i, sines and cosines of fractions of pi.

An expression E of integers with + - * / and roots is U / L with algebraic integers U and L. Where u and l bound all their
conjugates and D bounds their degree, E is zero or |E| >= 1 / (u^(D-1) l): the product of the conjugates of U is an integer.
So E is computed to more and more digits (`balls.py`) until it is seen to be another number than zero, or to be smaller than
that. The rules for u and l are those of Burnikel, Funke, Mehlhorn, Schirra and Schmitt, "A separation bound for real
algebraic expressions" (2001), table 1; D is the product of the indices of all roots and the degree of the roots of unity
together.

Left out: floors and the like, what is undefined and what lies on a branch cut: of those the answer is None.
"""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

from rewards.math.equality.balls import Balls, NotAlgebraicError, Term, UnsureError
from rewards.math.equality.exact import rational
from rewards.math.equality.turns import linear_in_pi
from rewards.math.tree import Node

FIRST_BITS = 160
MAX_BITS = 80_000
MAX_SIZE = 10**6  # log2 of u and l of a term
MAX_WORK = 1_000_000  # terms times bits
MAX_TERMS = 400
MAX_INDEX = 64  # of a root
MAX_ORDER = 5_040  # of the roots of unity together
MAX_EXPONENT = 10_000
MAX_LITERAL_BITS = 8_000
_HALF_TURN = Fraction(1, 2)


def is_zero(node: Node) -> bool | None:
    """Tell whether an algebraic constant is zero; None where this file cannot tell."""
    program = _Program()
    try:
        last = program.read(node)
        bound = program.bound_bits(last)
        return _decided(program, last, bound)
    except ArithmeticError:
        return None


def _decided(program: "_Program", last: int, bound: float) -> bool | None:
    bits = FIRST_BITS
    while bits * len(program.terms) <= MAX_WORK:
        try:
            ball = Balls(program.terms, program.bound_bits, bits).value(last)
        except UnsureError:
            ball = None
        if ball is not None and ball.is_apart_from_zero():
            return False
        if ball is not None and ball.is_below(bound):
            return True
        if bits > bound + 4 * FIRST_BITS or bits >= MAX_BITS:
            return None
        bits = min(4 * bits, MAX_BITS, max(bits + FIRST_BITS, int(bound) + 5 * FIRST_BITS))
    return None


class _Program:
    """The terms of an expression in the order of evaluation, each once, and what bounds the degree of its field."""

    def __init__(self) -> None:
        self.terms: list[Term] = []
        self.known: dict[Term, int] = {}
        self.order = 1  # of the roots of unity
        self.degree_of_roots = 1

    def add(self, op: str, args: tuple[int, ...], upper: float, lower: float, value: Fraction = Fraction(0)) -> int:
        """Return the number of a term, a new one or one that is there."""
        term = Term(op, args, value, upper, lower)
        if term not in self.known:
            if op == "root":
                self.degree_of_roots *= int(value)
            self.known[term] = len(self.terms)
            self.terms.append(term)
        if len(self.terms) > MAX_TERMS or upper + lower > MAX_SIZE:
            raise NotAlgebraicError("too large")
        return self.known[term]

    def bound_bits(self, index: int) -> float:
        """Return b so that term `index` is zero or at least 2^-b."""
        term = self.terms[index]
        return (self.degree_of_roots * _totient(self.order) - 1) * term.upper + term.lower + 1

    def read(self, node: Node) -> int:
        """Return the term of `node`; raises NotAlgebraicError."""
        read = _READERS.get(node.op)
        if read is None:
            raise NotAlgebraicError(node.op)
        return read(self, node)

    # -- numbers

    def literal(self, value: Fraction) -> int:
        upper, lower = abs(value.numerator).bit_length(), value.denominator.bit_length()
        if max(upper, lower) > MAX_LITERAL_BITS:
            raise NotAlgebraicError("too many digits")
        return self.add("num", (), float(upper), float(lower if value.denominator > 1 else 0), value)

    def number(self, node: Node) -> int:
        return self.literal(node.value if node.op == "num" else node.value[0])

    def constant(self, node: Node) -> int:
        if node.value != "i":
            raise NotAlgebraicError(str(node.value))
        return self.root_of_unity(Fraction(1, 4))

    def root_of_unity(self, turn: Fraction) -> int:
        """Return e^(2 pi i turn)."""
        self.join(turn.denominator)
        return self.add("unity", (), 0.0, 0.0, turn % 1)

    def join(self, order: int) -> None:
        """Note that the roots of unity of this order are in the field."""
        self.order = math.lcm(self.order, order)
        if self.order > MAX_ORDER:
            raise NotAlgebraicError("roots of unity of high order")

    # -- arithmetic

    def sum(self, node: Node) -> int:
        parts = tuple(self.read(part) for part in node.args)
        lower = sum(self.terms[part].lower for part in parts)
        upper = max(self.terms[part].upper + lower - self.terms[part].lower for part in parts) + math.log2(len(parts))
        return self.add("add", parts, upper, lower)

    def times(self, one: int, other: int) -> int:
        left, right = self.terms[one], self.terms[other]
        return self.add("mul", (one, other), left.upper + right.upper, left.lower + right.lower)

    def over(self, one: int, other: int) -> int:
        left, right = self.terms[one], self.terms[other]
        return self.add("div", (one, other), left.upper + right.lower, left.lower + right.upper)

    def product(self, node: Node) -> int:
        return self.times(self.read(node.args[0]), self.read(node.args[1]))

    def quotient(self, node: Node) -> int:
        return self.over(self.read(node.args[0]), self.read(node.args[1]))

    def negative(self, node: Node) -> int:
        return self.times(self.literal(Fraction(-1)), self.read(node.args[0]))

    def percent(self, node: Node) -> int:
        return self.over(self.read(node.args[0]), self.literal(Fraction(100)))

    # -- powers and roots

    def power(self, node: Node) -> int:
        base, exponent = node.args
        if base.op == "const" and base.value == "e":
            return self._power_of_e(exponent)
        return self._to_the(self.read(base), rational(exponent))

    def root(self, node: Node) -> int:
        base, index = node.args
        return self._to_the(self.read(base), 1 / rational(index))

    def _power_of_e(self, exponent: Node) -> int:
        """Return e^(i pi r) with r rational."""
        angle = linear_in_pi(exponent)
        if angle is None or angle.real or angle.imaginary or angle.real_pi:
            raise NotAlgebraicError("e")
        return self.root_of_unity(angle.imaginary_pi / 2)

    def _to_the(self, base: int, exponent: Fraction) -> int:
        """Return a power as a power of a root: the odd root of a negative number is real, as in `numeric.py`."""
        if exponent.denominator > MAX_INDEX or abs(exponent.numerator) > MAX_EXPONENT:
            raise NotAlgebraicError("a large exponent")
        if exponent.denominator > 1:
            base = self._root_of(base, exponent.denominator)
        power = exponent.numerator
        term = self.terms[base]
        if power < 0:
            base, power = self.over(self.literal(Fraction(1)), base), -power
            term = self.terms[base]
        if power == 1:
            return base
        return self.add("pow", (base,), term.upper * power, term.lower * power, Fraction(power))

    def _root_of(self, base: int, index: int) -> int:
        _, _, _, upper, lower = self.terms[base]
        if upper >= lower:
            upper = (upper + (index - 1) * lower) / index
        else:
            lower = (lower + (index - 1) * upper) / index
        return self.add("root", (base,), upper, lower, Fraction(index))

    # -- functions

    def function(self, node: Node) -> int:
        name = node.value
        if name == "abs":
            base = self.read(node.args[0])
            return self.add("abs", (base,), self.terms[base].upper, self.terms[base].lower)
        pair = _OF_ANGLES.get(name)
        if pair is None:
            raise NotAlgebraicError(str(name))
        angle = linear_in_pi(node.args[0])
        if angle is None or angle.real or angle.imaginary or angle.imaginary_pi:
            raise NotAlgebraicError("an angle")
        top, bottom = (self._cosine(angle.real_pi / 2 - shift) if shift is not None else None for shift in pair)
        one = self.literal(Fraction(1))
        return self.over(one if top is None else top, one if bottom is None else bottom) if bottom is not None else top or 0

    def _cosine(self, turn: Fraction) -> int:
        """Return the cosine of a part of a turn: half the sum of two roots of unity."""
        self.join(turn.denominator)
        return self.add("cos", (), 1.0, 1.0, min(turn % 1, -turn % 1))


_QUARTER, _NONE = Fraction(1, 4), Fraction(0)
_OF_ANGLES: Mapping[str, tuple[Fraction | None, Fraction | None]] = {  # the shifts that make cosines of top and bottom
    "cos": (_NONE, None),
    "sin": (_QUARTER, None),
    "tan": (_QUARTER, _NONE),
    "cot": (_NONE, _QUARTER),
    "sec": (None, _NONE),
    "csc": (None, _QUARTER),
}
_READERS: Mapping[str, Callable[[_Program, Node], int]] = {
    "num": _Program.number,
    "dec": _Program.number,
    "const": _Program.constant,
    "add": _Program.sum,
    "mul": _Program.product,
    "div": _Program.quotient,
    "neg": _Program.negative,
    "pct": _Program.percent,
    "pow": _Program.power,
    "root": _Program.root,
    "fn": _Program.function,
}


def _totient(order: int) -> int:
    result = order
    for prime in range(2, order + 1):
        if order % prime == 0:
            result -= result // prime
            while order % prime == 0:
                order //= prime
    return result
