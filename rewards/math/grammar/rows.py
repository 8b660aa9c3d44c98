r"""Rows with semicolons between them: `1,2;3,4`, `[1 2; 3 4]`; and continued fractions, `[1;2,3,4]`.

In square brackets rows are a matrix, and a power T transposes them; without brackets they are a list of points whose value ";"
says that it may be a matrix too.
"""

from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.tokens import Token
from rewards.math.tree import ONE, Node

MAX_QUOTIENTS = 30
_DEPTHS = {"[": 1, "(": 1, "{": 1, "\\{": 1, "]": -1, ")": -1, "}": -1, "\\}": -1}


def cut_rows(items: list[Node], separators: list[str]) -> list[list[Node]] | None:
    """Return items in rows, cut at semicolons; None where they are no two rows of equal length, of two items at least."""
    rows: list[list[Node]] = [[items[0]]]
    for separator, item in zip(separators, items[1:], strict=False):
        if separator == ";":
            rows.append([item])
        else:
            rows[-1].append(item)
    lengths = {len(row) for row in rows}
    return rows if len(rows) > 1 and len(lengths) == 1 and lengths != {1} else None


def listed_rows(items: list[Node], separators: list[str]) -> Node | None:
    """Return rows without brackets as points; rows of equations must be for the same names: x=1, y=2; x=3, y=4."""
    rows = cut_rows(items, separators)
    if rows is None:
        return None
    if any(item.op == "rel" for item in items):
        names = {tuple(_name(item) for item in row) for row in rows}
        if len(names) != 1 or "" in min(names) or len(set(min(names))) != len(rows[0]):
            return None
    elif any(item.op in ("seq", "set", "list", "union", "inter") for item in items):
        return None
    return Node("list", tuple(Node("seq", tuple(row), "()") for row in rows), ";")


def _name(item: Node) -> str:
    is_named = item.op == "rel" and item.value == ("=",) and item.args[0].op == "sym"
    return str(item.args[0].value) if is_named else ""


def bracketed_rows(items: list[Node], separators: list[str]) -> Node | None:
    """Return what stands in square brackets with semicolons: a matrix, a continued fraction, or None for neither."""
    if rows := cut_rows(items, separators):
        return Node("mat", tuple(item for row in rows for item in row), len(rows[0]))
    is_fraction = separators[0] == ";" and ";" not in separators[1:] and 3 <= len(items) <= MAX_QUOTIENTS
    if is_fraction and all(item.op == "num" and item.value.denominator == 1 and item.value > 0 for item in items[1:]):
        return _continued_fraction(items) if items[0].op in ("num", "neg") else None
    return None


def _continued_fraction(quotients: list[Node]) -> Node:
    value = quotients[-1]
    for quotient in reversed(quotients[:-1]):
        value = Node("add", (quotient, Node("div", (ONE, value))))
    return value


def transposed(node: Node) -> Node | None:
    """Return the transposed matrix of a matrix, of a bracketed list of rows, or of a vector; None for anything else."""
    if node.op == "mat":
        columns = [node.args[start :: node.value] for start in range(node.value)]
        return Node("mat", tuple(cell for column in columns for cell in column), len(node.args) // node.value)
    if node.op != "seq" or len(node.args) < 2 or node.value not in ("()", "[]", "<>"):
        return None
    if any(part.op == "seq" for part in node.args):
        rows = [list(part.args) for part in node.args]
        equal_length = len({len(row) for row in rows}) == 1
        return transposed(Node("mat", tuple(cell for row in rows for cell in row), len(rows[0]))) if equal_length else None
    return Node("mat", node.args, 1)


def separate_entries(cursor: Cursor) -> None:
    """Put commas between the numbers of a matrix or a vector that has only spaces there: [1 2; 3 4], [1 -2 3].

    The cursor stands behind the opening bracket. Nothing is done unless all is numbers and rows have equal lengths.
    """
    end = _closing(cursor)
    inside = cursor.tokens[cursor.index : end]
    if not inside or any(not _is_numeric(token) for token in inside):
        return
    places = [index for index in range(1, len(inside)) if _begins_entry(inside[index - 1], inside[index])]
    semicolons = sum(token.text == ";" for token in inside)
    if not places or len(places) % (semicolons + 1):
        return
    separated: list[Token] = []
    for index, token in enumerate(inside):
        if index in places:
            separated.append(Token("op", ",", token.place))
        separated.append(token)
    cursor.tokens[cursor.index : end] = separated


def _closing(cursor: Cursor) -> int:
    depth = 1
    for index in range(cursor.index, len(cursor.tokens)):
        depth += _DEPTHS.get(cursor.tokens[index].sign, 0)
        if not depth:
            return index
    return cursor.index


def _is_numeric(token: Token) -> bool:
    return token.kind == "num" or token.sign in ("-", "+", "/", ";", "[", "]")


def _begins_entry(before: Token, token: Token) -> bool:
    """Tell whether an entry begins with `token`: behind a space, where no sign and no bracket joins it to the one before."""
    if not token.spaced or not (before.kind == "num" or before.text == "]"):
        return False
    return token.kind == "num" or token.text in ("[", "-", "+")
