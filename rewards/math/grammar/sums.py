r"""Sums: terms with plus, minus and plus-minus between them.

`1-x` is Node("add", (1, Node("neg", (x,)))), and `1 \pm x` is Node("pm", (1, x)).
"""

from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.products import read_product
from rewards.math.tree import Node, Op

_WRITTEN_OUT: list[tuple[list[str], Op]] = [
    (["+", "-"], "pm"), (["+", "/", "-"], "pm"), (["-", "/", "+"], "mp"), (["+", "or", "-"], "pm"),
]  # fmt: skip


def read_sum(cursor: Cursor) -> Node:
    """Read a sum; what stands in front of a plus-minus is one side of it."""
    if sign := _take_plus_minus(cursor) or _take_written_out(cursor):
        cursor.take("\\mp")  # \pm\mp is one sign
        terms = [Node(sign, (read_product(cursor),))]
    else:
        terms = [read_product(cursor)]
    while True:
        if cursor.at("+", "-") and _has_space_around(cursor) and (sign := _take_written_out(cursor)):
            terms = [Node(sign, (_added(terms), read_product(cursor)))]
        elif cursor.take("+"):
            terms.append(read_product(cursor))
        elif cursor.take("-"):
            terms.append(Node("neg", (read_product(cursor),)))
        elif sign := _take_plus_minus(cursor):
            terms = [Node(sign, (_added(terms), read_product(cursor)))]
        elif cursor.take("\\bmod"):  # the remainder of all that stands in front of it
            return Node("fn", (_added(terms), read_product(cursor)), "mod")
        else:
            return _added(terms)


def _take_plus_minus(cursor: Cursor) -> Op | None:
    if cursor.take("\\pm"):
        return "pm"
    return "mp" if cursor.take("\\mp") else None


def _take_written_out(cursor: Cursor) -> Op | None:
    """Take +-, +/-, -/+ or "+ or -" as one sign; None for any other signs."""
    if cursor.now.text not in ("+", "-"):
        return None
    for spelling, op in _WRITTEN_OUT:
        if [cursor.now.text, *cursor.texts_ahead(len(spelling) - 1)] == spelling and not _apart(cursor, spelling):
            cursor.index += len(spelling)
            return op
    return None


def _apart(cursor: Cursor, spelling: list[str]) -> bool:
    """Tell whether there is space inside of what would be one sign; around a word there is."""
    return "or" not in spelling and any(cursor.ahead(offset).spaced for offset in range(1, len(spelling)))


def _has_space_around(cursor: Cursor) -> bool:
    """Tell whether two signs in the middle are one, 2 +- 3, and not a sum with a negative, 2+-3; +/- is always one."""
    if cursor.ahead().text == "-":
        return cursor.now.spaced and cursor.ahead(2).spaced
    return True


def _added(terms: list[Node]) -> Node:
    return terms[0] if len(terms) == 1 else Node("add", tuple(terms))
