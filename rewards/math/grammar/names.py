r"""What belongs to a name: its subscripts, its primes and, for the usual names of functions, the arguments of a call.

`x_{10}` is Node("sym", (), "x_10"), and `f'(x)` is Node("call", (x,), "f'").
"""

from rewards.math.grammar.brackets import read_bracketed
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.vocabulary import CALLS
from rewards.math.tree import Node

MAX_EVENTS = 20  # tokens of a conditional probability


def read_subscripts(cursor: Cursor, name: Node) -> Node:
    """Return `name` with its subscripts as part of it; spaces and braces do not matter."""
    while cursor.take("_"):
        if cursor.at("{"):
            subscript = _read_grouped_subscript(cursor)
        else:
            subscript = cursor.advance().text
            if not subscript:
                raise cursor.unreadable("an empty subscript")
        name = name._replace(value=f"{name.value}_{subscript}")
    return name


def _read_grouped_subscript(cursor: Cursor) -> str:
    """Take a group and return the texts of its tokens as one, whatever they are."""
    start = cursor.index + 1
    depth = 0
    while True:
        if cursor.now.kind == "end":
            raise cursor.unreadable("a subscript that does not close")
        token = cursor.advance()
        depth += (token.text == "{") - (token.text == "}")
        if not depth:
            return "".join(inner.text for inner in cursor.tokens[start : cursor.index - 1])


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
    letter = name.value[0]
    if letter == "P" and cursor.at("(") and (events := _conditional_events(cursor)):
        return Node("call", events, name.value + "|")
    if cursor.at("(") and letter in CALLS and not cursor.now.spaced:
        group = read_bracketed(cursor)
        return Node("call", group.args if group.op == "seq" else (group,), name.value)
    if cursor.at("^") and letter in "fgh" and cursor.texts_ahead(5) == list("{-1}("):
        cursor.index += 5
        return Node("call", (read_bracketed(cursor),), name.value + "^-1")
    return name
