"""Definitions by cases: rows of a value and a condition, in any order."""

from rewards.math.equality.parts import Equal, strictly
from rewards.math.equality.realsets import real_set, same_real_sets
from rewards.math.equality.rules import Rule, Trail
from rewards.math.tree import OTHERWISE, REALS, Node

MAX_ROWS = 20


def same_cases(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool:
    """Tell whether two definitions by cases have the same rows in any order."""
    trail.decide(Rule.CASES)
    if len(gold.args) > MAX_ROWS or len(answer.args) > MAX_ROWS:
        return False
    rest = _rows(answer)
    for value, condition in _rows(gold):
        for index, (other, other_condition) in enumerate(rest):
            if _same_condition(condition, other_condition, equal) and equal(value, other, trail.apart()):
                del rest[index]
                break
        else:
            return False
    return not rest


def _rows(node: Node) -> list[tuple[Node, Node]]:
    """Return (value, condition) of each row; "otherwise" is the reals without the other conditions."""
    otherwise = REALS
    for row in node.args:
        if row.args[1] != OTHERWISE:
            otherwise = Node("minus", (otherwise, row.args[1]))
    return [(value, otherwise if condition == OTHERWISE else condition) for value, condition in (row.args for row in node.args)]


def _same_condition(one: Node, other: Node, equal: Equal) -> bool:
    left, right = real_set(one, True), real_set(other, True)
    if left is not None and right is not None:
        return same_real_sets(left, right, as_answer=False)
    return strictly(equal, one, other)
