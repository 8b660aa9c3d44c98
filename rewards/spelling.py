r"""Compares a word or a letter with the reference, letter by letter: for what the math verifier reads as a product.

To mathematics "tac" is t times a times c, and so the same as "cat"; to spelling it is not. The final answer is read by the
policy of rewards/answer.py. `tac`, `"tac"`, `\text{Tac}`, `t-a-c` and `the word tac` say the same, two words say nothing.

The lenient reading, for models that were never taught to mark their answers, also takes what a sentence states: `The 2nd letter
of the word "oxen" is "X".`, `"plum" is longer`, `it occurs twice in the word "noon"`, unless it states several things.
"""

import re

from problems.types import Problem
from rewards.answer import MAX_EXTRACTED_CHARACTERS, after_thinking, committed_answers
from rewards.types import STRICT, Reading, Status, Verdict

MAX_LETTERS = 200
MAX_STATED_CHARACTERS = 2000  # at the end of a text, in which a statement is looked for
_DRESS = re.compile(r"\\(?:text|mathrm|textbf|mathbf|textit)\{([^{}]*)\}|[\"'`*$\u201c\u201d\u2018\u2019]")
_NAMED = re.compile(r"(?:the )?(?:word|letter) ")
_SPELLED = re.compile(r"[a-z]+|[a-z](?:[ ,-]{1,3}[a-z])+")
_STATES = re.compile(
    r"\b(?:is|becomes)\s+(?:the (?:letter|word) )?[\"\u201c]([A-Za-z](?:[A-Za-z -]{0,60}[A-Za-z])?)[.,]?[\"\u201d][.!]?\s*$"
    r"|[\"\u201c]([A-Za-z]+)[\"\u201d] is (?:indeed )?(?:the )?longer\b"
    r"|\b(?:occurs|appears|is used) (?:exactly |only )?(once|twice|thrice|\w{1,9}(?= times?\b))",
    re.MULTILINE,
)
_TIMES = {"once": "1", "twice": "2", "thrice": "3", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "zero": "0"}


def stated(completion: str, reading: Reading) -> str | None:
    """Return the one thing that a completion's sentences state, a number in digits; None: nothing, or several things."""
    text = after_thinking(completion, reading.thinking_open)
    found = {"".join(match.groups("")).casefold() for match in _STATES.finditer((text or "")[-MAX_STATED_CHARACTERS:])}
    if len(found) != 1:
        return None
    said = found.pop()
    return _TIMES.get(said, said)


def spelled(text: str) -> str | None:
    """Return the letters of the one word that `text` says, in small letters, or None where it says anything else."""
    if len(text) > MAX_LETTERS:
        return None
    text = _DRESS.sub(r"\1", text).strip().removesuffix(".").casefold()
    text = _NAMED.sub("", text, count=1)
    return re.sub("[ ,-]", "", text) if _SPELLED.fullmatch(text) else None


def spelling_fault(problem: Problem) -> str | None:
    """Return why the reference of a problem is no word, or None where it is one."""
    is_word = spelled(problem.reference or "") is not None
    return None if is_word else f"the reference {problem.reference!r:.80} is not a word"


def verify_spelling(problem: Problem, completion: str, reading: Reading = STRICT) -> Verdict:
    """Compare the completion's final answer with the reference, letter by letter; case does not matter."""
    expected = spelled(problem.reference or "")
    if expected is None:
        return Verdict(status="error", detail=spelling_fault(problem) or "")
    readings, mark, *_ = committed_answers(completion, reading)
    if not readings:
        return Verdict(status="unparsed", detail=f"no final answer: {mark}")
    answer = next((one for one in readings if spelled(one) is not None), readings[0])
    word = spelled(answer)
    if word is None:
        shown = answer[:MAX_EXTRACTED_CHARACTERS]
        return Verdict(status="unparsed", extracted=shown, detail="the final answer is not one word")
    status: Status = "correct" if word == expected else "wrong"
    return Verdict(status=status, extracted=answer, detail=f"letters: {word} against {expected}"[:200])
