"""Differences of expressions, and the root and the slope of those that are linear in one name."""

from rewards.math.equality.expressions import equal_expressions
from rewards.math.equality.numeric import numeric_value
from rewards.math.equality.rules import Trail
from rewards.math.tree import ONE, TWO, ZERO, Node, number, substituted

FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
"""What an inequality becomes when its sides change places, or are multiplied by a negative number."""


def difference(one: Node, other: Node) -> Node:
    """Return `one - other`."""
    return Node("add", (one, Node("neg", (other,))))


def solve_linear(node: Node, name: str) -> tuple[Node, bool] | None:
    """Return (root, whether the slope is positive) of a linear function of `name`, or None where it is not linear.

    It is linear when it grows from 0 to 1 as from 1 to 2, and is at -7 where that leads.
    """
    at_zero, at_one, at_two = (substituted(node, name, value) for value in (ZERO, ONE, TWO))
    slope = difference(at_one, at_zero)
    if not equal_expressions(slope, difference(at_two, at_one), Trail()):
        return None
    far = substituted(node, name, number(-7))
    predicted = difference(at_zero, Node("mul", (number(7), slope)))
    if not equal_expressions(far, predicted, Trail()):
        return None
    size = numeric_value(slope)
    if size is None or abs(size) < 1e-15:
        return None
    return Node("div", (Node("neg", (at_zero,)), slope)), bool(size > 0)
