r"""Words where a value is expected: numbers in words, names in front of a relation, and what stands in \text{...}.

`twelve` is Node("num", (), 12), `Area` in `Area = 5` is Node("sym", (), "area"), and `\text{5/8}` is read as 5/8 is.
"""

import re

from rewards.math.grammar.bases import read_in_base
from rewards.math.grammar.boundaries import is_word
from rewards.math.grammar.brackets import read_bracketed
from rewards.math.grammar.cursor import Cursor, read_whole
from rewards.math.grammar.functions import read_function
from rewards.math.grammar.tokens import Token
from rewards.math.grammar.vocabulary import FUNCTIONS, WORD_NUMBERS
from rewards.math.tree import INFINITY, Node, number

_INFINITE = re.compile(r"(?:(positive|plus|negative|minus)\s+)?infinity")
_DIGITS = re.compile(r"(?=[A-Za-z]*\d|[A-F]+$)[0-9A-Z]+|(?=[a-z]*\d)[0-9a-z]+")
_NUMBER_OR_LETTER = re.compile(r"[-+]?[\d.,/]+|[A-Za-z]|(?!NO)[A-Z]{2}'?")  # or two points
_ONE_WORD = re.compile(r"[A-Za-z]{2,20}")
_LABEL = re.compile(r"[A-Za-z]{3,}(?: [a-z]{2,}){0,2}")
_FORMULA = re.compile(r"[\\^=+]")


def read_words(cursor: Cursor) -> Node:
    """Read English words: a number in words, or the name in front of a relation."""
    words: list[str] = []
    while cursor.now.kind == "name" and is_word(cursor, cursor.now) and cursor.now.text not in ("and", "or"):
        words.append(cursor.advance().text)
    if not words:
        raise cursor.unreadable("expected a value")
    if words in (["minus"], ["negative"]) and (cursor.now.kind == "num" or cursor.now.text == "infinity"):
        return Node("neg", (cursor.rules.power(cursor),))
    return _meant(cursor, " ".join(words))


def read_text(cursor: Cursor) -> Node:
    r"""Read what \text{...} stands for."""
    written = cursor.advance().text.strip()
    text = written.strip(":").strip()
    if written.endswith(":") and _LABEL.fullmatch(text):  # \text{domain: } [1, 2]
        cursor.tokens.insert(cursor.index, Token("op", ":", cursor.now.place))
    if cursor.at("_") and _DIGITS.fullmatch(text):
        return read_in_base(cursor, text)
    if text in FUNCTIONS and cursor.at("("):
        return read_function(cursor, text)
    if _NUMBER_OR_LETTER.fullmatch(text) or _FORMULA.search(text):
        return read_whole(text, cursor.rules)
    return _read_named_call(cursor, text) or _meant(cursor, text)


def _read_named_call(cursor: Cursor, text: str) -> Node | None:
    r"""Read \text{Var}(X) in front of a relation as a call of a name; None, with the cursor where it was, for anything else."""
    if not cursor.at("(") or not _ONE_WORD.fullmatch(text):
        return None
    start = cursor.index
    group = read_bracketed(cursor)
    if cursor.at("=", "\\approx", ":"):
        return Node("call", group.args if group.op == "seq" else (group,), text.lower())
    cursor.index = start
    return None


def _meant(cursor: Cursor, words: str) -> Node:
    """Return the number that words say, or the name that they are where a relation follows."""
    key = words.strip().lower()
    if key in WORD_NUMBERS:
        return number(WORD_NUMBERS[key])
    if match := _INFINITE.fullmatch(key):
        return Node("neg", (INFINITY,)) if match[1] in ("negative", "minus") else INFINITY
    if cursor.at("=", "\\approx", ":", "<", ">", "\\le", "\\ge", "\\in"):
        return Node("sym", (), key)
    raise cursor.unreadable(f"words where a value is expected ({key[:20]!r})")
