r"""What a question says of its names: "where $n$ is a positive integer", "for $0 < x < 1$", "let $a, b$ be positive reals".

Only what is said is taken; a question that defines something by cases says nothing here, since its conditions hold for a case
each. Bounds are where numbers are drawn from, assumptions are also what sympy may use.
"""

import math
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction

from rewards.math.equality.points import Point
from rewards.math.tree import Node, symbols

Assumptions = dict[str, dict[str, bool]]
Bounds = dict[str, tuple[float, float]]
MAX_PROMPT = 4000
_BY_CASES = re.compile(r"\bcases\b|\botherwise\b|\bpiecewise\b|\belse\b|\bif\b[^.?!]{1,200}\bif\b", re.IGNORECASE)
_PI = r"(?:\\pi(?![A-Za-z])|π)"
_NUMBER = (
    rf"-?(?:\\[dt]?frac\s?\{{(?:\d{{1,9}}|\d{{0,9}}\s?{_PI})\}}\s?\{{\d{{1,9}}\}}|\\infty"
    rf"|(?:\d{{1,9}}(?:\.\d{{1,9}})?\s?{_PI}?|{_PI})(?:/\d{{1,9}})?)"
)
_NAME = r"\\?[A-Za-z](?:[a-z]{1,8})?(?:_\d)?"
_OF_ALL = re.compile(
    r"\b(?:variables?|letters?|unknowns?|parameters?|constants?|quantities)\s+(?:are|is|represents?|denotes?|stands?\s+for)"
    r"\s+(?:all\s+)?(?:an?\s+)?(?:real\s+)?(positive|non-?\s?negative|negative)\b(?!\s+(?:or|and)\b)"
)
_BELOW = r"(?:<=?|\\leq?(?:slant)?(?![A-Za-z])|\\lt(?![A-Za-z])|≤)"
_ABOVE = r"(?:>=?|\\geq?(?:slant)?(?![A-Za-z])|\\gt(?![A-Za-z])|≥)"
_SIGNS = {"positive": {"positive": True}, "nonnegative": {"nonnegative": True}, "negative": {"negative": True}}
_NOUN = r"(?:real|integer|natural|whole|number|constant|complex)"
_KIND = rf"(positive|non-?\s?negative|negative|(?={_NOUN}))\s*({_NOUN}|)s?"
_MARKUP = re.compile(r"\\mathbb\s*\{?\s*([RZNC])\s*\}?|\\(?:left|right|,|;|!|quad)(?![A-Za-z])|[$]|\\[()\[\]]")
_BLACKBOARD = {"R": "\\reals", "Z": "\\integers", "N": "\\naturals", "C": "\\complexes"}


def said(prompt: str, names: Iterable[str]) -> tuple[Assumptions, Bounds]:
    """Return what a question says of `names`."""
    assumptions: Assumptions = {}
    bounds: Bounds = {}
    if not prompt or len(prompt) > MAX_PROMPT:
        return assumptions, bounds
    text = _MARKUP.sub(lambda match: _BLACKBOARD[match[1]] if match[1] else "", prompt)
    by_cases = _BY_CASES.search(text) is not None
    for name in names:
        if facts := _facts(text, name) | _of_all(text):
            assumptions[name] = facts
        if not by_cases and (ends := _ends(text, name)) is not None:
            bounds[name] = ends
            assumptions[name] = {**assumptions.get(name, {}), **_sign(ends)}
    return {name: _consistent(facts) for name, facts in assumptions.items()}, bounds


def _consistent(facts: dict[str, bool]) -> dict[str, bool]:
    """Return assumptions without those that sympy would find in conflict."""
    if facts.get("complex") and len(facts) > 1:
        facts = {name: value for name, value in facts.items() if name != "complex"}
    return {"positive": True} | ({"integer": True} if "integer" in facts else {}) if "positive" in facts else facts


def _sign(ends: tuple[float, float]) -> dict[str, bool]:
    low, high = ends
    if low >= 0:
        return {"positive": True}
    return {"negative": True} if high <= 0 else {"real": True}


def _of_all(text: str) -> dict[str, bool]:
    """Return what a question says of all names: "assume all variables are positive"."""
    match = _OF_ALL.search(text)
    return dict(_SIGNS[re.sub(r"[-\s]", "", match[1])]) if match else {}


def _facts(text: str, name: str) -> dict[str, bool]:
    """Return what words say of a name."""
    own = re.escape(name)
    names = rf"(?:\\?[A-Za-z]\w{{0,9}}\s*(?:,|and)\s*){{0,4}}{own}(?:\s*(?:,\s*and|,|and)\s*\\?[A-Za-z]\w{{0,9}}){{0,4}}"
    behind = re.search(rf"(?<![A-Za-z\\]){names}\s*(?:is|are|be|denote)\s+(?:both\s+|all\s+|an?\s+|any\s+)?{_KIND}\b", text)
    before = re.search(rf"\b{_KIND}(?:\s+numbers?)?\s+{names}(?![A-Za-z])", text)
    facts: dict[str, bool] = {}
    for match in (behind, before):
        if match is not None:
            facts |= _of_words(match[1], match[2])
    if re.search(rf"(?<![A-Za-z\\]){own}\s*\\in\s*\\integers", text):
        facts["integer"] = True
    if re.search(rf"(?<![A-Za-z\\]){own}\s*\\in\s*\\naturals", text):
        facts |= {"integer": True, "positive": True}
    return facts


def _of_words(sign: str, kind: str) -> dict[str, bool]:
    facts: dict[str, bool] = {}
    if kind == "complex":
        return {"complex": True}
    if kind in ("integer", "whole", "natural"):
        facts["integer"] = True
    facts |= _SIGNS.get(re.sub(r"[-\s]", "", sign), {})
    if kind == "natural":
        facts["positive"] = True
    if kind == "real" or not facts:
        facts.setdefault("real", True)
    return facts


def _ends(text: str, name: str) -> tuple[float, float] | None:
    """Return between which numbers a name is said to lie, or None."""
    own = rf"(?<![A-Za-z\\^_*+/-]){re.escape(name)}(?![A-Za-z^_(])(?!\s?[-+*/^])"
    text = re.sub(r"([-+*/])\s(?=[A-Za-z\\])", r"\1", text)  # the x of 1 - x > 0 is not bounded
    others_behind, others_before = rf"(?:\s?,\s?{_NAME}){{0,5}}", rf"(?:{_NAME}\s?,\s?){{0,5}}"
    low, high = -math.inf, math.inf
    for match in re.finditer(
        rf"(?<![\w^*+/}})-])({_NUMBER})\s*{_BELOW}\s*(?:{_NAME}\s?{_BELOW}\s?)?{others_before}{own}", text
    ):
        low = max(low, _value(match[1]))
    for match in re.finditer(rf"{own}{others_behind}\s*{_ABOVE}\s*(?:{_NAME}\s?{_ABOVE}\s?)?({_NUMBER})(?![\w^*/+-])", text):
        low = max(low, _value(match[1]))
    for match in re.finditer(rf"{own}{others_behind}\s*{_BELOW}\s*({_NUMBER})(?![\w^*/+-])", text):
        high = min(high, _value(match[1]))
    if low >= high or (low == -math.inf and high == math.inf):
        return None
    return low, high


def _value(text: str) -> float:
    sign = -1.0 if text.startswith("-") else 1.0
    text = text.lstrip("-")
    if text == "\\infty":
        return sign * math.inf
    if re.search(_PI, text):
        sign *= math.pi
        text = re.sub(r"(?<!\d)\s?" + _PI, "1", text)
    numbers = [float(part) for part in re.findall(r"\d+(?:\.\d+)?", text)]
    return sign * (numbers[0] / numbers[1] if len(numbers) > 1 and numbers[1] else numbers[0])


# -- a quick look at places that the question allows

_LOOKS = (Fraction(7, 5), Fraction(13, 4), Fraction(2, 9))
_LOOK_DIGITS = 30


def agree_where_said(gold: Node, answer: Node, prompt: str) -> bool:
    """Tell whether two expressions that differ somewhere agree at the places that the question allows: |x| and x for x > 0."""
    names = symbols(gold) | symbols(answer)
    assumptions, bounds = said(prompt, names)
    restricting = ("positive", "nonnegative", "negative", "integer")
    if not bounds and not any(word in facts for facts in assumptions.values() for word in restricting):
        return False
    try:
        return all(_agree_at(gold, answer, _place(names, assumptions, bounds, number)) for number in range(len(_LOOKS)))
    except (ArithmeticError, ValueError):
        return False


def _agree_at(gold: Node, answer: Node, place: Mapping[str, Fraction]) -> bool:
    left, right, *_ = Point(place, _LOOK_DIGITS).both(gold, answer)
    return bool(abs(left - right) <= (abs(left) + abs(right)) * Fraction(1, 10**15))


def _place(names: Iterable[str], assumptions: Assumptions, bounds: Bounds, number: int) -> dict[str, Fraction]:
    """Return the `number`th place that the question allows."""
    place: dict[str, Fraction] = {}
    for shift, name in enumerate(sorted(names)):
        facts = assumptions.get(name, {})
        value = _LOOKS[(number + shift) % len(_LOOKS)]
        low, high = bounds.get(name, (-math.inf, math.inf))
        if math.isfinite(low) and math.isfinite(high):
            value = Fraction(low) + (Fraction(high) - Fraction(low)) * value / 4
        elif math.isfinite(low):
            value += Fraction(low)
        elif math.isfinite(high):
            value = Fraction(high) - value
        elif "negative" in facts or (not facts and number % 2):
            value = -value
        place[name] = Fraction(2 + (5 * number + shift) % 7) if "integer" in facts else value
    return place
