r"""Words around values that have signs: bounds, "and" and "or" of other languages, places, marks of feet and inches.

`at least 40` becomes `[40, \infty)`, `n is at most 7` becomes `n \le 7`, `x=2 \text{ ou } x=3` becomes `x=2 or x=3`, and what
says where an amount lies is put in one word behind its unit: `500 m above the hut` is 500 \text{m} \text{above-the-hut}. All
patterns are bounded: they run over hostile text.
"""

import re

from rewards.math.grammar.substances import substance_behind
from rewards.math.units import UNSURE, measure

MAX_SAYING = 160  # characters of a text that is read as a whole

# -- values joined by words

_IN_TEXT = re.compile(r"\\(?:text|mathrm|mbox|textrm)\s*\{\s*,?\s*(?:(ou|oder|или|или же|o|или)|(et|und|и|y))\s*,?\s*\}")
_BEGINS_VALUE = r"(?=[-−]?[\d$\\(\[√]|[a-zA-Z](?:_\{?\d\}?|[₀-₉])?\s?=|[-−]?[a-z]\b)"
_BARE = re.compile(rf"(?<=[\d)}}\]$a-z])\s{{1,3}}(?:(ou|oder|или)|(et|und|и))\s{{1,3}}{_BEGINS_VALUE}")
_ONE_LETTER = re.compile(r"(?<=[\d)}\]$])\s{1,3}(?:([ou])|([ye]))\s{1,3}(?=\$?[a-zA-Z](?:_\{?\d\}?|[₀-₉])?\s?=|\$[-−\d])")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)\s(?:(o)|(y))\s(?=[-−]?\d)")
_OTHER_SCRIPTS = re.compile(r"(?<=[\d)}\]$])\s{0,3}(?:(या|أو|または|또는)|(और|و|と|및))\s{0,3}(?=[-−]?[\d$\\(\[]|[a-z]\s?=)")
_JOINS = re.compile(r"\b(?:ou|oder|или|et|und|и|o|y|e|u)\b|[^\x00-\x7f]")


def _joined(match: re.Match[str]) -> str:
    return " or " if match[1] else " and "


def _with_english_joints(text: str) -> str:
    """Return `text` with "and" and "or" for the words that stand between values in other languages."""
    if not _JOINS.search(text):
        return text
    text = _BARE.sub(_joined, _IN_TEXT.sub(_joined, text))
    text = _BETWEEN_DIGITS.sub(_joined, _ONE_LETTER.sub(_joined, text))
    return text if text.isascii() else _OTHER_SCRIPTS.sub(_joined, text)


# -- bounds

_BOUNDS = {
    ">=": (
        "at least", "no less than", "not less than", "no fewer than", "not fewer than", "no smaller than", "a minimum of",
        "greater than or equal to", "larger than or equal to", "more than or equal to", "not smaller than",
        "au moins", "al menos", "por lo menos", "mindestens", "не менее", "至少", "不少于", "不小于", "不低于", "大于等于",
        "大于或等于",
    ),
    "<=": (
        "at most", "no more than", "not more than", "no greater than", "not greater than", "no larger than", "a maximum of",
        "less than or equal to", "smaller than or equal to", "not exceeding", "up to",
        "au plus", "a lo sumo", "como máximo", "höchstens", "не более", "至多", "最多", "不超过", "不大于", "不多于",
        "小于等于", "小于或等于",
    ),
    ">": ("greater than", "strictly greater than", "more than", "larger than", "bigger than", "higher than", "大于", "超过"),
    "<": ("less than", "strictly less than", "smaller than", "fewer than", "lower than", "小于"),
}  # fmt: skip
_SIGN_OF_BOUND = {words: sign for sign, several in _BOUNDS.items() for words in several}
_WORDS_OF_BOUND = "|".join(sorted(_SIGN_OF_BOUND, key=len, reverse=True))
_BOUND = re.compile(
    r"(?:(?:all\s)?\$?(?P<name>[a-zA-Z])\$?\s)?(?:is\s|are\s|must be\s|has to be\s|should be\s|needs to be\s|can be\s)?"
    r"(?:strictly\s)?"
    rf"(?P<words>{_WORDS_OF_BOUND})\s?(?P<value>[-−\d$\\(][^,;<>=]{{0,80}})",
    re.IGNORECASE,
)
_OR_MORE = re.compile(
    r"(?P<value>[-−\d$\\][^,;<>=]{0,80}?)\s(?:or|and)\s"
    r"(?:(?P<more>more|greater|above|higher|larger|over)|less|fewer|below|lower|smaller|under)",
    re.IGNORECASE,
)
_SAYS_BOUND = re.compile(
    r"\b(?:than|least|most|up to|or|and|minimum|maximum|exceeding|moins|plus|menos|mindestens|sumo)\b|[^\x00-\x7f]"
)
_NO_ONE_VALUE = re.compile(r"\b(?:and|or|but|than|not|least|most|if|of)\b")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_HALF_LINES = {">=": r"[{}, \infty)", "<=": r"(-\infty, {}]", ">": r"({}, \infty)", "<": r"(-\infty, {})"}
_RELATIONS = {">=": r"\ge", "<=": r"\le", ">": ">", "<": "<"}


def _with_signs_of_bounds(text: str) -> str:
    """Return the half line that a text says in words, or the inequality where it names what is bounded."""
    if len(text) > MAX_SAYING or not _SAYS_BOUND.search(text):
        return text
    plain = " ".join(_TEXT.sub(r" \1 ", text).split()).rstrip(". ")
    if match := _BOUND.fullmatch(plain):
        sign = _SIGN_OF_BOUND.get(match["words"].lower(), "")  # none for letters that only look alike, as the long s
    elif match := _OR_MORE.fullmatch(plain):
        sign = ">=" if match["more"] else "<="
    else:
        return text
    value = match["value"].replace("$", "").strip()
    if _NO_ONE_VALUE.search(value) or not sign:
        return text
    name = match.groupdict().get("name")
    return f"{name} {_RELATIONS[sign]} {value}" if name else _HALF_LINES[sign].format(value)


# -- places

_PLACE = re.compile(
    r"\s(?:\\text\s*\{\s*)?(due\s|directly\s|straight\s|vertically\s|horizontally\s)?"
    r"(above|below|under|underneath|beneath|behind|beyond|in\sfront\sof|next\sto|beside|away|apart|upwards?|downwards?|up|down|"
    r"forwards?|backwards?|north(?:east|west)?(?:wards?)?|south(?:east|west)?(?:wards?)?|eastwards?|westwards?|east|west|"
    r"from|off|along|inland|uphill|downhill|towards?|wide|long|tall|high|deep|thick|broad|inside|outside|in\s(?:length|width|"
    r"height|depth|diameter|radius|thickness))(?![A-Za-z])"
)
_BEHIND_PLACE = re.compile(r"(?:\s(?!(?:and|or|but|not|than|to)\b)[A-Za-z'’-]{1,20}){0,8}\s?\}?")
_AMOUNT = re.compile(r"([-+−]?[\d.,/ ]{0,20}\d)\s?(?:\\text\s*\{\s*)?([A-Za-z][A-Za-z/^²³\d {}-]{0,20}?)(?:\s?\})?")
_SAME_PLACE = {"up": "upward", "upwards": "upward", "down": "downward", "downwards": "downward", "underneath": "below",
               "under": "below", "beneath": "below", "forwards": "forward", "backwards": "backward"}  # fmt: skip


def _with_place_in_one_word(text: str) -> str:
    """Return an amount with what says where it lies as one word: two places that differ are not the same."""
    if len(text) > MAX_SAYING or (place := _PLACE.search(text)) is None or not text[:1].isascii():
        return text
    amount = _AMOUNT.fullmatch(text[: place.start()].rstrip(" ,"))
    behind = text[place.end() :].rstrip(". ")
    if amount is None or not _BEHIND_PLACE.fullmatch(behind) or measure(amount[2].strip()) is None:
        return text
    said = _SAME_PLACE.get(place[2], place[2])
    where = "".join(letter for letter in said + behind if letter.isalpha())
    return rf"{amount[1]} \text{{{amount[2].strip()} {where}}}"


# -- short forms

_THOUSANDS = re.compile(r"(?<=\d)\s?[kK]\s(?=(?:dollars|euros|pounds|rupees|yuan|people)\b)")
_UNIT_OF_SUBSTANCE = re.compile(
    r"\\(?:mathrm|text)\s*\{\s*([a-zA-Z]{1,5})(?:\\[,; ]|~|\s){1,3}([^{}]{2,30}(?:\{\d\}[^{}]{0,10})?)\}"
)
_FEET = re.compile(r"(\d{1,6}(?:\.\d{1,4})?)\s?(?:'|′|’)(?:\s?(\d{1,2}(?:\.\d{1,4})?)\s?(?:\"|″|”|''))?")
_INCHES = re.compile(r"(\d{1,6}(?:\.\d{1,4})?)\s?(?:\"|″|”|'')")
_RANKED = re.compile(r"(?:in|on|at)\s(?:the\s)?(?=\d{1,9}(?:st|nd|rd|th)\b)")
_CONSTANT = re.compile(
    r"\+\s?(?:\\(?:text|mathrm)\s*\{\s*)?(?:an?\s|some\s|any\s|arbitrary\s){0,2}(?:constant|const\.?)(?:\sof\sintegration)?\s?\}?\.?$"
)
_ROWS = re.compile(
    r"-?\d{1,9}(?:\.\d{1,9})?(?:\s-?\d{1,9}(?:\.\d{1,9})?){1,9}(?:\s?;\s?-?\d{1,9}(?:\.\d{1,9})?(?:\s-?\d{1,9}(?:\.\d{1,9})?){1,9}){1,9}"
)


def _substance(match: re.Match[str]) -> str:
    if measure(match[1]) is None or substance_behind(match[2], 0) is None:
        return match[0]
    return rf"\mathrm{{{match[1]}}}\,\mathrm{{{match[2]}}}"


def _with_marks(text: str) -> str:
    """Return `text` with the marks of feet, inches, thousands, ranks and constants of integration spelled out."""
    if feet := _FEET.fullmatch(text):
        return rf"{feet[1]}\text{{ft}} {feet[2]}\text{{in}}" if feet[2] else rf"{feet[1]}\text{{ft{UNSURE}}}"
    if inches := _INCHES.fullmatch(text):
        return rf"{inches[1]}\text{{in{UNSURE}}}"
    text = _THOUSANDS.sub(" thousand ", _RANKED.sub("", text) if text[:3] in ("in ", "on ", "at ") else text)
    return f"[{text}]" if ";" in text and _ROWS.fullmatch(text) else text


# -- relations

_SIDE = r"[A-Za-z0-9^+*\-{}]{1,20}"
_DIVIDES = re.compile(rf"({_SIDE})\s?(?:\\mid(?![A-Za-z])|\||(?:\\text\s*\{{)?\s?\bdivides\b\s?\}}?)\s?({_SIDE})")
_DIVISIBLE = re.compile(rf"({_SIDE})\s?(?:\\text\s*\{{)?\s?is\s(?:divisible\sby|a\smultiple\sof)\s?\}}?\s?({_SIDE})")
_PARALLEL = re.compile(r"(?<![A-Z])([A-Z]{2})\s?//\s?(?=[A-Z]{2}(?![A-Z]))")


def _with_relations(text: str) -> str:
    """Return `a divides b`, `b is divisible by a` and `AB // CD` with the signs of these relations."""
    text = _PARALLEL.sub(r"\1 \\parallel ", text) if "//" in text else text
    if len(text) > MAX_SAYING or not ("|" in text or "divi" in text or "\\mid" in text or "multiple" in text):
        return text
    if match := _DIVISIBLE.fullmatch(text):
        return _divides(match[2], match[1])
    match = _DIVIDES.fullmatch(text)
    return _divides(match[1], match[2]) if match else text


def _divides(divisor: str, number: str) -> str:
    r"""Return `3 | n`, which is the set of such n, or the relation `a \divides b` of what is no number and a name."""
    return f"{divisor} | {number}" if divisor.isdigit() and len(number) == 1 else rf"{divisor} \divides {number}"


_MAY_SAY = re.compile(r"[^\x00-\x7f]|[a-zA-Z}\d$)\]] [a-zA-Z\\$(-]|[|'\"]|//|\\mid|\\mathrm|\\text|;|onst")


def in_signs(text: str) -> str:
    """Return an answer, as it was written, with signs for what it says in words."""
    if not _MAY_SAY.search(text):
        return text  # nearly every formula
    text = _with_relations(_with_place_in_one_word(_with_signs_of_bounds(_with_english_joints(text).strip())))
    if "onst" in text:
        text = _CONSTANT.sub("+ C", text)
    if "\\mathrm{" in text or "\\text{" in text:
        text = _UNIT_OF_SUBSTANCE.sub(_substance, text)
    return _with_marks(text)
