"""Values of expressions: exact rationals, residues modulo two primes, and numbers to a hundred digits at several points.

Each evaluator refuses before it computes: a power, factorial or sum whose size estimate is above the limit raises
TooBigError. Rational functions are compared by residues at pseudo-random points (an accident has probability below
degree / 2^60 for each prime); everything else numerically at 40 and then 110 digits, where an accident would have to agree
in 90 digits at every point. Real variables: odd roots of negative numbers are real, and a point where one side leaves the
reals on its way says nothing.
"""

import hashlib
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from mpmath.ctx_mp import MPContext

from rewards.math.tree import ONE, Node, TooBigError, contains, symbols

MAX_BITS = 12_000  # about 3,600 digits: larger integers are never formed
MAX_TERMS = 2000
MAX_FACTORIAL = 20_000
MAX_STEPS = 60_000
PRIMES = ((2305843009213693921, 583529827753931384), (4611686018427387817, 120863620846201794))  # p = 1 mod 4 and sqrt(-1)


class NotRationalError(ArithmeticError):
    """The expression has a part that this evaluator does not know."""


class UndefinedError(ArithmeticError):
    """No value at this point: a pole, a logarithm of zero, an index out of range."""


def _point(name: str, salt: int) -> int:
    """Return a pseudo-random integer below 2^60 for a symbol; the same on every machine."""
    return int.from_bytes(hashlib.blake2b(f"{salt}:{name}".encode(), digest_size=8).digest(), "big") >> 4


class Exact:
    """Evaluates rational expressions: in Q (prime None, no symbols) or modulo a prime, with symbols at given points."""

    def __init__(self, prime: int | None, root_of_minus_one: int = 0, env: Mapping[str, Any] | None = None, salt: int = 0):
        self.prime, self.root, self.salt = prime, root_of_minus_one, salt
        self.env = dict(env or {})
        self.steps = 0

    def value(self, node: Node) -> Any:
        """Return the value; raises NotRationalError, TooBigError or UndefinedError."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooBigError("too many steps")
        op, args = node.op, node.args
        if op == "num":
            return self.lift(node.value)
        if op == "dec":
            return self.lift(node.value[0])
        if op == "add":
            total = self.value(args[0])
            for part in args[1:]:
                total = self.reduce(total + self.value(part))
            return total
        if op == "mul":
            return self.reduce(self.value(args[0]) * self.value(args[1]))
        if op == "neg":
            return self.reduce(-self.value(args[0]))
        if op == "div":
            return self.divide(self.value(args[0]), self.value(args[1]))
        if op == "pow":
            return self.power(args[0], args[1])
        if op == "sym":
            if node.value in self.env:
                return self.env[node.value]
            if self.prime is None:
                raise NotRationalError(node.value)
            return _point(node.value, self.salt) % self.prime
        if op == "const" and node.value == "i" and self.prime:
            return self.root
        if op == "pct":
            return self.divide(self.value(args[0]), self.lift(Fraction(100)))
        if op == "fact":
            return self.factorial(args[0])
        if op == "fn":
            return self.function(node)
        if op in ("sum", "prod"):
            return self.series(node)
        raise NotRationalError(op)

    def lift(self, value: Fraction | int) -> Any:
        """Return a rational in the field of evaluation."""
        if self.prime is None:
            return value if type(value) is Fraction else Fraction(value)  # of two integers `/` would make a float
        if value.denominator == 1:
            return value.numerator % self.prime
        return value.numerator * pow(value.denominator, -1, self.prime) % self.prime

    def reduce(self, value: Any) -> Any:
        """Bring a value back into the field, refusing what has too many digits."""
        if self.prime is not None:
            return value % self.prime
        if value.numerator.bit_length() + value.denominator.bit_length() > 2 * MAX_BITS:
            raise TooBigError("a number of too many digits")
        return value

    def divide(self, top: Any, bottom: Any) -> Any:
        """Return a quotient; division by zero is undefined."""
        if bottom == 0:
            raise UndefinedError("division by zero")
        if self.prime is None:
            return self.reduce(top / bottom)
        return top * pow(bottom, -1, self.prime) % self.prime

    def integer(self, node: Node) -> int:
        """Return an exact integer value that does not depend on symbols."""
        small = {name: Fraction(value) for name, value in self.env.items() if abs(value) <= MAX_TERMS}
        value = Exact(None, env=small).value(node)
        if value.denominator != 1:
            raise NotRationalError("not an integer")
        return int(value)

    def power(self, base_node: Node, exponent_node: Node) -> Any:
        """Return a power; only integer exponents, estimated before they are computed."""
        exponent = self.integer(exponent_node)
        if self.prime is None:
            base = self.value(base_node)
            if base in (0, 1, -1):
                if base == 0 and exponent <= 0:
                    raise UndefinedError("division by zero")
                return base ** (abs(exponent) % 2 + (2 if exponent else 0))
            bits = max(base.numerator.bit_length(), base.denominator.bit_length())
            if bits * abs(exponent) > MAX_BITS:
                raise TooBigError(f"a power of about {bits * abs(exponent)} bits")
            return base**exponent
        if abs(exponent) > (10**4 if symbols(base_node) else 2**40):
            raise TooBigError("too large an exponent")
        base = self.value(base_node)
        if base == 0 and exponent <= 0:
            raise UndefinedError("division by zero")
        return pow(base, exponent, self.prime)

    def factorial(self, node: Node) -> Any:
        """Return n! of a bounded n."""
        n = self.integer(node)
        if n < 0:
            raise UndefinedError("factorial of a negative number")
        if n > (1000 if self.prime is None else MAX_FACTORIAL):
            raise TooBigError(f"{n if n < 10**20 else 'huge'} factorial")
        if self.prime is None:
            return Fraction(math.factorial(n))
        result = 1
        for factor in range(2, n + 1):
            result = result * factor % self.prime
        self.steps += n // 10
        return result

    def function(self, node: Node) -> Any:
        """Return a binomial, gcd, absolute value or the like."""
        name = node.value
        if name == "binom":
            n, k = (self.integer(part) for part in node.args)
            if k < 0 or k > n >= 0:
                return self.lift(Fraction(0))
            if min(k, n - k) > (300 if self.prime is None else MAX_FACTORIAL) or abs(n) > 10**9:
                raise TooBigError("a huge binomial")
            if self.prime is None:
                return Fraction(math.comb(n, k))
            top = bottom = 1
            for step in range(1, min(k, n - k) + 1):
                top = top * (n - step + 1) % self.prime
                bottom = bottom * step % self.prime
            self.steps += min(k, n - k) // 10
            return self.divide(top, bottom)
        if name in ("gcd", "lcm") and len(node.args) >= 2:
            values = [self.integer(part) for part in node.args]
            return self.lift(Fraction(math.gcd(*values) if name == "gcd" else math.lcm(*values)))
        if self.prime is None and name in ("abs", "floor", "ceil", "sgn"):
            value = self.value(node.args[0])
            if name == "abs":
                return abs(value)
            if name == "sgn":
                return Fraction((value > 0) - (value < 0))
            return Fraction(math.floor(value) if name == "floor" else math.ceil(value))
        if self.prime is None and name in ("max", "min"):
            parts = [self.value(part) for part in node.args]
            return max(parts) if name == "max" else min(parts)
        if name == "permutations" and len(node.args) == 2:
            n, k = (self.integer(part) for part in node.args)
            if not 0 <= k <= n or k > 1000 or n > 10**6:
                raise TooBigError("a huge number of arrangements")
            return self.lift(Fraction(math.perm(n, k)))
        raise NotRationalError(str(name))

    def series(self, node: Node) -> Any:
        """Return a sum or product of a bounded number of terms."""
        variable, low_node, high_node, body = node.args
        low, high = self.integer(low_node), self.integer(high_node)
        if high - low > MAX_TERMS or abs(low) > MAX_TERMS:
            raise TooBigError(f"a series of {high - low} terms")
        total: Any = self.lift(Fraction(node.op == "prod"))
        saved = self.env.get(variable.value)
        for index in range(low, high + 1):
            self.env[variable.value] = Fraction(index) if self.prime is None else index  # int / int would be a float
            term = self.value(body)
            total = self.reduce(total + term if node.op == "sum" else total * term)
        if saved is None:
            self.env.pop(variable.value, None)
        else:
            self.env[variable.value] = saved
        return total


def rational(node: Node) -> Fraction:
    """Return the exact value of a rational constant; raises NotRationalError, TooBigError or UndefinedError."""
    return Fraction(Exact(None).value(node))


_NUMERIC_OPS = frozenset(
    (
        "num",
        "dec",
        "sym",
        "const",
        "add",
        "mul",
        "neg",
        "div",
        "deg",
        "pct",
        "pow",
        "root",
        "fact",
        "fact2",
        "call",
        "sum",
        "prod",
        "fn",
    )
)
_CONTEXT = MPContext()
Complex = _CONTEXT.mpc
_HUGE_ARGUMENT = 10**6


class Numeric:
    """Evaluates to `digits` digits, in the reals as far as possible; `complex_seen` tells that it left them."""

    def __init__(self, digits: int, env: Mapping[str, Any], log_base_ten: bool = False):
        self.ctx = _CONTEXT
        self.ctx.dps = digits
        self.env = dict(env)
        self.steps = 0
        self.complex_seen = False
        self.largest = self.ctx.mpf(0)
        self.log_base_ten = log_base_ten

    def value(self, node: Node) -> Any:
        """Return a real or complex number; raises NotRationalError, TooBigError or UndefinedError."""
        self.steps += 1
        if self.steps > MAX_STEPS // 10:
            raise TooBigError("too many steps")
        if node.op not in _NUMERIC_OPS:
            raise NotRationalError(node.op)
        value = getattr(self, "_" + node.op)(node)
        size = abs(value)
        if size > self.largest:
            if size.man == 0 and size.exp != 0:  # infinity or nan
                raise UndefinedError("not finite")
            self.largest = size
        return value

    def _num(self, node: Node) -> Any:
        value = node.value
        return self.ctx.mpf(value.numerator) / value.denominator

    def _dec(self, node: Node) -> Any:
        value = node.value[0]
        return self.ctx.mpf(value.numerator) / value.denominator

    def _sym(self, node: Node) -> Any:
        if node.value not in self.env:
            raise NotRationalError(node.value)
        return self.env[node.value]

    def _const(self, node: Node) -> Any:
        if node.value == "pi":
            return +self.ctx.pi
        if node.value == "e":
            return +self.ctx.e
        if node.value == "i":
            self.complex_seen = True
            return self.ctx.mpc(0, 1)
        raise NotRationalError(node.value)

    def _add(self, node: Node) -> Any:
        return self.ctx.fsum(self.value(part) for part in node.args)

    def _mul(self, node: Node) -> Any:
        return self.value(node.args[0]) * self.value(node.args[1])

    def _neg(self, node: Node) -> Any:
        return -self.value(node.args[0])

    def _div(self, node: Node) -> Any:
        top, bottom = self.value(node.args[0]), self.value(node.args[1])
        if self._vanishes(bottom):
            raise UndefinedError("division by zero")
        return top / bottom

    def _vanishes(self, value: Any) -> bool:
        return bool(abs(value) <= self.largest * self.ctx.mpf(10) ** (8 - self.ctx.dps) and abs(value) < 1)

    def _deg(self, node: Node) -> Any:
        return self.value(node.args[0]) * self.ctx.pi / 180

    def _pct(self, node: Node) -> Any:
        return self.value(node.args[0]) / 100

    def _pow(self, node: Node) -> Any:
        base_node, exponent_node = node.args
        try:
            exponent = rational(exponent_node)
        except (ArithmeticError, ValueError):
            exponent = None
        if exponent is not None:
            return self._fixed_power(self.value(base_node), exponent)
        power = self.value(exponent_node)
        base = self.value(base_node)
        if isinstance(base, Complex) or isinstance(power, Complex) or base < 0:
            real = power.real if isinstance(power, Complex) else power
            if not isinstance(power, Complex) and real == self.ctx.floor(real) and abs(real) < 10**6:
                return self._fixed_power(base, Fraction(int(real)))
            self.complex_seen = True
        if self._vanishes(base):
            if isinstance(power, Complex) or power <= 0:
                raise UndefinedError("a power of zero")
            return self.ctx.mpf(0)
        self._bounded(abs(power) * (abs(self.ctx.log(abs(base))) + 1))
        return self.ctx.power(base, power)

    def _fixed_power(self, base: Any, exponent: Fraction) -> Any:
        if self._vanishes(base):
            if exponent <= 0:
                raise UndefinedError("division by zero")
            return self.ctx.mpf(0)
        if exponent == 0:
            return self.ctx.mpf(1)
        self._bounded(abs(exponent.numerator) / self.ctx.mpf(exponent.denominator) * (abs(self.ctx.log(abs(base))) + 1))
        if exponent.denominator == 1:
            return base ** int(exponent)
        if not isinstance(base, Complex) and base < 0 and exponent.denominator % 2:
            return self.ctx.power(-base, self._ratio(exponent)) * (-1) ** (exponent.numerator % 2)
        if isinstance(base, Complex) or base < 0:
            self.complex_seen = True
        if exponent == Fraction(1, 2):
            return self.ctx.sqrt(base)
        return self.ctx.power(base, self._ratio(exponent))

    def _ratio(self, value: Fraction) -> Any:
        return self.ctx.mpf(value.numerator) / value.denominator

    def _bounded(self, size: Any) -> None:
        if size > _HUGE_ARGUMENT:
            raise TooBigError("too large an exponent")

    def _root(self, node: Node) -> Any:
        base, index_node = node.args
        try:
            index = rational(index_node)
        except NotRationalError:  # a symbol
            return self._pow(Node("pow", (base, Node("div", (ONE, index_node)))))
        if index == 0:
            raise UndefinedError("a zeroth root")
        return self._fixed_power(self.value(base), 1 / index)

    def _fact(self, node: Node) -> Any:
        value = self.value(node.args[0])
        if isinstance(value, Complex) or value < 0 or value > 1000:
            raise TooBigError("a factorial outside of 0..1000") if abs(value) > 1000 else UndefinedError("factorial")
        return self.ctx.gamma(value + 1)

    def _fact2(self, node: Node) -> Any:
        value = self.value(node.args[0])
        if isinstance(value, Complex) or not 0 <= value <= 1000 or value != self.ctx.floor(value):
            raise TooBigError("a double factorial")
        return self.ctx.mpf(math.prod(range(int(value), 0, -2)))

    def _call(self, node: Node) -> Any:
        """An unknown function: a fixed pseudo-random value for each argument."""
        values = [self.ctx.nstr(self.value(part), 25) for part in node.args]
        return 1 + self.ctx.mpf(_point(f"{node.value}({values})", 7)) / 2**60

    def _sum(self, node: Node) -> Any:
        return self._series(node)

    def _prod(self, node: Node) -> Any:
        return self._series(node)

    def _series(self, node: Node) -> Any:
        variable, low_node, high_node, body = node.args
        low, high = self.value(low_node), self.value(high_node)
        if isinstance(low, Complex) or isinstance(high, Complex) or low != self.ctx.floor(low) or high != self.ctx.floor(high):
            raise NotRationalError("bounds that are no integers")
        if high - low > MAX_TERMS:
            raise TooBigError("a series of too many terms")
        total = self.ctx.mpf(node.op == "prod")
        saved = self.env.get(variable.value)
        for index in range(int(low), int(high) + 1):
            self.env[variable.value] = self.ctx.mpf(index)
            term = self.value(body)
            total = total + term if node.op == "sum" else total * term
        self.env.pop(variable.value, None)
        if saved is not None:
            self.env[variable.value] = saved
        return total

    def _fn(self, node: Node) -> Any:
        name, ctx = node.value, self.ctx
        if name in ("det",) or node.args[0].op in ("mat", "seq", "set"):
            raise NotRationalError(name)
        values = [self.value(part) for part in node.args]
        x = values[0]
        if name == "abs":
            self.complex_seen = False if isinstance(x, Complex) else self.complex_seen
            return abs(x)
        if name in ("floor", "ceil"):
            if isinstance(x, Complex):
                raise UndefinedError(name)
            near = ctx.nint(x)
            if abs(x - near) < ctx.mpf(10) ** (10 - ctx.dps):
                return near
            return ctx.floor(x) if name == "floor" else ctx.ceil(x)
        if name in ("Re", "Im", "arg"):
            self.complex_seen = False
            z = ctx.mpc(x)
            return z.real if name == "Re" else z.imag if name == "Im" else ctx.arg(z)
        if name in ("ln", "log"):
            if self._vanishes(x):
                raise UndefinedError("logarithm of zero")
            if isinstance(x, Complex) or x < 0:
                self.complex_seen = True
            return ctx.log(x) / ctx.log(10) if name == "log" and self.log_base_ten else ctx.log(x)
        if name == "logb":
            if self._vanishes(x) or self._vanishes(values[1]) or self._vanishes(values[1] - 1):
                raise UndefinedError("logarithm")
            if any(isinstance(v, Complex) or v < 0 for v in values):
                self.complex_seen = True
            return ctx.log(x) / ctx.log(values[1])
        if name in ("max", "min", "gcd", "lcm", "binom", "sgn", "permutations"):
            return self._of_reals(name, values)
        if name in ("gamma", "zeta"):
            if isinstance(x, Complex) or not 0 < x <= 1000 or (name == "zeta" and (x < 2 or x != ctx.floor(x))):
                raise UndefinedError(name)
            return ctx.gamma(x) if name == "gamma" else ctx.zeta(x)
        if name not in _TRIGONOMETRIC:
            raise NotRationalError(name)
        self._bounded(abs(x))
        function = getattr(ctx, _TRIGONOMETRIC[name])
        try:
            result = function(x)
        except (ValueError, ZeroDivisionError):
            raise UndefinedError(name) from None
        if name.startswith("arc") and isinstance(result, Complex) and not isinstance(x, Complex):
            self.complex_seen = True
        if name in ("tan", "sec", "csc", "cot") and abs(result) > ctx.mpf(10) ** (ctx.dps // 2):
            raise UndefinedError("a pole")
        return result

    def _of_reals(self, name: str, values: list[Any]) -> Any:
        if any(isinstance(value, Complex) for value in values):
            raise UndefinedError(name)
        if name in ("max", "min"):
            return max(values) if name == "max" else min(values)
        if name == "sgn":
            return self.ctx.mpf((values[0] > 0) - (values[0] < 0))
        if len(values) < 2:
            raise NotRationalError(name)
        if name in ("gcd", "lcm"):
            if any(value != self.ctx.floor(value) for value in values):
                raise UndefinedError(name)
            whole = [int(value) for value in values]
            return self.ctx.mpf(math.gcd(*whole) if name == "gcd" else math.lcm(*whole))
        if any(abs(value) > 5000 for value in values):
            raise TooBigError(name)
        n, k = values
        return self.ctx.binomial(n, k) if name == "binom" else self.ctx.ff(n, k)


_TRIGONOMETRIC = {
    "sin": "sin", "cos": "cos", "tan": "tan", "cot": "cot", "sec": "sec", "csc": "csc", "arcsin": "asin", "arccos": "acos",
    "arctan": "atan", "arccot": "acot", "arcsec": "asec", "arccsc": "acsc", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "coth": "coth", "sech": "sech", "csch": "csch", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
}  # fmt: skip
_SMALL = [Fraction(a, b) for a, b in ((7, 5), (13, 9), (19, 12), (5, 3), (23, 14), (31, 18), (11, 8), (17, 11), (29, 17))]


def points(names: frozenset[str], integers: frozenset[str], number: int) -> list[dict[str, Fraction]]:
    """Return `number` points: positive ones first, then with mixed signs; names in `integers` get positive integers."""
    chosen = []
    for index in range(number):
        point = {}
        for name in names:
            seed = _point(name, index + 1)
            if name in integers:
                point[name] = Fraction(3 + seed % 9 + (index % 2 ^ (seed % 9) % 2))
                continue
            value = _SMALL[seed % len(_SMALL)] + Fraction(seed % 1009, 1013 * (1 + index % 3))
            if index % 3 == 2:
                value = 1 / value
            if (index >= number // 2 and (seed >> 20) % 2) or (index >= number // 2 and len(names) == 1):
                value = -value
            point[name] = value
        chosen.append(point)
    return chosen


def integer_symbols(node: Node, inside: bool = False) -> frozenset[str]:
    """Return the symbols that can only be integers: in factorials, binomials, bounds, exponents of negative numbers."""
    if node.op == "sym":
        return frozenset((node.value,)) if inside else frozenset()
    found: frozenset[str] = frozenset()
    if node.op in ("fact", "fact2") or (node.op == "fn" and node.value in ("binom", "permutations", "gcd", "lcm")):
        inside = True
    if node.op == "fn" and node.value in ("floor", "ceil"):
        found |= frozenset(name for name in symbols(node) if name in ("n", "k", "m"))
    if node.op in ("sum", "prod"):
        return (
            integer_symbols(node.args[1], True)
            | integer_symbols(node.args[2], True)
            | (integer_symbols(node.args[3], inside) - {node.args[0].value})
        )
    if node.op == "pow" and node.args[0].op in ("neg",) and not symbols(node.args[0]):
        found |= integer_symbols(node.args[1], True)
    if node.op == "fn" and node.value in _TRIGONOMETRIC and contains(node, "const") and contains(node, "sym"):
        found |= frozenset(name for name in symbols(node) if name in ("n", "k", "m"))
    for part in node.args:
        found |= integer_symbols(part, inside)
    return found


__all__ = [
    "PRIMES",
    "Complex",
    "Exact",
    "NotRationalError",
    "Numeric",
    "UndefinedError",
    "integer_symbols",
    "points",
    "rational",
]
