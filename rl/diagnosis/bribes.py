"""Whether the references can be graded against, and whether the verifier pays for what is no answer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from problems.catalog import perturb
from problems.errors import LabError
from problems.types import Problem, boxed
from rewards.pool import VerifierPool
from rewards.references import reference_fault
from rewards.types import STRICT, Reading, Verdict
from rewards.verifiers import verifier_of
from rl.diagnosis.figures import Bribes
from rl.diagnosis.measure import is_late

_SECONDS, _SECONDS_OF_PROGRAMS = 8.0, 25.0  # for each kind of them; a sandbox takes a while to start
_FEWEST_JUDGED = 4  # problems, or what is paid on them says nothing of the others
_SAY_NOTHING = ("", "I do not know.", "\\boxed{}", "```python\npass\n```")


def of_problems(problems: Sequence[Problem], *, judged_by_own: bool = False) -> dict[str, Any]:
    """Return the figures that follow from the problems alone, by their names in Figures.

    What a verifier of one's own can grade against, only that could say: its errors are counted in the verdicts.
    """
    faults = [] if judged_by_own else [fault for problem in problems if (fault := reference_fault(problem)) is not None]
    answers = Counter(problem.reference for problem in problems if problem.reference is not None)
    figures: dict[str, Any] = {"problems": len(problems), "unreadable": len(faults) / len(problems)}
    if faults:
        figures["unreadable_why"] = Counter(faults).most_common(1)[0][0]
    questions = len({problem.prompt for problem in problems})
    # a reference of one's own may be a dummy that nothing is compared with
    if answers and questions > 1 and not judged_by_own:
        figures["same_answer_is"], count = answers.most_common(1)[0]
        figures["same_answer"] = count / len(problems)
    return figures


def offered(pool: VerifierPool, problems: Sequence[Problem], reading: Reading = STRICT) -> Bribes:
    """Return what the verifier of each problem pays for texts that are no answers to it; none of them is the model's."""
    nothing = _paid(pool, problems, [_SAY_NOTHING] * len(problems), reading)
    question = _paid(pool, problems, [(problem.prompt,) for problem in problems], reading)
    wrong = _paid(pool, problems, [_wrong_answers(problem) for problem in problems], reading, least=1.0)
    return Bribes(
        nothing=nothing.share,
        wrong=wrong.share,
        question=question.share,
        nothing_pays=nothing.worth,
        question_pays=question.worth,
    )


@dataclass(frozen=True, kw_only=True)
class _Paid:
    """What one kind of texts is paid."""

    share: float | None  # of the problems that got a verdict; None: too few got one
    worth: float  # the mean of what is paid for, 0 where nothing is


def _wrong_answers(problem: Problem) -> tuple[str, ...]:
    """Return a wrong answer near the right one; nothing where no wrong answer can be made up."""
    if problem.reference is None and not problem.checks:
        return ()
    try:
        return (boxed(perturb(problem)),)
    except (LabError, KeyError, ValueError, IndexError):  # checks that the domain did not write itself
        return ()


def _paid(
    pool: VerifierPool, problems: Sequence[Problem], texts: Sequence[Sequence[str]], reading: Reading, least: float = 0.0
) -> _Paid:
    """Return how many problems pay any of their texts; `least` is 1 where a part of the score may be paid."""
    items = [(problem, text) for problem, own in zip(problems, texts, strict=True) for text in own]
    entries = [verifier_of(problem.domain) for problem in problems]
    is_slow = any(entry is not None and entry.is_slow for entry in entries)
    verdicts = pool.grade(items, _SECONDS_OF_PROGRAMS if is_slow else _SECONDS, reading)
    return _counted([(problem.id, verdict) for (problem, _), verdict in zip(items, verdicts, strict=True)], least)


def _counted(verdicts: Sequence[tuple[str, Verdict]], least: float) -> _Paid:
    """Return how many of the problems, given by their ids, are paid: one whose verdicts all came too late says nothing."""
    asked = {name for name, _ in verdicts}
    judged = {name for name, verdict in verdicts if not is_late(verdict)}
    worths: dict[str, float] = {}  # of the best text of each problem that pays
    for name, verdict in verdicts:
        if verdict.worth and verdict.worth >= least:
            worths[name] = max(worths.get(name, 0.0), verdict.worth)
    if len(judged) < min(_FEWEST_JUDGED, len(asked)):
        return _Paid(share=None, worth=0.0)
    return _Paid(share=len(worths) / len(judged) if judged else 0.0, worth=mean(worths.values()) if worths else 0.0)
