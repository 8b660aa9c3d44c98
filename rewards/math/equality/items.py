"""Objects made of items: sets, lists, sequences, matrices, ratios, definitions by cases. Which pairs of kinds can be the same.

`{1, 2}` is `2, 1` but not `(1, 2)`; a list in pointed or round brackets is the sequence; a set or a pair of brackets of one
item is that item. What is left is compared as sets of reals.
"""

from collections.abc import Callable, Mapping

from rewards.math.equality.cases import same_cases
from rewards.math.equality.expressions import equal_expressions
from rewards.math.equality.matrices import as_matrix, rows_as_matrix
from rewards.math.equality.open_lists import open_list
from rewards.math.equality.parts import MAX_ITEMS, Equal, in_order, joined_by, same_in_any_order, same_members, strictly
from rewards.math.equality.realsets import real_set, same_real_sets
from rewards.math.equality.rules import Rule, Trail
from rewards.math.tree import OBJECTS, ONE, ZERO, Node

Compare = Callable[[Node, Node, Trail, Equal], bool]


def same_objects(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    """Tell whether two sides, one of which at least is no expression, are the same object."""
    gold, answer = as_matrix(gold), as_matrix(answer)
    trail.decide(Rule.KINDS, gold.op, answer.op)
    if len(gold.args) > MAX_ITEMS or len(answer.args) > MAX_ITEMS:
        return False
    if "ratio" in (gold.op, answer.op):
        return same_ratios(gold, answer, trail)
    if "mat" in (gold.op, answer.op):
        return _same_matrices(gold, answer, trail, equal)
    compare = _BY_KINDS.get((gold.op, answer.op), _same_other_kinds)
    return compare(gold, answer, trail, equal)


# -- without order


def _same_finite_sets(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    trail.decide(Rule.SETS)
    if all(item.op == "num" for item in (*gold.args, *answer.args)):
        return frozenset(gold.args) == frozenset(answer.args)
    return same_members(gold.args, answer.args, trail, equal)


def _same_lists(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    """Compare two lists, or a list and a set."""
    trail.decide(Rule.COLLECTIONS)
    if {gold.value, answer.value} == {"and", "or"}:
        return False
    if (counted := open_list(gold.args)) and counted == open_list(answer.args):  # 1, 2, ..., n
        return True
    if len(gold.args) == 1 or len(answer.args) == 1:
        return len(gold.args) == len(answer.args) and equal(gold.args[0], answer.args[0], trail)
    return same_in_any_order(list(gold.args), list(answer.args), trail, equal)


# -- in order


def _same_sequences(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    trail.decide(Rule.IN_ORDER)
    left, right = ("()" if node.value == "<>" else node.value for node in (gold, answer))
    if left != right and (len(gold.args) == 2 or {left, right} != {"()", "[]"}):  # of two items it may be an interval
        return False
    if in_order(gold, answer, trail, equal):
        trail.decide(Rule.IN_ORDER)
        return True
    return False


def _same_sequence_as_list(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    """Compare a sequence with a list: as sets of reals (an interval, two inequalities), then as a sequence without brackets."""
    left, right = real_set(gold, True), real_set(answer, True)
    if left is not None and right is not None:
        trail.decide(Rule.REAL_SETS)
        return same_real_sets(left, right)
    trail.decide(Rule.IN_ORDER)
    sequence, other = (gold, answer) if gold.op == "seq" else (answer, gold)
    if other.value == "or":  # x = 1 or x = 2 is no point
        return False
    return sequence.value in ("()", "<>") and in_order(gold, answer, trail, equal)


def _same_matrices(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    """Compare two matrices, a row or column with a sequence, or a matrix of one entry with an expression."""
    trail.decide(Rule.MATRICES)
    gold, answer = rows_as_matrix(gold), rows_as_matrix(answer)
    if gold.op == answer.op == "mat":
        return gold.value == answer.value and in_order(gold, answer, trail, equal)
    matrix, other = (gold, answer) if gold.op == "mat" else (answer, gold)
    is_vector = matrix.value in (1, len(matrix.args))
    if other.op == "seq" and is_vector and other.value in ("()", "<>", "[]"):
        return in_order(gold, answer, trail, equal)
    if len(matrix.args) == 1 and other.op not in OBJECTS:
        return equal(gold.args[0], answer, trail) if gold is matrix else equal(gold, answer.args[0], trail)
    return False


def same_ratios(gold: Node, answer: Node, trail: Trail) -> bool:
    """Compare ratios; a number x is the ratio x : 1."""
    trail.decide(Rule.RATIOS)
    left = gold.args if gold.op == "ratio" else (gold, ONE)
    right = answer.args if answer.op == "ratio" else (answer, ONE)
    if len(left) != len(right) or any(part.op in OBJECTS for part in (*left, *right)):
        return False
    pivot = next((place for place, part in enumerate(left) if not equal_expressions(part, ZERO, Trail())), None)
    if pivot is None or equal_expressions(right[pivot], ZERO, Trail()):  # 0 : 0 would be any ratio
        return False
    return all(
        equal_expressions(Node("mul", (left[pivot], b)), Node("mul", (right[pivot], a)), trail)  # left : a = right : b
        for a, b in zip(left, right, strict=True)
    )


# -- other kinds


def _same_other_kinds(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    gold, answer = _single_point(gold), _single_point(answer)
    if gold.op == answer.op == "set":
        return _same_finite_sets(gold, answer, trail, equal)
    if _holds_one(gold, answer):
        return equal(gold.args[0], answer, trail)
    if _holds_one(answer, gold):
        return equal(gold, answer.args[0], trail)
    if answer.op == "list" and answer.value == "or" and gold.op not in OBJECTS:  # one value in several forms
        trail.decide(Rule.ALTERNATIVES)
        return all(item.op not in OBJECTS and strictly(equal, gold, item) for item in answer.args)
    left, right = real_set(gold, True), real_set(answer, True)
    if left is not None and right is not None and {gold.op, answer.op} != {"seq", "set"}:
        return same_real_sets(left, right)
    return False


def _single_point(node: Node) -> Node:
    """Return the interval [3, 3] as the set {3} of its one point; any other node as it is."""
    is_point = node.op == "seq" and node.value == "[]" and len(node.args) == 2 and node.args[0] == node.args[1]
    return Node("set", node.args[:1]) if is_point else node


def _holds_one(node: Node, other: Node) -> bool:
    """Tell whether `node` is {x} or [x] next to a plain x."""
    if node.op not in ("set", "seq") or len(node.args) != 1 or node.value not in (None, "[]"):
        return False
    is_point = node.op == "set" and other.op == "seq" and other.value in ("()", "<>")  # {(1, 2)} is (1, 2)
    return is_point or other.op not in OBJECTS


def _same_conditions(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    """Compare two conditions joined by the same word: as sets of reals, else part by part."""
    left, right = real_set(gold, True), real_set(answer, True)
    if left is not None and right is not None:
        return same_real_sets(left, right)
    return same_in_any_order(joined_by(gold, gold.op), joined_by(answer, gold.op), trail, equal)


_BY_KINDS: Mapping[tuple[str, str], Compare] = {
    ("set", "set"): _same_finite_sets,
    ("set", "list"): _same_lists,
    ("list", "set"): _same_lists,
    ("list", "list"): _same_lists,
    ("seq", "seq"): _same_sequences,
    ("seq", "list"): _same_sequence_as_list,
    ("list", "seq"): _same_sequence_as_list,
    ("cases", "cases"): same_cases,
    ("or", "or"): _same_conditions,
    ("and", "and"): _same_conditions,
}
