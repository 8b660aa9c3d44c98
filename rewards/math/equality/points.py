"""The points at which expressions with symbols are evaluated.

Three kinds: the same ordinary ones on every machine; a few that no text can foretell, as what is written to agree at the
known points differs there; and far ones, near zero and of great size, for what looks alike only in the middle.
"""

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from rewards.math.equality.digits import MARGIN, Measured
from rewards.math.equality.exact import pseudo_random, rational, secret_random
from rewards.math.equality.numeric import CONTEXT, TRIGONOMETRIC, Number
from rewards.math.tree import Node, contains, symbols

Place = dict[str, Fraction]

_SMALL = [Fraction(a, b) for a, b in ((7, 5), (13, 9), (19, 12), (5, 3), (23, 14), (31, 18), (11, 8), (17, 11), (29, 17))]
_COUNTERS = ("n", "k", "m")  # letters that count where there is a floor or a period
_FAR = [Fraction(23), Fraction(-23), Fraction(1, 90), Fraction(-1, 90), Fraction(1100), Fraction(-1100)]
_FAR_INTEGERS = (12, 13, 17, 24, 31, 36)
_SECRET_INTEGERS = (range(3, 43), range(43, 200), range(200, 320))
MAX_CHOSEN = 4
MAX_LITERALS = 8  # whose size says where to look


class Values(NamedTuple):
    """The values of two expressions at one point, and what evaluating them showed.

    `left_reals` tells that one of them left the reals on its way; `need` is the number of digits in which all that was put
    in can be seen, `lost` how many of them are rounding, `tolerance` what the values may differ by from rounding alone, and
    `size` the decimal exponent of the larger one; `steps` counts the parts that were evaluated.
    """

    left: Number
    right: Number
    left_reals: bool
    need: float
    lost: float
    tolerance: Number
    size: float
    steps: int

    def agree(self) -> bool:
        """Tell whether the values are the same but for rounding."""
        return bool(abs(self.left - self.right) <= self.tolerance)

    def tells(self, size: float) -> bool:
        """Tell whether rounding is small next to 10^size: else any two values agree."""
        return bool(self.tolerance <= CONTEXT.mpf(10) ** int(size - MARGIN))


class Point(NamedTuple):
    """Where expressions are evaluated, to how many digits, and whether `log` is to the base ten."""

    values: Mapping[str, Fraction]
    digits: int
    log_base_ten: bool = False

    def evaluator(self) -> Measured:
        """Return a fresh evaluator."""
        measured = Measured(self.digits, {}, self.log_base_ten)
        measured.env = {name: CONTEXT.mpf(value.numerator) / value.denominator for name, value in self.values.items()}
        return measured

    def both(self, gold: Node, answer: Node) -> Values:
        """Return both values; raises what `Numeric.value` does."""
        first, second = self.evaluator(), self.evaluator()
        left, right = first.value(gold), second.value(answer)
        left_reals = first.complex_seen or second.complex_seen
        one, other = first.of(gold), second.of(answer)
        noise = max(one.noise, other.noise)
        size = max(one.size, other.size)
        lost = max(0.0, noise - size)
        tolerance = CONTEXT.mpf(10) ** int(noise - self.digits + MARGIN) if left or right else CONTEXT.zero
        return Values(
            left,
            right,
            left_reals,
            max(one.need.total(), other.need.total()),
            lost,
            tolerance,
            size,
            first.steps + second.steps,
        )


def places(names: frozenset[str], integers: frozenset[str], count: int) -> list[Place]:
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


def one_sign_turned(values: Place, negative: list[str]) -> Iterator[Place]:
    """Yield the points that differ from `values` in the sign of one of the names `negative`."""
    for name in negative:
        yield {**values, name: -values[name]}


def secret_places(names: frozenset[str], integers: frozenset[str]) -> list[Place]:
    """Return values between 1/3 and 3 that differ from process to process; names in `integers` get ever larger ones."""
    return [
        {name: _secret_coordinate(secret_random(name, 1 + index), name in integers, whole) for name in names}
        for index, whole in enumerate(_SECRET_INTEGERS)
    ]


def _secret_coordinate(seed: int, integer: bool, whole: range) -> Fraction:
    return Fraction(whole[seed % len(whole)]) if integer else Fraction(1, 3) + Fraction(seed % 2**20, 2**20) * Fraction(8, 3)


def whole_places(names: frozenset[str], integers: frozenset[str]) -> list[Place]:
    """Return whole numbers, as powers of negative numbers want them: one name small and the rest large, and the reverse.

    Negative ones too, but for names in `integers`.
    """
    found: list[Place] = []
    for chosen in sorted(names)[:MAX_CHOSEN]:
        for size, rest in ((2, 23), (3, 40), (29, 2), (47, 3)):
            place = {name: Fraction(size if name == chosen else rest + 2 * index) for index, name in enumerate(sorted(names))}
            found.append(place)
            if size < 10:
                signs = {name: 1 if name in integers or name != chosen else -1 for name in names}
                found.append({name: signs[name] * value % (7 * signs[name]) for name, value in place.items()})
    return found


def literal_places(sizes: list[Fraction], names: frozenset[str], integers: frozenset[str]) -> list[Place]:
    """Return values on both sides of the numbers that are written: at twice such a number and at about its root."""
    found: list[Place] = []
    for size in sizes[:MAX_LITERALS]:
        root = Fraction(3 * math.isqrt(int(size)), 2) if size > 1 else Fraction(0)
        for value in (2 * size, -2 * size, size + 1, size, root, -root):
            found.append({name: Fraction(abs(round(value))) if name in integers else value for name in names})
    return found


def literals(node: Node) -> Iterator[Fraction]:
    """Yield the sizes of the largest rational parts of `node` that are far from one."""
    try:
        size = abs(rational(node))
    except (ArithmeticError, ValueError):
        for part in node.args:
            yield from literals(part)
        return
    if size > 40 and size.numerator.bit_length() < 400:
        yield size


def far_places(names: frozenset[str], integers: frozenset[str]) -> list[Place]:
    """Return values far from one: first all names of one size, then each of its own."""
    together = [{name: _far(name, size, index, name in integers) for name in names} for index, size in enumerate(_FAR)]
    if len(names) < 2:
        return together
    apart = [
        {
            name: _far(name, _FAR[pseudo_random(name, 100 + index) % len(_FAR)], index + 7, name in integers)
            for name in sorted(names)
        }
        for index in range(len(_FAR))
    ]
    return together + apart


def _far(name: str, size: Fraction, index: int, integer: bool) -> Fraction:
    seed = pseudo_random(name, 50 + index)
    if integer:
        return Fraction(_FAR_INTEGERS[(seed + index) % len(_FAR_INTEGERS)])
    return size * (1 + Fraction(seed % 1009, 1013))


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
