r"""Powers: a value with its suffixes and its exponents.

`x!^{-2}` is Node("pow", (Node("fact", (x,)), Node("neg", (2,)))); a suffix behind an exponent is the exponent's: 2^3! is 2^6.
"""

from rewards.math.grammar.affixes import read_sign, read_suffixes, signed
from rewards.math.grammar.atoms import read_atom
from rewards.math.grammar.brackets import read_group
from rewards.math.grammar.constructors import is_constructor
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.rows import transposed
from rewards.math.grammar.subscripts import read_subscripts
from rewards.math.grammar.tokens import Token
from rewards.math.grammar.vocabulary import is_function
from rewards.math.tree import Node


def read_power(cursor: Cursor) -> Node:
    """Read a value with suffixes and any number of exponents: x^2^3 is x^(2^3), but x^{2}^{3} is (x^2)^3."""
    base = read_suffixes(cursor, read_atom(cursor))
    if base.op == "sym" and cursor.at("^") and not _raises_mark(cursor):
        return _read_powers(cursor, _read_power_of_name(cursor, base))
    return _read_powers(cursor, base)


def _read_powers(cursor: Cursor, base: Node) -> Node:
    while cursor.at("^", "**") and not _raises_mark(cursor):
        if base.op in ("seq", "mat") and (other := _read_transposed(cursor, base)):
            base = other
            continue
        cursor.advance()
        base = Node("pow", (base, _read_exponent(cursor)))
    return base


def _read_transposed(cursor: Cursor, base: Node) -> Node | None:
    """Take a power T behind a matrix or a vector and return what it transposes to; None where there is none."""
    texts = cursor.texts_ahead(3)
    length = 1 if texts[:1] == ["T"] else 3 if texts == ["{", "T", "}"] else 0
    node = transposed(base) if length else None
    if node is not None:
        cursor.index += 1 + length
    return node


def _read_power_of_name(cursor: Cursor, name: Node) -> Node:
    """Read the first exponent of a name, behind which its subscript may stand: v^2_0."""
    cursor.advance()
    token = cursor.now
    if token.kind == "num" and token.node is not None and cursor.ahead().text == "_":  # no digits with a base
        cursor.advance()
        exponent = token.node
    else:
        exponent = _read_exponent(cursor)
    return Node("pow", (read_subscripts(cursor, name), exponent))


def _raises_mark(cursor: Cursor) -> bool:
    r"""Tell whether ^ raises a mark, as in x^\circ or x^{\prime}, and not an exponent."""
    if cursor.now.text != "^":
        return False
    raised = cursor.ahead()
    if raised.text == "{":
        return cursor.ahead(2).text in ("circ", "prime")
    return raised.kind == "cmd" and raised.text in ("circ", "prime")


def _is_called(token: Token) -> bool:
    return is_function(token.text) or is_constructor(token.text)


def _read_exponent(cursor: Cursor) -> Node:
    cursor.deeper()
    sign = read_sign(cursor)
    token = cursor.now
    if token.kind == "name" and len(token.text) > 1 and not _is_called(token):  # x^ab is x^a b
        cursor.split_name()
    node = read_suffixes(cursor, read_group(cursor)) if token.text == "{" else read_power(cursor)
    cursor.depth -= 1
    return signed(sign, node)
