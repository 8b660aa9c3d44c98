r"""The verifier of the domain "math": reads both sides, compares them, and says in one line what decided.

    grade("1/2", "so it is \boxed{0.5}")
        committed_answers   the answer is 0.5, read from a box
        judge               -> _by_text: both are plain numbers, 1/2 == 0.5; no parser runs
        Verdict             correct, "exact rationals; reference: 1/2; answer (box): 0.5"

    grade("\frac{1}{2} cm", "\boxed{5 mm}")
        judge               -> _by_meaning: both are parsed, and compared as trees (equality/families.py, compare.py)

An answer that is not understood is `unparsed`; a refused (too large) one is `timeout` with 0 reward; a reference that cannot
be read (references.py) is `error`, whatever the answer, unless the answer is the same text.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from problems.types import Problem
from rewards.answer import BARE_ANSWER, committed_answers
from rewards.boxes import box_answer
from rewards.math.asked import readings_for
from rewards.math.equality.families import same_up_to_names
from rewards.math.equality.rules import Decision, Rule, Trail
from rewards.math.grammar.bases import same_digits
from rewards.math.grammar.choices import asks_for_several, choice, lettered, said_choice, wanted_choice
from rewards.math.grammar.clean import clean
from rewards.math.grammar.parser import parse
from rewards.math.grammar.words import plain_words, same_saying, same_words
from rewards.math.references import is_label, is_text_answer
from rewards.math.symbolic.stage import refuted, settled
from rewards.math.tree import Node, UnreadableError
from rewards.reading.digits import writes_decimal_commas
from rewards.types import LENIENT, STRICT, Reading, Status, Verdict

MAX_REFERENCE_CHARACTERS = 4000
MAX_ANSWER_CHARACTERS = 4000
MAX_CHOICE_CHARACTERS = 1000  # of an answer that is a letter and an explanation
SHOWN = 80
_INTEGER = re.compile(r"-?(?:\d{1,30}|[1-9]\d{0,2}(?:,\d{3}){1,9})", re.ASCII)
_RATIO = re.compile(r"(-?)(?:\\[dt]?frac\{(-?\d{1,30})\}\{(\d{1,30})\}|(-?\d{1,30})\s?/\s?(\d{1,30}))", re.ASCII)
_DECIMAL = re.compile(r"-?\d{0,30}\.\d{1,5}", re.ASCII)
_LOOSE = re.compile(r"\s+(?![\w.])|(?<![\w.])\s+", re.ASCII)
_DECIMAL_COMMA = re.compile(r"(-?\d{1,100}),(\d{1,2}|\d{4,100})", re.ASCII)
_DECIMAL_OR_TWO = re.compile(r"-?\d{1,9},\d", re.ASCII)  # in English two numbers, in French most often one
_DECIMAL_POINT = re.compile(r"-?\d{1,100}\.\d{1,100}", re.ASCII)
_CHOICES = re.compile(r"[\s$({]*[A-J](?:[\s$,(){}]|and|[A-J])*", re.ASCII)
_ONE_TEXT = re.compile(r"\\text(?:bf|rm|it)?\s*\{[^{}]*\}\.?")  # a reference that is a sentence and nothing else
_PENCE = re.compile(r"(\d{1,9}(?:\.\d{1,4})?)\s?p", re.ASCII)
_INTEGRAL = re.compile(
    r"\\int|∫|\bintegra|antiderivative|primitiv|stammfunktion|積分|积分|原函数|интеграл|первообразн", re.IGNORECASE
)
_OR = re.compile(r"\bor\b")
_WORDY = re.compile(r"(?=.*[A-Za-z]{2})[\w\s.,'()-]+", re.ASCII)
# A question asks for a percentage where it says the word or the sign without a number in front: not "a 20 % solution".
_PERCENT = re.compile(r"(?<![\d}])(?<![\d}]\s)(?<![\d}]-)per\s?cent|\b(?:in|as|of)\s+\\?%|[(_]\s*\\?%", re.IGNORECASE)
_HEDGED_WORDS = re.compile(r"\b(?:not|maybe|perhaps|possibly|unknown|undefined|probably|unsure|guess)\b", re.IGNORECASE)
_ASKS_FOR_A_VALUE = re.compile(r"\b(?:compute|evaluate|calculate|simplify|what is|find the value)\b", re.IGNORECASE)
_HAS_OPERATION = re.compile(r"[+*/^!\\]|.-")


class Judgement(NamedTuple):
    """What a comparison comes to, and what decided."""

    status: Status
    decision: Decision


def _judged(is_right: bool, rule: Rule) -> Judgement:
    return Judgement("correct" if is_right else "wrong", Decision(rule))


# -- a completion


def verify_math(problem: Problem, completion: str, reading: Reading = STRICT) -> Verdict:
    """The verifier of the domain "math"."""
    return grade(problem.reference, completion, problem.prompt, reading, is_text=is_text_answer(problem.checks))


def grade(
    reference: str | None, completion: str, prompt: str = "", reading: Reading = LENIENT, *, is_text: bool = False
) -> Verdict:
    """Grade a whole completion (or, in the lenient reading, a bare answer) against a reference answer.

    `is_text`: the reference is a text, which an answer has to say in the same words.
    """
    if reference is None:
        return Verdict(status="error", detail="the reference is empty")
    if fault := _missing_reference(reference):
        return Verdict(status="error", detail=fault)
    committed = committed_answers(completion, reading)
    gold, mark = _gold(reference), committed.mark
    is_plain = gold.value is not None and mark in ("box", "hashes")  # a number is asked for: these are read as they stand
    readings = committed.readings if is_plain else readings_for(gold.text, committed, prompt)
    if not readings:
        return Verdict(status="unparsed", detail=mark)
    if _DECIMAL_OR_TWO.fullmatch(reference.strip()) and writes_decimal_commas(prompt or completion[-MAX_ANSWER_CHARACTERS:]):
        pointed = _pointed(reference)
        reference = pointed if any(judge(pointed, one, prompt).status == "correct" for one in readings[:2]) else reference
    answer = readings[0]
    for candidate in readings:
        judgement = judge(reference, candidate, prompt, is_text)
        # a bare sentence is no wrong answer to a reference in words while a narrower reading of it is left
        only_other_words = judgement.decision.rule is Rule.DIFFERENT_WORDS and mark == BARE_ANSWER
        if judgement.status != "unparsed" and not only_other_words:
            answer = candidate
            break
    detail = f"{judgement.decision}; reference: {_shown(gold.text)}; answer ({mark}): {_shown(answer)}"
    return Verdict(status=judgement.status, extracted=answer[:MAX_ANSWER_CHARACTERS], detail=detail)


def _pointed(reference: str) -> str:
    """Return `7,5` as 7.5, which it is in a question of a language that writes decimal commas, unless it lists 7 and 5."""
    return reference.strip().replace(",", ".")


def reference_fault(problem: Problem) -> str | None:
    """Return why the reference of a problem cannot be graded against, or None where it can."""
    reference = problem.reference or ""
    if fault := _missing_reference(reference):
        return fault
    gold, tree = _gold(reference), _tree(_gold(reference).text)
    if gold.value is not None or not isinstance(tree, UnreadableError):
        return None
    return _unreadable(gold.text, tree, is_text_answer(problem.checks))


def _unreadable(gold: str, reason: UnreadableError, is_text: bool) -> str | None:
    """Return why a reference without a tree cannot be graded against; None where it is a label, a choice or said to be text."""
    words = plain_words(gold)
    if is_text or is_label(gold) or _CHOICES.fullmatch(words) or lettered(gold):
        return None
    return f"the reference cannot be read: {reason}"


def _missing_reference(reference: str) -> str | None:
    if not reference.strip():
        return "the reference is empty"
    if len(reference) > MAX_REFERENCE_CHARACTERS and "boxed" not in reference and "####" not in reference:
        return f"the reference has {len(reference)} characters, at most {MAX_REFERENCE_CHARACTERS} are read"
    if not _gold(reference).text:
        return "the reference is empty"
    return None


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


# -- two bare answers


def compare_texts(reference: str, answer: str, prompt: str = "") -> tuple[Status, str]:
    """Return the status of `answer` against `reference`, and in words which rule decided."""
    status, decision = judge(reference, answer, prompt)
    return status, str(decision)


def judge(reference: str, answer: str, prompt: str = "", is_text: bool = False) -> Judgement:
    """Judge one bare answer: by its text alone, by the letter of a choice, then by what both sides mean."""
    gold, answer = _gold(reference), answer.strip()
    judgement = _by_text(gold, answer)
    if judgement is not None:
        return judgement
    if "_" in gold.text + answer and same_digits(clean(gold.text), clean(answer[:MAX_ANSWER_CHARACTERS]), prompt):
        return _judged(True, Rule.DIGITS_OF_BASE)
    if len(answer) <= MAX_CHOICE_CHARACTERS and (judgement := _by_choice(gold.text, answer, prompt)) is not None:
        return judgement
    return _by_meaning(gold.text, answer, prompt, is_text)


def _by_choice(gold: str, answer: str, prompt: str) -> Judgement | None:
    """Judge by the letters of choices; None where the reference asks for no letter, or the answer says none."""
    if wanted := wanted_choice(gold):
        said = said_choice(answer)
        return None if said is None else _judged(said == wanted, Rule.LETTER_OF_CHOICE)
    if "or" in answer and asks_for_several(gold) and _OR.search(answer):
        return _judged(False, Rule.ALTERNATIVES)
    asked = lettered(gold)  # "(B) 12": the letter or the value, and where both are there the value too
    if asked is None:
        return _by_value_of_choice(gold, answer, prompt)
    given = lettered(answer)
    if given is not None and given.letter != asked.letter:
        return _judged(False, Rule.LETTER_OF_CHOICE)
    if given is not None:
        judgement = _by_meaning(asked.text, given.text, prompt, is_text=True)
        return judgement if judgement.decision.rule is not Rule.UNREADABLE else _judged(True, Rule.LETTER_OF_CHOICE)
    said = said_choice(answer) or choice(answer)
    if said is not None:
        return _judged(said == asked.letter, Rule.LETTER_OF_CHOICE)
    return _by_meaning(asked.text, answer, prompt, is_text=True)


def _by_value_of_choice(gold: str, answer: str, prompt: str) -> Judgement | None:
    """Judge "(B) 7" by its value where the reference is one, 7, without that letter in it; None for any other answer."""
    given = lettered(answer)
    if given is None or given.letter in gold or not any(map(str.isdigit, gold)):
        return None
    judgement = _by_meaning(gold, given.text, prompt, is_text=True)
    return judgement if judgement.status == "correct" else None


class _Gold(NamedTuple):
    """A reference without its mark, and its value where it is a plain number."""

    text: str
    value: Fraction | None


@lru_cache(maxsize=1024)
def _gold(reference: str) -> _Gold:
    text = reference.strip()
    if "box" in text and (boxed := box_answer(text)):
        text = boxed
    elif "####" in text:
        text = text.rpartition("####")[2].strip()
    text = text.strip()
    if len(text) > 1 and text[0] == "$" == text[-1] and "$" not in text[1:-1]:
        text = text[1:-1].strip()
    return _Gold(text, _plain_number(text))


def _plain_number(text: str) -> Fraction | None:
    """Return the exact value of an integer, a quotient or a short decimal; None means "ask the parser"."""
    if _INTEGER.fullmatch(text):
        return Fraction(int(text.replace(",", "")))
    if match := _RATIO.fullmatch(text):
        top, bottom = int(match[2] or match[4]), int(match[3] or match[5])
        return (-1 if match[1] else 1) * Fraction(top, bottom) if bottom else None
    if _DECIMAL.fullmatch(text) and text.strip("-."):
        digits = text.replace("-", "").replace(".", "").lstrip("0")
        return Fraction(text) if len(digits) < 6 else None  # a longer one may be a rounded number
    return None


# -- by text: no parser runs


def _by_text(gold: _Gold, answer: str) -> Judgement | None:
    """Judge what needs no parser; None where it takes one."""
    if answer == gold.text:
        return _judged(True, Rule.SAME_TEXT)
    if gold.value is not None and (value := _plain_number(answer)) is not None:
        return _judged(value == gold.value, Rule.EXACT_RATIONALS)  # 1/2 and 0.5
    if gold.value is not None and (pence := _PENCE.fullmatch(answer)):  # 75p, which no number is a multiple of p for
        return _judged(_plain_number(pence[1]) == gold.value, Rule.EXACT_RATIONALS)
    if len(answer) > MAX_ANSWER_CHARACTERS:
        return Judgement("unparsed", Decision(Rule.TOO_LONG, (len(answer),)))
    canonical = _canonical(answer)
    if canonical and canonical == _canonical(gold.text):
        return _judged(True, Rule.SAME_CLEANED_TEXT)
    if _same_but_for_decimal_comma(gold.text, answer):
        return _judged(True, Rule.DECIMAL_COMMA)
    return None


@lru_cache(maxsize=1024)
def _canonical(text: str) -> str:
    return _LOOSE.sub("", clean(text)) if len(text) <= MAX_ANSWER_CHARACTERS else text


def _same_but_for_decimal_comma(gold: str, answer: str) -> bool:
    if _is_same_decimal(gold, answer):
        return True
    asks_for_two_numbers = re.search(r",\d$", gold)  # "3,4"
    return not asks_for_two_numbers and _is_same_decimal(answer, gold)


def _is_same_decimal(with_point: str, with_comma: str) -> bool:
    match = _DECIMAL_COMMA.fullmatch(with_comma)
    if match is None or not _DECIMAL_POINT.fullmatch(with_point):
        return False
    return Fraction(with_point) == Fraction(f"{match[1]}.{match[2]}")


# -- by meaning: trees, and words where there is none


def _by_meaning(gold: str, answer: str, prompt: str, is_text: bool) -> Judgement:
    left, right = _tree(gold), _tree(answer)
    if isinstance(left, UnreadableError):  # a reference in words
        if fault := _unreadable(gold, left, is_text):
            if _ONE_TEXT.fullmatch(gold) and same_saying(gold, answer):
                return _judged(True, Rule.SAME_WORDS)
            return Judgement("error", Decision(Rule.UNREADABLE, (fault,)))
        return _judged(True, Rule.SAME_WORDS) if same_words(gold, answer) else _judged(False, Rule.DIFFERENT_WORDS)
    if isinstance(right, UnreadableError):
        if _says_the_words(gold, answer):
            return _judged(True, Rule.SAME_WORDS)
        return Judgement("unparsed", Decision(Rule.UNREADABLE, (str(right),)))
    if prompt and _echoes(prompt, answer, gold):
        return _judged(False, Rule.REPEATS_QUESTION)
    trail = Trail(percent=_PERCENT.search(prompt) is not None, integral=_INTEGRAL.search(prompt) is not None)
    try:
        is_same = same_up_to_names(left, right, trail)
    except RecursionError:
        return Judgement("timeout", Decision(Rule.TOO_DEEP))
    if is_same:
        return Judgement("wrong" if refuted(left, right, trail, prompt) else "correct", trail.decision)
    if _CHOICES.fullmatch(gold) and same_words(gold, answer):
        return _judged(True, Rule.SAME_LETTERS)
    if settled(left, right, trail, prompt):
        return Judgement("correct", trail.decision)
    if trail.decision.rule in (Rule.SYMPY_NOT_STARTED, Rule.SYMPY_STARVED):  # the machine's fault, not the answer's
        return Judgement("error", trail.decision)
    return Judgement("timeout" if trail.too_big else "wrong", trail.decision)


def _tree(text: str) -> Node | UnreadableError:
    """Return the tree of `text`, or the reason why there is none."""
    try:
        return parse(text)
    except UnreadableError as error:
        return error


def _says_the_words(gold: str, answer: str) -> bool:
    """Tell whether an answer without a tree says a reference of words or letters of choices."""
    if not (_CHOICES.fullmatch(gold) or _WORDY.fullmatch(plain_words(gold))):
        return False
    return same_words(gold, answer) and not _HEDGED_WORDS.search(answer)


def _echoes(prompt: str, answer: str, gold: str) -> bool:
    """Tell whether the answer only repeats an expression of the question instead of its value."""
    written, wanted = _canonical(answer), _canonical(gold)
    if len(written) < 3 or written == wanted or _plain_number(written) is not None or _plain_number(wanted) is None:
        return False
    if not _ASKS_FOR_A_VALUE.search(prompt) or not _HAS_OPERATION.search(written):
        return False
    return written in _canonical(prompt[:MAX_ANSWER_CHARACTERS])
