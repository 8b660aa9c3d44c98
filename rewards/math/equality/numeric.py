"""Values of expressions to any number of digits, in the reals as far as possible.

Odd roots of negative numbers are real. Like the exact evaluator this one refuses a large power, factorial or sum before
it computes it. What is near enough to zero to be rounding counts as zero where one divides by it.
"""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from mpmath.ctx_mp import MPContext

from rewards.math.equality.exact import MAX_STEPS, MAX_TERMS, NotRationalError, UndefinedError, rational, secret_random
from rewards.math.tree import ONE, Node, TooBigError

Number = Any  # a real (mpf) or complex (mpc) number of mpmath, which has no types

CONTEXT = MPContext()  # one for all: making one takes longer than most comparisons
Complex = CONTEXT.mpc
_HUGE_ARGUMENT = 10**6
_STEPS_OF_GAMMA = 100  # what it costs next to a sine
TRIGONOMETRIC = {
    "sin": "sin", "cos": "cos", "tan": "tan", "cot": "cot", "sec": "sec", "csc": "csc", "arcsin": "asin", "arccos": "acos",
    "arctan": "atan", "arccot": "acot", "arcsec": "asec", "arccsc": "acsc", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "coth": "coth", "sech": "sech", "csch": "csch", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
    "arccoth": "acoth", "arcsech": "asech", "arccsch": "acsch",
}  # fmt: skip
"""Names of functions here, and what mpmath calls them."""


class Numeric:
    """Evaluates to `digits` digits with symbols at given values; `complex_seen` tells that it left the reals.

    All evaluators share one context: a new one sets the digits for those before it too.
    """

    def __init__(self, digits: int, env: Mapping[str, Number], log_base_ten: bool = False):
        self.ctx = CONTEXT
        self.ctx.dps = digits
        self.env = dict(env)
        self.steps = 0
        self.complex_seen = False
        self.largest = self.ctx.mpf(0)
        self.log_base_ten = log_base_ten
        self.arguments: tuple[Node, ...] = ()  # of the function that is evaluated

    def value(self, node: Node) -> Number:
        """Return a real or complex number; raises NotRationalError, TooBigError or UndefinedError."""
        self.steps += 1
        if self.steps > MAX_STEPS // 10:
            raise TooBigError("too many steps")
        evaluate = _BY_OPERATOR.get(node.op)
        if evaluate is None:
            raise NotRationalError(node.op)
        value = evaluate(self, node)
        size = abs(value)
        if size > self.largest:
            if size.man == 0 and size.exp != 0:  # infinity or nan
                raise UndefinedError("not finite")
            self.largest = size
        return value

    # -- guards

    def _vanishes(self, value: Number, node: Node | None = None) -> bool:
        """Tell whether the value of `node` is rounding, next to the largest one on the way."""
        return bool(abs(value) <= self.largest * self.ctx.mpf(10) ** (8 - self.ctx.dps) and abs(value) < 1)

    def _bounded(self, size: Number) -> None:
        if size > _HUGE_ARGUMENT:
            raise TooBigError("too large an exponent")

    # -- numbers and names

    def _fraction(self, value: Fraction) -> Number:
        return self.ctx.mpf(value.numerator) / value.denominator

    def _num(self, node: Node) -> Number:
        return self._fraction(node.value)

    def _dec(self, node: Node) -> Number:
        return self._fraction(node.value[0])

    def _sym(self, node: Node) -> Number:
        if node.value not in self.env:
            raise NotRationalError(node.value)
        return self.env[node.value]

    def _const(self, node: Node) -> Number:
        if node.value == "pi":
            return +self.ctx.pi
        if node.value == "e":
            return +self.ctx.e
        if node.value == "i":
            self.complex_seen = True
            return self.ctx.mpc(0, 1)
        raise NotRationalError(node.value)

    def _call(self, node: Node) -> Number:
        """An unknown function: a fixed secret value for each argument."""
        values = [self.ctx.nstr(self.value(part), self.ctx.dps - 15) for part in node.args]
        return 1 + self.ctx.mpf(secret_random(f"{node.value}({values})", 7)) / 2**60

    # -- arithmetic

    def _add(self, node: Node) -> Number:
        return self.ctx.fsum(self.value(part) for part in node.args)

    def _mul(self, node: Node) -> Number:
        return self.value(node.args[0]) * self.value(node.args[1])

    def _neg(self, node: Node) -> Number:
        return -self.value(node.args[0])

    def _div(self, node: Node) -> Number:
        top, bottom = self.value(node.args[0]), self.value(node.args[1])
        if self._vanishes(bottom, node.args[1]):
            raise UndefinedError("division by zero")
        return top / bottom

    def _deg(self, node: Node) -> Number:
        return self.value(node.args[0]) * self.ctx.pi / 180

    def _pct(self, node: Node) -> Number:
        return self.value(node.args[0]) / 100

    # -- powers and roots

    def _pow(self, node: Node) -> Number:
        base_node, exponent_node = node.args
        try:
            exponent = rational(exponent_node)
        except (ArithmeticError, ValueError):
            exponent = None
        if exponent is not None:
            return self._fixed_power(self.value(base_node), exponent, base_node)
        power = self.value(exponent_node)
        base = self.value(base_node)
        if isinstance(base, Complex) or isinstance(power, Complex) or base < 0:
            if not isinstance(power, Complex) and power == self.ctx.floor(power) and abs(power) < 10**6:
                return self._fixed_power(base, Fraction(int(power)), base_node)
            self.complex_seen = True
        if self._vanishes(base, base_node):
            if isinstance(power, Complex) or power <= 0:
                raise UndefinedError("a power of zero")
            return self.ctx.mpf(0)
        self._bounded(abs(power) * (abs(self.ctx.log(abs(base))) + 1))
        return self.ctx.power(base, power)

    def _fixed_power(self, base: Number, exponent: Fraction, node: Node) -> Number:
        """Return a power with a rational exponent; the odd root of a negative number is real."""
        if self._vanishes(base, node):
            if exponent <= 0:
                raise UndefinedError("division by zero")
            return self.ctx.mpf(0)
        if exponent == 0:
            return self.ctx.mpf(1)
        self._bounded(abs(exponent.numerator) / self.ctx.mpf(exponent.denominator) * (abs(self.ctx.log(abs(base))) + 1))
        if exponent.denominator == 1:
            return base ** int(exponent)
        if not isinstance(base, Complex) and base < 0 and exponent.denominator % 2:
            return self.ctx.power(-base, self._fraction(exponent)) * (-1) ** (exponent.numerator % 2)
        if isinstance(base, Complex) or base < 0:
            self.complex_seen = True
        if exponent == Fraction(1, 2):
            return self.ctx.sqrt(base)
        return self.ctx.power(base, self._fraction(exponent))

    def _root(self, node: Node) -> Number:
        base, index_node = node.args
        try:
            index = rational(index_node)
        except NotRationalError:  # a symbol
            return self._pow(Node("pow", (base, Node("div", (ONE, index_node)))))
        if index == 0:
            raise UndefinedError("a zeroth root")
        return self._fixed_power(self.value(base), 1 / index, base)

    # -- factorials, sums and products

    def _fact(self, node: Node) -> Number:
        value = self.value(node.args[0])
        if isinstance(value, Complex) or value < 0 or value > 1000:
            raise TooBigError("a factorial outside of 0..1000") if abs(value) > 1000 else UndefinedError("factorial")
        return self._gamma(value + 1)

    def _gamma(self, x: Number) -> Number:
        if x != self.ctx.floor(x):
            self.steps += _STEPS_OF_GAMMA
        return self.ctx.gamma(x)

    def _fact2(self, node: Node) -> Number:
        value = self.value(node.args[0])
        if isinstance(value, Complex) or not 0 <= value <= 1000 or value != self.ctx.floor(value):
            raise TooBigError("a double factorial")
        return self.ctx.mpf(math.prod(range(int(value), 0, -2)))

    def _series(self, node: Node) -> Number:
        variable, low_node, high_node, body = node.args
        low, high = self.value(low_node), self.value(high_node)
        if isinstance(low, Complex) or isinstance(high, Complex) or low != self.ctx.floor(low) or high != self.ctx.floor(high):
            raise NotRationalError("bounds that are no integers")
        if high - low > MAX_TERMS:
            raise TooBigError("a series of too many terms")
        total = self.ctx.mpf(node.op == "prod")
        outer = self.env.get(variable.value)  # of a sum around this one with the same index
        for index in range(int(low), int(high) + 1):
            self.env[variable.value] = self.ctx.mpf(index)
            term = self.value(body)
            total = total + term if node.op == "sum" else total * term
        self.env.pop(variable.value, None)
        if outer is not None:
            self.env[variable.value] = outer
        return total

    # -- functions by name

    def _fn(self, node: Node) -> Number:
        name = node.value
        if name == "det" or node.args[0].op in ("mat", "seq", "set"):
            raise NotRationalError(name)
        values = [self.value(part) for part in node.args]
        if name in TRIGONOMETRIC:
            return self._trigonometric(name, values[0])
        evaluate = _BY_NAME.get(name)
        if evaluate is None:
            raise NotRationalError(name)
        self.arguments = node.args
        return evaluate(self, name, values)

    def _trigonometric(self, name: str, x: Number) -> Number:
        if not name.startswith("arc"):
            self._bounded(abs(x))
        function = getattr(self.ctx, TRIGONOMETRIC[name])
        try:
            result = function(x)
        except (ValueError, ZeroDivisionError):
            raise UndefinedError(name) from None
        if name.startswith("arc") and isinstance(result, Complex) and not isinstance(x, Complex):
            self.complex_seen = True
        if name in ("tan", "sec", "csc", "cot") and abs(result) > self.ctx.mpf(10) ** (self.ctx.dps // 2):
            raise UndefinedError("a pole")
        return result

    def _size(self, _: str, values: list[Number]) -> Number:
        if isinstance(values[0], Complex):
            self.complex_seen = False  # back in the reals
        return abs(values[0])

    def _whole(self, name: str, values: list[Number]) -> Number:
        x = values[0]
        if isinstance(x, Complex):
            raise UndefinedError(name)
        near = self.ctx.nint(x)
        if abs(x - near) < self.ctx.mpf(10) ** (10 - self.ctx.dps):  # an integer but for rounding, from either side
            return near
        return self.ctx.floor(x) if name == "floor" else self.ctx.ceil(x)

    def _part_of_complex(self, name: str, values: list[Number]) -> Number:
        self.complex_seen = False
        z = self.ctx.mpc(values[0])
        if name == "arg":
            return self.ctx.arg(z)
        return z.real if name == "Re" else z.imag

    def _log(self, name: str, values: list[Number]) -> Number:
        x = values[0]
        if self._vanishes(x, self.arguments[0]):
            raise UndefinedError("logarithm of zero")
        if isinstance(x, Complex) or x < 0:
            self.complex_seen = True
        if name == "log" and self.log_base_ten:
            return self.ctx.log(x) / self.ctx.log(10)
        return self.ctx.log(x)

    def _log_to_base(self, _: str, values: list[Number]) -> Number:
        x, base = values[0], values[1]
        if self._vanishes(x, self.arguments[0]) or self._vanishes(base, self.arguments[1]) or self._vanishes(base - 1):
            raise UndefinedError("logarithm")
        if any(isinstance(value, Complex) or value < 0 for value in values):
            self.complex_seen = True
        return self.ctx.log(x) / self.ctx.log(base)

    def _special(self, name: str, values: list[Number]) -> Number:
        x = values[0]
        if isinstance(x, Complex) or not 0 < x <= 1000:
            raise UndefinedError(name)
        if name == "gamma":
            return self._gamma(x)
        if x < 2 or x != self.ctx.floor(x):
            raise UndefinedError(name)
        return self.ctx.zeta(x)

    def _of_reals(self, name: str, values: list[Number]) -> Number:
        if any(isinstance(value, Complex) for value in values):
            raise UndefinedError(name)
        if name in ("max", "min"):
            return max(values) if name == "max" else min(values)
        if name == "sgn":
            if self._vanishes(values[0], self.arguments[0]):
                return self.ctx.mpf(0)
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
        if all(value >= 0 and value == self.ctx.floor(value) for value in values):
            return self.ctx.mpf(math.comb(int(n), int(k)) if name == "binom" else math.perm(int(n), int(k)))
        if name == "permutations":
            raise UndefinedError(name)
        self.steps += 3 * _STEPS_OF_GAMMA
        return self.ctx.binomial(n, k)


_BY_OPERATOR: Mapping[str, Callable[[Numeric, Node], Number]] = {
    "num": Numeric._num,
    "dec": Numeric._dec,
    "sym": Numeric._sym,
    "const": Numeric._const,
    "call": Numeric._call,
    "add": Numeric._add,
    "mul": Numeric._mul,
    "neg": Numeric._neg,
    "div": Numeric._div,
    "deg": Numeric._deg,
    "pct": Numeric._pct,
    "pow": Numeric._pow,
    "root": Numeric._root,
    "fact": Numeric._fact,
    "fact2": Numeric._fact2,
    "sum": Numeric._series,
    "prod": Numeric._series,
    "fn": Numeric._fn,
}
_BY_NAME: Mapping[str, Callable[[Numeric, str, list[Number]], Number]] = {
    "abs": Numeric._size,
    **dict.fromkeys(("floor", "ceil"), Numeric._whole),
    **dict.fromkeys(("Re", "Im", "arg"), Numeric._part_of_complex),
    **dict.fromkeys(("ln", "log"), Numeric._log),
    "logb": Numeric._log_to_base,
    **dict.fromkeys(("gamma", "zeta"), Numeric._special),
    **dict.fromkeys(("max", "min", "gcd", "lcm", "binom", "sgn", "permutations"), Numeric._of_reals),
}


def numeric_value(node: Node) -> Number | None:
    """Return the real value of a constant to 30 digits for ordering, or None where there is none."""
    try:
        value = Numeric(30, {}).value(node)
    except (ArithmeticError, ValueError):
        return None
    if isinstance(value, Complex):
        return None
    return value
