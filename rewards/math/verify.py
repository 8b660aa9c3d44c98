"""The verifier of the domain "math": reads both sides, compares them, and says in one line what decided.

Order: the same text, exact rationals read without a parser, then the trees. An answer that is not understood is
`unparsed`; a refused (too large) one is `timeout` with 0 reward; a reference that cannot be read is `error`.
"""

import re
from fractions import Fraction
from functools import lru_cache

from problems.types import Problem
from rewards.boxes import box_answer
from rewards.math.equality.expressions import Trail
from rewards.math.equality.families import same
from rewards.math.grammar.clean import clean
from rewards.math.grammar.parser import parse
from rewards.math.grammar.words import choice, plain_words, same_words
from rewards.math.reading import committed_answers
from rewards.math.tree import Node, UnreadableError
from rewards.types import Status, Verdict

MAX_REFERENCE_CHARACTERS = 4000
MAX_ANSWER_CHARACTERS = 4000
SHOWN = 80
_INTEGER = re.compile(r"-?(?:\d{1,30}|[1-9]\d{0,2}(?:,\d{3}){1,9})", re.ASCII)
_RATIO = re.compile(r"(-?)(?:\\[dt]?frac\{(-?\d{1,30})\}\{(\d{1,30})\}|(-?\d{1,30})\s?/\s?(\d{1,30}))", re.ASCII)
_DECIMAL = re.compile(r"-?\d{0,30}\.\d{1,5}", re.ASCII)
_LOOSE = re.compile(r"\s+(?![\w.])|(?<![\w.])\s+", re.ASCII)
_DECIMAL_COMMA = re.compile(r"(-?\d{1,100}),(\d{1,2}|\d{4,100})", re.ASCII)
_POINT = re.compile(r"-?\d{1,100}\.\d{1,100}", re.ASCII)
_CHOICES = re.compile(r"[\s$({]*[A-H](?:[\s$,(){}]|and|[A-H])*", re.ASCII)
_WORDY = re.compile(r"(?=.*[A-Za-z]{2})[\w\s.,'()-]+", re.ASCII)
_LETTERED = re.compile(r"\(([A-H])\)\s*(?!and\b|or\b|&)([^\s(^_+*/=,].*)", re.DOTALL)
_PERCENT = re.compile(r"percent|%|per cent", re.IGNORECASE)
_HEDGED_WORDS = re.compile(r"\b(?:not|maybe|perhaps|possibly|unknown|undefined|probably|unsure|guess)\b", re.IGNORECASE)


def _quick(text: str) -> Fraction | None:
    """Return the exact value of an integer, a quotient or a short decimal; None means "ask the parser"."""
    if _INTEGER.fullmatch(text):
        return Fraction(int(text.replace(",", "")))
    if match := _RATIO.fullmatch(text):
        top, bottom = int(match[2] or match[4]), int(match[3] or match[5])
        return (-1 if match[1] else 1) * Fraction(top, bottom) if bottom else None
    if _DECIMAL.fullmatch(text) and text.strip("-.") and len(text.replace("-", "").replace(".", "").lstrip("0")) < 6:
        return Fraction(text)
    return None


@lru_cache(maxsize=1024)
def _gold(reference: str) -> tuple[str, Fraction | None]:
    """Return the text of a reference without its mark, and its value where it is a plain number."""
    text = reference.strip()
    if "box" in text and (found := box_answer(text)):
        text = found
    elif "####" in text:
        text = text.rpartition("####")[2].strip()
    text = text.strip()
    if len(text) > 1 and text[0] == "$" == text[-1] and "$" not in text[1:-1]:
        text = text[1:-1].strip()
    return text, _quick(text)


@lru_cache(maxsize=1024)
def _canonical(text: str) -> str:
    return _LOOSE.sub("", clean(text)) if len(text) <= MAX_ANSWER_CHARACTERS else text


def _tree(text: str) -> Node | str:
    """Return the tree of `text`, or the reason why there is none."""
    try:
        return parse(text)
    except UnreadableError as error:
        return str(error)


def _show(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _echoes(prompt: str, answer: str, gold: str) -> bool:
    """Tell whether the answer only repeats an expression of the question instead of its value."""
    written, wanted = _canonical(answer), _canonical(gold)
    if len(written) < 3 or written == wanted or _quick(written) is not None or _quick(wanted) is None:
        return False
    asks = re.search(r"\b(?:compute|evaluate|calculate|simplify|what is|find the value)\b", prompt, re.IGNORECASE)
    return (
        asks is not None and bool(re.search(r"[+*/^!\\]|.-", written)) and written in _canonical(prompt[:MAX_ANSWER_CHARACTERS])
    )


def compare_texts(reference: str, answer: str, prompt: str = "") -> tuple[Status, str]:
    """Return the status of `answer` against `reference` and the rule that decided."""
    gold, gold_value = _gold(reference)
    answer = answer.strip()
    if answer == gold:
        return "correct", "same text"
    if gold_value is not None and (value := _quick(answer)) is not None:
        return ("correct" if value == gold_value else "wrong"), "exact rationals"
    if len(answer) > MAX_ANSWER_CHARACTERS:
        return "unparsed", f"an answer of {len(answer)} characters"
    canonical = _canonical(answer)
    if canonical and canonical == _canonical(gold):
        return "correct", "same text after cleaning"
    for one, other in ((gold, answer), (answer, gold)):
        if other is gold and re.search(r",\d$", gold):
            continue  # "3,4" asks for two numbers
        if (
            _POINT.fullmatch(one)
            and (match := _DECIMAL_COMMA.fullmatch(other))
            and Fraction(one) == Fraction(f"{match[1]}.{match[2]}")
        ):
            return "correct", "decimal comma"
    if match := _LETTERED.fullmatch(plain_words(gold)):  # "(B) 12": the letter or the value
        if choice(answer) is not None:
            return ("correct" if choice(answer) == match[1] else "wrong"), "the letter of the choice"
        gold = match[2].strip()
    trail = Trail(percent=bool(prompt and _PERCENT.search(prompt)))
    left, right = _tree(gold), _tree(answer)
    if isinstance(left, str):
        if same_words(gold, answer):
            return "correct", "same words"
        return "wrong", "different words"
    if isinstance(right, str):
        if (
            (_CHOICES.fullmatch(gold) or _WORDY.fullmatch(plain_words(gold)))
            and same_words(gold, answer)
            and not _HEDGED_WORDS.search(answer)
        ):
            return "correct", "same words"
        return "unparsed", right
    if prompt and _echoes(prompt, answer, gold):
        return "wrong", "repeats the question"
    try:
        if same(left, right, trail):
            return "correct", trail.rule
    except RecursionError:
        return "timeout", "nested too deep to compare"
    if _CHOICES.fullmatch(gold) and same_words(gold, answer):
        return "correct", "same letters"
    return ("timeout" if trail.too_big else "wrong"), trail.rule


def unreadable_reference(reference: str | None) -> str | None:
    """Return why a reference cannot be graded against, or None where it can."""
    if reference is None or not reference.strip():
        return "the reference is empty"
    if len(reference) > MAX_REFERENCE_CHARACTERS and "boxed" not in reference and "####" not in reference:
        return f"the reference has {len(reference)} characters, at most {MAX_REFERENCE_CHARACTERS} are read"
    if not _gold(reference)[0]:
        return "the reference is empty"
    return None


def grade(reference: str | None, completion: str, prompt: str = "") -> Verdict:
    """Grade a whole completion (or a bare answer) against a reference answer."""
    if reference is None or (problem := unreadable_reference(reference)):
        return Verdict(status="error", detail="the reference is empty" if reference is None else str(problem))
    found, mark = committed_answers(completion)
    if not found:
        return Verdict(status="unparsed", detail=mark)
    status: Status = "unparsed"
    rule, answer = "", found[0]
    for reading in found:
        status, rule = compare_texts(reference, reading, prompt)
        if status != "unparsed" and not (rule == "different words" and mark == "bare answer"):
            answer = reading
            break
    detail = f"{rule}; reference: {_show(_gold(reference)[0])}; answer ({mark}): {_show(answer)}"
    return Verdict(status=status, extracted=answer[:MAX_ANSWER_CHARACTERS], detail=detail)


def verify_math(problem: Problem, completion: str) -> Verdict:
    """The verifier of the domain "math"."""
    return grade(problem.reference, completion, problem.prompt)
