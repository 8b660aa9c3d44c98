r"""Compares a short answer with the reference as text: what was asked for and nothing else, letter case included.

The final answer is read by the policy of rewards/answer.py and then counts as it stands, but for this:

- one dress around the whole of it comes off: `$..$`, `\text{..}` and its like, `**..**`, a pair of quotes or backticks;
- white space at the ends does not count, and a run of it within is one space; LaTeX's `\ `, `\,` and so on are white space;
- white space beside a comma does not count, so that "3, 5" is "3,5", and each item of a list may be dressed by itself;
- with `checks.ignore_case` capitals are small letters.

Nothing else is taken away or added: "s c h o o l" is not "school", "Ann and Ben" not "Ann,Ben", "[3,5]" not "3,5". Of what
several readings of one place say only the first counts, and an answer that leaves a choice open is none.
"""

import re

from problems.types import Problem
from rewards.answer import MAX_EXTRACTED_CHARACTERS, committed_answers
from rewards.types import STRICT, Reading, Status, Verdict

MAX_EXACT_CHARACTERS = 10_000
_DRESS = re.compile(
    r"\\(?:text|texttt|textbf|textit|mathrm|mathbf|mathtt)\{(?P<latex>[^{}]*)\}|\$(?P<math>[^$]*)\$|\*\*(?P<bold>[^*]*)\*\*"
    r"|`(?P<code>[^`]*)`|\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|\u201c(?P<curly>[^\u201c\u201d]*)\u201d"
)
_MAX_DRESSES = 3  # around one another: "$\text{`abc`}$"
_SPACING = re.compile(r"\\[ ,;:!]|(?<=,)~|~(?=,)")  # "~" may be of the text itself: only beside a comma is it surely a space


def plain(text: str, ignore_case: bool = False) -> str | None:
    """Return what `text` says as the head of this file has it, or None for more than MAX_EXACT_CHARACTERS."""
    if len(text) > MAX_EXACT_CHARACTERS:
        return None
    text = ",".join(map(_undressed, _undressed(_SPACING.sub(" ", text)).split(",")))
    return text.lower() if ignore_case else text


def _undressed(text: str) -> str:
    text = " ".join(text.split())
    for _ in range(_MAX_DRESSES):
        dressed = _DRESS.fullmatch(text)
        if dressed is None or dressed.lastgroup is None:
            break
        text = dressed[dressed.lastgroup].strip()
    return text


def exact_fault(problem: Problem) -> str | None:
    """Return why no answer can equal the reference of a problem, or None where one can."""
    reference = problem.reference
    if reference is None or not plain(reference) or "{" in reference or "}" in reference:
        return f"the reference {reference!r:.80} is not a text of 1 to {MAX_EXACT_CHARACTERS} characters without braces"
    return None


def verify_exact(problem: Problem, completion: str, reading: Reading = STRICT) -> Verdict:
    """Compare the completion's final answer with the reference as text."""
    if fault := exact_fault(problem):
        return Verdict(status="error", detail=fault)
    committed = committed_answers(completion, reading)
    if unparsed := committed.unparsed():
        return unparsed
    answer = committed.readings[0]
    shown = answer[:MAX_EXTRACTED_CHARACTERS]
    ignore_case = problem.checks.get("ignore_case") is True
    said, expected = plain(answer, ignore_case), plain(problem.reference or "", ignore_case)
    status: Status = "correct" if said == expected else "wrong"
    return Verdict(status=status, extracted=shown, detail=f"text: {said!r:.80} against {expected!r:.80}")
