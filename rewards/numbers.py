r"""Exact comparison of integers and rationals: `8`, `-1,234`, `0.50`, `3/4`, `\frac{3}{4}`. No floats, no tolerance.

The final answer is read by the policy of rewards/answer.py, and it is one plain number or none at all: "3 or 5" is
none, "0.5 or 1/2" is one, since both are the same value.
"""

import re
from fractions import Fraction

from problems.types import Problem
from rewards.answer import MAX_EXTRACTED_CHARACTERS, committed_answers
from rewards.boxes import OR
from rewards.reading.digits import plain_digits
from rewards.types import STRICT, Reading, Status, Verdict

MAX_DIGITS = 200
_DECIMAL = r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|[+-]?\.\d+"
_NUMBER = re.compile(_DECIMAL, re.ASCII)
_RATIO = re.compile(rf"({_DECIMAL})\s*/\s*({_DECIMAL})", re.ASCII)
_FRACTION = re.compile(rf"([+-]?)\\[dt]?frac\{{({_DECIMAL})\}}\{{({_DECIMAL})\}}", re.ASCII)
_DOLLARS_AND_PERIOD = re.compile(r"^\\?\$\s*|\s*\\?\$$|\.$")


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def parse_rational(text: str) -> Fraction | None:
    """Return the exact value of `text`, or None where it is not one plain number of at most MAX_DIGITS characters."""
    text = plain_digits(text).strip()
    if len(text) > MAX_DIGITS:
        return None
    text = _DOLLARS_AND_PERIOD.sub("", text).strip()
    if _NUMBER.fullmatch(text):
        return _decimal(text)
    if match := _RATIO.fullmatch(text):
        return _quotient(match[1], match[2])
    if match := _FRACTION.fullmatch(text):
        value = _quotient(match[2], match[3])
        return -value if value is not None and match[1] == "-" else value
    return None


def _quotient(numerator: str, denominator: str) -> Fraction | None:
    divisor = _decimal(denominator)
    return _decimal(numerator) / divisor if divisor else None


def _value(answer: str) -> Fraction | None:
    """Return the one number that an answer says: `1/2 or 0.5` is one in two spellings, `1/2 or 0.6` is none."""
    if OR not in answer:
        return parse_rational(answer)
    values = {parse_rational(alternative) for alternative in answer.split(OR)}
    return values.pop() if len(values) == 1 else None


def number_fault(problem: Problem) -> str | None:
    """Return why the reference of a problem is no plain number, or None where it is one."""
    is_number = parse_rational(problem.reference or "") is not None
    return None if is_number else f"the reference {problem.reference!r:.80} is not a number"


def verify_number(problem: Problem, completion: str, reading: Reading = STRICT) -> Verdict:
    """Compare the completion's final answer with the reference as exact rationals."""
    expected = parse_rational(problem.reference or "")
    if expected is None:
        return Verdict(status="error", detail=number_fault(problem) or "")
    readings, mark, *_ = committed_answers(completion, reading)
    if not readings:
        return Verdict(status="unparsed", detail=f"no final answer: {mark}")
    answer = next((one for one in readings if _value(one) is not None), readings[0])
    value = _value(answer)
    if value is None:
        shown = answer[:MAX_EXTRACTED_CHARACTERS]
        return Verdict(status="unparsed", extracted=shown, detail="the final answer is not a plain number")
    status: Status = "correct" if value == expected else "wrong"
    return Verdict(status=status, extracted=answer, detail=f"exact: {value} against {expected}"[:200])
