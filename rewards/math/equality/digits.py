r"""How many digits a value needs before everything that went into it can be seen in it, and how many of them are rounding.

In `5^{900}+\sqrt5` the root begins after 630 digits, in `\tanh(400)` the 400 after 347, in `3^{10^{-300}}` the 3 after 300.
For each part of an expression this file estimates how many digits of its value hold all that its parts say: a sum adds
the distance between its terms, a function what it flattens, which is the logarithm of its condition |x f'(x) / f(x)|.
The other way round a small difference of large terms, and a steep function, push up the rounding in what is left.
Estimates for honest comparisons and a wall against terms that are written to vanish, no proof.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from rewards.math.equality.exact import rational
from rewards.math.equality.numeric import TRIGONOMETRIC, Complex, Number, Numeric
from rewards.math.equality.turns import linear_in_pi
from rewards.math.tree import Node

NAME = 6.0  # digits of the value at which a name is put in
UNSEEN = 24.0  # what needs fewer digits is seen in a first look at forty
GAP = 6.0  # a step of fewer digits is an ordinary one
MARGIN = 6.0  # digits that rounding may be more than its estimate
_BITS = 0.30103  # digits a bit
_ZERO = -(10.0**9)  # the decimal exponent of zero


_SMALL = 8.0  # the decimal exponent from which a size counts as extreme
_PICKED = ("abs", "sgn", "max", "min", "binom", "permutations")


class Need(NamedTuple):
    """How many digits are needed: `hidden` ones behind a gap, and those that many small steps have taken together.

    Only what is hidden grows by itself: the square of a sum with a gap of 100 digits has a term behind 200.
    """

    hidden: float = 0.0
    taken: float = 0.0

    def total(self) -> float:
        """Return both together."""
        return self.hidden + self.taken

    def plus(self, digits: float) -> "Need":
        """Return what is needed behind a step of `digits` digits."""
        return Need(self.hidden + digits, self.taken) if digits > GAP else Need(self.hidden, self.taken + digits)

    def times(self, factor: float) -> "Need":
        """Return what is needed where everything hidden is so many times as deep."""
        return Need(self.hidden * factor, self.taken)

    def bent(self) -> "Need":
        """Return what a curve needs whose argument needs so much: its tangent and the next power agree for longer."""
        return self.times(3)


def _most(needs: Iterable[Need]) -> Need:
    hidden, taken = 0.0, 0.0
    for need in needs:
        hidden, taken = max(hidden, need.hidden), max(taken, need.taken)
    return Need(hidden, taken)


def _is_fraction_of_turn(node: Node) -> bool:
    """Tell whether it is the sine or the like of an angle that is exactly a rational multiple of pi."""
    angle = linear_in_pi(node.args[0]) if node.value in ("sin", "cos", "tan", "cot", "sec", "csc") else None
    return angle is not None and not (angle.real or angle.imaginary or angle.imaginary_pi)


class Facts(NamedTuple):
    """Of one part: its value, the digits it needs, and decimal exponents: of its rounding (in units of the last digit at
    one), of its value, and of the smallest and the largest value it had, as the body of a sum has many."""

    value: Number
    need: Need
    noise: float
    size: float
    smallest: float
    largest: float


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
            size = noise - self.digits
            size = min(size, -max(need.total(), self.digits)) if need.total() > UNSEEN else size
        smallest = largest = size
        before = self.facts.get(id(node))
        if before is not None:
            need, largest = _most((need, before.need)), max(size, before.largest)
            smallest = min((each for each in (size, before.smallest) if each > _ZERO), default=_ZERO)
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

    def _need(self, node: Node, value: Number) -> Need:
        op, args = node.op, node.args
        if op in ("num", "dec"):
            number = node.value if op == "num" else node.value[0]
            return Need().plus(max(number.numerator.bit_length(), number.denominator.bit_length()) * _BITS)
        if not args:
            return Need(0.0, NAME)
        if op in ("pow", "root"):
            return self._need_of_power(node)
        if op in ("sum", "prod"):
            return self._need_of_series(node)
        needs = [self._known(part) for part in args]
        if op == "mul":
            return Need(sum(need.hidden for need in needs), max(need.taken for need in needs))
        if op == "div":
            return _most((needs[0], Need(needs[0].hidden + needs[1].bent().hidden, needs[1].taken)))
        need = _most(needs)
        if op == "add":
            return need.plus(self._span(args))
        if op == "fn":
            return self._need_of_function(node, value, need)
        return need.plus(2 * self._below_one(self.of(args[0]).value)) if op == "fact" else need

    def _known(self, node: Node) -> Need:
        """Return what a part needs, all of it hidden where nothing of its value is seen."""
        facts = self.of(node)
        total = facts.need.total()
        return Need(total) if total > UNSEEN and self._is_unseen(facts) else facts.need

    def _span(self, terms: tuple[Node, ...]) -> float:
        """Return how far the smallest of several terms lies below the largest one; what is exactly zero is no term."""
        facts = [each for each in map(self.of, terms) if each.smallest > _ZERO]
        if not facts:
            return 0.0
        return max(0.0, max(each.largest for each in facts) - min(each.smallest for each in facts))

    def _need_of_series(self, node: Node) -> Need:
        body = node.args[3]
        if id(body) not in self.facts:  # a sum without terms
            return Need(0.0, NAME)
        need = _most(self._known(part) for part in node.args[1:])
        return need.plus(self._span((body,))) if node.op == "sum" else need

    def _need_of_power(self, node: Node) -> Need:
        base, exponent = node.args
        need = self._known(base)
        try:
            power = rational(exponent)
        except (ArithmeticError, ValueError):
            return self._need_of_variable_power(base, exponent)
        if node.op == "root":
            power = 1 / power if power else power
        if power.denominator == 1 and power > 0:
            return need.times(float(power))
        bits = float(power.denominator.bit_length())
        flat = max(0.0, bits - abs(power.numerator).bit_length())
        return _most((need.bent().plus(flat * _BITS), Need().plus(bits * _BITS)))

    def _need_of_variable_power(self, base: Node, exponent: Node) -> Need:
        """Return the same where the exponent is an expression: it counts as much as its product with the logarithm."""
        if id(exponent) not in self.facts:  # a root whose index is an expression
            return self._known(base).plus(NAME)
        value, power = self.of(base).value, self.of(exponent).value
        logarithm = self.ctx.log(abs(value)) if value else self.ctx.one
        of_base = self._known(base).bent().plus(self._below_one(power))
        return _most((of_base, self._known(exponent).bent().plus(self._below_one(power * logarithm))))

    def _below_one(self, value: Number) -> float:
        """Return how many zeros follow the point before the first digit of a value."""
        return max(0.0, -float(self.ctx.mag(value)) * _BITS) if value else self.digits

    def _need_of_function(self, node: Node, value: Number, need: Need) -> Need:
        """Return the same for a function: it pushes digits of its argument behind its own.

        `\\sin(h)` is nearly h and `\\cosh(1/h)` nearly half an exponential: what tells them apart is a few powers of h behind.
        """
        name, argument = node.value, self.of(node.args[0])
        if name in _PICKED:
            return need
        size = abs(argument.size) if argument.value else 0.0
        if name in ("floor", "ceil", "gcd", "lcm"):
            return need.plus(size)  # down to the units, and from zero up to what there is
        if self._is_unseen(argument):
            return need.bent()
        flat = self._flattened(node, argument, value, need)
        is_extreme = size > _SMALL and name not in ("ln", "log", "logb")
        return need.bent().plus(max(flat, 2 * size if is_extreme else 0.0))

    def _flattened(self, node: Node, argument: Facts, value: Number, need: Need) -> float:
        name, x = node.value, argument.value
        if name in ("sinh", "cosh", "sech", "csch"):
            return float(abs(x)) * 2 / math.log(10)
        if name in TRIGONOMETRIC:
            flat = max(0.0, -self._condition(name, argument, value))
            if flat < UNSEEN / 2:
                return flat
            return 0.0 if _is_fraction_of_turn(node) else max(flat, need.total())  # at a turning point
        if name in ("Re", "Im"):
            return self._below_one(value / abs(x)) if value and x else 0.0
        if name in ("ln", "log", "logb"):
            return self._below_one(1 / value) if value else 0.0
        return float(x) * _BITS if name == "zeta" else 0.0

    def _condition(self, name: str, argument: Facts, value: Number) -> float:
        """Return the decimal exponent of |x f'(x) / f(x)|; where the slope is infinite nothing is flattened."""
        x = argument.value
        if not value or not x:
            return 0.0
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
        if op == "call":  # a secret number, whatever its arguments
            return size
        return self._relative(parts, size)

    def _relative(self, parts: list[Facts], size: float) -> float:
        """Return the rounding of a value that is off, in proportion, as much as the worst of its parts."""
        if size <= _ZERO:  # exactly zero, unless a part is only rounding
            return max((part.noise for part in parts if self._is_unseen(part)), default=_ZERO)
        return size + max(part.noise - part.size for part in parts)

    def _noise_of_power(self, node: Node, parts: list[Facts], size: float) -> float:
        """Return the rounding of a power: in proportion that of its base times the exponent, and what the exponent is off."""
        relative = self._relative(parts[:1], size)
        if len(parts) == 2 and size > _ZERO:
            base, exponent = parts
            logarithm = math.log10(max(1.0, abs(base.size) * 2.4))
            return max(relative + max(0.0, exponent.size + 1.0), size + exponent.noise + logarithm)
        fixed = node.args[1].value if node.args[1].op == "num" else 1
        return relative + max(0.0, int(abs(fixed)).bit_length() * _BITS)

    def _noise_of_function(self, name: str, parts: list[Facts], value: Number, size: float) -> float:
        first = parts[0]
        if name in ("floor", "ceil", "sgn"):
            return size
        if self._is_unseen(first):  # near zero, where a function is no steeper than there
            return max(size, first.noise) + 1.0
        if name in ("abs", "max", "min", "Re", "Im"):
            return max(part.noise for part in parts)
        if name in ("ln", "log", "logb"):
            return max(size, 0.0) + max(part.noise - part.size for part in parts)
        if name == "arg":
            return first.noise - first.size
        if name in TRIGONOMETRIC and first.value and value:
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
