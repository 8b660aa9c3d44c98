r"""Where a value begins and ends: English words against names, the start of a factor, what separates items.

In `2x^2 apples, 3` the letter x begins a factor, `apples` is a word and ends the product, the comma separates two items.
"""

from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.tokens import Token
from rewards.math.grammar.vocabulary import ACCENTS, ALIASES, FUNCTIONS, GREEK, NO_PRODUCT, PACKED, SETS
from rewards.math.units import WORDS as UNIT_WORDS

_MINUTES_OR_MINIMUM = frozenset(("min", "sec"))  # a unit behind a number, a function in front of its argument
_CONSTANTS = frozenset(("pi", "infty", "oo", "inf", "infinity", "frac"))
_NEVER_WORDS = ((FUNCTIONS | ALIASES.keys()) - _MINUTES_OR_MINIMUM) | GREEK | _CONSTANTS
_BEHIND_POINTS = frozenset(("=", "}", "/", ":", "+", "*", "\\cdot", "\\perp", "\\parallel"))
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"  # abcd is a product, no word
_FACTOR_COMMANDS = ACCENTS | SETS.keys() | GREEK | FUNCTIONS | ALIASES.keys() | {
    "frac", "pi", "infty", "lfloor", "lceil", "langle", "lvert", "begin", "sum", "prod", "triangle", "angle", "partial",
    "int", "lim",
}  # fmt: skip


def is_word(cursor: Cursor, token: Token) -> bool:
    """Tell whether a run of letters is English rather than a function, a constant or a product of variables."""
    text = token.text
    if text in _NEVER_WORDS:
        return False
    current = cursor.now is token
    if text in _MINUTES_OR_MINIMUM and current and cursor.ahead().text not in ("(", "{", "\\{", "^", "_"):
        return cursor.index > 0 and cursor.tokens[cursor.index - 1].kind == "num"
    if text in UNIT_WORDS:  # 2mg \sin x is a product
        following = cursor.ahead()
        return not (current and len(text) == 2 and following.kind == "cmd" and following.text in FUNCTIONS | GREEK)
    if len(text) == 2 and text.isupper() and (text != "NO" or _names_points(cursor, token)):  # the side AT
        return False
    if text.lower() in NO_PRODUCT or text in ("and", "or"):
        raised = len(text) == 2 and current and cursor.ahead().text == "^"
        return not raised  # Be^x is B times e^x
    return len(text) > 3 and not text.isupper() and not PACKED.match(text) and text not in _ALPHABET


def _names_points(cursor: Cursor, token: Token) -> bool:
    r"""Tell whether the letters of "no" are two points here: \frac{NO}{BO}, NO = 5."""
    return cursor.now is token and cursor.ahead().sign in _BEHIND_POINTS


def starts_factor(cursor: Cursor) -> bool:
    """Tell whether the current token can begin a factor without a sign of multiplication."""
    token = cursor.now
    if token.kind in ("num", "name"):
        return not is_word(cursor, token)
    if token.kind == "cmd":
        return token.text in _FACTOR_COMMANDS
    if token.kind != "op":
        return False
    if token.text == "|":
        return not cursor.bars
    if token.text == "[":
        return _opens(cursor)
    return token.text in ("(", "{", "\\{")


def _opens(cursor: Cursor) -> bool:
    """Tell whether a "[" opens what a "]" closes, and does not end a French interval: ]0,1[ u ]2,3[."""
    if cursor.ahead().sign in ("\\cup", "\\cap", "\\setminus", ",", ";") or cursor.ahead().kind == "end":
        return False
    depth = 0
    for token in cursor.tokens[cursor.index :]:
        depth += (token.sign == "[") - (token.sign == "]")
        if not depth:
            return True
    return False


def read_separator(cursor: Cursor) -> str | None:
    """Take what stands between two items of a collection; return ",", "and" or "or", or None where there is nothing."""
    separator: str | None = None
    while True:
        token = cursor.now
        word = token.text.strip(" ,.").lower() if token.kind in ("name", "text") else None
        if cursor.at(",", ";", "&", "&&") or (token.kind == "text" and not word):
            separator = separator or ","
        elif word == "and":
            separator = "and"
        elif word == "or" or cursor.at("||"):
            separator = "or"
        else:
            return separator
        cursor.advance()
