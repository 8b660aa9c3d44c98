"""Values by name: `a = 4, b = -1` and `(a, b) = (4, -1)` against each other, and against values without names.

Values without names stand in the order in which the other side names its own; where only an answer names them, in the order
of the alphabet if its names are neighbours there. Indices of roots and eigenvalues say nothing of their order.
"""

import re

from rewards.math.equality.definitions import assignment, name_of_list, same_definitions
from rewards.math.equality.labels import is_name, label_key, labels_agree
from rewards.math.equality.parts import Equal, in_order, same_in_any_order
from rewards.math.equality.rules import Rule, Trail
from rewards.math.tree import Node

Values = dict[Node, tuple[Node, Node]]  # (name, value) by the key of the name

_ROOT = re.compile(r"([xztr]|\\lambda)_\d")  # x_1 and x_2 are the roots of one equation, in no order
_EIGENVALUE = "\\lambda"
_COORDINATES = frozenset("xyz")


def named_values(node: Node, equal: Equal) -> Values | None:
    """Return the values by name of `x = 1, y = 2`, `x = y = 2` or `(x, y) = (1, 2)`; None where it is something else."""
    if node.op == "list" or (node.op == "seq" and node.value in ("()", "[]")) or _names_all(node):
        pairs = [assignment(part, False, equal) if part.op == "rel" else None for part in node.args]
        return None if None in pairs else _by_key([pair for pair in pairs if pair is not None])
    if node.op != "rel" or set(node.value) != {"="}:
        return None
    left, right = node.args[0], node.args[-1]
    if len(node.args) == 2 and left.op == "seq" and right.op == "seq":
        if len(left.args) == len(right.args) and all(map(is_name, left.args)):
            return _by_key(list(zip(left.args, right.args, strict=True)))
    elif len(node.args) > 2 and (pair := assignment(node, False, equal)) and pair[0].op == "list":
        return _by_key([pair])
    return None


def _names_all(node: Node) -> bool:
    """Tell whether a set is of values by name, `{x = 2, y = -3}`."""
    return node.op == "set" and len(node.args) > 1 and all(_gives_number(part) for part in node.args)


def _gives_number(node: Node) -> bool:
    return node.op == "rel" and node.args[0].op == "sym" and node.args[-1].op != "seq"


def _by_key(pairs: list[tuple[Node, Node]]) -> Values | None:
    """Return pairs of names and values by the keys of the names; None where two names are the same."""
    values: Values = {}
    count = 0
    for names, value in pairs:
        for name in names.args if names.op == "list" else (names,):
            if name.op == "seq" or not name.op:
                return None
            values[label_key(name)] = (name, value)
            count += 1
    return values if len(values) == count else None


def names_conflict(gold: Node, answer: Node, equal: Equal) -> bool:
    """Tell whether two lists give the values of two things: x = 1, 2 and y = 1, 2."""
    if "list" not in (gold.op, answer.op) or not {gold.op, answer.op} <= {"list", "rel"}:
        return False
    left, right = name_of_list(gold, equal), name_of_list(answer, equal)
    if left is None or right is None:
        single, several = (left, answer) if right is None else (right, gold)
        return single is not None and _names_several(several, single, equal)
    return not labels_agree(left, right) or (left.op == right.op == "seq" and left != right)


def _names_several(node: Node, single: Node, equal: Equal) -> bool:
    """Tell whether a list gives values of several things: x = 1, y = 2; the roots x_1, x_2 are one thing, x."""
    values = named_values(node, equal)
    if values is None or len(values) < 2 or single.op == "seq":
        return False
    letters = _letters_of_roots(values)
    return not (len(letters) == 1 and (single.op != "sym" or single.value in letters))


def same_by_name(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool | None:
    """Compare values by name where a side gives several of them; None where that does not decide."""
    left, right = named_values(gold, equal), named_values(answer, equal)
    if left is None and right is None:
        return None
    trail.decide(Rule.VALUES_BY_NAME)
    if left is not None and right is not None:
        return _same_named(left, right, trail, equal)
    if left is not None:
        return _same_without_names(left, _written_order(left, answer), gold, answer, trail, equal)
    assert right is not None
    return _same_without_names(right, _alphabetical_order(right), answer, gold, trail, equal)


def _same_named(left: Values, right: Values, trail: Trail, equal: Equal) -> bool:
    if set(left) != set(right):
        return False
    if _letters_of_roots(left) == {_EIGENVALUE}:
        ours, theirs = ([value for _, value in side.values()] for side in (left, right))
        return same_in_any_order(ours, theirs, trail, equal)
    return all(same_definitions(left[key], right[key], trail, equal) for key in left)


def _letters_of_roots(values: Values) -> set[str]:
    """Return the letters of names with indices if all are such, else nothing."""
    matches = [_ROOT.fullmatch(key.value) if key.op == "sym" else None for key in values]
    return set() if None in matches else {match[1] for match in matches if match}


def _written_order(values: Values, other: Node) -> list[Node]:
    """Return the values in the order in which the gold names them; the coordinates of a point have their own."""
    is_point = (other.op == "seq" and other.value in ("()", "<>")) or other.op == "mat"
    return _sorted(values) if is_point and _names(values) <= _COORDINATES else [value for _, value in values.values()]


def _alphabetical_order(values: Values) -> list[Node]:
    """Return the values of an answer in the order of the alphabet if its names are neighbours there, else as written."""
    names = sorted(_names(values))
    if len(names) == len(values) and all(len(name) == 1 for name in names) and ord(names[-1]) - ord(names[0]) == len(names) - 1:
        return _sorted(values)
    return [value for _, value in values.values()]


def _names(values: Values) -> set[str]:
    return {str(key.value) if key.op == "sym" else "" for key in values}


def _sorted(values: Values) -> list[Node]:
    return [values[key][1] for key in sorted(values, key=lambda key: str(key.value))]


def _same_without_names(
    values: Values, ordered: list[Node], named: Node, other: Node, trail: Trail, equal: Equal
) -> bool | None:
    """Compare the values of the side `named` with the other side, which has no such names."""
    if len(values) < 2:
        return None
    pair = assignment(other, True, equal)
    if pair is not None:
        other = pair[1]
    if other.op == "mat" and other.value == 1:  # a column
        other = Node("seq", other.args, "()")
    letters = _letters_of_roots(values) if named.op == "list" else set()
    any_order = len(letters) == 1 and (other.op == "set" or (other.op == "list" and len(values) == 2) or _EIGENVALUE in letters)
    if any_order and other.op in ("set", "list"):
        return same_in_any_order(ordered, list(other.args), trail, equal)
    if other.op in ("seq", "list") and len(other.args) == len(ordered) and other.value != "or":
        return in_order(Node("list", tuple(ordered)), other, trail, equal)
    if len(set(ordered)) == 1 and named.op == "rel" and other.op not in ("seq", "list", "set"):  # x = y = 3
        return None
    has_names = any(part.op == "rel" for part in other.args)
    return None if named.op == other.op == "list" and has_names else False
