"""Definitions: `x = 5`, `f(x) = x^2`, `x = 1, y = 2`; what they name, what they say of it, and whether two names agree.

The name of an answer may be left out, and a word names anything; two letters that differ name two things.
"""

import re

from rewards.math.equality.parts import Equal, same_in_any_order, strictly
from rewards.math.equality.rules import Rule, Trail
from rewards.math.tree import REALS, Node, contains, substituted, symbols

_ROOT = re.compile(r"[xztr]_\d")  # x_1 and x_2 are the roots of one equation, in no order
_WORD = re.compile(r"[a-z]{2,}")
_LEIBNIZ = re.compile(r"d(?:\^(\d))?(\w)/d\w(?:\^\d)?")  # dy/dx agrees with y' and with a word
NAMELESS = Node("sym", (), "")


def assignment(node: Node, answer: bool, equal: Equal) -> tuple[Node, Node] | None:
    """Return (name, value) of `x = 5`, `x = 3 + 2 = 5`, `f(x) = ...` or `(x, y) = ...`; None where it is no assignment.

    An answer may also name what it computes: `m + n = 5`, `|z| = 2`; a gold of that form is an equation. A chain of equal
    numbers, `0.56 = 56 %`, is the value of NAMELESS.
    """
    if node.op != "rel" or any(operator not in ("=", "~") for operator in node.value):
        return None
    name, *values = node.args
    operators = node.value
    if values[0].op == "rel":
        return None
    if name.op == "mat":
        name = Node("seq", name.args, "()")
    if len(values) == 1 and _is_name(values[0]) and not symbols(name) and name.op not in ("seq", "set", "list"):
        name, values = values[0], [name]  # 2 = x
    named = _names_something(name, values[0]) or (answer and _says_what_it_computes(name, values[0]))
    if not named:
        if symbols(node) or contains(node, "seq", "list", "set"):
            return None
        name, values, operators = NAMELESS, [name, *values], ("=", *operators)
    if name.op == "sym" and len(name.value) == 1 and name.value in symbols(values[0]):  # x = x^2 is an equation
        return None
    value = _value_of_chain(operators, values, equal)
    return None if value is None else (name, value)


def _is_name(node: Node) -> bool:
    if node.op in ("ratio", "mul"):  # dy : dx, and p(x) where it is read as a product of two names
        return all(part.op == "sym" for part in node.args)
    return node.op == "call" or (node.op == "sym" and node != REALS)


def _names_something(name: Node, value: Node) -> bool:
    """Tell whether it is a name, or several of them in front of a point."""
    return _is_name(name) or (name.op == "seq" and all(map(_is_name, name.args)) and value.op in ("seq", "mat"))


def _says_what_it_computes(left: Node, value: Node) -> bool:
    """Tell whether it is `m + n = 5` rather than an equation to solve, which has coefficients."""
    return bool(symbols(left)) and not symbols(value) and not _has_coefficients(left)


def _has_coefficients(node: Node) -> bool:
    """Tell whether numbers other than exponents occur."""
    if node.op in ("num", "dec"):
        return True
    if node.op in ("pow", "root"):
        return _has_coefficients(node.args[0])
    return any(_has_coefficients(part) for part in node.args)


def _value_of_chain(operators: tuple[str, ...], values: list[Node], equal: Equal) -> Node | None:
    """Return the last exact value of `= 1/3 = 2/6 ~ 0.33`; None where the values differ: 17 = 18 asserts nothing."""
    exact = [values[0]]
    for operator, value in zip(operators[1:], values[1:], strict=True):
        if operator == "~":
            break
        exact.append(value)
    if all(strictly(equal, exact[0], value) for value in exact[1:]):
        return exact[-1]
    return None


def named_values(node: Node, equal: Equal) -> dict[str, Node] | None:
    """Return the values by name of `x = 1, y = 2` or `(x, y) = (1, 2)`; None where it is something else."""
    if node.op == "list" or (node.op == "seq" and node.value == "()"):
        values: dict[str, Node] = {}
        for part in node.args:
            pair = assignment(part, False, equal)
            if pair is None or pair[0].op != "sym":
                return None
            values[pair[0].value] = pair[1]
        return values if len(values) == len(node.args) else None
    if node.op == "rel" and node.value == ("=",) and node.args[0].op == "seq" and node.args[1].op == "seq":
        left, right = node.args[0].args, node.args[1].args
        if len(left) == len(right) and all(name.op == "sym" for name in left):
            return {name.value: value for name, value in zip(left, right, strict=True)}
    return None


def without_names(node: Node, equal: Equal) -> Node:
    """Return a list without its names: `x = 1, 2` and `x = 1 or x = 2` are 1, 2."""
    if node.op != "list":
        return node
    pairs = [assignment(part, False, equal) if part.op == "rel" else None for part in node.args]
    named = [pair for pair in pairs if pair is not None]
    if pairs[0] is None:
        return node
    if len(named) == len(pairs):
        one_name = len({name for name, _ in named}) == 1
        return _flat([value for _, value in named], node.value) if one_name else node
    if all(part.op != "rel" for part in node.args[1:]):
        return _flat([pairs[0][1], *node.args[1:]], node.value)
    return node


def _flat(items: list[Node], separator: str) -> Node:
    flat: list[Node] = []
    for item in items:
        flat += item.args if item.op == "list" else (item,)
    return Node("list", tuple(flat), separator)


# -- comparison


def names_agree(left: Node, right: Node) -> bool:
    """Tell whether two assignments may name the same: `y` is f(x), a word is any name, x is not y."""
    if left == right or NAMELESS in (left, right):
        return True
    for one, other in ((left, right), (right, left)):
        if one.op == "ratio":
            return other.op == "sym" and _WORD.fullmatch(other.value) is not None
        if one.op == "sym" and (leibniz := _LEIBNIZ.fullmatch(one.value)) and other.op in ("sym", "call"):
            is_function = other.value[:1] == leibniz[2] or (leibniz[2] == "y" and other.value[:1] == "f")
            primes = other.value.count("'") if is_function else 0
            return primes == int(leibniz[1] or 1) or _WORD.fullmatch(other.value) is not None
    if left.op == "seq" or right.op == "seq":
        return left.op != right.op or len(left.args) == len(right.args)
    if left.op == "sym" and right.op == "sym":
        return _is_lower_word(left.value) or _is_lower_word(right.value)
    if left.op == "call" and right.op == "call":
        return bool(left.value == right.value)
    if "call" in (left.op, right.op):
        one, other = (left, right) if left.op == "call" else (right, left)
        return other.op != "sym" or other.value in ("y", one.value)
    names = [side for side in (left, right) if side.op == "sym"]  # `y = 4` and `x + y = 4` are two statements
    if not names:  # `pq = 6` and `p + q = 6` are two statements too
        return left.op == right.op and symbols(left) == symbols(right)
    return _is_lower_word(names[0].value)


def _is_lower_word(name: str) -> bool:
    return len(name) > 1 and name.isalpha() and name.islower()


def same_definitions(gold: tuple[Node, Node], answer: tuple[Node, Node], trail: Trail, equal: Equal) -> bool:
    """Compare two (name, value); the variable of f(x) is bound, so f(z) = z is f(x) = x."""
    (name, value), (other_name, other_value) = gold, answer
    if not names_agree(name, other_name):
        return False
    if name.op == other_name.op == "seq" and name != other_name:
        return False
    if name.op == other_name.op == "call" and len(name.args) == len(other_name.args):
        for one, other in zip(name.args, other_name.args, strict=True):
            if one.op == other.op == "sym" and one.value != other.value:
                if one.value in symbols(other_value):
                    return False
                other_value = substituted(other_value, other.value, one)
    return equal(value, other_value, trail)


def same_by_name(gold: Node, answer: Node, trail: Trail, equal: Equal) -> bool | None:
    """Compare values by name where a side gives several of them; None where that does not decide.

    The other side may leave the names out: then the values stand in the order of the alphabet.
    """
    left, right = named_values(gold, equal), named_values(answer, equal)
    if left is None and right is None:
        return None
    trail.decide(Rule.VALUES_BY_NAME)
    if left is not None and right is not None:
        return set(left) == set(right) and all(equal(left[name], right[name], trail) for name in left)
    if left is not None:
        return _same_without_names(left, gold, answer, trail, equal)
    assert right is not None
    return _same_without_names(right, answer, gold, trail, equal)


def _same_without_names(values: dict[str, Node], named: Node, other: Node, trail: Trail, equal: Equal) -> bool | None:
    """Compare `values`, which are those of the side `named`, with the other side, which has no such names."""
    if len(values) < 2:
        return None
    both_lists = named.op == other.op == "list"
    pair = assignment(other, True, equal)
    if pair is not None:
        other = pair[1]
    if other.op == "mat" and other.value == 1:  # a column
        other = Node("seq", other.args, "()")
    roots = named.op == "list" and all(map(_ROOT.fullmatch, values)) and len({name[0] for name in values}) == 1
    if roots and (other.op == "set" or (other.op == "list" and len(values) == 2)):
        return same_in_any_order(list(values.values()), list(other.args), trail, equal)
    if other.op in ("seq", "list", "set") and len(other.args) == len(values):
        return all(equal(values[name], item, trail) for name, item in zip(sorted(values), other.args, strict=True))
    return None if both_lists else False
