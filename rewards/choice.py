r"""Judges the letter of a choice, exactly: "which of A to D", as MMLU asks.

The final answer is read by the policy of rewards/answer.py and has to be the letter and nothing else, or the letter with the
whole text of that choice behind it: `\boxed{B}`, `<answer>(B)</answer>`, `#### B.`, `The answer is (B)`, `\boxed{B. Paris}`
where choice B is "Paris"; in the lenient reading also a completion that is nothing but `B`. Never a letter out of a sentence
("So I think B is right", "A dog is what it shows"), never two ("A or B", "AB", `\boxed{A} or B`), and not the text of a choice
without its letter. A small letter counts in a box, in an answer tag and behind ####, where it cannot be an article.

A problem brings `checks: {"choices": [text, ...]}`, from A on, and the letter as its reference.
"""

import re

from problems.types import Problem
from rewards.answer import MAX_EXTRACTED_CHARACTERS, committed_answers
from rewards.types import STRICT, Reading, Status, Verdict

_DRESS = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]*)\}|[$*`]")
_SPACING = re.compile(r"\\[ ,;:!]|~")
_LETTER = re.compile(r"\(?([A-Za-z])\)?[.):]?")
_WITH_TEXT = re.compile(r"\(?([A-Za-z])[.):]\)?\s+(\S.*)", re.DOTALL)
_FREE_MARKS = ("conclusion",)  # what running text concludes: a letter in it may be an article or a name
_SURE_MARKS = ("box", "answer tag", "hashes")


def choice_fault(problem: Problem) -> str | None:
    """Return why the reference of a problem is no letter of its choices, or None where it is one."""
    choices = problem.checks.get("choices")
    if not isinstance(choices, list | tuple) or not 2 <= len(choices) <= 26:
        return "checks need 'choices', a list of 2 to 26 texts"
    if not isinstance(problem.reference, str) or not _is_among(problem.reference, len(choices)):
        return f"the reference {problem.reference!r:.40} is not the letter of one of {len(choices)} choices"
    return None


def _is_among(letter: str, count: int) -> bool:
    return len(letter) == 1 and 0 <= ord(letter) - ord("A") < count


def _plain(text: str) -> str:
    return " ".join(_DRESS.sub(lambda match: match[1] or "", _SPACING.sub(" ", text)).split())


def chosen(answer: str, choices: list[str], may_be_small: bool) -> str | None:
    """Return the letter that an answer is, or None where it is anything else."""
    text = _plain(answer)
    match = _LETTER.fullmatch(text)
    if match is None and (match := _WITH_TEXT.fullmatch(text)) is not None:
        place = ord(match[1].upper()) - ord("A")
        said = match[2].rstrip(".").casefold()
        if place >= len(choices) or said != _plain(choices[place]).rstrip(".").casefold():
            return None
    if match is None or (match[1].islower() and not may_be_small):
        return None
    return match[1].upper()


def verify_choice(problem: Problem, completion: str, reading: Reading = STRICT) -> Verdict:
    """Compare the letter that the final answer is with the reference."""
    if fault := choice_fault(problem):
        return Verdict(status="error", detail=fault)
    committed = committed_answers(completion, reading)
    if unparsed := committed.unparsed():
        return unparsed
    readings, mark, *_ = committed
    choices = [str(choice) for choice in problem.checks["choices"]]
    letter = None if mark in _FREE_MARKS else chosen(readings[0], choices, mark in _SURE_MARKS)
    if letter is None or not _is_among(letter, len(choices)):
        shown = readings[0][:MAX_EXTRACTED_CHARACTERS]
        return Verdict(
            status="unparsed", extracted=shown, detail=f"the final answer is not one letter of A to {_last(choices)}"
        )
    status: Status = "correct" if letter == problem.reference else "wrong"
    return Verdict(status=status, extracted=letter, detail=f"letters: {letter} against {problem.reference}")


def _last(choices: list[str]) -> str:
    return chr(ord("A") + len(choices) - 1)
