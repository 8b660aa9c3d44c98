"""The solutions of `left operator right` in one name: linear ones, and |u| or u^2 against a constant with u linear."""

from rewards.math.equality.intervals import MINUS_INFINITY, Piece, complement, intersection, union
from rewards.math.equality.linear import FLIPPED, difference, solve_linear
from rewards.math.equality.numeric import numeric_value
from rewards.math.tree import INFINITY, TWO, Node, contains, symbols


def solutions(left: Node, operator: str, right: Node, name: str) -> tuple[Piece, ...] | None:
    """Return for which values of `name` it holds, or None where this file cannot tell.

    The operator is one of = != < <= > >=.
    """
    variable = Node("sym", (), name)
    if right == variable and name not in symbols(left):
        left, right, operator = right, left, FLIPPED.get(operator, operator)
    if operator != "=":
        if _is_size(left) and not symbols(right):
            return _solutions_of_size(left, operator, right, name)
        if _is_size(right) and not symbols(left):
            return _solutions_of_size(right, FLIPPED.get(operator, operator), left, name)
    if left == variable and name not in symbols(right):
        return _half_line(operator, right)
    if contains(left, "call", "rel") or contains(right, "call", "rel"):
        return None
    solved = solve_linear(difference(left, right), name)
    if solved is None:
        return None
    bound, positive = solved
    return _half_line(operator if positive else FLIPPED.get(operator, operator), bound)


def _half_line(operator: str, bound: Node) -> tuple[Piece, ...]:
    point = (Piece(bound, bound, True, True),)
    if operator == "=":
        return point
    if operator == "!=":
        return complement(point)
    if operator in ("<", "<="):
        return (Piece(MINUS_INFINITY, bound, False, operator == "<="),)
    return (Piece(bound, INFINITY, operator == ">=", False),)


def _is_size(node: Node) -> bool:
    """Tell whether it is |u| or u^2 with a variable inside."""
    is_square = node.op == "pow" and node.args[1] == TWO
    is_absolute = node.op == "fn" and node.value == "abs"
    return (is_square or is_absolute) and bool(symbols(node))


def _solutions_of_size(size: Node, operator: str, bound: Node, name: str) -> tuple[Piece, ...] | None:
    """Solve |u| < c or u^2 < c for a positive constant c and u linear in `name`."""
    value = numeric_value(bound)
    if value is None or value <= 0 or operator == "!=":
        return None
    inner = size.args[0]
    limit = Node("root", (bound, TWO)) if size.op == "pow" else bound
    above = solutions(inner, operator, limit, name)
    below = solutions(inner, FLIPPED[operator], Node("neg", (limit,)), name)
    if above is None or below is None:
        return None
    return intersection(above, below) if operator in ("<", "<=") else union([*above, *below])
