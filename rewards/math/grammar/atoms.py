r"""Values without what stands behind them: a number, a name, a command, words, brackets, an absolute value, money.

`|x|` is Node("fn", (x,), "abs"), and `$5` is Node("unit", (5,), "$").
"""

from rewards.math.grammar.affixes import read_sign, signed
from rewards.math.grammar.bases import digits_in_brackets, read_in_base
from rewards.math.grammar.brackets import read_bracketed, read_group
from rewards.math.grammar.commands import read_command
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.letters import read_letters
from rewards.math.grammar.literals import read_literal
from rewards.math.grammar.texts import read_text
from rewards.math.grammar.vocabulary import ELLIPSIS
from rewards.math.tree import Node

_BY_KIND = {"num": read_literal, "name": read_letters, "cmd": read_command, "text": read_text}


def read_atom(cursor: Cursor) -> Node:
    """Read a value without suffixes."""
    cursor.deeper()
    rule = _BY_KIND.get(cursor.now.kind, _read_operator)
    node = rule(cursor)
    cursor.depth -= 1
    return node


def _read_operator(cursor: Cursor) -> Node:
    """Read a value that begins with an operator."""
    if cursor.at("(") and (digits := digits_in_brackets(cursor)):
        return read_in_base(cursor, digits)
    if cursor.at("(", "[", "\\{", "]"):
        return read_bracketed(cursor)
    if cursor.at("{"):
        return read_group(cursor)
    if cursor.at("|"):  # where a value is expected a bar opens, also inside of others: |1-|x||
        return _read_absolute(cursor)
    if cursor.take("..."):
        return ELLIPSIS
    if cursor.at("$", "£", "€", "¥"):
        currency = cursor.advance().text
        return Node("unit", (cursor.rules.power(cursor),), currency)
    if cursor.at("-", "+"):
        sign = read_sign(cursor)
        return signed(sign, cursor.rules.power(cursor))
    raise cursor.unreadable("expected a value")


def _read_absolute(cursor: Cursor) -> Node:
    """Read an absolute value; inside of it a bar closes."""
    cursor.advance()
    cursor.bars += 1
    argument, cursor.argument = cursor.argument, 0
    inner = cursor.rules.sum(cursor)
    cursor.argument = argument
    cursor.bars -= 1
    cursor.expect("|")
    return Node("fn", (inner,), "abs")
