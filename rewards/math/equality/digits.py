r"""How many digits a value needs before everything that went into it can be seen in it, and how many of them are rounding.

In `5^{900}+\sqrt5` the root begins after 630 digits, in `\tanh(400)` the 400 after 347, in `3^{10^{-300}}` the 3 after 300.
For each part of an expression this file estimates how many digits of its value hold all that its parts say: a sum adds
the distance between its terms, a function what it flattens, which is the logarithm of its condition |x f'(x) / f(x)|.
The other way round a small difference of large terms, and a steep function, push up the rounding in what is left.
Estimates for honest comparisons and a wall against terms that are written to vanish, no proof.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rewards.math.equality.exact import rational
from rewards.math.equality.numeric import TRIGONOMETRIC, Complex, Number, Numeric
from rewards.math.tree import Node

NAME = 6.0  # digits of the value at which a name is put in
UNSEEN = 24.0  # what needs fewer digits is seen in a first look at forty
MARGIN = 6.0  # digits that rounding may be more than its estimate
_BITS = 0.30103  # digits a bit
_ZERO = -(10.0**9)  # the decimal exponent of zero


_SMALL = 8.0  # the decimal exponent from which a size counts as extreme
_PICKED = ("abs", "sgn", "max", "min", "binom", "permutations")


class Facts(NamedTuple):
    """Of one part: its value, the digits it needs, and decimal exponents: of its rounding (in units of the last digit at
    one), of its value, and of the smallest and the largest value it had, as the body of a sum has many."""

    value: Number
    need: float
    noise: float
    size: float
    smallest: float
    largest: float


def _bent(need: float) -> float:
    """Return what a curve needs whose argument needs so much: its tangent and the next power agree for twice as long."""
    return 3 * need if need > UNSEEN else need


class Measured(Numeric):
    """Evaluates, and keeps in `facts` what is known of each part, by the identity of its node."""

    def __init__(self, digits: int, env: Mapping[str, Number], log_base_ten: bool = False):
        super().__init__(digits, env, log_base_ten)
        self.digits = float(digits)
        self.facts: dict[int, Facts] = {}

    def value(self, node: Node) -> Number:
        """Return the value; raises what `Numeric.value` does."""
        value = super().value(node)
        size = self._exponent(value)
        need = self._need(node, value)
        noise = max(size, self._noise(node, value, size))
        if noise - size > self.digits - MARGIN:  # nothing of the value is seen: it may be as small as its digits tell
            size = min(noise - self.digits, -max(need, self.digits) if need > UNSEEN else noise - self.digits)
        smallest = largest = size
        before = self.facts.get(id(node))
        if before is not None:
            need, smallest, largest = max(need, before.need), min(size, before.smallest), max(size, before.largest)
        self.facts[id(node)] = Facts(value, need, noise, size, smallest, largest)
        return value

    def of(self, node: Node) -> Facts:
        """Return what is known of a part that was evaluated before."""
        return self.facts[id(node)]

    def _exponent(self, value: Number) -> float:
        return float(self.ctx.mag(value)) * _BITS if value else _ZERO

    def _is_unseen(self, facts: Facts) -> bool:
        return facts.noise - facts.size > self.digits - MARGIN

    def _vanishes(self, value: Number, node: Node | None = None) -> bool:
        if not value:
            return True
        if node is None or id(node) not in self.facts:
            return super()._vanishes(value)
        return self._is_unseen(self.of(node))

    # -- what is needed

    def _need(self, node: Node, value: Number) -> float:
        op, args = node.op, node.args
        if op in ("num", "dec"):
            number = node.value if op == "num" else node.value[0]
            return float(max(number.numerator.bit_length(), number.denominator.bit_length())) * _BITS
        if not args:
            return NAME
        if op in ("pow", "root"):
            return self._need_of_power(node)
        if op in ("sum", "prod"):
            return self._need_of_series(node)
        need = max(self.of(part).need for part in args)
        if op == "add":
            return need + self._span(args)
        if op == "mul":
            return max(need, sum(each.need for each in map(self.of, args) if each.need > UNSEEN or self._is_unseen(each)))
        if op == "div":
            return max(need, self.of(args[0]).need + _bent(self.of(args[1]).need))
        if op == "fn":
            return need + self._flattened(node, value, need)
        if op == "fact":
            return need + 2 * self._below_one(self.of(args[0]).value)
        return need

    def _span(self, terms: tuple[Node, ...]) -> float:
        """Return how far the smallest of several terms lies below the largest one; what is exactly zero is no term."""
        facts = [self.of(term) for term in terms]
        facts = [each for each in facts if each.size > _ZERO]
        if not facts:
            return 0.0
        return max(0.0, max(each.largest for each in facts) - min(each.smallest for each in facts))

    def _need_of_series(self, node: Node) -> float:
        body = node.args[3]
        if id(body) not in self.facts:  # a sum without terms
            return NAME
        span = self._span((body,)) if node.op == "sum" else 0.0
        return max(self.of(part).need for part in node.args[1:]) + span

    def _need_of_power(self, node: Node) -> float:
        base, exponent = node.args
        facts = self.of(base)
        try:
            power = rational(exponent)
        except (ArithmeticError, ValueError):
            return self._need_of_variable_power(facts, exponent)
        if node.op == "root":
            power = 1 / power if power else power
        if self._is_unseen(facts) or (facts.need > UNSEEN and power.denominator == 1 and power > 0):
            return facts.need * max(1.0, float(abs(power)))
        bits = float(power.denominator.bit_length())
        flat = max(0.0, bits - abs(power.numerator).bit_length())
        return max(_bent(facts.need) + flat * _BITS, bits * _BITS)

    def _need_of_variable_power(self, base: Facts, exponent: Node) -> float:
        """Return the same where the exponent is an expression: it counts as much as its product with the logarithm."""
        if id(exponent) not in self.facts:  # a root whose index is an expression
            return base.need + NAME
        power = self.of(exponent)
        logarithm = self.ctx.log(abs(base.value)) if base.value else self.ctx.one
        of_base = _bent(base.need) + self._below_one(power.value)
        return max(of_base, _bent(power.need) + self._below_one(power.value * logarithm))

    def _below_one(self, value: Number) -> float:
        """Return how many zeros follow the point before the first digit of a value."""
        return max(0.0, -float(self.ctx.mag(value)) * _BITS) if value else self.digits

    def _flattened(self, node: Node, value: Number, need: float) -> float:
        """Return how many digits of its argument a function pushes behind its own.

        `\\sin(h)` is nearly h and `\\cosh(1/h)` nearly half an exponential: what tells them apart is a few powers of h behind.
        """
        name, facts = node.value, self.of(node.args[0])
        if name in _PICKED or self._is_unseen(facts):
            return need if self._is_unseen(facts) else 0.0
        if name in ("floor", "ceil", "gcd", "lcm"):
            return abs(facts.size) if facts.value else 0.0  # down to the units, and from zero up to what there is
        flat = 2 * need if need > UNSEEN else 0.0
        if abs(facts.size) > _SMALL and facts.value:
            flat = max(flat, 2 * abs(facts.size))
        return max(flat, self._flattened_by_name(name, facts, value, need))

    def _flattened_by_name(self, name: str, facts: Facts, value: Number, need: float) -> float:
        x = facts.value
        if name in TRIGONOMETRIC:
            flat = max(0.0, -self._condition(name, facts, value))
            if name in ("sinh", "cosh", "sech", "csch"):
                return float(abs(x)) * 2 / math.log(10)
            return max(flat, need) if flat > UNSEEN / 2 else flat  # at a turning point the distance counts twice
        if name in ("Re", "Im"):
            return self._below_one(value / abs(x)) if value and x else 0.0
        if name in ("ln", "log", "logb"):
            return self._below_one(1 / value) if value else 0.0
        return float(x) * _BITS if name == "zeta" else 0.0

    def _condition(self, name: str, argument: Facts, value: Number) -> float:
        """Return the decimal exponent of |x f'(x) / f(x)|; where the slope is infinite nothing is flattened."""
        if not value:
            return 0.0
        x = argument.value
        if name in ("sin", "cos") and not isinstance(value, Complex):
            short = float(value)
            if 0.01 < abs(short) < 0.999:  # then the slope is seen in the value
                return argument.size + math.log10(math.sqrt(1 - short * short) / abs(short))
        try:
            return self._exponent(x * _SLOPES[name](self.ctx, x, value) / value)
        except (ZeroDivisionError, ValueError):
            return 0.0

    # -- what is rounding

    def _noise(self, node: Node, value: Number, size: float) -> float:
        op, args = node.op, node.args
        if not args:
            return size
        parts = [self.of(part) for part in args if id(part) in self.facts]
        if op == "add":
            return max(part.noise for part in parts) + 0.3
        if op == "mul":
            one, other = parts
            return max(one.noise + other.size, other.noise + one.size)
        if op in ("div", "pow", "root"):
            return self._noise_of_power(node, parts, size) if op != "div" else self._relative(parts, size)
        if op in ("sum", "prod"):
            body = parts[-1]
            return max(body.noise, body.largest, size) + 3.0 if op == "sum" else self._relative(parts[-1:], size) + 3.0
        if op == "fn":
            return self._noise_of_function(node.value, parts, value, size)
        return self._relative(parts, size)

    def _relative(self, parts: list[Facts], size: float) -> float:
        """Return the rounding of a value that is off, in proportion, as much as the worst of its parts."""
        return size + max(part.noise - part.size for part in parts)

    def _noise_of_power(self, node: Node, parts: list[Facts], size: float) -> float:
        steep = 0.0
        if len(parts) == 2 and parts[1].value:
            steep = max(0.0, parts[1].size + 1.0)
        elif node.args[1].op == "num" and node.args[1].value:
            steep = max(0.0, float(abs(node.args[1].value)).__trunc__().bit_length() * _BITS)
        logarithm = max(1.0, abs(parts[0].size) * 2.4)
        return self._relative(parts, size) + steep + (float(self.ctx.mag(logarithm)) * _BITS if len(parts) == 2 else 0.0)

    def _noise_of_function(self, name: str, parts: list[Facts], value: Number, size: float) -> float:
        first = parts[0]
        if name in ("floor", "ceil", "sgn"):
            return size
        if name in ("abs", "max", "min", "Re", "Im"):
            return max(part.noise for part in parts)
        if name in ("ln", "log", "logb"):
            return max(size, 0.0) + max(part.noise - part.size for part in parts)
        if name == "arg":
            return first.noise - first.size
        if name in TRIGONOMETRIC and first.value and value and not self._is_unseen(first):
            slope = self._condition(name, first, value) + size - first.size
            return first.noise + slope
        return max(first.noise, self._relative(parts, size)) + max(0.0, first.size)


_SLOPES: Mapping[str, Callable[[Any, Number, Number], Number]] = {  # f'(x) of x and f(x)
    "sin": lambda ctx, x, _: ctx.cos(x),
    "cos": lambda ctx, x, _: ctx.sin(x),
    "tan": lambda _, x, value: 1 + value**2,
    "cot": lambda _, x, value: 1 + value**2,
    "sec": lambda ctx, x, value: value * ctx.tan(x),
    "csc": lambda ctx, x, value: value * ctx.cot(x),
    "sinh": lambda ctx, x, _: ctx.cosh(x),
    "cosh": lambda ctx, x, _: ctx.sinh(x),
    "tanh": lambda ctx, x, _: ctx.sech(x) ** 2,
    "coth": lambda ctx, x, _: ctx.csch(x) ** 2,
    "sech": lambda ctx, x, value: value * ctx.tanh(x),
    "csch": lambda ctx, x, value: value * ctx.coth(x),
    **dict.fromkeys(("arcsin", "arccos"), lambda ctx, x, _: 1 / ctx.sqrt(1 - x**2)),
    **dict.fromkeys(("arctan", "arccot"), lambda _, x, value: 1 / (1 + x**2)),
    **dict.fromkeys(("arcsec", "arccsc"), lambda ctx, x, _: 1 / (x * ctx.sqrt(x**2 - 1))),
    "arcsinh": lambda ctx, x, _: 1 / ctx.sqrt(1 + x**2),
    "arccosh": lambda ctx, x, _: 1 / ctx.sqrt(x**2 - 1),
    **dict.fromkeys(("arctanh", "arccoth"), lambda _, x, value: 1 / (1 - x**2)),
    "arcsech": lambda ctx, x, _: 1 / (x * ctx.sqrt(1 - x**2)),
    "arccsch": lambda ctx, x, _: 1 / (x * ctx.sqrt(1 + x**2)),
}
