"""Sets of real numbers as sorted intervals, so that an inequality, an interval and a union can be compared.

Endpoints stay expressions; they are ordered by their numeric value (30 digits) and two of them are the same point only
when `equal_expressions` says so.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from rewards.math.equality.evaluate import rational
from rewards.math.equality.expressions import Trail, equal_expressions, numeric_value
from rewards.math.tree import INFINITY, REALS, ZERO, Node, Op, binds, contains, number, substituted, symbols

MINUS_INFINITY = Node("neg", (INFINITY,))
MAX_PIECES = 200


class Piece(NamedTuple):
    """An interval with its ends; `low_in` and `high_in` tell whether an end belongs to it."""

    low: Node
    high: Node
    low_in: bool
    high_in: bool


class RealSet(NamedTuple):
    """Disjoint pieces in order, and the name of the variable where one was written and is not bound."""

    pieces: tuple[Piece, ...]
    variable: str | None = None


def _key(node: Node) -> Any:
    if node in (INFINITY, Node("add", (INFINITY,))):
        return float("inf")
    if node == MINUS_INFINITY:
        return float("-inf")
    return numeric_value(node)


def _less(a: Node, b: Node) -> int | None:
    """Return -1, 0 or 1, or None where an end is no real constant."""
    left, right = _key(a), _key(b)
    if left is None or right is None:
        return None
    if isinstance(left, float) or isinstance(right, float):
        return int(left > right) - int(left < right)
    if abs(left - right) <= (abs(left) + abs(right)) * 1e-20 and equal_expressions(a, b, Trail()):
        return 0
    return 1 if left > right else -1


ALL = RealSet((Piece(MINUS_INFINITY, INFINITY, False, False),))


def _union(pieces: Iterable[Piece]) -> tuple[Piece, ...] | None:
    """Sort and merge pieces; None where ends cannot be ordered."""
    rest = list(pieces)
    if len(rest) > MAX_PIECES:
        return None
    kept = []
    for piece in rest:
        order = _less(piece.low, piece.high)
        if order is None:
            return None
        if order < 0 or (order == 0 and piece.low_in and piece.high_in):
            kept.append(piece)
    try:
        kept.sort(key=lambda piece: (float(_key(piece.low)), not piece.low_in))
    except OverflowError:
        return None
    merged: list[Piece] = []
    for piece in kept:
        if merged:
            last = merged[-1]
            order = _less(piece.low, last.high)
            if order is None:
                return None
            if order < 0 or (order == 0 and (piece.low_in or last.high_in)):
                end = _less(piece.high, last.high)
                if end is None:
                    return None
                high, high_in = (piece.high, piece.high_in) if end > 0 else (last.high, last.high_in)
                high_in = high_in or (end == 0 and piece.high_in)
                merged[-1] = Piece(last.low, high, last.low_in, high_in)
                continue
        merged.append(piece)
    return tuple(merged)


def _complement(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    low, low_in = MINUS_INFINITY, False
    gaps = []
    for piece in pieces:
        gaps.append(Piece(low, piece.low, low_in, not piece.low_in and piece.low != MINUS_INFINITY))
        low, low_in = piece.high, not piece.high_in and piece.high != INFINITY
    gaps.append(Piece(low, INFINITY, low_in, False))
    return tuple(gap for gap in gaps if not (gap.low == gap.high and not (gap.low_in and gap.high_in)))


def _intersection(a: tuple[Piece, ...], b: tuple[Piece, ...]) -> tuple[Piece, ...] | None:
    left, right = _union(_complement(a)), _union(_complement(b))
    both = _union([*left, *right]) if left is not None and right is not None else None
    return None if both is None else _union(_complement(both))


def _joined(a: str | None, b: str | None) -> str | None:
    return a or b


def real_set(node: Node, loose: bool = False) -> RealSet | None:
    """Return the set of reals that `node` writes, or None; `loose` also takes `(a, b)` and finite sets."""
    op = node.op
    if node == REALS:
        return ALL
    if op == "seq" and len(node.args) == 2 and node.value in ("()", "[]", "(]", "[)"):
        if node.value == "()" and not loose:
            return None
        pieces = _union([Piece(node.args[0], node.args[1], node.value[0] == "[", node.value[1] == "]")])
        return RealSet(pieces) if pieces else None
    if op == "set" and loose:
        pieces = _union(Piece(item, item, True, True) for item in node.args if item.op != "rel")
        return None if pieces is None or len(pieces) != len(node.args) else RealSet(pieces)
    if op in ("union", "inter", "minus", "or", "and") or (op == "list" and node.value == "or") or op == "list":
        return _combined(node, loose)
    if op == "rel":
        return _relation(node)
    if op == "build":
        return _built(node)
    return None


def _combined(node: Node, loose: bool) -> RealSet | None:
    if node.op == "list" and not all(part.op in ("rel", "seq", "union") for part in node.args):
        return None
    if node.op == "list" and node.value == "," and not all(part.op == "rel" and part.value != ("=",) for part in node.args):
        return None
    parts = [real_set(part, True) for part in node.args]
    if any(part is None for part in parts):
        return None
    sets = [part for part in parts if part is not None]
    names = {part.variable for part in sets if part.variable}
    if len(names) > 1:
        return None
    result: tuple[Piece, ...] | None = sets[0].pieces
    for part, other in zip(node.args[1:], sets[1:], strict=True):
        if result is None:
            return None
        if node.op in ("union", "or") or (node.op == "list" and node.value == "or"):
            result = _union([*result, *other.pieces])
        elif node.op == "minus":
            result = _intersection(result, _complement(other.pieces))
        elif node.op == "list" and part.value != ("!=",) and not (_one_sided(result) and _one_sided(other.pieces)):
            return None
        else:
            result = _intersection(result, other.pieces)
    return None if result is None else RealSet(result, next(iter(names), None))


def _one_sided(pieces: tuple[Piece, ...]) -> bool:
    """Tell whether it is a half line or a line without points: "x > 1, x != 3" means both conditions."""
    return bool(pieces) and (pieces[0].low == MINUS_INFINITY or pieces[-1].high == INFINITY)


def _built(node: Node) -> RealSet | None:
    head, condition = node.args
    if node.value is not None:
        return None
    if head.op == "rel" and head.value == ("in",):
        head = head.args[0]
    if head.op != "sym":
        return None
    inner = real_set(condition, True)
    if inner is None or inner.variable not in (head.value, None):
        return None
    return RealSet(inner.pieces)


_SLOW: tuple[Op, ...] = ("sum", "prod", "fact", "fn")  # the head is evaluated for each member


@lru_cache(maxsize=512)
def listed(node: Node) -> Node:
    """Return {n in Z | a <= n <= b} as the set of its members; any other node, or one of too many members, as it is.

    The members are rational. Of the naturals only those above 0 are sure.
    """
    if node.op != "build" or node.value not in ("\\integers", "\\naturals") or len(binds(node)) != 1:
        return node
    name = next(iter(binds(node)))
    inner = real_set(Node("build", (Node("sym", (), name), node.args[1])), True)
    head = node.args[0]
    if contains(head, *_SLOW):
        return node
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


def _relation(node: Node) -> RealSet | None:
    """A chain of inequalities in one variable, linear in it; `x in S`; `x != a`."""
    operators, members = node.value, node.args
    if operators == ("in",) and members[0].op == "sym":
        inner = real_set(members[1], True)
        return None if inner is None else RealSet(inner.pieces, members[0].value)
    if any(operator not in ("<", ">", "<=", ">=", "!=", "=") for operator in operators):
        return None
    names = symbols(node)
    if len(names) == 1 and not contains(node, "call"):
        name = next(iter(names))
    else:  # bounds for a call: -80 <= g(x) <= 82
        calls = {member for member in members if member.op == "call"}
        if len(calls) != 1:
            return None
        call = next(iter(calls))
        name = f"{call.value}()"
        members = tuple(Node("sym", (), name) if member == call else member for member in members)
        if frozenset().union(*(symbols(member) for member in members)) != {name}:
            return None
    result: tuple[Piece, ...] | None = ALL.pieces
    for left, operator, right in zip(members, operators, members[1:], strict=False):
        step = _half(left, operator, right, name)
        if step is None or result is None:
            return None
        result = _intersection(result, step)
    return None if result is None else RealSet(result, name)


def _half(left: Node, operator: str, right: Node, name: str) -> tuple[Piece, ...] | None:
    """Solve `left operator right` where it is linear in `name`."""
    flipped = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
    if right == Node("sym", (), name) and name not in symbols(left):
        left, right, operator = right, left, flipped.get(operator, operator)
    if _is_size(left) and not symbols(right) and operator != "=":
        return _sized(left, operator, right, name)
    if _is_size(right) and not symbols(left) and operator != "=":
        return _sized(right, flipped.get(operator, operator), left, name)
    if left == Node("sym", (), name) and name not in symbols(right):
        bound = right
    else:
        if contains(left, "call", "rel") or contains(right, "call", "rel"):
            return None
        solved = solve_linear(Node("add", (left, Node("neg", (right,)))), name)
        if solved is None:
            return None
        bound, positive = solved
        operator = operator if positive else flipped.get(operator, operator)
    if operator == "=":
        return (Piece(bound, bound, True, True),)
    if operator == "!=":
        return _complement((Piece(bound, bound, True, True),))
    if operator in ("<", "<="):
        return (Piece(MINUS_INFINITY, bound, False, operator == "<="),)
    return (Piece(bound, INFINITY, operator == ">=", False),)


def _is_size(node: Node) -> bool:
    """Tell whether it is |u| or u^2 with a variable inside."""
    square = node.op == "pow" and node.args[1] == Node("num", (), 2)
    return (square or (node.op == "fn" and node.value == "abs")) and bool(symbols(node))


def _sized(size: Node, operator: str, bound: Node, name: str) -> tuple[Piece, ...] | None:
    """Solve |u| < c or u^2 < c for a positive constant c and u linear in `name`."""
    inner = size.args[0]
    limit = Node("root", (bound, Node("num", (), 2))) if size.op == "pow" else bound
    value = numeric_value(bound)
    if value is None or value <= 0 or operator == "!=":
        return None
    other = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}[operator]
    first, second = _half(inner, operator, limit, name), _half(inner, other, Node("neg", (limit,)), name)
    if first is None or second is None:
        return None
    return _intersection(first, second) if operator in ("<", "<=") else _union([*first, *second])


def solve_linear(node: Node, name: str) -> tuple[Node, bool] | None:
    """Return (root, whether the slope is positive) of a linear function of `name`, or None where it is not linear."""
    one, two = Node("num", (), 1), Node("num", (), 2)
    at = [substituted(node, name, value) for value in (ZERO, one, two)]
    slope = Node("add", (at[1], Node("neg", (at[0],))))
    second = Node("add", (at[2], Node("neg", (at[1],))))
    if not equal_expressions(slope, second, Trail()):
        return None
    far = substituted(node, name, Node("num", (), -7))
    predicted = Node("add", (at[0], Node("neg", (Node("mul", (Node("num", (), 7), slope)),))))
    if not equal_expressions(far, predicted, Trail()):
        return None
    size = numeric_value(slope)
    if size is None or abs(size) < 1e-15:
        return None
    return Node("div", (Node("neg", (at[0],)), slope)), size > 0


def same_sets(gold: RealSet, answer: RealSet) -> bool:
    """Tell whether two sets have the same pieces; two different variable names conflict."""
    if gold.variable and answer.variable and gold.variable != answer.variable:
        return False
    if len(gold.pieces) != len(answer.pieces):
        return False
    for one, other in zip(gold.pieces, answer.pieces, strict=True):
        if (one.low_in, one.high_in) != (other.low_in, other.high_in):
            return False
        if not _same_end(one.low, other.low) or not _same_end(one.high, other.high):
            return False
    return True


def _same_end(one: Node, other: Node) -> bool:
    if _less(one, other) == 0:
        return True
    return not contains(one, "const") and not contains(other, "const") and equal_expressions(one, other, Trail())
