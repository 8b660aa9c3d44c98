r"""Numbers in another base than ten, by the base behind them: `101_2`, `(1A3)_{16}`, `2201_{\text{three}}`, `1A3_{hex}`.

Letters are digits where they cannot be names: capitals beside digits, small letters only between digits, as in `1a3_{16}`:
`2a_{11}` is twice the eleventh a. `same_digits` knows digits whose base was left out.
"""

import re
from fractions import Fraction

from rewards.math.grammar.cursor import Cursor
from rewards.math.grammar.vocabulary import WORD_NUMBERS
from rewards.math.tree import Node, UnreadableError, number

_BASE_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "sixteen")
_BASES = {word: WORD_NUMBERS[word] for word in _BASE_WORDS} | {"bin": 2, "oct": 8, "dec": 10, "hex": 16}
_DIGITS_IN_BRACKETS = re.compile(r"(?=[A-Z]*[a-z]*\d|[A-F]{1,8}\))([0-9A-Z]+|[0-9a-z]+)\)_")
_CAPITALS_BEFORE_DIGITS = re.compile(r"[A-Z]{1,4}\d")
_MAX_PIECES = 12  # tokens of one number


def read_digits(cursor: Cursor) -> Node | None:
    """Read digits with letters among them and their base; None, with the cursor where it was, for anything else."""
    digits, length = _run(cursor)
    if cursor.ahead(length).sign != "_" or not _are_digits(digits):
        return None
    start = cursor.index
    cursor.index += length
    try:
        return read_in_base(cursor, digits)
    except UnreadableError:
        cursor.index = start
        return None


def _run(cursor: Cursor) -> tuple[str, int]:
    """Return what stands without spaces at the cursor, numbers and letters, and how many tokens it takes."""
    text = ""
    for length in range(_MAX_PIECES):
        token = cursor.ahead(length)
        if token.kind not in ("num", "name") or (length and token.spaced):
            return text, length
        text += token.text
    return text, _MAX_PIECES


def _are_digits(text: str) -> bool:
    if not text.isalnum() or text.isdigit():
        return False
    if text.isalpha():
        return text.isupper() and set(text) <= set("ABCDEF")
    if text.isupper():
        return text[0].isdigit() or _CAPITALS_BEFORE_DIGITS.match(text) is not None
    return text.islower() and text[0].isdigit() and text[-1].isdigit()


def digits_in_brackets(cursor: Cursor) -> str | None:
    """Step over a number in brackets with a base behind it, (101)_2, up to its base; return its digits, None for none."""
    match = _DIGITS_IN_BRACKETS.match("".join(cursor.texts_ahead(_MAX_PIECES)))
    if match is None:
        return None
    while not cursor.at("_"):
        cursor.advance()
    return match[1]


def read_in_base(cursor: Cursor, digits: str) -> Node:
    """Return `digits` read in the base that the subscript under the cursor names."""
    start = cursor.index
    cursor.expect("_")
    base = _base(_subscript(cursor))
    if base is None or (digits.isalpha() and base != 16):  # A_{12} is a name
        cursor.index = start
        raise cursor.unreadable("a subscript that is no base")
    whole, _, part = digits.replace(" ", "").partition(".")
    try:
        return number(Fraction(int(whole + part, base), base ** len(part)))
    except ValueError:
        raise UnreadableError(f"{digits!r} is no number in base {base}") from None


def _subscript(cursor: Cursor) -> str:
    """Take one token or a short group and return its text."""
    if not cursor.take("{"):
        return cursor.advance().text
    texts: list[str] = []
    while not cursor.take("}"):
        if cursor.now.kind == "end" or len(texts) == _MAX_PIECES:
            raise cursor.unreadable("a subscript that is no base")
        texts.append(cursor.advance().text)
    return " ".join(texts)


def _base(text: str) -> int | None:
    """Return the base that a subscript names: 16, (16), sixteen, hex, base 16; None where it is none."""
    word = text.lower().replace("base", " ").strip(" ().-")
    if word.isascii() and word.isdigit() and len(word) < 4:
        return int(word) if int(word) in range(2, 37) else None
    return _BASES.get(word)


# -- digits whose base is left out

_WRITTEN = re.compile(
    r"(?:[A-Za-z]\s*=\s*)?\(?(?:\\text\s*\{\s*)?([0-9A-Za-z]{1,100})\s*\}?\)?"
    r"(?:_\s*(?:\{(?:\\text\s*\{)?([^{}]{1,20})\}?\}|(\d{1,2})))?"
)
_ASKS_FOR_BASE = re.compile(r"base|binary|octal|hex|notation|_|进制", re.IGNORECASE)
_NAMED_BASE = re.compile(r"\bbase[\s-]*\$?\s*(\d{1,2}|[a-z]{3,7})\b", re.IGNORECASE)


def same_digits(gold: str, answer: str, prompt: str) -> bool:
    """Tell whether two cleaned texts are the same digits where only one of them names the base.

    A base of the gold is the one that was asked for; a base of the answer must be named by the question.
    """
    wanted, written = _WRITTEN.fullmatch(gold), _WRITTEN.fullmatch(answer)
    if wanted is None or written is None or wanted[1].lower() != written[1].lower():
        return False
    base, own = _base(wanted[2] or wanted[3] or ""), _base(written[2] or written[3] or "")
    digits = wanted[1]
    is_number = digits[0].isdigit() and (digits.isupper() or digits.isdigit() or digits[-1].isdigit())
    if not (is_number or (len(digits) > 1 and _are_digits(digits))) or (base is None) == (own is None):
        return base is not None and base == own and _fits(digits, base)
    if base is not None:
        return _fits(digits, base) and (not prompt or _ASKS_FOR_BASE.search(prompt[:10_000]) is not None)
    asked = {_base(match[1]) for match in _NAMED_BASE.finditer(prompt[:10_000])}
    return own in asked and _fits(digits, own or 0)


def _fits(digits: str, base: int) -> bool:
    return all(int(digit, 36) < base for digit in digits.lower())
