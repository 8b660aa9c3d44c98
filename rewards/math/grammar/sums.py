r"""Sums: terms with plus, minus and plus-minus between them.

`1-x` is Node("add", (1, Node("neg", (x,)))), and `1 \pm x` is Node("pm", (1, x)).
"""

from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.products import read_product
from rewards.math.tree import Node, Op


def read_sum(cursor: Cursor) -> Node:
    """Read a sum; what stands in front of a plus-minus is one side of it."""
    if sign := _take_plus_minus(cursor):
        cursor.take("\\mp")  # \pm\mp is one sign
        terms = [Node(sign, (read_product(cursor),))]
    else:
        terms = [read_product(cursor)]
    while True:
        if cursor.take("+"):
            if cursor.take("/"):  # +/-
                cursor.expect("-")
                terms = [Node("pm", (_added(terms), read_product(cursor)))]
            else:
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


def _added(terms: list[Node]) -> Node:
    return terms[0] if len(terms) == 1 else Node("add", tuple(terms))
