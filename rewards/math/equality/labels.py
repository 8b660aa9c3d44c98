r"""Labels: what stands in front of a value and only says what it is the value of.

`x`, `f(2)`, `AB`, `\angle ABC` are names. `|CD| = 6`, `\sin A = 3/5`, `m + n = 5` say what they compute, where the value has
no names of its own; with coordinates in it, `x + y = 7`, it is an equation, and so it is with coefficients, `2a + b = 7`.
Two labels that differ name two things; a word names anything.
"""

import re

from rewards.math.equality.expressions import equal_expressions
from rewards.math.equality.rules import Trail
from rewards.math.tree import OBJECTS, REALS, ZERO, Node, Op, contains, symbols

NAMELESS = Node("sym", (), "")
_WORD = re.compile(r"[a-z]{2,}")
_LEIBNIZ = re.compile(r"d(?:\^(\d))?(\w)/d\w(?:\^\d)?")  # dy/dx agrees with y' and with a word
_SIDE = re.compile(r"[A-Z]{2,3}'*")
_COORDINATES = re.compile(r"(?:[r-z]|\\(?:rho|theta|phi))(?:_\w+)?'*")
_MEASURES = frozenset(("abs", "sin", "cos", "tan", "cot", "sec", "csc", "det", "max", "min", "gcd", "lcm", "arg", "Re", "Im"))
_TRIGONOMETRIC = frozenset(("sin", "cos", "tan", "cot", "sec", "csc"))
_OBJECTS_OF_SETS = frozenset(("set", "seq", "union", "inter", "minus", "build"))
_SPELLINGS = {"max": "maximum", "min": "minimum", "maximum value": "maximum", "minimum value": "minimum"}
_NOT_IN_LABELS: tuple[Op, ...] = ("rel", "list", "set", "union", "inter", "minus", "build", "unit", "pm", "mp")


def is_name(node: Node) -> bool:
    """Tell whether it is a name, a call such as f(2), or names side by side."""
    if node.op in ("ratio", "mul"):  # dy : dx, and p(x) where it is read as a product of two names; xy = 1 is a curve
        return all(part.op == "sym" for part in node.args) and not all(part.value in ("x", "y", "z") for part in node.args)
    return node.op == "call" or (node.op == "sym" and node != REALS)


def is_label(left: Node, value: Node) -> bool:
    """Tell whether `left = value` says what it is the value of, also in a gold: `|CD| = 6`, `B^{-1} = [...]`, `a:b = 2:3`."""
    if _is_ratio_of_two(left) and symbols(left).isdisjoint(symbols(value)) and symbols(value):  # T_1/T_2 = \\sqrt{m_1/m_2}
        return value.op not in OBJECTS
    if symbols(value) or not symbols(left) or value == ZERO:
        return False
    if left.op == "seq" and left.value == "[]" and len(left.args) == 1 and left.args[0].op == "sym":  # the area [ABC]
        return value.op not in ("seq", "mat", "set")
    if left.op in ("union", "inter", "minus") and all(part.op == "sym" and part.value.isupper() for part in left.args):
        return value.op in _OBJECTS_OF_SETS
    if contains(left, *_NOT_IN_LABELS, "seq", "mat"):
        return False
    if left.op == "fn" and left.value in _TRIGONOMETRIC and value.op not in OBJECTS:  # \tan 2x = 3/4
        return True
    if value.op in ("mat", "seq"):
        return left.op in ("add", "neg", "mul", "pow", "div")
    if value.op in ("set", "list", "rel") or has_coefficients(left):
        return False
    if value.op == "ratio" and left.op == "ratio":
        return True
    if left.op == "fn" and left.value in _MEASURES:
        return True
    if contains(left, "fact", "fact2", "root", "fn"):
        return False
    names = symbols(left)
    return not any(map(_COORDINATES.fullmatch, names)) or (left.op == "div" and all(map(_is_measured, names)))


def _is_ratio_of_two(node: Node) -> bool:
    """Tell whether it is the quotient of two names that differ in what stands below: L_K/L_G."""
    if node.op not in ("div", "ratio") or len(node.args) != 2 or any(part.op != "sym" for part in node.args):
        return False
    (one, lower), (other, other_lower) = (part.value.partition("_")[::2] for part in node.args)
    return bool(one == other and lower and other_lower and lower != other_lower)


def _is_measured(name: str) -> bool:
    return len(name) > 1 and not _COORDINATES.fullmatch(name)


def has_coefficients(node: Node) -> bool:
    """Tell whether numbers other than exponents occur."""
    if node.op in ("num", "dec"):
        return True
    if node.op in ("pow", "root"):
        return has_coefficients(node.args[0])
    return any(has_coefficients(part) for part in node.args)


def label_key(node: Node) -> Node:
    r"""Return a label in one spelling: `S_{\triangle ABC}` is S_ABC, f(t) is f(x), max is maximum."""
    if node.op == "sym":
        name = str(node.value).replace("\\", "").replace("triangle", "").replace(" ", "") if "ABC" in node.value else node.value
        return node._replace(value=_SPELLINGS.get(name, name))
    if node.op == "call" and _has_bound_arguments(node):
        return node._replace(args=tuple(Node("sym", (), f"\\argument {index}") for index in range(len(node.args))))
    return node


def _has_bound_arguments(call: Node) -> bool:
    """Tell whether a call is of variables, as f(x) is; P(A) is of an event."""
    are_variables = all(part.op == "sym" and not part.value[:1].isupper() for part in call.args)
    return are_variables and len(set(call.args)) == len(call.args)


def labels_agree(left: Node, right: Node) -> bool:
    """Tell whether two labels may name the same: `y` is f(x), a word is any name, x is not y, \\sin A is not \\cos A."""
    if left == right or NAMELESS in (left, right):
        return True
    if left.op == "list" or right.op == "list":  # x = y = 3
        ones, others = (node.args if node.op == "list" else (node,) for node in (left, right))
        return any(one.op == other.op and labels_agree(one, other) for one in ones for other in others)
    for one, other in ((left, right), (right, left)):
        if one.op == "ratio" and other.op == "sym":
            return _WORD.fullmatch(other.value) is not None
        if one.op == "sym" and (leibniz := _LEIBNIZ.fullmatch(one.value)) and other.op in ("sym", "call"):
            is_function = other.value[:1] == leibniz[2] or (leibniz[2] == "y" and other.value[:1] == "f")
            primes = other.value.count("'") if is_function else 0
            return primes == int(leibniz[1] or 1) or _WORD.fullmatch(other.value) is not None
    left, right = label_key(left), label_key(right)
    if left == right:
        return True
    if left.op == "seq" and right.op == "seq":
        return len(left.args) == len(right.args)
    if left.op == "sym" and right.op == "sym":
        return _is_lower_word(left.value) or _is_lower_word(right.value)
    if left.op == "call" and right.op == "call":
        return bool(left.value == right.value) and len(left.args) == len(right.args) and _same_arguments(left, right)
    if left.op == "sym" or right.op == "sym":
        name, other = (left, right) if left.op == "sym" else (right, left)
        return _may_be_called(name.value, other)
    return _same_label(left, right)


def _same_arguments(left: Node, right: Node) -> bool:
    """Tell whether two calls of one function are of the same values; f(2) is not f(x)."""
    return all(equal_expressions(one, other, Trail()) for one, other in zip(left.args, right.args, strict=True))


def _may_be_called(name: str, other: Node) -> bool:
    """Tell whether `name` may stand for a label that is no name."""
    if _is_lower_word(name):
        return True
    if other.op == "call":
        return name in ("y", other.value)
    if other.op == "fn" and other.value == "abs":
        return other.args[0].value == name and _SIDE.fullmatch(name) is not None  # |CD| and CD
    if other.op == "seq":
        return other.value == "[]" or name not in symbols(other)
    return len(name) == 1 and name.isupper() and name not in symbols(other)


def _same_label(left: Node, right: Node) -> bool:
    if any(contains(node, "seq", "call", *_NOT_IN_LABELS) for node in (left, right)):
        return False
    ratio, other = (left, right) if left.op == "ratio" else (right, left)
    if ratio.op == "ratio" and len(ratio.args) == 2 and other.op != "ratio":
        return equal_expressions(Node("div", ratio.args), other, Trail())
    if left.op == right.op == "ratio":
        return len(left.args) == len(right.args) and all(map(labels_agree, left.args, right.args))
    return equal_expressions(left, right, Trail())


def _is_lower_word(name: str) -> bool:
    return len(name) > 1 and name.isalpha() and name.islower()
