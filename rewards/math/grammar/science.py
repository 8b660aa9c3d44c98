r"""How sets of science problems write references: `3920 \mathrm{~N}-\mathrm{m}`, "8.87$ $10^{-15}", "9 (apples)".

Each is brought to the spelling that the rest of the grammar reads. Nothing is decided here about which answers are the same.
All patterns are bounded, and run only where a plain sign says that they may find something.
"""

import re

from rewards.math.units import NO_UNIT, measure

MAX_DEFINITION = 400  # characters of "g(t) = 0 when t = ..."
_FONT = r"\\(?:mathrm|text|textrm|mathbf|rm)\s?"
_HYPHEN = re.compile(
    rf"({_FONT}\{{[~\s]{{0,3}}([A-Za-z]{{1,3}})\s?\}})\s?-\s?({_FONT}\{{[~\s]{{0,3}}([A-Za-z]{{1,3}})\s?\}}|(?:lb|ft|m|s)(?![A-Za-z]))"
)
_HYPHEN_INSIDE = re.compile(rf"(?<=\d)([~\s]{{0,3}}{_FONT}\{{[~\s]{{0,3}})([A-Za-z]{{1,3}})-([A-Za-z]{{1,3}})(?=[\s^}}])")
_VALUE_IN_FRONT = re.compile(r"[\d}](?:[~\s$]|\\[,;: ]){0,4}$")
_POWER_OF_TEN = re.compile(
    r"(?<![\w.^_{,/}$])(\$?)(-?\s?\d{1,3}(?:\.\d{1,20})?)"
    r"(?:\$\s{0,3}\$|[\s~$]|\\[,;: ]|\\(?:thinspace|quad)\s){1,4}10\s?(?=\^\s?[{\d-])"
)
_WORDS_IN_BRACKETS = re.compile(
    r"(\$?[-−]?(?:[\d,]{1,20}(?:\.\d{1,12})?|\\[dt]?frac\{\d{1,9}\}\{\d{1,9}\})\$?)\s{0,3}"
    r"\(\s?(?:\\(?:text|mathrm)\s?\{\s?)?([A-Za-z]{3,20}(?:[ -][A-Za-z]{1,20}){0,4})\s?\}?\s?\)\$?\.?"
)
_NO_THING = re.compile(
    r"\b(?:mod|base|rounded|approx|exact|minimum|maximum|min|max|impossible|rejected|extraneous|guess|unsure|zero|"
    r"one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w{2,10}(?:teen|ty)|hundred|thousand|million|half|"
    r"sin|cos|tan|log|exp|sqrt|and|any)\b",
    re.IGNORECASE,
)
_IN_BASIS = re.compile(
    r"\s?(\$?)\s?(?:\\left\s?)?\[\s?(?:\\(?:mathbf|vec|boldsymbol|bm|mathrm|overrightarrow)\s?\{?\s?)?([A-Za-z])\s?\}?(?:\([a-z]\))?\s?"
    r"(?:\\right\s?)?\]\s?_\s?\{?\s?(?:\\(?:mathcal|mathrm|mathbf|mathscr|text)\s?)?\{?([A-Za-z])('?)\}?\s?\}?\s?="
)
_WHEN = re.compile(
    r"\$?\s?(?P<function>\\?[a-z]{1,6}\s?\(?\s?(?P<name>[a-z])\s?\)?)\s?=\s?0\s?\$?\s?(?:\\text\s?\{\s?)?when(?:ever)?\s?\}?\s?"
    r"(?P<rest>\$?\s?(?P=name)\s?=.*)",
    re.DOTALL,
)
_BOLD_INTEGERS = re.compile(r"(\d{1,6}|\\pi)\s?\\(?:mathbf|bf|mathrm)\s?(?:\{\s?Z\s?\}|Z(?![A-Za-z]))")
_MONEY = re.compile(r"(-?\d{1,12}(?:,\d{3}){0,4}(?:\.\d{1,6})?)\s?\$")
_LONG_NAMES = re.compile(r"(?<!mega )(?<!kilo )(?<!giga )(?<!milli )\belectron[-\s]?volts?\b", re.IGNORECASE)
_LEAD = re.compile(
    r"(?:the\s)?(?:general\s|only\s|complete\s)?solutions?\s(?:is|are)(?:\sgiven\sby)?\s?:?\s(?=[\\$\[{(a-z]\S)", re.IGNORECASE
)


def in_one_spelling(text: str) -> str:
    """Return `text` with the notations of science problems in the spelling of the grammar."""
    if "-" in text and "{" in text:
        text = _HYPHEN.sub(_joined, text)
        text = _HYPHEN_INSIDE.sub(_joined_inside, text)
    if "10" in text and "^" in text:
        text = _POWER_OF_TEN.sub(r"\1\2 \\cdot 10", text)
    if "]" in text and "_" in text and (match := _IN_BASIS.match(text)):
        text = f"{match[1]}{match[2]}_{{{match[3]}}}{match[4]}={text[match.end() :]}"
    if "when" in text and len(text) <= MAX_DEFINITION and (match := _WHEN.fullmatch(text)):
        text = match["rest"]
    if "Z" in text and (match := _BOLD_INTEGERS.fullmatch(text.strip("$ "))):
        text = rf"{match[1]} \mathbb{{Z}}"
    if text.endswith("$") and (match := _MONEY.fullmatch(text)):
        text = rf"{match[1]}\text{{dollars}}"
    if "olution" in text and (match := _LEAD.match(text)):
        text = text[match.end() :]
    if "lectron" in text:
        text = _LONG_NAMES.sub("electronvolt", text)
    return _without_brackets(text) if ")" in text[-3:] else text


def _joined(match: re.Match[str]) -> str:
    """Return two units without the hyphen that says "times" between them; a difference of names stays one."""
    behind = match[4] or match[3]
    in_front = match.string[max(0, match.start() - 8) : match.start()]
    are_units = measure(match[2]) is not None and measure(behind) is not None
    if not are_units or not _VALUE_IN_FRONT.search(in_front):
        return match[0]
    return rf"{match[1]} \, {match[3]}"


def _joined_inside(match: re.Match[str]) -> str:
    are_units = measure(match[2]) is not None and measure(match[3]) is not None
    return f"{match[1]}{match[2]} {match[3]}" if are_units else match[0]


def _without_brackets(text: str) -> str:
    """Return `9 (apples)` as nine apples; words that say something else of the number stay as they were."""
    match = _WORDS_IN_BRACKETS.fullmatch(text.strip())
    if match is None or NO_UNIT.search(match[2]) or _NO_THING.search(match[2]):
        return text
    return rf"{match[1].strip('$')}\text{{{match[2]}}}"
