r"""What belongs to a name: its primes and, for the usual names of functions, the arguments of a call.

`x_1'` and `x'_1` are Node("sym", (), "x_1'"), and `f'(x)` is Node("call", (x,), "f'").
"""

from rewards.math.grammar.brackets import read_bracketed
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.subscripts import read_subscripts
from rewards.math.grammar.vocabulary import CALLS
from rewards.math.tree import Node

MAX_EVENTS = 20  # tokens of a conditional probability
_DERIVED = frozenset("fghuvwxyz")
_ORDERS = frozenset("123456789nkm")


def _conditional_events(cursor: Cursor) -> tuple[Node, Node] | None:
    """Read the two events of a conditional probability behind its P: (A | B); None where it has no bar."""
    texts = cursor.texts_ahead(MAX_EVENTS)
    if texts[: texts.index(")")].count("|") != 1 if ")" in texts else True:
        return None
    cursor.advance()
    cursor.bars += 1  # so that the bar opens no absolute value
    left = cursor.rules.sets(cursor)
    cursor.expect("|")
    right = cursor.rules.sets(cursor)
    cursor.bars -= 1
    cursor.expect(")")
    return left, right


def read_call(cursor: Cursor, name: Node) -> Node:
    """Return `name` with its primes and as a call where arguments follow; only f(x) and its like: x(x+1) is a product."""
    while cursor.take("'"):
        name = name._replace(value=name.value + "'")
    name = _with_order(cursor, read_subscripts(cursor, name))
    letter = name.value[0]
    if letter == "P" and cursor.at("(") and (events := _conditional_events(cursor)):
        return Node("call", events, name.value + "|")
    if name.value == "E" and cursor.at("[") and not cursor.now.spaced:  # an expectation
        group = read_bracketed(cursor)
        return Node("call", group.args, name.value)
    if cursor.at("(") and not cursor.now.spaced and (letter in CALLS or _is_derivative_at(cursor, name)):
        group = read_bracketed(cursor)
        return Node("call", group.args if group.op == "seq" else (group,), name.value)
    if (
        cursor.at("(") and len(name.value) == 1 and cursor.texts_ahead(2) == ["0", ")"]
    ):  # I(0) e^{-t}: nobody multiplies by zero
        return Node("call", (read_bracketed(cursor),), name.value)
    if cursor.at("^") and letter in "fgh" and cursor.texts_ahead(5) == list("{-1}("):
        cursor.index += 5
        return Node("call", (read_bracketed(cursor),), name.value + "^-1")
    return name


def _with_order(cursor: Cursor, name: Node) -> Node:
    """Return `name` with the order of a derivative that is raised in brackets, y^{(4)}, as primes."""
    if not cursor.at("^"):
        return name
    texts = cursor.texts_ahead(5)
    is_order = texts[:2] == ["{", "("] and texts[3:] == [")", "}"] and name.value[0] in _DERIVED
    if not is_order or texts[2] not in _ORDERS:
        return name
    cursor.index += 6
    return name._replace(value=name.value + ("'" * int(texts[2]) if texts[2].isdigit() else f"^({texts[2]})"))


def _is_derivative_at(cursor: Cursor, name: Node) -> bool:
    """Tell whether a primed name is in front of one letter or number in brackets: y'(0), where y'(x+1) is a product."""
    return name.value.endswith("'") and cursor.ahead().kind in ("name", "num") and cursor.ahead(2).text == ")"
