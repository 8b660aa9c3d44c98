r"""Exact comparison of integers and rationals: `8`, `-1,234`, `0.50`, `3/4`, `\frac{3}{4}`. No floats, no tolerance."""

import re
from fractions import Fraction

from problems.types import Problem
from rewards.answer import final_answer
from rewards.types import Status, Verdict

MAX_DIGITS = 200
_DECIMAL = r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|[+-]?\.\d+"
_NUMBER = re.compile(_DECIMAL, re.ASCII)
_RATIO = re.compile(rf"({_DECIMAL})\s*/\s*({_DECIMAL})", re.ASCII)
_FRACTION = re.compile(rf"([+-]?)\\[dt]?frac\{{({_DECIMAL})\}}\{{({_DECIMAL})\}}", re.ASCII)
_UNITS = re.compile(r"^\\?\$\s*|\s*\\?\$$|\.$")


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def parse_rational(text: str) -> Fraction | None:
    """Return the exact value of `text`, or None where it is not one plain number of at most MAX_DIGITS characters."""
    text = text.replace("\u2212", "-").strip()
    if len(text) > MAX_DIGITS:
        return None
    text = _UNITS.sub("", text).strip()
    if _NUMBER.fullmatch(text):
        return _decimal(text)
    if match := _RATIO.fullmatch(text):
        numerator, denominator, sign = _decimal(match[1]), _decimal(match[2]), 1
    elif match := _FRACTION.fullmatch(text):
        numerator, denominator, sign = _decimal(match[2]), _decimal(match[3]), -1 if match[1] == "-" else 1
    else:
        return None
    return sign * numerator / denominator if denominator else None


def verify_number(problem: Problem, completion: str) -> Verdict:
    """Compare the completion's final answer with the reference as exact rationals."""
    expected = parse_rational(problem.reference or "")
    if expected is None:
        return Verdict(status="error", detail=f"the reference {problem.reference!r} is not a number")
    answer = final_answer(completion)
    if answer is None:
        return Verdict(status="unparsed", detail="no final answer")
    value = parse_rational(answer)
    if value is None:
        return Verdict(status="unparsed", extracted=answer, detail="the final answer is not a plain number")
    status: Status = "correct" if value == expected else "wrong"
    return Verdict(status=status, extracted=answer, detail=f"exact: {value} against {expected}"[:200])
