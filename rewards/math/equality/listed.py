"""Sets of integers between bounds, member by member: {n in Z | 1 <= n <= 3} is {1, 2, 3}."""

from functools import lru_cache

from rewards.math.equality.exact import rational
from rewards.math.equality.intervals import MAX_PIECES
from rewards.math.equality.numeric import numeric_value
from rewards.math.equality.realsets import real_set
from rewards.math.tree import Node, binds, contains, number, substituted


@lru_cache(maxsize=512)
def listed(node: Node) -> Node:
    """Return {n in Z | a <= n <= b} as the set of its members; any other node, or one of too many members, as it is.

    The members are rational. Of the naturals only those above 0 are sure.
    """
    if node.op != "build" or node.value not in ("\\integers", "\\naturals") or len(binds(node)) != 1:
        return node
    head, condition = node.args
    if contains(head, "sum", "prod", "fact", "fn"):  # too slow: the head is evaluated for each member
        return node
    name = next(iter(binds(node)))
    inner = real_set(Node("build", (Node("sym", (), name), condition)), True)
    limit = MAX_PIECES if head.op == "sym" else MAX_PIECES // 4
    members: list[Node] = []
    for piece in inner.pieces if inner else ():
        low, high = _integer(piece.low, piece.low_in, 1), _integer(piece.high, piece.high_in, -1)
        if low is None or high is None or len(members) + high - low >= limit or (node.value == "\\naturals" and low < 1):
            return node
        try:
            members += (number(rational(substituted(head, name, number(value)))) for value in range(low, high + 1))
        except ArithmeticError:
            return node
    return Node("set", tuple(members)) if members else node


def _integer(end: Node, belongs: bool, inwards: int) -> int | None:
    """Return the first integer of an interval at this end, going `inwards` (1 or -1)."""
    value = numeric_value(end)
    if value is None or abs(value) > 1e15:
        return None
    near = int(value.context.nint(value))
    if abs(value - near) < 1e-20:
        return near if belongs else near + inwards
    return near if (near - value) * inwards > 0 else near + inwards
