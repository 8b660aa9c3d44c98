"""Sets that are no list of their members: unions, differences, half-open intervals, set builders, the reals."""

from rewards.math.equality.emptiness import is_plainly_empty
from rewards.math.equality.items import same_objects
from rewards.math.equality.listed import listed
from rewards.math.equality.parts import Equal, in_order, joined_by, same_in_any_order
from rewards.math.equality.realsets import real_set, same_real_sets
from rewards.math.equality.rules import Rule, Trail
from rewards.math.tree import EMPTY, REALS, SETS, Node, binds, substituted, symbols


def is_set_like(node: Node) -> bool:
    """Tell whether a node can only be a set, and is not written by its members; (a, b) may be a point."""
    half_open = node.op == "seq" and node.value in ("(]", "[)") and len(node.args) == 2
    return half_open or node.op in SETS or node == REALS


def same_sets(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    """Tell whether two sides, one of which is set-like, are the same set: by members, as sets of reals, or part by part."""
    gold = listed(gold)
    answer = _named_as(listed(answer), gold)
    if gold.op == answer.op == "set":
        return same_objects(gold, answer, trail, equal)
    trail.decide(Rule.REAL_SETS)
    if EMPTY in (gold, answer) and is_plainly_empty(answer if gold == EMPTY else gold, of_equations=answer == EMPTY):
        return True
    left, right = real_set(gold, is_set_like(answer) or answer.op == "rel"), real_set(answer, True)
    if left is not None and right is not None:
        return same_real_sets(left, right)
    if gold.op != answer.op:
        return False
    if gold.op in ("union", "inter"):
        return same_in_any_order(joined_by(gold, gold.op), joined_by(answer, gold.op), trail, equal)
    return gold.value == answer.value and in_order(gold, answer, trail, equal)


def _named_as(node: Node, gold: Node) -> Node:
    """Return a set builder with its variable named as in `gold`."""
    names, wanted = binds(node), binds(gold)
    if not node.op == gold.op == "build" or not len(names) == len(wanted) == 1 or wanted <= symbols(node):
        return node
    name, to = next(iter(names)), Node("sym", (), next(iter(wanted)))
    return node._replace(args=tuple(substituted(part, name, to) for part in node.args))
