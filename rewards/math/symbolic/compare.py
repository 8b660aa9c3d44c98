"""Are two trees the same object? By kind: values, antiderivatives, collections, matrices; sets and curves have their own files.

Numbers come first and can only refute: where they differ the sides do. Then sympy has to prove that the difference is zero;
only where it cannot, and nothing else in the expressions steps or saturates, numbers from the whole domain decide, and say so.
"""

import itertools
import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import mpmath
import sympy

from rewards.math.equality.decimals import as_decimal, rounds
from rewards.math.symbolic import proofs, sampling
from rewards.math.symbolic.convert import Converter, UnknownError, is_matrix
from rewards.math.symbolic.divisors import same_divisors
from rewards.math.symbolic.quadrature import MANY_DIGITS, numeric_integral, numeric_series
from rewards.math.symbolic.wire import Reply
from rewards.math.tree import IMAGINARY, Node, contains, symbols

Expression = Any
Progress = Callable[[Reply], None]
_CONSTANT = re.compile(r"(?:[CcKk]|[CcKk]_\d|C')")
_UNDONE = (sympy.Integral, sympy.Sum, sympy.Product, sympy.Limit, sympy.Derivative)
Bounds = Mapping[str, tuple[float, float]]
UNDECIDED = Reply(None)
ENOUGH_DIGITS = 30  # that numbers without a proof must agree in


class Comparison:
    """One request: what the problem says of the names, and where interim findings go."""

    def __init__(self, assumptions: Mapping[str, Mapping[str, bool]], bounds: Bounds, report: Progress):
        self.assumptions = assumptions
        self.bounds = bounds
        self.report = report

    def same(self, gold: Node, answer: Node) -> Reply:
        """Compare two trees of the same kind of object."""
        gold, answer = _unwrapped(gold), _unwrapped(answer)
        if gold.op == answer.op and gold.op in ("seq", "set", "list") and gold.value == answer.value:
            return self._by_parts(gold, answer)
        if "rel" in (gold.op, answer.op):
            return self._without_names(gold, answer)
        if contains(gold, "anti") or contains(answer, "anti"):
            return self._antiderivatives(gold, answer)
        if contains(gold, "fn") or contains(answer, "fn"):
            found = same_divisors(gold, answer)
            if found is not None:
                return Reply(found, "SYMPY_DIVISORS")
        return self._values(gold, answer)

    # -- values

    def _values(self, gold: Node, answer: Node) -> Reply:
        if self._numbers_differ(gold, answer):
            return Reply(False, "SYMPY_NUMBERS_DIFFER")
        plain_log = _mentions(gold, "log") or _mentions(answer, "log")
        reply = UNDECIDED
        for base_ten in (False, True) if plain_log else (False,):
            convert = Converter(self.assumptions, base_ten)
            left, right = convert.of(gold), convert.of(answer)
            if is_matrix(left) or is_matrix(right):
                return self._matrices(left, right, convert)
            decimal = as_decimal(answer) if contains(answer, "dec") else as_decimal(gold) if contains(gold, "dec") else None
            if decimal is not None and contains(gold, "dec") != contains(answer, "dec"):
                exact = left if contains(answer, "dec") else right
                if self._rounds(decimal, exact):
                    return Reply(True, "SYMPY_DECIMAL")
            reply = self.decide(left, right, convert)
            if reply.same:
                return reply
        return reply

    def _numbers_differ(self, gold: Node, answer: Node) -> bool:
        """Compare constants with integrals or endless series by their numbers, before sympy is put to work on them.

        Numbers that agree are reported, for the case that sympy does not come to an end.
        """
        if any(symbols(side) or contains(side, "lim", "diff", "mat", "dec") for side in (gold, answer)):
            return False
        convert = Converter(self.assumptions, undone=True)
        try:
            left, right = convert.of(gold), convert.of(answer)
            if not any(side.has(sympy.Integral, sympy.Sum, sympy.Product) for side in (left, right)):
                return False
            if left.is_infinite or right.is_infinite:
                return False
            found = self._sampled(left, right, convert)
        except UnknownError:
            return False
        if found.agree and found.digits >= ENOUGH_DIGITS and not any(map(sampling.may_hide, (left, right))):
            self.report(Reply(True, "SYMPY_NUMBERS", (str(found.digits), "1")))
        return found.agree is False and not (left.has(sympy.log) and _mentions(gold, "log"))

    def _sampled(self, left: Expression, right: Expression, convert: Converter) -> sampling.Finding:
        """Compare numbers, those of integrals and series that sympy left undone too."""
        (one, known), (other, also_known) = with_numbers(left), with_numbers(right)
        limit = min((digits for digits in (known, also_known) if digits is not None), default=None)
        return sampling.compared(one, other, self._bounds_of(convert), limit)

    def _rounds(self, decimal: tuple[Any, int], exact: Expression) -> bool:
        number = _constant_value(exact)
        return number is not None and rounds(decimal, number)

    def decide(self, left: Expression, right: Expression, convert: Converter) -> Reply:
        """Decide about two expressions: infinite ones, then by numbers, then by proof."""
        if any(side.has(sympy.nan, sympy.zoo) for side in (left, right)):
            return Reply(None, "SYMPY_NO_VALUE")
        if left.is_infinite or right.is_infinite:
            if any(side.has(*_UNDONE) for side in (left, right)):
                return UNDECIDED
            return Reply(bool(left == right), "SYMPY_INFINITE")
        if left == right and not left.has(*_UNDONE):
            return Reply(True, "SYMPY_SAME")
        left, right = proofs.without_signs(left), proofs.without_signs(right)
        found = self._sampled(left, right, convert)
        if found.agree is False:
            return Reply(False, "SYMPY_NUMBERS_DIFFER")
        exact_enough = found.digits >= ENOUGH_DIGITS
        enough = found.agree is True and exact_enough and not any(side.has(*sampling.STEPS) for side in (left, right))
        enough = enough and not any(map(sampling.may_hide, (left, right)))
        enough = enough and sampling.tell_enough(left, right, self._bounds_of(convert), found.digits + sampling.GUARD)
        by_numbers = Reply(True, "SYMPY_NUMBERS", (str(found.digits), str(found.points))) if enough else UNDECIDED
        if enough:
            self.report(by_numbers)
        if proofs.is_zero(self._from_their_ends(left - right, convert)):
            return Reply(True, "SYMPY_ZERO")
        return by_numbers

    def _from_their_ends(self, difference: Expression, convert: Converter) -> Expression:
        """Return an expression with x = 5 + t, t positive, where x is more than 5: that much sympy understands of a bound."""
        for symbol, (low, high) in self._bounds_of(convert).items():
            step = sympy.Dummy(symbol.name, positive=True, integer=symbol.is_integer)
            if symbol.is_integer and not float(low if math.isfinite(low) else high).is_integer():
                continue
            if low not in (0.0, -math.inf) and high == math.inf:
                difference = difference.subs(symbol, sympy.Rational(str(low)) + step)
            elif high not in (0.0, math.inf) and low == -math.inf:
                difference = difference.subs(symbol, sympy.Rational(str(high)) - step)
        return difference

    def _bounds_of(self, convert: Converter) -> dict[Expression, tuple[float, float]]:
        return {symbol: self.bounds[name] for name, symbol in convert.names.items() if name in self.bounds}

    # -- matrices and collections

    def _matrices(self, left: Expression, right: Expression, convert: Converter) -> Reply:
        if not (is_matrix(left) and is_matrix(right)) or left.shape != right.shape:
            return Reply(False, "SYMPY_MATRICES")
        quiet = Comparison(self.assumptions, self.bounds, lambda reply: None)  # one entry is not the whole
        for one, other in zip(left, right, strict=True):
            reply = quiet.decide(one, other, convert)
            if reply.same is not True:
                return reply
        return Reply(True, "SYMPY_MATRICES")

    def _by_parts(self, gold: Node, answer: Node) -> Reply:
        """Compare item by item, in any order where the kind has none."""
        if len(gold.args) != len(answer.args) or len(gold.args) > 12:
            return Reply(False, "SYMPY_PARTS")
        rest = list(answer.args)
        for item in gold.args:
            candidates = rest[:1] if gold.op == "seq" else rest
            match = next((other for other in candidates if self._quiet(item, other)), None)
            if match is None:
                return Reply(False, "SYMPY_PARTS")
            rest.remove(match)
        return Reply(True, "SYMPY_PARTS")

    def _quiet(self, one: Node, other: Node) -> bool:
        """Compare two parts; what is found on the way is no finding on the whole."""
        inner = Comparison(self.assumptions, self.bounds, lambda reply: None)
        return one == other or inner.same(one, other).same is True

    # -- relations that only name or compute a value

    def _without_names(self, gold: Node, answer: Node) -> Reply:
        (name, left), (other_name, right) = self._named_value(gold), self._named_value(answer)
        if left is None or right is None or (name and other_name and name != other_name):
            return UNDECIDED
        return self.same(left, right)

    def _named_value(self, node: Node) -> tuple[Node | None, Node | None]:
        """Return (name, value) of `I = \\int ... = 1/3`, whose members are all equal, or (None, node)."""
        if node.op != "rel":
            return None, node
        if set(node.value) != {"="}:
            return None, None
        members = list(node.args)
        # I names an integral as often as the imaginary unit, which equals no integral
        name = members.pop(0) if members[0].op in ("sym", "call") or members[0] == IMAGINARY else None
        if name is None and symbols(node):
            return None, None
        if any(not self._quiet(one, other) for one, other in itertools.pairwise(members)):
            return None, None
        return name, members[-1]

    # -- antiderivatives

    def _antiderivatives(self, gold: Node, answer: Node) -> Reply:
        """Compare derivatives; the side without an integral sign needs a constant of its own to be the same family."""
        variables = {part.args[0].value for side in (gold, answer) for part in _all(side, "anti")}
        if len(variables) != 1:
            return UNDECIDED
        convert = Converter(self.assumptions)
        variable = convert.symbol(next(iter(variables)))
        sides = [convert.of(gold), convert.of(answer)]
        for side, other, node in ((sides[0], sides[1], gold), (sides[1], sides[0], answer)):
            if side.has(sympy.Integral):
                continue
            constants = [symbol for name, symbol in convert.names.items() if _CONSTANT.fullmatch(name)]
            own = [constant for constant in constants if side.has(constant) and not other.has(constant)]
            if len(own) != 1 or not sympy.diff(side, own[0]).is_nonzero or variable.name not in symbols(node):
                return Reply(False, "SYMPY_NO_CONSTANT")
            if not self._is_real_where(side.subs(own[0], 0), other, variable, convert):
                return Reply(False, "SYMPY_NUMBERS_DIFFER")
        slopes = [sympy.diff(side, variable) for side in sides]
        reply = self.decide(slopes[0], slopes[1], convert)
        return reply._replace(rule="SYMPY_ANTIDERIVATIVES", facts=()) if reply.same else reply

    def _is_real_where(self, side: Expression, integral: Expression, variable: Expression, convert: Converter) -> bool:
        """Tell whether a function is real wherever the integrand is: ln x is no antiderivative of 1/x on both sides of zero."""
        integrand = sympy.diff(integral, variable)
        names = sorted(side.free_symbols | integrand.free_symbols, key=str)
        for point in sampling.points(names, self._bounds_of(convert)):
            slope = sampling.value(integrand, point, 30)
            height = sampling.value(side, point, 30)
            if slope is None or not sampling.is_real(slope, 30):
                continue
            if height is None or not sampling.is_real(height, 30):
                return False
        return True


def _unwrapped(node: Node) -> Node:
    """Return what a single bracket or `bound` without range holds."""
    if node.op == "seq" and len(node.args) == 1 and node.value == "[]" and node.args[0].op == "mat":
        return node.args[0]
    return node


def _mentions(node: Node, name: str) -> bool:
    return (node.op == "fn" and node.value == name) or any(_mentions(part, name) for part in node.args)


def _all(node: Node, op: str) -> list[Node]:
    found = [node] if node.op == op else []
    for part in node.args:
        found += _all(part, op)
    return found


def _constant_value(expression: Expression) -> Any:
    """Return the value of a real constant as a fraction near enough for rounding, or None."""
    side, _ = with_numbers(expression)
    number = None if side.free_symbols else sampling.value(side, {}, 40)
    if number is None or not sampling.is_real(number, 40):
        return None
    return Fraction(str(sympy.Float(number.real, 40).n(30))) if number.real else Fraction(0)


def with_numbers(side: Expression) -> tuple[Expression, int | None]:
    """Return a side with integrals and series that sympy left undone as numbers, and how many digits these have, if any."""
    digits: int | None = None
    for part in side.atoms(sympy.Integral, sympy.Sum, sympy.Product):
        if part.free_symbols or (not isinstance(part, sympy.Integral) and part.limits[0][2].is_finite):
            continue
        measure = numeric_integral if isinstance(part, sympy.Integral) else numeric_series
        measured = measure(part)
        if measured is not None and not sampling.may_hide(part):  # more digits cost more, and could decide
            measured = measure(part, MANY_DIGITS) or measured
        if measured is None:
            raise UnknownError("no number that can be trusted")
        if abs(measured.value) < mpmath.mpf(10) ** (2 - measured.digits):
            raise UnknownError("a number next to zero")
        side = side.subs(part, sympy.Float(measured.value.real, measured.digits + sampling.GUARD))
        digits = min(digits or measured.digits, measured.digits)
    return side, digits
