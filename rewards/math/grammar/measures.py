r"""Units behind a value: `5 \text{ km}/h^2`, `12 apples`, `3 percent`.

`5 km/h` is Node("unit", (5,), "km / h"): the phrase stays as written here, `units.py` says what it means.
"""

import re

from rewards.math.grammar.boundaries import is_word
from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.tokens import Token
from rewards.math.grammar.vocabulary import ROUGHLY, SCALES
from rewards.math.tree import Node, number
from rewards.math.units import NO_UNIT, measure, ratio
from rewards.math.units import SHORT as SHORT_UNITS

_NO_UNIT_TEXT = re.compile(r"\d{2}|[=<>]|\b(or|and)\b")
_SMALL_POWER = re.compile(r"\{?(-?\d)\}?")
_TUPLES = frozenset(("pairs", "triples", "triplets", "tuples", "points", "quadruples", "solutions"))
_NAMES = re.compile(r"[A-Za-z](?:,[A-Za-z]){1,3}\)")
_MINUTES_OF_ARC = {"arcmin": 60, "arcminute": 60, "arcminutes": 60, "arcsec": 3600, "arcsecond": 3600, "arcseconds": 3600}
_JOINING_WORDS = frozenset(("and", "or", "to"))
_PERCENT = frozenset(("percent", "percents", "percentage", "pct", "per cent"))
_DEGREES = frozenset(("degree", "degrees", "deg"))


def read_unit_phrase(cursor: Cursor) -> str | None:
    """Take a unit or the words that name what is counted, with powers and slashes; None where there is none."""
    while cursor.now.kind == "text" and ROUGHLY.fullmatch(cursor.now.text.strip()):
        cursor.advance()
    pieces: list[str] = []
    while _read_piece(cursor, pieces):
        pass
    if not pieces:
        return None
    _skip_names_of_things(cursor, pieces)
    phrase = " ".join(pieces)
    if phrase == "times" and cursor.now.kind == "end":  # 3 times
        return phrase
    if phrase.startswith("more ") and "than" not in phrase:
        phrase = phrase.removeprefix("more ")
    if NO_UNIT.search(phrase):
        raise cursor.unreadable(f"words that are no unit ({phrase[:20]!r})")
    return phrase


def _skip_names_of_things(cursor: Cursor, pieces: list[str]) -> None:
    """Step over the name of what is counted: 7 values of x, 7 ordered pairs (x, y)."""
    words = " ".join(pieces).split()
    if words[-1] == "of" and cursor.now.kind == "name" and len(cursor.now.text) == 1 and cursor.ahead().kind == "end":
        cursor.advance()
        return
    if words[-1] in _TUPLES and cursor.at("("):
        names = cursor.texts_ahead(8)
        if ")" in names and cursor.ahead(names.index(")") + 2).kind == "end" and _NAMES.fullmatch("".join(names)):
            cursor.index += names.index(")") + 2


def _read_piece(cursor: Cursor, pieces: list[str]) -> bool:
    """Take one more piece of a unit and put it to `pieces`; return whether there was one."""
    token = cursor.now
    if _is_unit_word(cursor, token, bool(pieces)):
        pieces.append(token.text.strip())
        cursor.advance()
        return True
    if not pieces:
        return False
    word_follows = cursor.ahead().kind in ("text", "name")
    if cursor.at("/") and word_follows:
        cursor.advance()
        pieces.append("/ " + cursor.advance().text.strip())
        return True
    if cursor.at("^", "**"):
        return _read_power(cursor, pieces)
    if cursor.at("\\cdot") and word_follows:
        cursor.advance()
        return True
    if cursor.at("\\Omega") and pieces[-1] in ("k", "M", "m"):
        cursor.advance()
        pieces[-1] += "\\Omega"
        return True
    return False


def _is_unit_word(cursor: Cursor, token: Token, behind_unit: bool) -> bool:
    """Tell whether a token is a unit; a single letter or a product of letters is one only behind another."""
    word = token.text.strip()
    if token.kind == "text":
        spoken = word.strip(" ,.").lower()
        return spoken != "" and spoken not in _JOINING_WORDS and not _NO_UNIT_TEXT.search(word)
    if token.kind != "name" or word in _JOINING_WORDS:
        return False
    return is_word(cursor, token) or (behind_unit and (len(word) > 1 or word in SHORT_UNITS))


def _read_power(cursor: Cursor, pieces: list[str]) -> bool:
    """Take a power of one digit, as 2, {2} or {-2}, and put it to the last piece."""
    texts = cursor.texts_ahead(4)
    match = _SMALL_POWER.match("".join(texts))
    if match is None:
        return False
    cursor.advance()
    taken = 0
    while taken < len(match[0]):
        taken += len(cursor.advance().text)
    pieces[-1] += "^" + match[1]
    return True


def with_unit(node: Node, phrase: str) -> Node:
    """Return `node` with the unit or the word behind it, which may also be a percent, a degree or a power of ten."""
    plain = phrase.strip().strip(".").strip()
    lower = plain.lower()
    if lower in _PERCENT:
        return Node("pct", (node,))
    if lower in _DEGREES:
        return Node("deg", (node,))
    if lower in _MINUTES_OF_ARC:
        return Node("deg", (Node("div", (node, number(_MINUTES_OF_ARC[lower]))),))
    if lower in ("degrees celsius", "degrees fahrenheit"):
        return Node("unit", (node,), lower.split()[1])
    if lower in SCALES:
        return Node("mul", (node, number(SCALES[lower])))
    first, _, rest = lower.partition(" ")
    if first in SCALES and rest:  # 3 million people
        return Node("unit", (Node("mul", (node, number(SCALES[first]))),), rest)
    if node.op == "unit" and measure(node.value) and ratio(node.value, plain) is not None:
        return node  # "$5 dollars"
    return Node("unit", (node,), plain)
