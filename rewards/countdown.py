"""Checks a countdown answer by program: a small parser of its own, exact fractions, each number used exactly once.

The final answer is read by the policy of rewards/answer.py: `(3+5)*2-4`, or the same with `= 12` behind it.
"""

import re
from collections import Counter
from fractions import Fraction

from problems.types import Problem
from rewards.answer import committed_answers
from rewards.types import STRICT, Reading, Status, Verdict

MAX_CHARACTERS = 400
MAX_DEPTH = 40
_TOKEN = re.compile(r"\s*(\d{1,12}|[-+*/()])", re.ASCII)
_SPELLINGS = {  # LaTeX and typography
    "\\times": "*",
    "\\cdot": "*",
    "\\div": "/",
    "\u00d7": "*",
    "\u00f7": "/",
    "\u2212": "-",
    "\\left": "",
    "\\right": "",
}


class NotAnExpression(ValueError):
    """The text is not an expression of integers, + - * / and parentheses."""


class _Parser:
    """Recursive descent over a bounded list of tokens; collects the numbers it meets."""

    def __init__(self, text: str):
        for spelling, plain in _SPELLINGS.items():
            text = text.replace(spelling, plain)
        if len(text) > MAX_CHARACTERS:
            raise NotAnExpression(f"longer than {MAX_CHARACTERS} characters")
        self.tokens: list[str] = []
        self.numbers: list[int] = []
        text = text.strip()
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise NotAnExpression(f"unexpected {text[position : position + 10]!r}")
            self.tokens.append(match[1])
            position = match.end()
        self.tokens.append("")

    def _take(self) -> str:
        return self.tokens.pop(0)

    def whole(self) -> Fraction:
        value = self._sum(0)
        if self.tokens[0]:
            raise NotAnExpression(f"unexpected {self.tokens[0]!r}")
        return value

    def _sum(self, depth: int) -> Fraction:
        value = self._product(depth)
        while self.tokens[0] in ("+", "-"):
            sign = 1 if self._take() == "+" else -1
            value += sign * self._product(depth)
        return value

    def _product(self, depth: int) -> Fraction:
        value = self._atom(depth)
        while self.tokens[0] in ("*", "/"):
            if self._take() == "*":
                value *= self._atom(depth)
                continue
            divisor = self._atom(depth)
            if divisor == 0:
                raise NotAnExpression("division by zero")
            value /= divisor
        return value

    def _atom(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise NotAnExpression(f"nested deeper than {MAX_DEPTH}")
        token = self._take()
        if token == "(":
            value = self._sum(depth + 1)
            if self._take() != ")":
                raise NotAnExpression("a parenthesis does not close")
            return value
        if not token.isdigit():
            raise NotAnExpression(f"expected a number, found {token or 'the end'!r}")
        self.numbers.append(int(token))
        return Fraction(int(token))


def countdown_fault(problem: Problem) -> str | None:
    """Return what the checks of a problem lack, or None."""
    try:
        _numbers_and_target(problem)
    except (KeyError, TypeError, ValueError) as error:
        return f"checks need 'numbers' and 'target': {error!r}"
    return None


def _numbers_and_target(problem: Problem) -> tuple[list[int], Fraction]:
    return [int(n) for n in problem.checks["numbers"]], Fraction(problem.checks["target"])


def _is_expression(answer: str) -> bool:
    """Tell whether an answer, or what stands in front of its "=", is an expression."""
    try:
        _Parser(answer.partition("=")[0]).whole()
    except NotAnExpression:
        return False
    return True


def verify_countdown(problem: Problem, completion: str, reading: Reading = STRICT) -> Verdict:
    """Accept any expression that uses every given number exactly once and equals the target (`= target` may follow)."""
    if fault := countdown_fault(problem):
        return Verdict(status="error", detail=fault)
    numbers, target = _numbers_and_target(problem)
    readings, mark, *_ = committed_answers(completion, reading)
    if not readings:
        return Verdict(status="unparsed", detail=f"no final answer: {mark}")
    answer = next((one for one in readings if _is_expression(one)), readings[0])
    expression, equals, right = answer.partition("=")
    try:
        parser = _Parser(expression)
        value = parser.whole()
        claimed = _Parser(right).whole() if equals else value
    except NotAnExpression as error:
        return Verdict(status="unparsed", extracted=answer[:MAX_CHARACTERS], detail=str(error))
    if Counter(parser.numbers) != Counter(numbers):
        return Verdict(status="wrong", extracted=answer, detail=f"uses {sorted(parser.numbers)}, given {sorted(numbers)}")
    status: Status = "correct" if value == target and claimed == target else "wrong"
    return Verdict(status=status, extracted=answer, detail=f"equals {value}, target {target}"[:200])
