"""Which set of real numbers a tree writes, so that an inequality, an interval and a union can be compared."""

from typing import NamedTuple

from rewards.math.equality.inequalities import solutions
from rewards.math.equality.intervals import LINE, Piece, complement, intersection, is_one_sided, same_pieces, union
from rewards.math.tree import REALS, Node, contains, symbols

_COMPARISONS = ("<", ">", "<=", ">=", "!=", "=")


class RealSet(NamedTuple):
    """Disjoint pieces in order, the name of the variable where one was written and is not bound, and whether every
    inequality is solved for it."""

    pieces: tuple[Piece, ...]
    variable: str | None = None
    solved: bool = True


def same_real_sets(gold: RealSet, answer: RealSet, as_answer: bool = True) -> bool:
    """Tell whether two sets have the same pieces; two different variable names conflict.

    `as_answer` tells that an inequality that is still to be solved, `2x - 1 > 5`, is no answer to a solved one.
    """
    if as_answer and gold.solved and not answer.solved:
        return False
    if gold.variable and answer.variable and gold.variable != answer.variable:
        return False
    return same_pieces(gold.pieces, answer.pieces)


def real_set(node: Node, loose: bool = False) -> RealSet | None:
    """Return the set of reals that `node` writes, or None; `loose` also takes `(a, b)` and finite sets."""
    if node == REALS:
        return RealSet(LINE)
    if node.op == "seq":
        return _interval(node, loose)
    if node.op == "set" and loose:
        return _finite(node)
    if node.op in ("union", "inter", "minus", "or", "and", "list"):
        return _combined(node)
    if node.op == "rel":
        return _relation(node)
    if node.op == "build":
        return _built(node)
    return None


def _interval(node: Node, loose: bool) -> RealSet | None:
    if len(node.args) != 2 or node.value not in ("()", "[]", "(]", "[)"):
        return None
    if node.value == "()" and not loose:  # may be a point
        return None
    pieces = union([Piece(node.args[0], node.args[1], node.value[0] == "[", node.value[1] == "]")])
    return RealSet(pieces) if pieces else None


def _finite(node: Node) -> RealSet | None:
    pieces = union(Piece(item, item, True, True) for item in node.args if item.op != "rel")
    return None if pieces is None or len(pieces) != len(node.args) else RealSet(pieces)


def _combined(node: Node) -> RealSet | None:
    """A union, an intersection, a difference, or conditions joined by words or commas."""
    if node.op == "list" and not _is_list_of_conditions(node):
        return None
    sets: list[RealSet] = []
    for part in node.args:
        one = real_set(part, True)
        if one is None:
            return None
        sets.append(one)
    names = {one.variable for one in sets if one.variable}
    if not sets or len(names) > 1:  # a row of cases may have no condition
        return None
    pieces: tuple[Piece, ...] | None = sets[0].pieces
    for part, other in zip(node.args[1:], sets[1:], strict=True):
        if pieces is None:
            return None
        pieces = _joined(node, part, pieces, other.pieces)
    return None if pieces is None else RealSet(pieces, next(iter(names), None), all(one.solved for one in sets))


def _is_list_of_conditions(node: Node) -> bool:
    if not all(part.op in ("rel", "seq", "union") for part in node.args):
        return False
    return node.value != "," or all(part.op == "rel" and part.value != ("=",) for part in node.args)


def _joined(node: Node, part: Node, pieces: tuple[Piece, ...], other: tuple[Piece, ...]) -> tuple[Piece, ...] | None:
    """Join `pieces` with those of the next `part` of `node`."""
    if node.op in ("union", "or") or (node.op == "list" and node.value == "or"):
        return union([*pieces, *other])
    if node.op == "minus":
        return intersection(pieces, complement(other))
    if node.op == "list" and part.value != ("!=",) and not (is_one_sided(pieces) and is_one_sided(other)):
        return None  # only "x > 1, x != 3" surely means both conditions
    return intersection(pieces, other)


def _built(node: Node) -> RealSet | None:
    """A set builder over the reals whose head is its variable."""
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
    return RealSet(inner.pieces, solved=inner.solved)


def _relation(node: Node) -> RealSet | None:
    """A chain of inequalities in one variable, linear in it; `x in S`; `x != a`."""
    operators, members = node.value, node.args
    if operators == ("in",) and members[0].op == "sym":
        inner = real_set(members[1], True)
        return None if inner is None else RealSet(inner.pieces, members[0].value, inner.solved)
    if operators == ("notin",) and members[0].op == "sym":
        outside = real_set(members[1], True)
        return None if outside is None else RealSet(complement(outside.pieces), members[0].value)
    if any(operator not in _COMPARISONS for operator in operators):
        return None
    unknown = _unknown(node)
    if unknown is None:
        return None
    name, members = unknown
    pieces: tuple[Piece, ...] | None = LINE
    for left, operator, right in zip(members[:-1], operators, members[1:], strict=True):
        step = solutions(left, operator, right, name)
        if step is None or pieces is None:
            return None
        pieces = intersection(pieces, step)
    return None if pieces is None else RealSet(pieces, name, _is_solved(members, name))


def _is_solved(members: tuple[Node, ...], name: str) -> bool:
    """Tell whether the variable stands in one member, alone or multiplied: not `x - 3 > 0`, not `x > 6 - x`."""
    holders = [member for member in members if name in symbols(member)]
    if len(holders) != 1:
        return False
    holder = holders[0]
    while holder.op in ("neg", "mul", "div"):
        holder = next(part for part in holder.args if name in symbols(part))
    return holder.op != "add"


def _unknown(node: Node) -> tuple[str, tuple[Node, ...]] | None:
    """Return the one name in a relation and its members, with a call as a name: -80 <= g(x) <= 82 bounds g(x)."""
    names = symbols(node)
    if len(names) == 1 and not contains(node, "call"):
        return next(iter(names)), node.args
    calls = {member for member in node.args if member.op == "call"}
    if len(calls) != 1:
        return None
    call = next(iter(calls))
    name = f"{call.value}()"
    members = tuple(Node("sym", (), name) if member == call else member for member in node.args)
    if frozenset().union(*(symbols(member) for member in members)) != {name}:
        return None
    return name, members
