r"""Numbers in words and ordinals: `forty-two`, `two thirds`, `the seventh`, `7^{\text{th}}`, `No. 7`.

An ordinal is read as a number of ORDINAL ("th"), which a bare number meets and a number of things does not: the 7th floor is
7 and the 7th, but not 7 floors.
"""

import re
from fractions import Fraction

from rewards.math.units import ORDINAL, measure

MAX_WORDS = 24
_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = (
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip
_VALUES = {word: value for value, word in enumerate(_ONES)} | {word: 10 * (place + 2) for place, word in enumerate(_TENS)}
_VALUES["fourty"] = 40
_LARGE = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15, "sixteenth": 16,
    "seventeenth": 17, "eighteenth": 18, "nineteenth": 19, "twentieth": 20, "thirtieth": 30, "fortieth": 40, "fiftieth": 50,
    "sixtieth": 60,
    "seventieth": 70, "eightieth": 80, "ninetieth": 90, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip
_PARTS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4} | {word: value for word, value in _ORDINALS.items() if value > 2}
_PARTS |= {f"{word}s": value for word, value in _ORDINALS.items() if value > 2}
_TIMES = {"once": 1, "twice": 2, "thrice": 3}
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}

# -- numbers in words


def number_in_words(words: list[str]) -> tuple[Fraction, bool, int] | None:
    """Return (value, whether it is an ordinal, how many words it takes) of the number that `words` begin with, or None."""
    if words[:1] and words[0] in _TIMES and len(words) == 1:
        return Fraction(_TIMES[words[0]]), False, 1
    value, taken = _cardinal(words)
    if taken and words[taken : taken + 2] == ["and", "a"] and words[taken + 2 : taken + 3] in (["half"], ["quarter"]):
        return value + Fraction(1, _PARTS[words[taken + 2]]), False, taken + 3
    if taken and words[taken - 1] in _LARGE and words[taken : taken + 1] == ["and"] and words[taken + 1 : taken + 2]:
        ordinal = _ORDINALS.get(words[taken + 1])  # one hundred and first
        return None if ordinal is None else (Fraction(value + ordinal), True, taken + 2)
    if taken and taken < len(words) and words[taken] in _PARTS and value:
        below = _PARTS[words[taken]]
        if not (words[taken - 1] in _TENS and below < 10 and words[taken] in _ORDINALS):  # twenty-third is no fraction
            return Fraction(value, below), False, taken + 1
    ordinal = _ORDINALS.get(words[taken]) if taken < len(words) else None
    if ordinal is not None and (not taken or _goes_on(words[taken - 1], ordinal)):
        total = value * ordinal if ordinal >= 100 and value else value + ordinal
        return Fraction(total), True, taken + 1
    if words[:1] == ["half"]:
        return Fraction(1, 2), False, 1
    if len(words) > 1 and words[0] in ("a", "an") and words[1] in _PARTS:
        return Fraction(1, _PARTS[words[1]]), False, 2
    if len(words) > 1 and words[0] in ("a", "an") and len(words[1]) > 2 and measure(words[1]) is not None:  # a week, not a t
        return Fraction(1), False, 1
    return (Fraction(value), False, taken) if taken else None


def _goes_on(last: str, ordinal: int) -> bool:
    """Tell whether an ordinal may end the number in front of it: twenty-first, one hundred and first."""
    if last in _TENS:
        return ordinal < 10
    return last in _LARGE or last == "and" or ordinal >= 100


def _cardinal(words: list[str]) -> tuple[int, int]:
    """Return (value, number of words taken); nothing taken where there is no number."""
    total = group = taken = 0
    last = ""
    for place, word in enumerate(words[:MAX_WORDS]):
        if word in _VALUES:
            if last in _VALUES and not (last in _TENS and 0 < _VALUES[word] < 10):
                break
            group += _VALUES[word]
        elif word in _LARGE and (last in _VALUES or last in _LARGE):
            if word == "hundred":
                group *= 100
            else:
                total, group = total + group * _LARGE[word], 0
        elif word == "and" and last in _LARGE and words[place + 1 : place + 2] and words[place + 1] in _VALUES:
            continue
        else:
            break
        last, taken = word, place + 1
    return total + group, taken


_TWICE_WRITTEN = re.compile(r"(\d{1,9})\s?\(([A-Za-z -]{3,60})\)|([A-Za-z -]{3,60})\((\d{1,9})\)")
_ALL_IN_TEXT = re.compile(r"\\text\s*\{([A-Za-z\s-]{1,80})\}")
_AND_A_HALF = re.compile(r"(?:(an?|one)\s+)([A-Za-z]+)\s+and\s+a\s+half", re.IGNORECASE)
_WORDS = re.compile(r"(?:the\s+)?[A-Za-z]+(?:[\s-]+[A-Za-z]+){0,11}\.?")
_FRACTION_OF_UNIT = re.compile(r"(?:of\s+)?an?\s+")
_NUMBER_FIRST = frozenset((*_VALUES, *_ORDINALS, *_TIMES, "half", "a", "an"))


def fold_number_words(text: str) -> str:
    r"""Return `text` with the number it begins with in digits: `forty-two apples` is `42\text{apples}`."""
    if text[-1:] == ")" and (match := _TWICE_WRITTEN.fullmatch(text)):
        digits, words_of_it = match[1] or match[4], (match[2] or match[3]).lower()
        said = number_in_words(re.findall(r"[a-z]+", words_of_it))
        return digits if said and said[0] == int(digits) else text
    if text.startswith("\\text") and (match := _ALL_IN_TEXT.fullmatch(text)):
        folded = fold_number_words(match[1].strip())
        return text if folded == match[1].strip() else folded
    if not text[:1].isalpha() or not _WORDS.fullmatch(text):
        return text
    if match := _AND_A_HALF.fullmatch(text):  # an hour and a half
        return rf"\frac{{3}}{{2}}\text{{{match[2]}}}"
    words = [word.lower() for word in re.findall(r"[A-Za-z]+", text)]
    if words[0] == "the":
        words = words[1:]
    if not words or words[0] not in _NUMBER_FIRST or words[1:2] in (["past"], ["to"], ["after"]):  # half past three
        return text
    found = number_in_words(words)
    if found is None:
        return text
    if "and" in words[found[2] :] and (both := _two_amounts(words, words.index("and", found[2]))):
        return both
    value, is_ordinal, taken = found
    if is_ordinal and taken == 1 and words[0] == "second" and len(words) > 1 and words[1] in ("hand", "half"):
        return text
    rest = _FRACTION_OF_UNIT.sub("", " ".join(words[taken:]), count=1) if value.denominator > 1 else " ".join(words[taken:])
    if rest and (rest.split()[0] in ("and", "or", "to") or rest.split()[0] in _NUMBER_FIRST):
        return text
    written = str(value.numerator) if value.denominator == 1 else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    unit = " ".join(part for part in (ORDINAL if is_ordinal else "", rest) if part)
    return written + (rf"\text{{{unit}}}" if unit else "")


def _two_amounts(words: list[str], place: int) -> str | None:
    """Return `five dollars and twenty cents` in digits, None for anything else that is joined by "and" at `place`."""
    amounts = []
    for part in (words[:place], words[place + 1 :]):
        found = number_in_words(part)
        unit = measure(" ".join(part[found[2] :])) if found else None
        if found is None or unit is None or found[0].denominator > 1:
            return None
        amounts.append((rf"{found[0]}\text{{{' '.join(part[found[2] :])}}}", unit))
    (one, larger), (other, smaller) = amounts
    return f"{one} {other}" if larger[0] == smaller[0] and larger[1] > smaller[1] else None


# -- ordinals in digits

_PLAIN_ORDINAL = re.compile(r"(?<![\d.,])(\d{1,9})\s?-?(st|nd|rd|th)(?![A-Za-z_^(])", re.ASCII)
_RAISED_ORDINAL = re.compile(
    r"(?<=[\dA-Za-z)}])\s*\^\s*(?:\{\s*\\(?:text|mathrm|rm|textrm)\s*\{?\s*(st|nd|rd|th)\s*\}?\s*\}|\\(?:text|mathrm)\s*\{\s*(st|nd|rd|th)\s*\}"
    r"|\{\s*(th)\s*\})"
)
_TEXT_ORDINAL = re.compile(r"(?<=[\d)}A-Za-z])\s*\\(?:text(?:superscript|rm)?|mathrm)\s*\{\s*-?(?:st|nd|rd|th)(?![A-Za-z])\s*")
_ARTICLE = re.compile(r"(?:on\s+|in\s+)?the\s+(?=\d+\s?-?(?:st|nd|rd|th)\b|\$?\d+\^|\d+\\text)", re.IGNORECASE)
_LABEL_AND_NUMBER = re.compile(
    r"(?:(?:the\s+)?(number|option|choice|no\.?|nr\.?|№|\\?#)|(day|week|year|page|row|column|floor|step|question|problem|term|position|case|round|room|box|"
    r"figure|level|grade|chapter|lesson|house|seat|door|card|player|team|train|bus|line|group|class|lap|turn|game|stage))\s*\(?(\d{1,9})\)?",
    re.IGNORECASE,
)


def fold_ordinals(text: str) -> str:
    r"""Return `text` with ordinals as numbers of "th": `the 7^{\text{th}} floor` is `7\text{th} floor`."""
    if (text[:1].isalpha() or text[:1] in "#№\\") and (match := _LABEL_AND_NUMBER.fullmatch(text)):
        return rf"{match[3]}\text{{{ORDINAL} {(match[2] or '').lower()}}}"
    if "th" not in text and "st" not in text and "nd" not in text and "rd" not in text:
        return text
    text = _ARTICLE.sub("", text) if text[:1] in "tToOiI" else text
    text = _TEXT_ORDINAL.sub(rf"\\text{{{ORDINAL} ", text)
    text = _RAISED_ORDINAL.sub(rf"\\text{{{ORDINAL}}}", text)
    return _PLAIN_ORDINAL.sub(_plain_ordinal, text)


def _plain_ordinal(match: re.Match[str]) -> str:
    """Return 21st as an ordinal; 2th and 1nd are none."""
    number = int(match[1])
    right = "th" if number % 100 in (11, 12, 13) else _ENDINGS.get(number % 10, "th")
    return rf"{number}\text{{{ORDINAL}}}" if match[2] == right else match[0]
