r"""Numbers as written: in any base, mixed (`1 1/2`), with a word for a power of ten (`3 million`).

`101_2` is Node("num", (), Fraction(5)).
"""

import re
from fractions import Fraction

from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.vocabulary import SCALES, WORD_NUMBERS
from rewards.math.tree import Node, UnreadableError, number

_DIGITS_IN_BRACKETS = re.compile(r"([0-9A-F]+)\)_")
_HEXADECIMAL_TAIL = re.compile(r"[A-F]+\d*")
_BASE_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "sixteen")
_BASES = {word: WORD_NUMBERS[word] for word in _BASE_WORDS}


def read_literal(cursor: Cursor) -> Node:
    """Read a number with what makes it another one: a base as subscript, a fraction or a power of ten behind it."""
    token = cursor.advance()
    if token.node is None:
        raise cursor.unreadable("expected a number")
    if cursor.at("_"):
        return read_in_base(cursor, token.text)
    following = cursor.now
    if following.kind == "name" and not following.spaced and cursor.ahead().text == "_":
        if _HEXADECIMAL_TAIL.fullmatch(following.text):  # 1AF_{16}
            cursor.advance()
            return read_in_base(cursor, token.text + following.text)
    elif following.kind == "num":
        return _read_mixed(cursor, token.node)
    if following.kind in ("name", "text") and following.text.strip() in SCALES:
        cursor.advance()
        return Node("mul", (token.node, number(SCALES[following.text.strip()])))
    return token.node


def _read_mixed(cursor: Cursor, whole: Node) -> Node:
    """Return `whole` with the proper fraction that follows it after a space, if one does: 1 1/2."""
    top, bottom = cursor.now.node, cursor.ahead(2).node
    if not cursor.now.spaced or cursor.ahead().text != "/" or top is None or bottom is None:
        return whole
    if whole.op == top.op == bottom.op == "num" and 0 < top.value < bottom.value:
        cursor.index += 3
        return number(whole.value + top.value / bottom.value)
    return whole


def digits_in_brackets(cursor: Cursor) -> str | None:
    """Step over a number in brackets with a base behind it, (101)_2, up to its base; return its digits, None for none."""
    match = _DIGITS_IN_BRACKETS.match("".join(cursor.texts_ahead(5)))
    if match is None:
        return None
    while not cursor.at("_"):
        cursor.advance()
    return match[1]


def read_in_base(cursor: Cursor, digits: str) -> Node:
    """Return `digits` read in the base that the subscript under the cursor names."""
    cursor.expect("_")
    grouped = cursor.take("{")
    text = cursor.now.text.strip()
    if text.isascii() and text.isdigit() and int(text[:4]) in range(2, 37):
        base = int(text)
    elif text in _BASES:
        base = _BASES[text]
    else:
        raise cursor.unreadable("a subscript that is no base")
    cursor.advance()
    if grouped:
        cursor.expect("}")
    whole, _, part = digits.replace(" ", "").partition(".")
    try:
        return number(Fraction(int(whole + part, base), base ** len(part)))
    except ValueError:
        raise UnreadableError(f"{digits!r} is no number in base {base}") from None
