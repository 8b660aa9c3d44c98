r"""Derivatives as names: `\dot x`, `dx/dt` and `\frac{dx}{dt}` are Node("sym", (), "dx/dt"); `x'` is the name "x'".

A dot is a derivative with respect to t. That `x'` is `dx/dt` where nothing else is meant, `equality/derivatives.py` knows.
"""

from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.subscripts import read_subscripts
from rewards.math.grammar.vocabulary import GREEK
from rewards.math.tree import Node

DOTS = {"dot": 1, "ddot": 2, "dddot": 3}


def dotted(name: Node, dots: int) -> Node:
    """Return the derivative of a name with respect to t."""
    return name._replace(value=leibniz("d", name.value, "t", dots))


def leibniz(mark: str, function: str, variable: str, order: int) -> str:
    """Return the name of a derivative: dx/dt, d^2x/dt^2."""
    power = f"^{order}" if order > 1 else ""
    return f"{mark}{power}{function}/{mark}{variable}{power}"


def read_differential_quotient(cursor: Cursor) -> Node | None:
    r"""Read dx/dt, d^2x/dt^2 or \partial u/\partial x at the cursor; None, with the cursor where it was, for anything else."""
    start = cursor.index
    mark = cursor.now.text
    if (top := _read_differential(cursor)) and cursor.take("/") and (bottom := _read_differential(cursor)):
        (function, order), (variable, _) = top, bottom
        same_mark = bottom[1] == 1 and _same_order(cursor, order)
        if same_mark:
            kind = "\\partial" if mark == "partial" else "d"
            return Node("sym", (), leibniz(kind, function, variable, order))
    cursor.index = start
    return None


def _read_differential(cursor: Cursor) -> tuple[str, int] | None:
    """Read the mark of a differential, its order and the name behind it; None where there is none."""
    token = cursor.now
    if token.kind == "name" and len(token.text) == 2 and token.text[0] == "d":
        cursor.advance()
        return _with_subscripts(cursor, token.text[1]), 1
    if token.sign != "\\partial" and (token.kind != "name" or token.text != "d"):
        return None
    cursor.advance()
    order = _read_order(cursor)
    named = cursor.now
    if named.kind == "name" and len(named.text) == 1:
        cursor.advance()
        return _with_subscripts(cursor, named.text), order
    if named.kind == "cmd" and named.text in GREEK:
        cursor.advance()
        return _with_subscripts(cursor, "\\" + named.text), order
    return None


def _with_subscripts(cursor: Cursor, name: str) -> str:
    return str(read_subscripts(cursor, Node("sym", (), name)).value)


def _read_order(cursor: Cursor) -> int:
    """Take ^2 or ^{2} and return the number; 1 where there is none."""
    texts = ["^", *cursor.texts_ahead(3)]
    if not cursor.at("^"):
        return 1
    if texts[1] == "{" and len(texts) == 4 and texts[3] == "}" and texts[2] in "23456789":
        cursor.index += 4
        return int(texts[2])
    if len(texts) > 1 and texts[1] in "23456789":
        cursor.index += 2
        return int(texts[1])
    return 0


def _same_order(cursor: Cursor, order: int) -> bool:
    """Take the power behind the variable and tell whether it is that of the mark; without one nothing is taken."""
    return order == 1 or _read_order(cursor) == order
