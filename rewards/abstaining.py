r"""Whether a completion says that it does not know, where the prompt allows that: the verdict `abstained`, of any verifier.

It abstains where its final answer, by the policy of rewards/answer.py, is the allowed words and nothing else, in a mark:
`\boxed{I don't know}`, `<answer>I don't know.</answer>`, `#### I don't know`. The lenient reading also takes a completion that
is nothing but these words. Letter case, the form of an apostrophe, one dress (`\text{..}`, `**..**`, quotes) and a full stop
are free; other words ("I do not know", "no idea") are not the ones that were allowed.

A hedge is none: `\boxed{I don't know, but 5}`, `\boxed{I don't know} or 5`, and a second marked answer or a block of code
anywhere behind the thinking, `The answer is 5. \boxed{I don't know}`. Such a text is judged as if nothing had been allowed.
Verifiers read one final answer only, so it is never paid twice. Thoughts do not count: who thinks "5?" may abstain.

A program is an answer, so a completion with one does not abstain; without one it does as anywhere, in a box.
A problem whose reference is these words (nobody can know) is left to its verifier, for which they are right.
"""

import re

from problems.types import Problem
from rewards.answer import BARE_ANSWER, BOX_MARK, HASHES_MARK, TAG_MARK, after_thinking, committed_answers
from rewards.reading.turns import first_turn
from rewards.types import STRICT, Reading, Verdict

_MARKS = ("box", "answer tag", "hashes", BARE_ANSWER)
_BOX = re.compile(BOX_MARK)
_TAG_OR_HASHES = re.compile(f"{TAG_MARK}|{HASHES_MARK}", re.IGNORECASE)
_DRESS = re.compile(r"\\(?:boxed|text|textbf|textit|mathrm)\s?\{(.*)\}|\*\*(.*)\*\*|\"(.*)\"|'(.*)'|\$(.*)\$")
_MAX_DRESSES = 3  # around one another
_FENCES = ("```", "~~~")  # of a program, which would be an answer too
_NO_ANSWER = "I don't know"  # stands for the abstention, whatever its words, in "the answer is ...", where it claims nothing
_LONGER = 40  # characters that a dress and white space may add to the words


def abstained(problem: Problem, completion: str, reading: Reading) -> Verdict | None:
    """Return the verdict `abstained`, or None where the completion does not abstain or may not."""
    words = reading.abstention
    if words is None or (problem.reference is not None and says(problem.reference, words)):
        return None
    committed = committed_answers(completion, reading)
    if committed.mark not in _MARKS or not committed.readings or not says(committed.readings[0], words):
        return None
    if committed.mark != BARE_ANSWER and _answers_too(completion, words, reading):
        return None
    return Verdict(status="abstained", extracted=committed.readings[0], detail=f"abstained ({committed.mark})")


def says(answer: str, words: str) -> bool:
    """Tell whether an answer is `words` and nothing else."""
    return len(answer) <= len(words) + _LONGER and _plain(answer) == _plain(words)


def _plain(text: str) -> str:
    text = " ".join(text.replace("\u2019", "'").replace("~", " ").replace("\\ ", " ").split()).removesuffix(".")
    for _ in range(_MAX_DRESSES):
        dressed = _DRESS.fullmatch(text)
        if dressed is None or dressed.lastindex is None:
            break
        text = dressed[dressed.lastindex].strip().removesuffix(".")
    return text.casefold()


def _answers_too(completion: str, words: str, reading: Reading) -> bool:
    """Tell whether a second answer stands beside the abstention, behind the thinking."""
    text = first_turn(after_thinking(completion, reading.thinking_open) or "")
    if any(fence in text for fence in _FENCES):
        return True
    for mark in (_TAG_OR_HASHES, _BOX):  # a box may stand in a tag
        text = mark.sub(lambda found: _NO_ANSWER if says(found[found.lastindex or 0], words) else found[0], text)
    readings = committed_answers(text, STRICT).readings
    return bool(readings) and not says(readings[0], _NO_ANSWER)
