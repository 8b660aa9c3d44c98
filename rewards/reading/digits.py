"""Digits and signs of other scripts as ASCII, so that a number is read as a number whoever wrote it.

Arabic-Indic, Devanagari, fullwidth and other decimal digits; the Arabic decimal sign and thousands sign; fullwidth letters and
signs. Fullwidth commas, colons and marks of sentences stay, since text is divided by them.
"""

import re

_ZEROS = (
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0E50, 0x0ED0,
    0x0F20, 0x1040, 0x17E0, 0x1810, 0xFF10,
)  # fmt: skip
_PLAIN: dict[int, str] = {zero + digit: str(digit) for zero in _ZEROS for digit in range(10)}
_PLAIN |= {0x066B: ".", 0x066C: ",", 0x066A: "%", 0x2212: "-", 0xFF0E: "."}
_FULLWIDTH = 0xFEE0  # between a fullwidth form and its ASCII character
_PLAIN |= {ord(sign) + _FULLWIDTH: sign for sign in "%+-/=()<>$"}
_PLAIN |= {code + _FULLWIDTH: chr(code) for first, last in ("AZ", "az") for code in range(ord(first), ord(last) + 1)}
_ANY = re.compile("[" + "".join(map(chr, sorted(_PLAIN))) + "]")


def plain_digits(text: str) -> str:
    """Return `text` with the digits, separators and signs of other scripts as ASCII characters."""
    return text if text.isascii() or not _ANY.search(text) else text.translate(_PLAIN)


# words that only languages with a decimal comma have, and one of English
_COMMA_WORDS = re.compile(
    r"(?<!\w)(?:ist|sind|und|beträgt|donc|est|les|une|des|por|los|las|una|quindi|sono|portanto|são|della|vale|bu|vậy"
    r"|kostet|réponse|antwort|élèves|euros)(?!\w)|[а-яё]{3}",
    re.IGNORECASE,
)
_ENGLISH_WORDS = re.compile(r"\b(?:the|is|are|of|and)\b", re.IGNORECASE)
_GROUPED = re.compile(r"(?<![\d.,])(\d{1,3}(?:[ .\u00a0\u202f]\d{3})+)(?:,(\d+))?(?![.,]?\d)")
_WITH_COMMA = re.compile(r"(?<![\d.,])(\d+),(\d+)(?![.,]?\d)")
_BRACED_COMMA = re.compile(r"(?<=\d)\{,\}(?=\d{1,2}(?!\d))")


def writes_decimal_commas(text: str) -> bool:
    """Tell whether the language of a text writes 7,5 for 7.5."""
    return _COMMA_WORDS.search(text) is not None and not _ENGLISH_WORDS.search(text)


def with_decimal_points(text: str) -> str:
    """Return prose with its numbers in English spelling where its language writes `1.250,5` or `1 250,5` for 1250.5."""
    if not writes_decimal_commas(text):
        return text
    text = _GROUPED.sub(lambda match: re.sub(r"\D", "", match[1]) + (f".{match[2]}" if match[2] else ""), text)
    return _BRACED_COMMA.sub(".", _WITH_COMMA.sub(r"\1.\2", text))
