"""The points at which expressions with symbols are evaluated: the same ones on every machine, and no special ones."""

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from rewards.math.equality.exact import pseudo_random
from rewards.math.equality.numeric import TRIGONOMETRIC, Number, Numeric
from rewards.math.tree import Node, contains, symbols

_SMALL = [Fraction(a, b) for a, b in ((7, 5), (13, 9), (19, 12), (5, 3), (23, 14), (31, 18), (11, 8), (17, 11), (29, 17))]
_COUNTERS = ("n", "k", "m")  # letters that count where there is a floor or a period


class Point(NamedTuple):
    """Where expressions are evaluated, to how many digits, and whether `log` is to the base ten."""

    values: Mapping[str, Fraction]
    digits: int
    log_base_ten: bool = False

    def evaluator(self) -> Numeric:
        """Return a fresh evaluator."""
        numeric = Numeric(self.digits, {}, self.log_base_ten)
        numeric.env = {name: numeric.ctx.mpf(value.numerator) / value.denominator for name, value in self.values.items()}
        return numeric

    def both(self, gold: Node, answer: Node) -> tuple[Number, Number, bool]:
        """Return both values, and whether one of them left the reals on its way."""
        first, second = self.evaluator(), self.evaluator()
        left, right = first.value(gold), second.value(answer)
        return left, right, first.complex_seen or second.complex_seen


def places(names: frozenset[str], integers: frozenset[str], count: int) -> list[dict[str, Fraction]]:
    """Return values for `names`, `count` times: positive ones first, then mixed; names in `integers` get positive integers."""
    return [{name: _coordinate(name, name in integers, index, count, len(names)) for name in names} for index in range(count)]


def _coordinate(name: str, integer: bool, index: int, count: int, num_names: int) -> Fraction:
    seed = pseudo_random(name, index + 1)
    if integer:
        return Fraction(3 + seed % 9 + (index % 2 ^ (seed % 9) % 2))  # even and odd in turns
    value = _SMALL[seed % len(_SMALL)] + Fraction(seed % 1009, 1013 * (1 + index % 3))
    if index % 3 == 2:
        value = 1 / value
    second_half = index >= count // 2
    return -value if second_half and (num_names == 1 or (seed >> 20) % 2) else value


def integer_symbols(node: Node, inside: bool = False) -> frozenset[str]:
    """Return the symbols that can only be integers: in factorials, binomials, bounds, exponents of negative numbers.

    `inside` tells that `node` stands where only an integer can.
    """
    if node.op == "sym":
        return frozenset((node.value,)) if inside else frozenset()
    if node.op in ("sum", "prod"):
        index, low, high, body = node.args
        bounds = integer_symbols(low, True) | integer_symbols(high, True)
        return bounds | (integer_symbols(body, inside) - {index.value})
    if node.op in ("fact", "fact2") or (node.op == "fn" and node.value in ("binom", "permutations", "gcd", "lcm")):
        inside = True
    integers: frozenset[str] = frozenset()
    if _counts(node):
        integers = symbols(node).intersection(_COUNTERS)
    if node.op == "pow" and node.args[0].op == "neg" and not symbols(node.args[0]):  # (-1)^n
        integers |= integer_symbols(node.args[1], True)
    return integers.union(*(integer_symbols(part, inside) for part in node.args))


def _counts(node: Node) -> bool:
    """Tell whether it is a floor, or a periodic function of a multiple of pi: there n, k and m are integers."""
    if node.op != "fn":
        return False
    periodic = node.value in TRIGONOMETRIC and contains(node, "const") and contains(node, "sym")
    return periodic or node.value in ("floor", "ceil")
