"""Numbers written otherwise than in ASCII digits, as digits: for comparing texts, not for reading values off them.

`digits_of` works on text (fullwidth and Indian digits, Chinese numerals, thousands with a comma), `words_as_digits` on tokens
in lower case (`twenty - five`, `two hundred and four`). Both sides of a comparison go through them, so that a word which was no
number ("one of them", 一个) does no harm.

Left out: numerals in the words of other languages than English and Chinese, Roman ones, and fractions in words.
"""

import re
import unicodedata
from collections.abc import Sequence

_THOUSANDS = re.compile(r"(?<=\d)(?:\{?,\}?|\\,)(?=\d{3}(?!\d))")
_CHINESE_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"\u3007": 0, "两": 2, "兩": 2}
_CHINESE_UNITS = {"十": 10, "百": 100, "千": 1000}
_CHINESE_MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_CHINESE = re.compile(f"[{''.join([*_CHINESE_DIGITS, *_CHINESE_UNITS, *_CHINESE_MYRIADS])}]+")
_SMALL_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_SMALL = {word: number for number, word in enumerate(_SMALL_WORDS)}
_TENS_WORDS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_TENS = {word: 10 * number for number, word in enumerate(_TENS_WORDS, start=2)}
_BELOW_HUNDRED = {**_SMALL, **_TENS}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}


def digits_of(text: str) -> str:
    """Return a text with the digits and numerals of other scripts as ASCII digits, and 1,000 as 1000."""
    text = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in text)
    return _THOUSANDS.sub("", _CHINESE.sub(lambda run: f" {_chinese(run[0])} ", text))


def _chinese(run: str) -> str:
    """Return the number that Chinese numerals say; digits one after another stand for themselves, as in 二〇二四."""
    if len(run) > 1 and not any(one in _CHINESE_UNITS or one in _CHINESE_MYRIADS for one in run):
        return "".join(str(_CHINESE_DIGITS[one]) for one in run)
    total = below_myriad = 0
    digit: int | None = None
    for one in run:
        if one in _CHINESE_DIGITS:
            digit = _CHINESE_DIGITS[one]
        elif one in _CHINESE_UNITS:
            below_myriad += (1 if digit is None or digit == 0 else digit) * _CHINESE_UNITS[one]
            digit = None
        else:
            total += max(1, below_myriad + (digit or 0)) * _CHINESE_MYRIADS[one]
            below_myriad, digit = 0, None
    return str(total + below_myriad + (digit or 0))


def words_as_digits(tokens: Sequence[str]) -> list[str]:
    """Return tokens with numbers in English words as digits: twenty - five as 25, one hundred and five as 105."""
    written: list[str] = []
    place = 0
    while place < len(tokens):
        value, taken = _number_at(tokens, place)
        written.append(str(value) if taken else tokens[place])
        place += max(1, taken)
    return written


def _number_at(tokens: Sequence[str], place: int) -> tuple[int, int]:
    """Return the number in words that stands at `place`, and how many tokens it takes; none: 0 tokens."""
    total, start, limit = 0, place, 10**12  # `limit`: the next scale must be smaller
    while True:
        group, taken = _below_thousand(tokens, place)
        if not taken:
            break
        scale = _SCALES.get(tokens[place + taken]) if place + taken < len(tokens) else None
        if scale is None or scale >= limit:
            if limit == 10**12 or group < limit:
                total, place = total + group, place + taken
            break
        total, place, limit = total + group * scale, place + taken + 1, scale
        if tokens[place : place + 1] == ["and"] and _below_thousand(tokens, place + 1)[1]:
            place += 1
    if place > start and tokens[place - 1] == "and":
        place -= 1
    return total, place - start


def _below_thousand(tokens: Sequence[str], place: int) -> tuple[int, int]:
    """Return (value, tokens taken) of a number in words below 1,000: six, twenty - five, three hundred and four."""
    value, taken = _below_hundred(tokens, place)
    if not taken or value == 0 or tokens[place + taken : place + taken + 1] != ["hundred"]:
        return value, taken
    taken += 1
    said_and = tokens[place + taken : place + taken + 1] == ["and"]
    rest, more = _below_hundred(tokens, place + taken + said_and)
    behind = tokens[place + taken + said_and + more : place + taken + said_and + more + 1]
    if not more or rest == 0 or behind == ["hundred"]:  # between one hundred and two hundred
        return value * 100, taken
    return value * 100 + rest, taken + said_and + more


def _below_hundred(tokens: Sequence[str], place: int) -> tuple[int, int]:
    first = tokens[place] if place < len(tokens) else ""
    value = _BELOW_HUNDRED.get(first)
    if value is None:
        return 0, 0
    if first not in _TENS:
        return value, 1
    hyphen = tokens[place + 1 : place + 2] == ["-"]
    unit = tokens[place + 1 + hyphen] if place + 1 + hyphen < len(tokens) else ""
    if 0 < _SMALL.get(unit, 0) < 10:
        return value + _SMALL[unit], 2 + hyphen
    return value, 1
