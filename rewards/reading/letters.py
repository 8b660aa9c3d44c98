r"""Sentences that choose a letter: "[B] is correct", "only option D satisfies both", "D) because ...", "I think it is C"."""

import re

_LETTER = r"[(\[]?([A-J])[)\]]?"
_OPTION = r"(?i:(?:option|choice|answer|statement|letter|alternative|opción|opção|вариант)\s+)?"
_LEAD = r"\W*(?:(?i:so|thus|therefore|hence|因此|所以)\W+)?"
_CHOICES = (
    re.compile(
        rf"{_LEAD}(?i:only\s+)?{_OPTION}{_LETTER}\s+(?:is|must\s+be)\s+(?:therefore\s+|thus\s+)?(?:the\s+)?"
        r"(?:correct|right|best|true)\b(?!\s+(?:only|if|for|when))"
    ),
    re.compile(
        rf"{_LEAD}(?i:only)\s+(?i:option|choice|answer|statement)\s+{_LETTER}\s+(?:satisfies|works|holds|fits|matches|meets)\b"
        r"(?![^.]*\b(?:if|when|not)\b)"
    ),
    re.compile(r"\W*[(\[]?([A-J])[)\]]\s*,?\s*(?i:because|since|porque|ya\s+que|weil|car|так\s+как|因为)(?!\w)"),
    re.compile(
        r"\W*(?i:I\s+(?:think|believe|guess|would\s+say)\s+(?:that\s+)?(?:it\s+is|it['’]s|the\s+answer\s+is)\s+(?:option\s+)?)"
        rf"{_LETTER}\W*"
        r"$"
    ),
    re.compile(r"\W*(?i:(?:it\s+is|it['’]s)\s+)?[(\[]?([A-J])[)\]]?,\s+(?:and\s+)?not\s+[(\[]?[A-J][)\]]?\W*$"),
)


def chosen_letter(clause: str) -> str | None:
    """Return the letter of a choice that a clause, at its beginning, says to be right, or None."""
    for pattern in _CHOICES:
        if (match := pattern.match(clause)) is not None:
            return match[1]
    return None
