r"""Numbers as written: in any base, mixed (`1 1/2`), with a word for a power of ten (`3 million`).

`101_2` is Node("num", (), Fraction(5)).
"""

from rewards.math.grammar.bases import read_digits, read_in_base
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.vocabulary import SCALES
from rewards.math.tree import Node, number

_CHOICES = {"C": "binom", "P": "permutations"}


def read_literal(cursor: Cursor) -> Node:
    """Read a number with what makes it another one: a base as subscript, a fraction or a power of ten behind it."""
    following = cursor.ahead()
    if following.kind == "name" and not following.spaced and (based := read_digits(cursor)):
        return based
    token = cursor.advance()
    if token.node is None:
        raise cursor.unreadable("expected a number")
    if cursor.at("_"):
        return read_in_base(cursor, token.text)
    following = cursor.now
    if following.text in _CHOICES and (chosen := _chosen(cursor, token.node)):
        return chosen
    if following.kind == "num":
        return _read_mixed(cursor, token.node)
    if following.kind in ("name", "text") and following.text.strip() in SCALES:
        cursor.advance()
        return Node("mul", (token.node, number(SCALES[following.text.strip()])))
    return token.node


def _chosen(cursor: Cursor, n: Node) -> Node | None:
    """Read 5C2 behind the five; None, with the cursor where it was, for anything else."""
    letter, k = cursor.now, cursor.ahead()
    if letter.spaced or k.spaced or k.node is None or cursor.ahead(2).sign == "_" or n.op != "num":
        return None
    if k.node.op != "num" or not k.node.value <= n.value:
        return None
    cursor.index += 2
    return Node("fn", (n, k.node), _CHOICES[letter.text])


def _read_mixed(cursor: Cursor, whole: Node) -> Node:
    """Return `whole` with the proper fraction that follows it after a space, if one does: 1 1/2."""
    top, bottom = cursor.now.node, cursor.ahead(2).node
    if not cursor.now.spaced or cursor.ahead().text != "/" or top is None or bottom is None:
        return whole
    if whole.op == top.op == bottom.op == "num" and 0 < top.value < bottom.value:
        cursor.index += 3
        return number(whole.value + top.value / bottom.value)
    return whole
