"""Do two expressions differ by a constant factor? Then `one(x) other(y)` is `other(x) one(y)` for all points x and y."""

from rewards.math.equality.expressions import equal_expressions
from rewards.math.equality.numeric import Complex
from rewards.math.equality.points import Point, places
from rewards.math.equality.rules import Trail
from rewards.math.tree import ZERO, Node, substituted, symbols

DIGITS = 60
POINTS = 12
ENOUGH = 4  # points where both sides are real, defined and not zero


def proportional(one: Node, other: Node, positive: bool) -> bool:
    """Tell whether two expressions differ by a constant factor (a positive one where `positive`)."""
    names = symbols(one)
    if not names or names != symbols(other):
        return False
    crosswise = Node("mul", (one, _elsewhere(other, names))), Node("mul", (other, _elsewhere(one, names)))
    if not equal_expressions(*crosswise, Trail()):
        return False
    if any(equal_expressions(side, ZERO, Trail()) for side in (one, other)):
        return False
    return _same_sign(one, other, names) if positive else True


def _elsewhere(node: Node, names: frozenset[str]) -> Node:
    """Return `node` at another point."""
    for name in names:
        node = substituted(node, name, Node("sym", (), f"{name} elsewhere"))
    return node


def _same_sign(one: Node, other: Node, names: frozenset[str]) -> bool:
    """Tell whether two expressions that differ by a constant factor have the same sign."""
    agreed = 0
    for values in places(names, frozenset(), POINTS):
        try:
            seen = Point(values, DIGITS).both(one, other)
        except (ArithmeticError, ValueError):
            continue
        left, right = seen.left, seen.right
        if isinstance(left, Complex) or isinstance(right, Complex) or min(abs(left), abs(right)) <= seen.tolerance:
            continue
        if (left < 0) != (right < 0):
            return False
        agreed += 1
    return agreed >= ENOUGH
