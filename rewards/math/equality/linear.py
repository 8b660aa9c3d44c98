"""Differences of expressions, and the root and the slope of those that are linear in one name."""

from rewards.math.equality.expressions import equal_expressions
from rewards.math.equality.numeric import numeric_value
from rewards.math.equality.rules import Trail
from rewards.math.tree import ONE, ZERO, Node, substituted

FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
"""What an inequality becomes when its sides change places, or are multiplied by a negative number."""


def difference(one: Node, other: Node) -> Node:
    """Return `one - other`."""
    return Node("add", (one, Node("neg", (other,))))


def solve_linear(node: Node, name: str) -> tuple[Node, bool] | None:
    """Return (root, whether the slope is positive) of a linear function of `name`, or None where it is not linear.

    It is linear when it is everywhere on the line through its values at 0 and 1.
    """
    at_zero, at_one = (substituted(node, name, value) for value in (ZERO, ONE))
    slope = difference(at_one, at_zero)
    line = Node("add", (at_zero, Node("mul", (slope, Node("sym", (), name)))))
    if not equal_expressions(node, line, Trail()):
        return None
    size = numeric_value(slope)
    if size is None or abs(size) < 1e-15:
        return None
    return Node("div", (Node("neg", (at_zero,)), slope)), bool(size > 0)
