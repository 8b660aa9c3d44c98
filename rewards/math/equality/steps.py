r"""Points on both sides of every step: of floors, absolute values, signs, maxima and roots of squares.

`\lfloor q/7 \rfloor` and `\lfloor q/6 \rfloor` agree from 0 to 6, `|x - 50|` is `50 - x` up to 50: so each argument of such a
function is brought to its step, from below, exactly and from above, by each of its names in turn.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, pairwise

from rewards.math.equality.exact import rational
from rewards.math.equality.numeric import Complex, Number, Numeric
from rewards.math.equality.points import Place
from rewards.math.tree import Node, TooBigError, number, substituted, symbols

MAX_ARGUMENTS = 24
MAX_PLACES = 1000
FEW_NAMES = 4
_STEPPED = ("abs", "sgn", "floor", "ceil", "max", "min")
_LEVELS = (0, 1, -1, 2, 7, -6)  # at which a floor is looked at
_ASIDE = [Fraction(aside) for aside in ("0", "-1e-9", "1e-9", "-1e-3", "1e-3", "1/2", "-40", "40")]
_APART = (Fraction(9, 10), Fraction(11, 10))
_GRID = [sign * size for sign in (-1, 1) for size in (1, 2, 5, 30, 300, 10**4, 10**6, 10**9, 10**15, 10**30)]
_GRID = sorted((0, *_GRID))
_WHOLE = [Fraction(n) for n in sorted(range(-12, 13), key=abs)]
_NEAR = [Fraction(n, 8) for n in range(-56, 57, 3)]  # where the largest and the smallest value is looked for
_DIGITS = 20
_HALVINGS = 60
MAX_LEVELS = 3  # that are looked for in a grid
MAX_ROOTS = 4


def step_places(gold: Node, answer: Node, bases: list[Place], integers: frozenset[str]) -> list[Place]:
    """Return places around the steps of both sides; `bases` say where the names are that do not move.

    Raises TooBigError where there are too many of them: one that is not looked at could be the one that matters.
    """
    arguments = list(dict.fromkeys((*_arguments(gold), *_arguments(answer))))
    if len(arguments) > MAX_ARGUMENTS:
        raise TooBigError("too many steps to look at")
    found: dict[tuple[tuple[str, Fraction], ...], Place] = {}
    if not arguments:
        return []
    counts = any(len(levels) > 1 for _, levels in arguments) and len(bases[0]) < FEW_NAMES
    for base in bases if len(bases[0]) > 1 else bases[:1]:
        for name in sorted(base):
            for value in _WHOLE if counts else _WHOLE[:5]:
                place = {**base, name: value}
                found.setdefault(tuple(sorted(place.items())), place)
        for argument, levels in arguments:
            for name in sorted(symbols(argument) & base.keys()):
                for value in _around_steps(argument, levels, name, base, name in integers):
                    place = {**base, name: value}
                    found.setdefault(tuple(sorted(place.items())), place)
                    if len(found) > MAX_PLACES:
                        raise TooBigError("too many steps to look at")
    return list(found.values())


def _arguments(node: Node) -> Iterator[tuple[Node, tuple[int, ...]]]:
    """Yield what steps with names in it, and the levels at which it does."""
    for part in node.args:
        yield from _arguments(part)
    if not symbols(node):
        return
    if node.op == "root" and node.args[0].op == "pow":  # of a square
        yield node.args[0].args[0], (0,)
    if node.op == "pow" and node.args[0].op == "pow":
        yield node.args[0].args[0], (0,)
    if node.op != "fn" or node.value not in _STEPPED:
        return
    if node.value in ("max", "min"):
        for one, other in combinations(node.args, 2):
            yield Node("add", (one, Node("neg", (other,)))), (0,)
    else:
        yield node.args[0], (_LEVELS if node.value in ("floor", "ceil") else (0,))


def _around_steps(argument: Node, levels: tuple[int, ...], name: str, base: Place, integer: bool) -> Iterator[Fraction]:
    """Yield the values of `name` at which `argument` is at a level, and values beside them."""
    for other, value in base.items():
        if other != name:
            argument = substituted(argument, other, number(value))
    for value in _solutions(argument, levels, name):
        for near in (*(value + aside for aside in _ASIDE), *(value * factor for factor in _APART)):
            yield Fraction(round(near)) if integer else near


def _solutions(argument: Node, levels: tuple[int, ...], name: str) -> list[Fraction]:
    """Return where `argument` is at a level: exactly where it is linear, else what lies between the points of a grid."""
    try:
        at_zero, at_one, far = (rational(substituted(argument, name, number(x))) for x in (0, 1, -7))
    except ArithmeticError:
        return _curved(argument, levels, name)
    slope = at_one - at_zero
    if far != at_zero - 7 * slope:
        return _curved(argument, levels, name)
    return [(level - at_zero) / slope for level in levels] if slope else []


def _curved(argument: Node, levels: tuple[int, ...], name: str) -> list[Fraction]:
    return [*_roots_in_grid(argument, levels, name), *_extremes(argument, name)]


def _extremes(argument: Node, name: str) -> list[Fraction]:
    """Return where `argument` is largest and smallest near zero: there a peak may be the only place that steps."""
    values = [(value, x) for x in _NEAR if (value := _value_at(argument, name, x)) is not None]
    if not values:
        return []
    return [_climbed(argument, name, max(values)[1], 1), _climbed(argument, name, min(values)[1], -1)]


def _climbed(argument: Node, name: str, start: Fraction, sign: int) -> Fraction:
    """Return the peak near `start` of `argument` times `sign`, by steps that are halved."""
    here, step = start, Fraction(3, 16)
    for _ in range(_HALVINGS // 2):
        beside = [
            (sign * value, x) for x in (here - step, here, here + step) if (value := _value_at(argument, name, x)) is not None
        ]
        here = max(beside, default=(0, here))[1]
        step /= 2
    return here


def _roots_in_grid(argument: Node, levels: tuple[int, ...], name: str) -> list[Fraction]:
    sizes = [_value_at(argument, name, Fraction(x)) for x in _GRID]
    roots: list[Fraction] = []
    for level in levels[:MAX_LEVELS]:
        for (low, one), (high, other) in pairwise(zip(_GRID, sizes, strict=True)):
            if one is None or other is None or len(roots) == MAX_ROOTS:
                continue
            if (one < level) != (other < level):
                roots.append(_halved(argument, level, name, (Fraction(low), Fraction(high)), bool(other < level)))
    return roots


def _halved(argument: Node, level: int, name: str, between: tuple[Fraction, Fraction], high_is_below: bool) -> Fraction:
    """Return where `argument` crosses `level` between two numbers."""
    low, high = between
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        size = _value_at(argument, name, middle)
        if size is None or bool(size < level) == high_is_below:
            high = middle
        else:
            low = middle
    return low.limit_denominator(10**12)


def _value_at(argument: Node, name: str, x: Fraction) -> Number | None:
    """Return the real value of `argument`, or None where it has none."""
    numeric = Numeric(_DIGITS, {})
    numeric.env[name] = numeric.ctx.mpf(x.numerator) / x.denominator
    try:
        value = numeric.value(argument)
    except (ArithmeticError, ValueError):
        return None
    return None if isinstance(value, Complex) else value
