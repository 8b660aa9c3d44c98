r"""Which set of integers a tree writes: progressions, congruences, inequalities, properties, ellipses, and what joins them.

`n \equiv 1 \pmod 6`, `6k + 1, k \in Z` and `{..., -5, 1, 7, ...}` are one set. Only a side that speaks of integers, or of one
of the letters that count, is taken for one; what is larger than the limits of `integer_sets.py` is none.
"""

from collections.abc import Callable
from functools import lru_cache

from rewards.math.equality.exact import rational
from rewards.math.equality.integer_sets import (
    ALL,
    MAX_SIZE,
    MAX_TESTS,
    IntegerSet,
    complement,
    half_line,
    image,
    joined,
    multiples,
    only,
    progression,
    same_members,
)
from rewards.math.equality.normal import without_plus_minus
from rewards.math.equality.progressions import ELLIPSIS, elided
from rewards.math.tree import REALS, Node, binds, contains, number, substituted, symbols

MAX_NODES = 300
_MADE_OF_SETS = frozenset(("set", "list", "rel", "build", "union", "inter", "minus", "or", "and", "not", "add", "mul", "neg"))
MAX_PARTS = 40
_INTEGERS, _NATURALS = Node("sym", (), "\\integers"), Node("sym", (), "\\naturals")
_COUNTERS = frozenset(("n", "k", "m", "l", "j", "N"))  # an inequality between these and numbers may be one of integers


def speaks_of_integers(node: Node) -> bool:
    """Tell whether a node says by itself that it is about integers."""
    if node.op == "bound":
        return node.value[1] in _DOMAINS
    if node.op == "is" or node in (_INTEGERS, _NATURALS) or node.value in (_INTEGERS.value, _NATURALS.value):
        return True
    if node.op == "cases" and len(node.args) == 1 and node.args[0].args[0].op == "rel":  # n = 2k, k >= 1
        value, condition = node.args[0].args
        return symbols(condition) <= _COUNTERS and value.args[0].op == "sym" and value.args[0].value not in symbols(condition)
    if node.op in ("set", "list") and ELLIPSIS in node.args:
        return True
    return node.op in _MADE_OF_SETS and any(speaks_of_integers(part) for part in node.args)


def same_integer_sets(gold: Node, answer: Node) -> bool:
    """Tell whether two nodes, one of which speaks of integers, are surely the same set of them; zero may be natural or not."""
    if not (speaks_of_integers(gold) or speaks_of_integers(answer)) or _size(gold) + _size(answer) > MAX_NODES:
        return False
    gold, answer = _indexed(gold, answer), _indexed(answer, gold)
    speaking = [speaks_of_integers(side) for side in (gold, answer)]
    if not all(speaks or symbols(side) <= _COUNTERS for speaks, side in zip(speaking, (gold, answer), strict=True)):
        return False  # x > 0 is no set of integers
    for first_natural in (1, 0):
        try:
            left, right = _set(gold, first_natural), _set(answer, first_natural)
        except (ArithmeticError, ValueError, RecursionError):
            return False
        if left is None or right is None:
            return False
        if left.variable and right.variable and left.variable != right.variable:
            return False
        if same_members(left, right):
            return True
        if not _mentions_naturals(gold) and not _mentions_naturals(answer):
            return False
    return False


def _size(node: Node) -> int:
    return 1 + sum(map(_size, node.args))


def _indexed(node: Node, other: Node) -> Node:
    """Return `n = 4k` with its k bound where the other side names no index of its own: n = 0 (mod 4), n is even."""
    items = node.args if node.op == "list" else (node,)
    heads = {item.args[0] if item.op == "rel" and item.value == ("=",) else None for item in items}
    head = heads.pop()
    if heads or head is None or head.op != "sym" or len(head.value) > 1 or not speaks_of_integers(other):
        return node
    if other.op == "bound" and other.value[0] != ("\\k",):
        return node
    indices = symbols(node) - {head.value}
    return Node("bound", (node,), (tuple(indices), "integer")) if len(indices) == 1 and indices <= _COUNTERS else node


def same_integer_conditions(one: Node, other: Node) -> bool:
    """Tell whether two conditions on one name hold for the same integers."""
    left, right = _set(one, 1), _set(other, 1)
    if left is None or right is None or (left.variable and right.variable and left.variable != right.variable):
        return False
    return same_members(left, right)


def _mentions_naturals(node: Node) -> bool:
    if node.op == "bound" and node.value[1] == "natural":
        return True
    is_set = node == _NATURALS or (node.op == "build" and node.value == _NATURALS.value)
    return is_set or any(map(_mentions_naturals, node.args))


# -- what a node is a set of


def _set(node: Node, first_natural: int) -> IntegerSet | None:
    """Return the integers that a node describes; None where it describes something else."""
    if node == _INTEGERS:
        return ALL
    if node == _NATURALS:
        return half_line(first_natural, upwards=True)
    if node.op in ("add", "mul", "neg"):
        return _of_integers(node)
    if node.op in ("set", "list"):
        return _listed(node, first_natural)
    rule = _RULES.get(node.op)
    return rule(node, first_natural) if rule else None


def _of_integers(node: Node) -> IntegerSet | None:
    """Return 5Z or 2Z + 1."""
    name = "\\index"
    renamed = _with_index(node, name)
    return None if renamed == node else _image(renamed, name, ALL)


def _with_index(node: Node, name: str) -> Node:
    if node == _INTEGERS:
        return Node("sym", (), name)
    return node._replace(args=tuple(_with_index(part, name) for part in node.args))


@lru_cache(maxsize=512)
def _line(node: Node, name: str) -> tuple[int, int] | None:
    """Return (start, step) of a linear function of `name` with integer values, None where it is another function."""
    if symbols(node) != {name} or contains(node, "rel", "list", "set", "seq", "fn", "call", "pow", "fact", "sum", "prod", "pm"):
        return None
    try:
        values = [rational(substituted(node, name, number(value))) for value in (0, 1, 2, -7)]
    except (ArithmeticError, ValueError):
        return None
    start, step = values[0], values[1] - values[0]
    is_line = values[2] == start + 2 * step and values[3] == start - 7 * step
    if not is_line or not step or start.denominator != 1 or step.denominator != 1:
        return None
    if max(abs(start), abs(step)) > MAX_SIZE:
        return None
    return int(start), int(step)


def _image(node: Node, name: str, of: IntegerSet) -> IntegerSet | None:
    """Return the values of a linear function of `name` at the members of a set."""
    if symbols(node) != {name}:
        return _single(node) if not symbols(node) else None
    line = _line(node, name)
    return None if line is None else image(*line, of)


def _single(node: Node) -> IntegerSet | None:
    if node.op not in ("num", "neg"):
        return None
    value = rational(node)
    if value.denominator != 1 or abs(value) > MAX_SIZE:
        return None
    return only(int(value))


def _listed(node: Node, first_natural: int) -> IntegerSet | None:
    """Return numbers side by side, with or without an ellipsis, or joined conditions."""
    if not node.args or len(node.args) > MAX_PARTS:
        return None
    first, *others = node.args
    if (
        others
        and first.op == "rel"
        and first.value == ("=",)
        and first.args[0].op == "sym"
        and "rel" not in {part.op for part in others}
    ):
        values = _listed(node._replace(args=(first.args[1], *others)), first_natural)  # k = 3, 4, 5, ...
        return None if values is None else values._replace(variable=first.args[0].value)
    if (written := elided(node.args)) is not None:
        return progression(written)
    if node.op == "list" and any(part.op in ("rel", "is", "not") for part in node.args):
        return _of_statements(node, first_natural)
    is_set = node.op == "set"  # a set of sets is no set of integers
    return joined([(None if is_set else _set(part, first_natural)) or _single(part) for part in node.args], any)


def _of_statements(node: Node, first_natural: int) -> IntegerSet | None:
    """Return what conditions joined by "and" or values joined by "or" allow."""
    parts = [_set(part, first_natural) for part in node.args]
    are_values = all(part.op == "rel" and part.value == ("=",) for part in node.args)
    if node.value == "or" or are_values:
        return joined(parts, any)
    return joined(parts, all)


# -- by operator

_NONNEGATIVE = Node("rel", (Node("sym", (), "k"), number(0)), (">=",))
_DOMAINS = {"integer": _INTEGERS, "natural": _NATURALS, "nonnegative integer": _NONNEGATIVE}


def _bound(node: Node, first_natural: int) -> IntegerSet | None:
    """Return the values of an expression for all integers of a kind."""
    names, domain = node.value
    if domain not in _DOMAINS:
        return None
    body = without_plus_minus(node.args[0])
    indices = _set(_DOMAINS[domain], first_natural)
    return _of_indices(body, names, indices)


def _of_indices(body: Node, names: tuple[str, ...], indices: IntegerSet | None) -> IntegerSet | None:
    """Return the values of an expression, or of several, at the members of `indices`."""
    if body.op in ("list", "set") and len(body.args) <= MAX_PARTS:
        parts = [_of_indices(part, names, indices) for part in body.args]
        return joined(parts, any)
    variable = None
    if body.op == "rel" and body.value == ("=",) and body.args[0].op == "sym":
        variable, body = body.args[0].value, body.args[1]
        if body.op in ("list", "set"):
            values = _of_indices(body, names, indices)
            return None if values is None or values.variable else values._replace(variable=variable)
    used = symbols(body).intersection(names)
    if indices is None or len(used) > 1:
        return None
    image = _single(body) if not used else _image(body, next(iter(used)), indices)
    return None if image is None else image._replace(variable=variable)


def _built(node: Node, first_natural: int) -> IntegerSet | None:
    head, condition = node.args
    names = tuple(binds(node))
    if len(names) != 1:
        return None
    if node.value is None and not (contains(condition, "is") or _has_domain(condition)):
        return None
    inside = _set(condition, first_natural)
    if inside is None or inside.variable not in (names[0], None):
        return None
    indices = inside._replace(variable=None)
    if node.value == _NATURALS.value:
        indices_or_none = joined([indices, half_line(first_natural, upwards=True)], all)
        if indices_or_none is None:
            return None
        indices = indices_or_none
    return _of_indices(head, names, indices)


def _has_domain(condition: Node) -> bool:
    parts = condition.args if condition.op == "list" else (condition,)
    return any(part.op == "rel" and part.value == ("in",) and part.args[1] in (_INTEGERS, _NATURALS) for part in parts)


def _related(node: Node, first_natural: int) -> IntegerSet | None:
    """Return the integers for which an inequality between one name and numbers holds, or the name is a member."""
    if node.value == ("in",) and node.args[0].op == "sym":
        inside = _set(node.args[1], first_natural)
        return None if inside is None or inside.variable else inside._replace(variable=node.args[0].value)
    names = symbols(node)
    if len(names) != 1 or len(node.args) > 3:
        return None
    (name,) = names
    if node.value == ("!=",) and node.args[0].op == "sym" and node.args[1].op == "list":
        return None
    parts = [
        _compared(left, operator, right, name)
        for left, operator, right in zip(node.args[:-1], node.value, node.args[1:], strict=True)
    ]
    inside = joined(parts, all)
    return None if inside is None else inside._replace(variable=name)


_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


def _compared(left: Node, operator: str, right: Node, name: str) -> IntegerSet | None:
    if right == Node("sym", (), name):
        left, operator, right = right, _FLIPPED.get(operator, ""), left
    if left != Node("sym", (), name) or symbols(right):
        return None
    if operator in ("=", "!="):
        single = _single(right)
        return single if single is None or operator == "=" else complement(single)
    if operator not in _FLIPPED:
        return None
    bound = rational(right)
    if abs(bound) > MAX_SIZE:
        return None
    floor, ceiling = bound.numerator // bound.denominator, -(-bound.numerator // bound.denominator)
    if operator in (">", ">="):
        return half_line(floor + 1 if operator == ">" else ceiling, upwards=True)
    return half_line(ceiling - 1 if operator == "<" else floor, upwards=False)


def _said(node: Node, _: int) -> IntegerSet | None:
    """Return the even, the odd, or the integers divisible by a number."""
    name = node.args[0]
    if name.op != "sym":
        return None
    if node.value == "divisible":
        divisor = int(node.args[1].value)
        if not 0 < divisor <= MAX_TESTS:
            return None
        return multiples(divisor)._replace(variable=name.value)
    if node.value == "congruent":
        modulus, rest = (int(part.value) for part in node.args[1:])
        return multiples(modulus, rest)._replace(variable=name.value)
    if node.value not in ("even", "odd"):
        return None
    return multiples(2, 0 if node.value == "even" else 1)._replace(variable=name.value)


def _negated(node: Node, first_natural: int) -> IntegerSet | None:
    inside = _set(node.args[0], first_natural)
    return None if inside is None else complement(inside)


def _without(node: Node, first_natural: int) -> IntegerSet | None:
    everything, excluded = node.args  # "otherwise" is the reals without the other conditions
    left = _set(_INTEGERS if everything == REALS else everything, first_natural)
    right = _set(excluded, first_natural)
    return None if right is None else joined([left, complement(right)], all)


def _united(node: Node, first_natural: int) -> IntegerSet | None:
    return joined([_set(part, first_natural) for part in node.args], any)


def _intersected(node: Node, first_natural: int) -> IntegerSet | None:
    return joined([_set(part, first_natural) for part in node.args], all)


def _under_condition(node: Node, first_natural: int) -> IntegerSet | None:
    """Return `n = 2k, k >= 1`: the values of one row at the indices that its condition allows."""
    if len(node.args) != 1:
        return None
    value, condition = node.args[0].args
    indices = _set(condition, first_natural)
    if indices is None or indices.variable is None:
        return None
    if value.op == "bound":
        return None
    return _of_indices(value, (indices.variable,), indices._replace(variable=None))


_RULES: dict[str, Callable[[Node, int], IntegerSet | None]] = {
    "bound": _bound,
    "build": _built,
    "rel": _related,
    "is": _said,
    "not": _negated,
    "minus": _without,
    "union": _united,
    "or": _united,
    "inter": _intersected,
    "and": _intersected,
    "cases": _under_condition,
}
