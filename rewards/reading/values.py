r"""Values in prose: numbers with what belongs to them (sign, currency, percent, unit), one formula, a letter of a choice.

A number is only a candidate. Which one a sentence states is decided by where it stands: a bounded one states nothing, one
behind a preposition ("in 3 days", "of the 12") tells of circumstances, and of those left the last counts.
"""

import re
from typing import NamedTuple

from rewards.reading.doubt import is_bounded
from rewards.reading.sentences import Formula, formulas

NUMBER = re.compile(
    r"(?<![\w.:])\d{1,2}:\d{2}(?::\d{2})?(?:\s?[aApP]\.?[mM]\b\.?)?(?![\w:])|"
    r"(?<![A-Za-z0-9_.\\^{])(?<!\d:)[-−]?(?:\\?[$€£¥]\s?)?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+|(?<=\d))"
    r"(?:\s?/\s?\d+(?:\.\d+)?(?![\w/]))?(?:\s*(?:\\?%|percent\b|per\s+cent\b|°))?(?![A-Za-z0-9_.]*\d)"
)
_UNIT_WORD = re.compile(r"\s?([^\W\d_]{1,20}(?:[²³]|\^\d)?(?:/[a-zA-Z]{1,4}[²³]?)?)")
_UNIT_LETTER = re.compile(
    r"\s?((?:m|km|cm|mm|kg|g)/(?:s|h|min)(?:²|\^2)?|[mgshLNJWVAKC](?:²|³|\^[23])?)(?=\s+[^\W\d_]{2,}|[.,]?\s*$)(?!\s+(?:for|and|or|times|plus|minus)\b)"
)
# "500 m above the hut": where a thing is, behind its distance
_PLACE = re.compile(
    r"(?<=[^\W\d_])\s+(?:above|below|beneath|underneath|away|ahead|behind|apart|from|north|south|east|west|when|after|before"
    r"|tall|wide|deep)\b[^$\d\\=]{0,200}$",
    re.IGNORECASE,
)
_CURRENCY_BEHIND = re.compile(r"^\s?(?:\\?\$|[€£¥₽])(?=\s[^\W\d_])")
_NO_UNIT = frozenset((
    "is", "are", "was", "were", "and", "in", "on", "at", "for", "of", "every", "each", "a", "an", "the", "to", "from",
    "by", "with", "if", "when", "so", "because", "since", "which", "that", "who", "per", "after", "before", "more",
    "than", "left", "remaining", "total", "altogether", "times", "as", "or", "not", "but", "also", "still", "between",
    "among", "out", "est", "et", "son", "y", "es", "ist", "und",
))  # fmt: skip
_CHANGES_VALUE = re.compile(
    r"\s*(?:plus|minus|times(?=\s+(?:[\d$(]|as\b|more\b|the\b|that\b|\w+er\b))|over|divided|multiplied"
    r"|to(?=\s+(?:the\s+(?:power|nearest)|[\d$]))|and|or|out\s+of|squared|cubed|percent|hundred|thousand|million|billion"
    r"|trillion"
    r"|dozen|factorial|pi|mod\w*|per\s+\d+|in\s+\d+(?!\s?(?:years?|days?|months?|weeks?|hours?|minutes?|seconds?)\b)|with\s+remainder|remainder|point|half|thirds?|halves|fourths?|quarters?"
    r"|fifths?)\b"
    r"|\s*(?:[-+*^=<>×·:;÷!(\"'_#\[\\–]|/(?!\s*[a-zA-Z]{2,}))|\s*[,;]?\s*\d|\s*(?:[b-z](?![^\W\d_])|a(?![^\W\d_]|\s+[a-z]{3,}))"
    r"|\s*(?:[万亿億百兆点]|千(?![米克瓦卡]))",
    re.IGNORECASE,
)
_CIRCUMSTANCE = re.compile(
    r"(?<!\w)(?:in|after|for|of|per|every|each|on|at|within|during|among|all|than|with|past|next|first|last|from|nearest"
    r"|step|case|day|into"
    r"|page|problem|question|equation|if|when|since|to\s+[a-z]+|the\s+other|day|week|year|through|across|dans|pour|après|en|d['’]ici|pendant|durant|depuis|dentro\s+de|durante|innerhalb(?:\s+von)?"
    r"|por|para|después\s+de"
    r"|d['’]ici|dentro\s+de|innerhalb\s+von|durante|pendant|binnen|em|após|dopo|entro|depois\s+de|в\s+течение"
    r"|nach|für|von|mit|через|за|из|на|для|по|после)\s*(?:the\s+|a\s+|an\s+|these\s+|those\s+|all\s+|his\s+|her\s+|their\s+"
    r"|los\s+|les\s+|den\s+)?$",
    re.IGNORECASE,
)
_MAY_FOLLOW = re.compile(r"\W*$|\s?[^\W\d_]|\s?[€$£¥₽₹](?!\d)|/[a-zA-Z]{2}|[,.]\s|\*\*|\s*[（(，。、]")
_CODE = re.compile(r"__|\w\(\)|\w\.\w+\(|[{};]|==|\b(?:import|lambda|return|print|def)\b")
_GOES_ON = re.compile(r"[\w)}\s][-+*/^×÷·–]\s?$")  # a number that is the rest of an expression
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b")
# words behind a value, of which other numbers belong to the circumstances: "8 rows of 5 stars", "$6 for 2 tubs"
_ENOUGH = re.compile(
    r"\s+(?:for|in|after|every|per|to\s+[a-z]+|that|by|from|on|at|within)\b|(?:\s+[a-z]{2,}){1,4}?\s+(?:of|for|in|out\s+of"
    r"|after|every|per|to\s+[a-z]+|that|from|on|at|within|each)\b",
    re.IGNORECASE,
)
# another value beside the first: "5 for even n and 6 for odd n"
_ANOTHER = re.compile(r"\d.*(?:,\s|;|\b(?:and|or|while)\b)\s*(?:\\?\$)?-?\d", re.DOTALL)
_REFERENCE = re.compile(
    r"\b(?:step|case|theorem|lemma|equation|page|problem|question|exercise|figure|table|section|chapter|part"
    r"|line)\s*[(#]?$",
    re.IGNORECASE,
)
_RANGE = re.compile(
    r"\bbetween\b[^.\d]{0,40}[\d.,]+\s*\w{0,12}\s*and\s*\W{0,2}$|\brang\w+\b.{0,40}\bto\s*\W{0,2}$", re.IGNORECASE
)
_CONDITION = re.compile(r",?\s*(?:where|for\s+(?:all|any|every|each|some)|with)\b", re.IGNORECASE)
_PERCENT_BEHIND = re.compile(r"\s*(?:\\?%|percent\b|pct\b)")


class Found(NamedTuple):
    """A value in a sentence, at `sentence[start:end]`."""

    start: int
    end: int
    text: str


def numbers(sentence: str) -> list[Found]:
    """Return the numbers of a sentence that stand outside of its formulas."""
    spans = formulas(sentence)
    return [
        Found(match.start(), match.end(), match[0].strip())
        for match in NUMBER.finditer(sentence)
        if any(character.isdigit() for character in match[0]) and not _inside(spans, match.start())
    ]


def _inside(spans: list[Formula], position: int) -> bool:
    return any(formula.start <= position < formula.end for formula in spans)


def formula_text(sentence: str, formula: Formula) -> str:
    """Return what a formula says, with the percent sign or word behind it."""
    percent = r"\%" if _PERCENT_BEHIND.match(sentence, formula.end) else ""
    return formula.content.rstrip(".,; ") + percent


def stated_number(sentence: str) -> list[str]:
    """Return the number a sentence states, with its unit and bare; [] where it states none."""
    free = [one for one in numbers(sentence) if _is_free(sentence, one)]
    firm = [one for one in free if not is_circumstance(sentence[: one.start])]
    if not free or (len(free) < len(numbers(sentence)) and not firm):
        return []
    if not firm and len(free) > 1:
        return []
    chosen = (firm or free)[-1]
    return [] if _GOES_ON.search(sentence[: chosen.start][-4:]) else with_unit(sentence, chosen)


def _is_free(sentence: str, number: Found) -> bool:
    """Tell whether a number is more than a bound, the end of a range, or the name of a step."""
    before = sentence[: number.start]
    if _REFERENCE.search(before[-20:]) or _RANGE.search(before[-100:]):
        return False
    return not is_bounded(before, sentence[number.end :])


def is_bounded_behind(text: str) -> bool:
    """Tell whether the number that `text` begins with is only a bound: "5 or more"."""
    found = numbers(text)
    return bool(found) and not text[: found[0].start].strip() and is_bounded("", text[found[0].end :])


def is_circumstance(before: str) -> bool:
    """Tell whether a value behind `before` tells of circumstances: "in 3 days", "of the 12"."""
    return _CIRCUMSTANCE.search(before[-40:]) is not None


def without_place(text: str) -> str:
    """Return a quantity, "500 m above the hut", without the words that say where or when it is measured."""
    found = numbers(text)
    return _PLACE.sub("", text) if len(found) == 1 and found[0].start == 0 else text


def with_unit(sentence: str, number: Found) -> list[str]:
    """Return a number with the unit behind it, and the number alone where no word changes it."""
    behind = sentence[number.end :]
    if (letter := _UNIT_LETTER.match(behind)) is not None:
        return [f"{number.text} {letter[1]}"]  # never without: "3 m" may be a multiple of m
    behind = _CURRENCY_BEHIND.sub("", sentence[number.end :], count=1)
    unit = _UNIT_WORD.match(behind)
    if _CHANGES_VALUE.match(behind) or not _MAY_FOLLOW.match(behind):
        return []
    if unit and unit[1].lower() not in _NO_UNIT and not _ORDINAL.match(behind):
        return [number.text + unit[0], number.text]
    return [number.text]


def leading_value(text: str) -> list[str]:
    """Return the value that `text` begins with, where words follow it that do not change it."""
    if _ANOTHER.search(text):
        return []
    spans = formulas(text)
    if spans and not text[: spans[0].start].strip():
        behind = text[spans[0].end :].strip(" *_")
        if _CONDITION.match(behind):
            return [formula_text(text, spans[0])]
        plain = not behind or (behind[0] not in "+-*/^=<>" and not _CHANGES_VALUE.match(" " + behind.lstrip(",.")))
        return [formula_text(text, spans[0])] if plain and len(spans) == 1 else []
    found = [] if _CODE.search(text) else numbers(text)
    if found and not text[: found[0].start].strip() and (len(found) == 1 or _ENOUGH.match(text, found[0].end)):
        return with_unit(text, found[0])
    return []
