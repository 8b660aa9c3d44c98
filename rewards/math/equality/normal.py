"""The normal form in which two sides are compared: what one object may be written as, read in one way."""

import re

from rewards.math.equality.capitals import with_capitals_apart
from rewards.math.equality.definitions import with_arguments_of, without_names
from rewards.math.equality.matrices import matrix_value
from rewards.math.equality.parts import Equal
from rewards.math.equality.progressions import written_out
from rewards.math.tree import OBJECTS, REALS, Node, contains, symbols
from rewards.math.vectors import as_vectors

_BY_PARTS = ("set", "list", "rel", "or", "and", "not")  # their parts become vectors when they are compared themselves
_NUMBER_SETS = (REALS, *(Node("sym", (), name) for name in ("\\integers", "\\naturals", "\\rationals", "\\complexes")))
_COUNTS = {"C": "binom", "P": "permutations"}
_COUNTERS = frozenset("nmkrpqijNM")
_NAMED_POINT = re.compile(r"[A-Z](?:'+|_\w+)?")


def normal_forms(gold: Node, answer: Node, equal: Equal) -> tuple[Node, Node]:
    """Return both sides in normal form; with unit vectors on one side both are vectors by their components."""
    if (gold.op == "call") != (answer.op == "call"):
        gold, answer = _counted(gold, answer), _counted(answer, gold)
    gold, answer = _normal_form(gold, equal), _normal_form(with_arguments_of(gold, answer), equal)
    gold, answer = with_capitals_apart(gold, answer), with_capitals_apart(answer, gold)
    if gold.op in _BY_PARTS or answer.op in _BY_PARTS:
        return gold, answer
    return as_vectors(gold, answer)


def _counted(node: Node, other: Node) -> Node:
    """Return C(5, 2) next to an expression as the number of choices that it is.

    Next to coordinates it names a point, and next to a plain number it stays to be worked out: P(5, 2) may be a probability.
    """
    is_count = node.op == "call" and node.value in _COUNTS and len(node.args) == 2 and other.op not in (*OBJECTS, "call", "num")
    counts = is_count and _can_be_chosen(*node.args)
    return Node("fn", node.args, _COUNTS[node.value]) if counts else node


def _can_be_chosen(n: Node, k: Node) -> bool:
    if n.op == k.op == "num":
        return bool(0 <= k.value <= n.value)
    return symbols(n) | symbols(k) <= _COUNTERS


def _normal_form(node: Node, equal: Equal) -> Node:
    """Return `node` with plus-minus as two values, no ellipsis, lists without names, matrices worked out and points named."""
    node = _unequal_to_each(_set_difference(without_plus_minus(node)))
    return _named_point(matrix_value(written_out(without_names(_points_of_systems(node), equal))))


def _set_difference(node: Node) -> Node:
    r"""Return `\\reals - \\{0\\}` as a difference of sets."""
    is_difference = node.op == "add" and len(node.args) == 2 and node.args[1].op == "neg"
    if not is_difference or not (node.args[0] in _NUMBER_SETS or node.args[0].op in ("set", "build")):
        return node
    excluded = node.args[1].args[0]
    return (
        Node("minus", (node.args[0], excluded)) if excluded.op in ("set", "seq", "build") or excluded in _NUMBER_SETS else node
    )


def _unequal_to_each(node: Node) -> Node:
    r"""Return `x \\ne \\pm 1` and `x \\ne 1, 2` as one condition for each value."""
    first, *others = node.args if node.op == "list" and node.value == "," else (node,)
    if first.op != "rel" or first.value != ("!=",) or any(other.op in ("rel", "seq", "is") for other in others):
        return node
    name, value = first.args
    values = [*(value.args if value.op == "list" else (value,)), *others]
    if len(values) == 1 or name.op != "sym":
        return node
    return Node("list", tuple(Node("rel", (name, each), ("!=",)) for each in values), "and")


def _points_of_systems(node: Node) -> Node:
    """Return `x = 1, y = 2 or x = 3, y = 4` as the points (1, 2), (3, 4): the same names in every group of the list."""
    if node.op != "list" or len(node.args) < 4 or any(part.op != "rel" or part.value != ("=",) for part in node.args):
        return node
    names = [part.args[0] for part in node.args]
    size = len(set(names))
    if not 1 < size < len(names) or len(names) % size or any(name.op != "sym" or len(name.value) != 1 for name in names):
        return node
    groups = [node.args[start : start + size] for start in range(0, len(names), size)]
    if any({part.args[0] for part in group} != set(names) for group in groups):
        return node
    in_order = (sorted(group, key=lambda part: str(part.args[0].value)) for group in groups)
    return Node("list", tuple(Node("seq", tuple(part.args[1] for part in group), "()") for group in in_order), ",")


def without_plus_minus(node: Node) -> Node:
    """Return `node` with every plus-minus written as the two values it stands for."""
    if node.op in ("set", "list") and any(contains(part, "pm", "mp") for part in node.args):
        items: list[Node] = []
        for part in node.args:
            both = without_plus_minus(part)
            items += both.args if both.op == "list" else (both,)
        return node._replace(args=tuple(items))
    if node.op == "seq" and sum(contains(part, "pm", "mp") for part in node.args) == 1:
        return _both_signs(node)
    if node.op in ("seq", "mat") or not contains(node, "pm", "mp"):
        return node
    if node.op == "rel":
        return node._replace(args=tuple(without_plus_minus(part) for part in node.args))
    return _both_signs(node)


def _both_signs(node: Node) -> Node:
    return Node("list", (_with_sign(node, minus=False), _with_sign(node, minus=True)), ",")


def _with_sign(node: Node, minus: bool) -> Node:
    """Return `node` with the upper sign of every plus-minus, or with the lower one where `minus`."""
    args = tuple(_with_sign(part, minus) for part in node.args)
    if node.op not in ("pm", "mp"):
        return node._replace(args=args)
    negative = minus == (node.op == "pm")
    last = Node("neg", (args[-1],)) if negative else args[-1]
    return last if len(args) == 1 else Node("add", (args[0], last))


def _named_point(node: Node) -> Node:
    """Return `A(2, 3)` as `A = (2, 3)`: a capital letter in front of coordinates names the point."""
    if node.op in ("list", "set"):
        return node._replace(args=tuple(_named_point(part) for part in node.args))
    if node.op == "call":
        name, place = Node("sym", (), node.value), Node("seq", node.args, "()")
    elif node.op == "mul" and node.args[0].op == "sym":
        name, place = node.args
    else:
        return node
    is_place = place.op == "seq" and place.value == "()" and len(place.args) > 1
    return Node("rel", (name, place), ("=",)) if is_place and _NAMED_POINT.fullmatch(name.value) else node
