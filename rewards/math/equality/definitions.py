r"""Definitions: `x = 5`, `x = y = 3`, `f(x) = x^2`, `|CD| = 6`; what they name, and what they say of it.

The name of an answer may be left out; `labels.py` knows which names agree.
"""

from rewards.math.equality.labels import NAMELESS, has_coefficients, is_label, is_name, labels_agree
from rewards.math.equality.parts import Equal, strictly
from rewards.math.equality.rules import Trail
from rewards.math.tree import Node, contains, substituted, symbols


def assignment(node: Node, answer: bool, equal: Equal) -> tuple[Node, Node] | None:
    """Return (name, value) of `x = 5`, `x = 3 + 2 = 5`, `f(x) = ...` or `(x, y) = ...`; None where it is no assignment.

    An answer may also name what it computes: `x + y = 5`, `x^2 = 4`; a gold only where that is no equation to solve. Of
    `x = y = 5` the name is the list of both. A chain of equal numbers, `0.56 = 56 %`, is the value of NAMELESS.
    """
    if node.op != "rel" or any(operator not in ("=", "~") for operator in node.value):
        return None
    name, *values = node.args
    operators = node.value
    if values[0].op == "rel":
        return None
    if name.op == "mat":
        name = Node("seq", name.args, "()")
    if is_name(values[-1]) and not any(map(symbols, (name, *values[:-1]))) and name.op not in ("seq", "set", "list"):
        name, values = values[-1], [name, *values[:-1]]  # 10/2 = 5 = x
        operators = ("=", *operators[:-1])
    named = _names_something(name, values[0]) or is_label(name, values[-1])
    if not named and not (answer and _says_what_it_computes(name, values[0])):
        if symbols(node) or contains(node, "seq", "list", "set"):
            return None
        name, values, operators = NAMELESS, [name, *values], ("=", *operators)
    if name.op == "sym" and len(name.value) == 1 and name.value in symbols(values[0]):  # x = x^2 is an equation
        return None
    if names := _names_of_one_value(name, values):
        name, values, operators = names, [values[-1]], ("=",)
    value = _value_of_chain(operators, values, equal)
    return None if value is None else (name, value)


def is_tautology(node: Node) -> bool:
    """Tell whether it only says that something is itself: `5 = 5`, which is no answer to `x = 5`."""
    return node.op == "rel" and set(node.value) <= {"=", "~", "<=", ">="} and all(part == node.args[0] for part in node.args)


def _names_of_one_value(name: Node, values: list[Node]) -> Node | None:
    """Return the names of `x = y = 3` as a list; None where there is but one, or the value has names in it."""
    *others, value = values
    if not others or symbols(value) or not all(is_name(node) for node in (name, *others)):
        return None
    return Node("list", (name, *others), ",")


def _names_something(name: Node, value: Node) -> bool:
    """Tell whether it is a name, or several of them in front of a point."""
    return is_name(name) or (name.op == "seq" and all(map(is_name, name.args)) and value.op in ("seq", "mat"))


def _says_what_it_computes(left: Node, value: Node) -> bool:
    """Tell whether it is `m + n = 5` rather than an equation to solve, which has coefficients."""
    return bool(symbols(left)) and not symbols(value) and not has_coefficients(left)


def _value_of_chain(operators: tuple[str, ...], values: list[Node], equal: Equal) -> Node | None:
    r"""Return the last exact value of `= 1/3 = 2/6 ~ 0.33`; None where the values differ: 17 = 18 asserts nothing.

    Formulas on the way to a number, `= \pi r^2 = 9\pi`, say how it was found.
    """
    exact = [values[0]]
    for operator, value in zip(operators[1:], values[1:], strict=True):
        if operator == "~":
            break
        exact.append(value)
    if not symbols(exact[-1]):
        exact = [value for value in exact if not symbols(value)]
    if all(strictly(equal, exact[0], value) for value in exact[1:]):
        return exact[-1]
    return None


def without_names(node: Node, equal: Equal) -> Node:
    """Return a list without its names: `x = 1, 2` and `x = 1 or x = 2` are 1, 2."""
    name = name_of_list(node, equal)
    if name is None:
        return node
    values: list[Node] = []
    for part in node.args:
        pair = assignment(part, False, equal) if part.op == "rel" else None
        values.append(pair[1] if pair else part)
    if name.op == "seq":
        values = [_in_alphabetical_order(name, value) for value in values]
    return _flat(values, node.value)


def _in_alphabetical_order(names: Node, point: Node) -> Node:
    """Return the point (2, 1) of (y, x) = (2, 1) as one of (x, y): (1, 2)."""
    is_written = point.op == "seq" and len(point.args) == len(names.args)
    if not is_written or not all(name.op == "sym" and name.value in ("x", "y", "z") for name in names.args):
        return point
    order = sorted(range(len(names.args)), key=lambda place: str(names.args[place].value))
    return point._replace(args=tuple(point.args[place] for place in order))


def name_of_list(node: Node, equal: Equal) -> Node | None:
    """Return what `x = 1, 2` or `x = 1 or x = 2` lists the values of, None where it is something else."""
    if node.op != "list" or node.args[0].op != "rel":
        return None
    pairs = [assignment(part, False, equal) if part.op == "rel" else None for part in node.args]
    if pairs[0] is None:
        return None
    name = pairs[0][0]
    if all(pair is not None and pair[0] == name for pair in pairs):
        return name
    return name if all(part.op != "rel" for part in node.args[1:]) else None


def _flat(items: list[Node], separator: str) -> Node:
    flat: list[Node] = []
    for item in items:
        flat += item.args if item.op == "list" else (item,)
    return Node("list", tuple(flat), separator)


def with_arguments_of(gold: Node, answer: Node) -> Node:
    """Return functions of t as functions of x where those of the gold are: f(t) = t, f(t) = 0 as f(x) = x, f(x) = 0."""
    wanted, written = _argument(gold), _argument(answer)
    if wanted is None or written is None or wanted == written or wanted.value in symbols(answer):
        return answer
    return substituted(answer, written.value, wanted)


def _argument(node: Node) -> Node | None:
    """Return the one variable of a list of functions, all of which have it; None where they differ."""
    if node.op not in ("list", "set"):
        return None
    calls = [part.args[0] for part in node.args if part.op == "rel" and part.value == ("=",)]
    arguments = {call.args for call in calls if call.op == "call"}
    if len(calls) != len(node.args) or len(arguments) != 1:
        return None
    (argument, *others) = next(iter(arguments))
    return argument if argument.op == "sym" and not others and all(call.op == "call" for call in calls) else None


# -- comparison


def same_definitions(gold: tuple[Node, Node], answer: tuple[Node, Node], trail: Trail, equal: Equal) -> bool:
    """Compare two (name, value); the variable of f(x) is bound, so f(z) = z is f(x) = x."""
    (name, value), (other_name, other_value) = gold, answer
    if turned := _turned(name, other_name, other_value):
        return equal(value, turned, trail)
    if not labels_agree(name, other_name) or (name.op == "list" and other_name.op == "sym" and other_name in name.args):
        return False  # of x = y = 3 the answer x = 3 says only one
    if name.op == other_name.op == "seq" and name != other_name:
        return False
    if name.op == other_name.op == "call" and len(name.args) == len(other_name.args):
        for one, other_argument in zip(name.args, other_name.args, strict=True):
            if one.op == other_argument.op == "sym" and one.value != other_argument.value:
                if one.value in symbols(other_value):
                    return False
                other_value = substituted(other_value, other_argument.value, one)
    return equal(value, other_value, trail)


def _turned(name: Node, other_name: Node, value: Node) -> Node | None:
    """Return the value of `B : A` as one of `A : B`, None where the names are not turned round."""
    wanted, written = _quotient(name), _quotient(other_name)
    if wanted is None or written is None or wanted == written or wanted != written[::-1]:
        return None
    if value.op == "ratio" and len(value.args) == 2:
        return value._replace(args=value.args[::-1])
    return Node("div", (Node("num", (), 1), value)) if not contains(value, "ratio", "seq", "list", "set") else None


def _quotient(node: Node) -> tuple[Node, ...] | None:
    return node.args if node.op in ("ratio", "div") and len(node.args) == 2 else None
