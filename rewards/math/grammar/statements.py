r"""The top of the grammar: lists of statements, relations, operations on sets, proportions.

`x=1, x \in [0,1] \cup [1,2]` is Node("list", (relation, relation), ","), and the second is
Node("rel", (x, Node("union", (Node("seq", (0, 1), "[]"), Node("seq", (1, 2), "[]")))), ("in",)).
"""

import re

from rewards.math.grammar.boundaries import read_separator
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.rows import listed_rows
from rewards.math.grammar.sums import read_sum
from rewards.math.grammar.vocabulary import RELATIONS, SET_OPERATORS
from rewards.math.tree import Node, Op

MAX_PROPORTION = 60  # tokens in which the other side of a labelled proportion is looked for
_END_OF_STATEMENT = re.compile(r"[,;<>\n]")
_CONCLUSIONS = frozenset(("=>", "propto"))


def read_answer(cursor: Cursor) -> Node:
    """Read one or several statements."""
    items = [read_statement(cursor)]
    separators = [cursor.now.text]
    kind = ","
    while separator := read_separator(cursor):
        if separator != "," and kind != "or":
            kind = separator
        if cursor.now.kind == "end":
            break
        items.append(read_statement(cursor))
        separators.append(cursor.now.text)
    if kind == "," and ";" in separators and (rows := listed_rows(items, separators)):
        return rows
    if kind == "and" and not all(item.op == "rel" and "=" not in item.value for item in items):
        kind = ","  # only conditions are joined; values are listed
    return items[0] if len(items) == 1 else Node("list", tuple(items), kind)


def read_statement(cursor: Cursor) -> Node:
    """Read an object or a chain of relations between objects."""
    cursor.deeper()
    members = [read_sets(cursor)]
    operators: list[str] = []
    while operator := _take_relation(cursor, members[-1]):
        operators.append(operator)
        members.append(read_sets(cursor))
    cursor.depth -= 1
    if cursor.now.text == "mod" or cursor.at("\\pmod", "\\bmod"):
        raise cursor.unreadable("a congruence")
    return Node("rel", tuple(members), tuple(operators)) if operators else members[0]


def _take_relation(cursor: Cursor, left: Node) -> str | None:
    """Take what relates `left` to the next member and return it; None where nothing does."""
    operator = RELATIONS.get(cursor.now.sign)
    if operator is None and cursor.at(":") and left.op in ("sym", "call") and left.value != "\\lambda":
        operator = "="  # a label: "Answer: 5"
    if operator is None:
        return None
    cursor.advance()
    if operator in _CONCLUSIONS:
        raise cursor.unreadable("a conclusion inside an answer")
    if operator in ("<", ">") and cursor.take("="):
        operator += "="
    return operator


def read_sets(cursor: Cursor) -> Node:
    """Read an expression, or unions, intersections and differences; they group from the left."""
    node = _read_ratio(cursor)
    while op := _set_operator(cursor, node):
        cursor.advance()
        node = Node(op, (node, _read_ratio(cursor)))
    return node


def _set_operator(cursor: Cursor, left: Node) -> Op | None:
    token = cursor.now
    if token.kind == "cmd":
        return SET_OPERATORS.get(token.text)
    if token.kind == "name" and token.text == "U" and left.op in ("seq", "set", "union"):  # [0,1] U [2,3]
        return "union"
    return None


def _read_ratio(cursor: Cursor) -> Node:
    """Read an expression or a proportion: 1:2:3, 3 to 4."""
    parts = [read_sum(cursor)]
    while _goes_on_by_colon(cursor, parts) or _goes_on_by_word(cursor):
        cursor.advance()
        parts.append(read_sum(cursor))
    return parts[0] if len(parts) == 1 else Node("ratio", tuple(parts))


def _goes_on_by_colon(cursor: Cursor, parts: list[Node]) -> bool:
    """Tell whether a proportion goes on here; a colon behind a name is one only in a:b:c = 1:2:3, else it ends a label."""
    if not cursor.at(":"):
        return False
    if len(parts) > 1 or parts[0].op not in ("sym", "call"):
        return True
    names, _, values = "".join([cursor.now.text, *cursor.texts_ahead(MAX_PROPORTION)]).partition("=")
    values = _END_OF_STATEMENT.split(values, maxsplit=1)[0]
    return ":" in values and names.count(":") == values.count(":") and not _END_OF_STATEMENT.search(names)


def _goes_on_by_word(cursor: Cursor) -> bool:
    token = cursor.now
    return token.kind in ("name", "text") and token.text.strip() == "to" and cursor.ahead().kind == "num"
