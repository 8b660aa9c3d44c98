"""Trees as sympy objects, built by constructor: numbers, symbols, functions, matrices, and what calculus makes of them.

Sizes are estimated before anything is computed, as the exact evaluator does. Names become symbols with the assumptions of the
problem and nothing else: by default they are real, but for `z` and `w`, which may be complex.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy

from rewards.math.equality.matrices import as_matrix
from rewards.math.symbolic.evaluate import derived, integrated, limit_of, series
from rewards.math.tree import Node, TooBigError

Expression = Any  # of sympy, which has no types
MAX_BITS = 2_000_000
MAX_FACTORIAL = 3000
MAX_ENTRIES = 64
MAX_SYMBOLIC_ENTRIES = 25  # of a determinant or an inverse with names in it
MAX_ORDER = 8
_NEAR = 2000  # two huge factorials may be this far apart
TRANSPOSED = frozenset(("T", "\\top", "\\intercal", "t"))


class UnknownError(ValueError):
    """The tree holds something that has no place here."""


_FUNCTIONS: Mapping[str, Callable[..., Expression]] = {
    "sin": sympy.sin, "cos": sympy.cos, "tan": sympy.tan, "cot": sympy.cot, "sec": sympy.sec, "csc": sympy.csc,
    "arcsin": sympy.asin, "arccos": sympy.acos, "arctan": sympy.atan, "arccot": sympy.acot, "arcsec": sympy.asec,
    "arccsc": sympy.acsc, "sinh": sympy.sinh, "cosh": sympy.cosh, "tanh": sympy.tanh, "coth": sympy.coth, "sech": sympy.sech,
    "csch": sympy.csch, "arcsinh": sympy.asinh, "arccosh": sympy.acosh, "arctanh": sympy.atanh, "ln": sympy.log,
    "abs": sympy.Abs, "floor": sympy.floor, "ceil": sympy.ceiling, "sgn": sympy.sign, "max": sympy.Max, "min": sympy.Min,
    "binom": sympy.binomial, "Re": sympy.re, "Im": sympy.im, "arg": sympy.arg, "gamma": sympy.gamma, "zeta": sympy.zeta,
    "permutations": sympy.ff,
}  # fmt: skip
_CONSTANTS = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "inf": sympy.oo}
_COUNTERS = frozenset("nmkN")  # what goes to infinity under these names goes through the whole numbers
_MAY_BE_COMPLEX = frozenset(("z", "w"))


class Converter:
    """Makes sympy objects of trees; one converter for both sides, so that a name is one symbol."""

    def __init__(self, assumptions: Mapping[str, Mapping[str, bool]], log_base_ten: bool = False, undone: bool = False):
        self.assumptions = assumptions
        self.undone = undone  # integrals and endless series stay as they are, for numbers
        self.log_base_ten = log_base_ten
        self.names: dict[str, Expression] = {}
        self.bound: list[tuple[str, Expression]] = []
        self.calls: dict[str, Expression] = {}
        self.huge: dict[int, Expression] = {}  # a factorial that is never computed -> the symbol it is

    def of(self, node: Node) -> Expression:
        """Return the sympy object of a tree; raises UnknownError or TooBigError."""
        build = _BY_OPERATOR.get(node.op)
        if build is None:
            raise UnknownError(node.op)
        return build(self, node)

    def symbol(self, name: str) -> Expression:
        """Return the symbol of a name."""
        for bound, symbol in reversed(self.bound):
            if bound == name:
                return symbol
        if name not in self.names:
            said = dict(self.assumptions.get(name, {}))
            if not said and name not in _MAY_BE_COMPLEX:
                said = {"real": True}
            self.names[name] = sympy.Symbol(name, **said)
        return self.names[name]

    def _under(self, name: str, symbol: Expression, body: Node) -> Expression:
        """Return `body` with a name bound to `symbol`."""
        self.bound.append((name, symbol))
        try:
            return self.of(body)
        finally:
            self.bound.pop()

    # -- numbers

    def _num(self, node: Node) -> Expression:
        return sympy.Rational(node.value.numerator, node.value.denominator)

    def _dec(self, node: Node) -> Expression:
        return sympy.Rational(node.value[0].numerator, node.value[0].denominator)

    def _sym(self, node: Node) -> Expression:
        if node.value in ("\\reals", "\\integers", "\\naturals", "\\rationals", "\\complexes", "\\ldots", "otherwise"):
            raise UnknownError(node.value)
        return self.symbol(node.value)

    def _const(self, node: Node) -> Expression:
        return _CONSTANTS[node.value]

    # -- arithmetic

    def _add(self, node: Node) -> Expression:
        total, *rest = (self.of(part) for part in node.args)
        for part in rest:
            total = _checked(total, part) + part
        return total

    def _mul(self, node: Node) -> Expression:
        left, right = (self.of(part) for part in node.args)
        if is_matrix(left) and is_matrix(right) and left.cols != right.rows:
            raise UnknownError("shapes that do not fit")
        return left * right

    def _div(self, node: Node) -> Expression:
        top, bottom = (self.of(part) for part in node.args)
        if is_matrix(bottom) or bottom.is_zero:
            raise UnknownError("no divisor")
        return top / bottom

    def _neg(self, node: Node) -> Expression:
        return -self.of(node.args[0])

    def _deg(self, node: Node) -> Expression:
        return self.of(node.args[0]) * sympy.pi / 180

    def _pct(self, node: Node) -> Expression:
        return self.of(node.args[0]) / 100

    def _pow(self, node: Node) -> Expression:
        base = self.of(node.args[0])
        if is_matrix(base):
            return self._matrix_power(base, node.args[1])
        return power(base, self.of(node.args[1]))

    def _root(self, node: Node) -> Expression:
        base, index = self.of(node.args[0]), self.of(node.args[1])
        if index.is_zero or is_matrix(base):
            raise UnknownError("no root")
        if base.is_negative and index.is_odd:  # the odd root of a negative number is real
            return -power(-base, 1 / index)
        return power(base, 1 / index)

    def _fact(self, node: Node) -> Expression:
        value = self.of(node.args[0])
        if not value.is_Integer or value <= MAX_FACTORIAL:
            return sympy.factorial(value)
        value = int(value)
        for other, symbol in self.huge.items():
            if 0 <= value - other <= _NEAR:
                return symbol * sympy.prod(range(other + 1, value + 1))
            if 0 <= other - value <= _NEAR:
                return symbol / sympy.prod(range(value + 1, other + 1))
        self.huge[value] = sympy.Dummy("factorial", positive=True)
        return self.huge[value]

    def _fact2(self, node: Node) -> Expression:
        value = self.of(node.args[0])
        if value.is_Integer and value > MAX_FACTORIAL:
            raise TooBigError("a huge factorial")
        return sympy.factorial2(value)

    # -- functions

    def _fn(self, node: Node) -> Expression:
        name = node.value
        if name == "mod" and len(node.args) == 2:
            return self._remainder(*node.args)
        values = [self.of(as_matrix(part)) for part in node.args]
        if any(map(is_matrix, values)):
            return _of_matrix(name, values)
        if name == "log":
            return sympy.log(values[0]) / (sympy.log(10) if self.log_base_ten else 1)
        if name == "logb":
            return sympy.log(values[0]) / sympy.log(values[1])
        if name in ("gcd", "lcm") and len(values) > 1:
            return _common(name, values)
        function = _FUNCTIONS.get(name)
        if function is None:
            raise UnknownError(name)
        return function(*values)

    def _call(self, node: Node) -> Expression:
        values = [self.of(part) for part in node.args]
        name = node.value.rstrip("'")
        primes = len(node.value) - len(name)
        if any(map(is_matrix, values)) or (primes and (len(values) != 1 or not values[0].is_Symbol or primes > MAX_ORDER)):
            raise UnknownError("call")
        function = self.calls.setdefault(f"{name}/{len(values)}", sympy.Function(f"f{len(self.calls)}", real=True))
        return sympy.diff(function(*values), values[0], primes) if primes else function(*values)

    def _remainder(self, value: Node, modulus: Node) -> Expression:
        divisor = self.of(modulus)
        if value.op == "pow" and divisor.is_Integer and divisor > 0:  # never computed as a whole
            base, exponent = (self.of(part) for part in value.args)
            if base.is_Integer and exponent.is_Integer and exponent >= 0:
                return sympy.Integer(pow(int(base), int(exponent), int(divisor)))
        if not divisor.is_positive:
            raise UnknownError("a modulus that is not positive")
        return sympy.Mod(self.of(value), divisor)

    # -- calculus

    def _series(self, node: Node) -> Expression:
        variable, low, high, body = node.args
        index = sympy.Dummy("index", integer=True)
        term, lower, upper = self._under(variable.value, index, body), self.of(low), self.of(high)
        if self.undone and upper.is_infinite:
            return (sympy.Sum if node.op == "sum" else sympy.Product)(term, (index, lower, upper))
        return series(node.op, term, index, lower, upper)

    def _int(self, node: Node) -> Expression:
        variable, low, high, body = node.args
        lower, upper = self.of(low), self.of(high)
        inside = {"positive": True} if lower.is_nonnegative and upper.is_nonnegative else {"real": True}
        symbol = sympy.Dummy("inside", **inside)
        integrand = self._under(variable.value, symbol, body)
        if self.undone:
            return sympy.Integral(integrand, (symbol, lower, upper))
        return integrated(integrand, symbol, lower, upper)

    def _anti(self, node: Node) -> Expression:
        variable, body = node.args
        return sympy.Integral(self.of(body), self.symbol(variable.value))

    def _lim(self, node: Node) -> Expression:
        variable, point, body = node.args
        counts = variable.value in _COUNTERS and self.of(point) == sympy.oo
        symbol = sympy.Dummy("limit", **({"integer": True} if counts else {"real": True}))
        return limit_of(self._under(variable.value, symbol, body), symbol, self.of(point), node.value)

    def _diff(self, node: Node) -> Expression:
        variable, order, body = node.args
        symbol = self.symbol(variable.value)
        if not symbol.is_Symbol:
            raise UnknownError("a derivative by what is no name")
        return derived(self.of(body), symbol, min(int(order.value), MAX_ORDER))

    # -- matrices

    def _mat(self, node: Node) -> Expression:
        if not node.args or len(node.args) > MAX_ENTRIES or len(node.args) % node.value:
            raise TooBigError("a matrix of too many entries")
        entries = [self.of(part) for part in node.args]
        if any(map(is_matrix, entries)):
            raise UnknownError("a matrix of matrices")
        return sympy.Matrix(len(entries) // node.value, node.value, entries)

    def _matrix_power(self, base: Expression, exponent: Node) -> Expression:
        if exponent.op == "sym" and exponent.value in TRANSPOSED:
            return base.T
        value = self.of(exponent)
        if base.rows != base.cols or (value.is_Integer and abs(value) > 1000):
            raise UnknownError("no power")
        if value.is_negative:
            return _inverse(base) ** (-value)
        return base**value

    def _seq(self, node: Node) -> Expression:
        matrix = as_matrix(node)
        if matrix.op != "mat":
            raise UnknownError("seq")
        return self._mat(matrix)


def is_matrix(value: Expression) -> bool:
    """Tell whether a sympy object is a matrix."""
    return isinstance(value, sympy.MatrixBase)


def _checked(one: Expression, other: Expression) -> Expression:
    """Return `one`; raises UnknownError where the two cannot be added."""
    if is_matrix(one) != is_matrix(other) or (is_matrix(one) and one.shape != other.shape):
        raise UnknownError("a sum of two kinds")
    return one


def power(base: Expression, exponent: Expression) -> Expression:
    """Return a power, refusing one of too many digits before it is computed."""
    if base.is_Rational and exponent.is_Rational and base not in (0, 1, -1):
        bits = max(int(base.p).bit_length(), int(base.q).bit_length())
        if bits * abs(exponent) > MAX_BITS:
            raise TooBigError("a huge power")
    if base.is_zero and exponent.is_number and not exponent.is_positive:
        raise UnknownError("a power of zero")
    return base**exponent


def _inverse(matrix: Expression) -> Expression:
    _bounded(matrix)
    if sympy.simplify(matrix.det()) == 0:
        raise UnknownError("no inverse")
    return matrix.inv().applyfunc(sympy.simplify)


def _bounded(matrix: Expression) -> None:
    if matrix.rows != matrix.cols:
        raise UnknownError("not square")
    if matrix.free_symbols and matrix.rows * matrix.cols > MAX_SYMBOLIC_ENTRIES:
        raise TooBigError("a large matrix of names")


def _of_matrix(name: str, values: Sequence[Expression]) -> Expression:
    if len(values) != 1:
        raise UnknownError(name)
    matrix = values[0]
    if name in ("det", "abs"):
        _bounded(matrix)
        return matrix.det()
    if name in ("tr", "trace"):
        if matrix.rows != matrix.cols:
            raise UnknownError("not square")
        return matrix.trace()
    if name == "rank" and not matrix.free_symbols:
        return sympy.Integer(matrix.rank())
    raise UnknownError(name)


def _common(name: str, values: Sequence[Expression]) -> Expression:
    """Return the gcd or lcm of integers, or of names as a function of its own (`divisors.py` decides about those)."""
    if all(value.is_Integer for value in values):
        function = sympy.igcd if name == "gcd" else sympy.ilcm
        return sympy.Integer(function(*map(int, values)))
    raise UnknownError(name)


_BY_OPERATOR: Mapping[str, Callable[[Converter, Node], Expression]] = {
    "num": Converter._num, "dec": Converter._dec, "sym": Converter._sym, "const": Converter._const, "add": Converter._add,
    "mul": Converter._mul, "div": Converter._div, "neg": Converter._neg, "deg": Converter._deg, "pct": Converter._pct,
    "pow": Converter._pow, "root": Converter._root, "fact": Converter._fact, "fact2": Converter._fact2, "fn": Converter._fn,
    "call": Converter._call, "sum": Converter._series, "prod": Converter._series, "int": Converter._int,
    "anti": Converter._anti, "lim": Converter._lim, "diff": Converter._diff, "mat": Converter._mat, "seq": Converter._seq,
}  # fmt: skip
