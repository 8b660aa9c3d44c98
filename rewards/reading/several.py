r"""What a sentence states that is no single number: equations side by side, a point, a time of day, a bound; answers in JSON.

"Les solutions sont $x = -3$ et $x = 2$" states both, so that neither alone is its answer. A bound is told apart from values:
it only answers a reference that is an inequality.
"""

import json
import re
from typing import Any

from rewards.reading.doubt import denies, leaves_open
from rewards.reading.sentences import sentences

MAX_JSON_CHARACTERS = 20_000
MAX_EQUATIONS = 12

_NAME = r"[a-zA-Z](?:_\{?\w\}?|[₀-₉]|\d)?"
_VALUE = r"[-−+]?\\?[\w√π][^\s=,;$，、；。]{0,40}(?:\s[-+*/^]\s[^\s=,;$，、；。]{1,40}){0,4}"
_EQUATION = rf"(?:\$\s?{_NAME}\s?=\s?[^$=]{{1,60}}\$|{_NAME}\s?=\s?{_VALUE})"
_JOINT = (
    r"(?:\s?[,;，、；]\s?(?:(?:and|or|et|ou|y|o|e|und|oder|и|или)\s)?|\s(?:and|or|et|ou|y|o|e|und|oder|и|или|और|या|و|أو)\s"
    r"|\s?(?:和|或|与|と|または)\s?)"
)
_EQUATIONS = re.compile(
    rf"(?<![\w=+*/^\\-])(?<![=+*/^-]\s){_EQUATION}(?:{_JOINT}{_EQUATION}){{1,{MAX_EQUATIONS}}}(?=[\s.。!*_]*$)"
)
_GIVEN = re.compile(
    r"(?<!\w)(?:at|when|for|if|where|with|since|because|as|let|given|si|wenn|если|quand|cuando|当|若)\s?$", re.IGNORECASE
)
_HOLDS_VALUE = re.compile(r"\d|\$|\\[(\[]")
_POINT = re.compile(r"\$?\(\s?-?[\w./\\{}√]{1,30}(?:\s?,\s?[-−]?[\w./\\{}√]{1,30}){1,5}\s?\)\$?")

_POINT_AT_END = re.compile(rf"(?<!\w)(?<!\$)({_POINT.pattern})(?=[\s.。!*_]*$)")
_ATTAINED = re.compile(r"(?:attained|achieved|reached|occurring|obtained)\s*$")
_AMOUNT = r"\$?-?\d[\d.,]{0,20}(?:/\d{1,9})?\s?(?:\\?%|percent)?\$?"
_ALTERNATIVES = re.compile(rf"(?<!\w)(?:is|are|be|equals|get|have)\s({_AMOUNT},?\sor\s{_AMOUNT})(?=[\s.。!*_]*$)")

_CLOCK = re.compile(
    r"(?<![\d:.])([01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d)?(?!\d|:)(?:\s?(?:[aApP]\.?\s?[mM]\b\.?|o['’]clock|hours|Uhr))?"
)
_ASIDE_OF_CLOCK = re.compile(r"(?<!\w)(?:before|after|until|till|from|since|between|than|and|to|of)\s$", re.IGNORECASE)

_BOUND = re.compile(
    r"(?:(?<![\w\\])\$?(?P<name>[a-zA-Z])\$?\s)?(?:(?:is|are|must\sbe|has\sto\sbe|should\sbe|needs\sto\sbe)\s)?"
    r"(?P<words>at\s(?:least|most)|(?:no|not)\s(?:less|more|fewer|greater)\sthan"
    r"|(?:strictly\s)?(?:greater|less|more|fewer|smaller|larger)\sthan(?:\sor\sequal\sto)?)\s"
    r"\$?(?P<value>[-−]?\d[\d.,/]{0,20}\d|[-−]?\d)\$?(?![\w/^*+])",
    re.IGNORECASE,
)
_INEQUALITY = re.compile(
    r"(?P<name>[a-zA-Z])\s?(?P<sign>≥|≤|\\geq?\b|\\leq?\b|<=?|>=?)\s?(?P<value>[-−]?\d[\d.,/]{0,20}\d|[-−]?\d)(?![\w/^*+])"
)
_NUMBER = re.compile(r"\d[\d.,/]{0,20}\d|\d")

_JSON = re.compile(r"```(?:json)?[ \t]*\n(\{.{1,20000}?\})[ \t]*\n?```|\A\s*(\{.*\})\s*\Z", re.DOTALL)
_JSON_KEYS = ("answer", "final_answer", "final answer", "finalanswer")


def stated_equations(clause: str) -> str | None:
    """Return the equations side by side in which a clause ends, "x = 2 and x = 5"; None where it states something else."""
    if clause.count("=") < 2:
        return None
    match = _EQUATIONS.search(clause)
    if match is None or _HOLDS_VALUE.search(clause[: match.start()]) or _GIVEN.search(clause[: match.start()]):
        return None
    before = clause[: match.start()]
    if denies(" ".join(before.split()[-3:])) or leaves_open(before):
        return None
    return match[0].strip()


def without_circumstances(clause: str) -> str:
    """Return `clause` without equations at its end that say when its value is one: "is 8, attained at x = 2 and y = 4"."""
    match = _EQUATIONS.search(clause) if clause.count("=") > 1 else None
    if match is None or not _HOLDS_VALUE.search(clause[: match.start()]) or not _GIVEN.search(clause[: match.start()]):
        return clause
    return _ATTAINED.sub("", _GIVEN.sub("", clause[: match.start()]).rstrip(" ,;")).rstrip(" ,;")


def stated_point(clause: str) -> str | None:
    """Return the point in which a clause ends, "at (3, -2)", where nothing in front of it is a value."""
    match = _POINT_AT_END.search(clause) if clause.rstrip(" .*$").endswith(")") else None
    return match[1] if match and not _HOLDS_VALUE.search(clause[: match.start()]) and not leaves_open(clause) else None


def stated_alternatives(clause: str) -> str | None:
    """Return the two numbers in which a clause ends, "1/2, or 50%", to be judged as what they say."""
    match = _ALTERNATIVES.search(clause) if " or " in clause else None
    return match[1] if match and not _HOLDS_VALUE.search(clause[: match.start()]) else None


def whole_point(text: str) -> str | None:
    """Return a text that is a point, "(3, -2)", and nothing else."""
    return text if _POINT.fullmatch(text) else None


def stated_clock(clause: str) -> list[str] | None:
    """Return the time of day in which a clause ends; [] where it only stands beside it, None where there is no single one."""
    found = list(_CLOCK.finditer(clause)) if ":" in clause else []
    if len(found) != 1 or clause[found[0].end() :].strip(" .。*_)"):
        return None
    return [] if _ASIDE_OF_CLOCK.search(clause[: found[0].start()]) else [found[0][0]]


def stated_bound(text: str) -> str | None:
    """Return the bound that the last sentence of a text states, "n is at least 40"; None where it states no single one."""
    pieces = sentences(text[-600:])
    if not pieces or leaves_open(pieces[-1]):
        return None
    last = pieces[-1].replace("**", "")
    found = [*_BOUND.finditer(last), *_INEQUALITY.finditer(last)]
    values = {match["value"] for match in found}
    if len(values) != 1 or set(_NUMBER.findall(last)) - {value.lstrip("-−") for value in values}:
        return None
    if denies(" ".join(last[: found[0].start()].split()[-3:])):
        return None
    match = found[-1]
    if "sign" in match.groupdict():
        return f"{match['name']} {match['sign']} {match['value']}"
    return f"{match['name']} is {match['words']} {match['value']}" if match["name"] else f"{match['words']} {match['value']}"


def json_answer(text: str) -> str | None:
    """Return the answer of a text that ends in an object of JSON with one key for it, None where it has none."""
    if "{" not in text or "nswer" not in text or len(text) > MAX_JSON_CHARACTERS:
        return None
    found = list(_JSON.finditer(text))
    if not found or text[found[-1].end() :].strip():
        return None
    try:
        pairs = json.loads(
            found[-1][1] or found[-1][2], object_pairs_hook=lambda items: items, parse_int=str, parse_float=str, strict=False
        )
    except (ValueError, RecursionError):
        return None
    answers = [value for key, value in pairs if str(key).lower() in _JSON_KEYS] if isinstance(pairs, list) else []
    return _as_text(answers[0]) if len(answers) == 1 else None


def _as_text(value: Any) -> str | None:
    """Return a string, a number or a list of such as the text of an answer."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return None
