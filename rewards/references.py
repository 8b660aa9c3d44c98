"""Which references of a set cannot be graded against, listed by reason: `reasonlab grade --check-references`, `problems check`.

Their completions get the verdict `error`, so that nothing is learnt or measured by them; this list says so beforehand.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from problems.catalog import verifier_name
from problems.progress import followed
from problems.types import Problem, boxed
from rewards.pool import VerifierPool
from rewards.verifiers import verifier_of, verify

EXAMPLES = 5  # shown for each reason
_SHOWN_CHARACTERS = 100
_PARTICULARS = re.compile(r" \(.*| at \d.*|(?<=the reference )'.*'", re.DOTALL)  # of one reference, in a reason


@dataclass(frozen=True, kw_only=True)
class ReferenceFault:
    """A problem whose reference cannot be graded against: where it stands, the reference, and why."""

    source: str
    reference: str | None
    reason: str


def unreadable(problem: Problem) -> str | None:
    """Return why the reference or the checks of `problem` cannot be read, or None."""
    entry = verifier_of(problem.domain)
    if entry is None:
        return f"there is no verifier {verifier_name(problem.domain)!r} for the domain {problem.domain!r}"
    return entry.fault(problem)


def reference_fault(problem: Problem) -> str | None:
    """Return why no completion of `problem` can be graded, or None: unreadable, or not even equal to itself."""
    if fault := unreadable(problem):
        return fault
    if problem.reference is None:  # a program decides
        return None
    verdict = verify(problem, boxed(problem.reference))
    return None if verdict.status == "correct" else f"the reference is not equal to itself ({verdict.detail})"


def faults_of(problems: Iterable[Problem]) -> list[ReferenceFault]:
    """Return every problem whose reference cannot be graded against, in order."""
    faults = []
    for problem in followed(problems, "checking references"):
        if reason := reference_fault(problem):
            faults.append(ReferenceFault(source=problem.source, reference=problem.reference, reason=reason))
    return faults


def answers_of(reference: str) -> tuple[str, str]:
    """Return the completions that a verifier of one's own may take a reference in: in a box, and bare."""
    return boxed(reference), reference


def refused_by_own(problems: Iterable[Problem], pool: VerifierPool) -> list[ReferenceFault]:
    """Return every problem whose reference the pool's own verifier does not call correct, in order."""
    assert pool.own is not None
    waiting = [
        (problem, [pool.submit(problem, text) for text in answers_of(problem.reference)])
        for problem in problems
        if problem.reference is not None
    ]
    faults = []
    for problem, futures in followed(waiting, "checking references"):
        verdicts = [future.result() for future in futures]
        if not any(verdict.status == "correct" for verdict in verdicts):
            reason = f"{pool.own.label} says {verdicts[0].status} of it ({verdicts[0].detail})"
            faults.append(ReferenceFault(source=problem.source, reference=problem.reference, reason=reason))
    return faults


def report(faults: Iterable[ReferenceFault], total: int, *, by_own: bool = False) -> str:
    """Return the faults by reason, the commonest first, with a few examples each and what to do."""
    by_reason: dict[str, list[ReferenceFault]] = defaultdict(list)
    for fault in faults:
        by_reason[_PARTICULARS.sub("", fault.reason)].append(fault)
    count = sum(map(len, by_reason.values()))
    if not count:
        return f"{total} references, all of them can be graded against"
    what = (
        "are not accepted, in a box or bare"
        if by_own
        else "cannot be graded against; their completions are `error`, not `wrong`"
    )
    lines = [f"{count} of {total} references {what}:"]
    for reason, members in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        lines.append(f"{len(members):6}  {reason}")
        lines += [f"        {fault.source}: {shown(fault.reference)}" for fault in members[:EXAMPLES]]
        if len(members) > EXAMPLES:
            lines.append(f"        ... and {len(members) - EXAMPLES} more")
    if by_own:
        lines.append("Mend or remove them, or the verifier, unless it wants answers in another form than these two.")
    else:
        lines.append(
            "Mend or remove them; where the answers are texts, say so: {answers: text} in the source or the row's checks."
        )
    return "\n".join(lines)


def shown(reference: str | None) -> str:
    """Return a reference on one line of moderate length."""
    text = " ".join((reference or "(none)").split())
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
