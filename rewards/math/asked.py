r"""Which reading of a completion meets the kind of thing that a reference asks for, where the text holds more than one.

A letter asks for the choice named behind a box, a list for as many boxes as it has items, and a value for what follows the "="
of the equation a sentence ends in. What is read never depends on the reference's value, so nothing can be tried out here.
"""

import re

from rewards.answer import BARE_ANSWER, Committed
from rewards.boxes import Boxes
from rewards.math.grammar.choices import choice, wanted_choice

_DIVIDES = re.compile(r"[,;]|\\text\s*\{\s*,?\s*and\s*\}|(?<![a-zA-Z\\])and(?![a-zA-Z])|\\\\|\n")
# a cheap look at what `wanted_choice` may find: "(B)", "\\textbf{(B)}", "option C"
_MAY_BE_LETTER = re.compile(
    r"\W{0,4}(?:(?:text|math)[a-z]{0,8}\W{1,4})?(?:option\W|choice\W)?\W{0,4}[A-Ja-j](?![A-Za-z])", re.IGNORECASE
)
_WORD = re.compile(r"(?<!\\)\b[^\W\d_]{3,}")
_HAS_WORDS = re.compile(r"\\circ|°|\\text|\\mathrm|(?<![\\a-zA-Z])[^\W\d_]{2,}")
_DELIMITERS = re.compile(r"(?<!\\)\$|\\[\[\]()]")
_SPACES = re.compile(r"\s+|\\[,;! ]")
_WORDS_BEHIND = re.compile(r"\s?(?!(?:and|or|to)\b)[^\W\d_]|/[a-zA-Z]{2,}")
_SENTENCE = re.compile(
    r"(?<![\\\w])[^\W\d_]{2,30}\s{1,3}[^\W\d_]{2,30}\s{1,3}[^\W\d_]{2,30}|[\u3040-\uffff]{4}|(?<![\\\w])[A-Za-z]{4,30}\s{1,3}\$"
)
_TEXT = re.compile(r"\\text\s?\{[^{}]*\}")
_LETTERED_VALUE = re.compile(r"^\(?[A-J]\)[.:]?\s+(?=[$\\\d-])(.*)$", re.DOTALL)  # "(B) 5"
_SEVERAL = re.compile(r"=[^=]*(?:,(?!\d{3})|;|\band\b|\\text|\\quad)[^=]*=")  # equations side by side
_IS_BOUND = re.compile(r"[<>≤≥]|\\(?:[lg]e(?:q|qslant)?)(?![a-zA-Z])|\\infty|∞|\bat (?:least|most)\b|\bthan\b")
_OPENING, _CLOSING = "([{", ")]}"
_PROSE = ("phrase", "conclusion", BARE_ANSWER)


def readings_for(reference: str, committed: Committed, prompt: str = "") -> list[str]:
    """Return the readings of what was committed to that meet the kind of `reference`, best first."""
    readings = committed.readings
    if committed.boxes is not None and readings:
        return _of_boxes(reference, committed.boxes, readings)
    if committed.bound and _IS_BOUND.search(reference):
        return [*readings[:1], committed.bound]  # only where it is asked for: a bound is no value
    if committed.mark not in _PROSE:
        return readings
    if wanted_choice(reference) is not None:
        return readings
    if not _LETTERED_VALUE.match(reference):
        readings = [_LETTERED_VALUE.sub(r"\1", one) for one in readings]
    is_bare = committed.mark == BARE_ANSWER
    if is_bare and len(readings) > 1 and not _HAS_WORDS.search(reference) and _SENTENCE.search(_TEXT.sub("", readings[0])):
        readings, is_bare = readings[1:], False  # no sentence is a value
    if "=" not in reference:
        if asked := _asked_value(readings, prompt):
            return asked
        is_formula = is_bare and readings[0].count("=") < 2 and not _WORD.search(readings[0])
        whole = 1 if is_formula else 0  # "17 = 18" is read as it stands
        readings = readings[:whole] + _without_chains(readings[whole:])
    return readings if _HAS_WORDS.search(reference) else _without_units(readings)


def _without_chains(readings: list[str]) -> list[str]:
    """Return `readings` without those of which a later one is the value they end in."""
    return [one for index, one in enumerate(readings) if not any(_ends_in(one, after) for after in readings[index + 1 :])]


def _asked_value(readings: list[str], prompt: str) -> list[str]:
    """Return what the last reading gives as the value of an expression that stands in the question."""
    left, _, right = readings[-1].rpartition("=") if readings else ("", "", "")
    asked, value, whole = _SPACES.sub("", left), right.strip(" ."), _SPACES.sub("", prompt)
    is_asked = len(asked) > 2 and asked in whole and f"{asked}={_SPACES.sub('', value)}" not in whole
    return [value] if is_asked else []


def _without_units(readings: list[str]) -> list[str]:
    """Return `readings` without those of which the next is the value they begin with, words behind it."""
    following = [*readings[1:], ""][: len(readings)]
    return [one for one, after in zip(readings, following, strict=True) if not (after and _begins_with(one, after))]


def _begins_with(reading: str, value: str) -> bool:
    reading, value = _undelimited(reading), _undelimited(value)
    return reading.startswith(value) and _WORDS_BEHIND.match(reading, len(value)) is not None


def _undelimited(text: str) -> str:
    return _DELIMITERS.sub("", text).strip(" .*`")


def _ends_in(chain: str, value: str) -> bool:
    if "=" not in chain or "=" in value or _SEVERAL.search(chain):
        return False
    before, found, behind = _undelimited(chain).rpartition(_undelimited(value))
    return bool(found) and before.rstrip(" *$").endswith("=") and (not behind or _WORDS_BEHIND.match(behind) is not None)


def _of_boxes(reference: str, boxes: Boxes, readings: list[str]) -> list[str]:
    if _MAY_BE_LETTER.match(reference) and wanted_choice(reference) is not None and choice(boxes.answer) is None:
        letter = boxes.letter_behind()
        return readings if letter is None else [letter]
    if len(boxes.closed) > 1 and (several := boxes.several("=" in reference)) and len(several) == _number_of_items(reference):
        return [", ".join(several)]
    return readings


def _number_of_items(reference: str) -> int:
    """Return how many items a reference lists outside of all brackets."""
    depths, depth = [], 0
    for character in reference:
        depth += (character in _OPENING) - (character in _CLOSING)
        depths.append(depth)
    cuts = [match for match in _DIVIDES.finditer(reference) if match[0].startswith("\\") or depths[match.start()] == 0]
    bounds = [0, *(edge for match in cuts for edge in match.span()), len(reference)]
    pieces = [reference[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True)]
    return sum(1 for piece in pieces if piece.strip(" $.{}"))
