"""Looks a problem set over before anybody practises on it or is measured by it: `reasonlab problems check`.

Through the real pool of verifiers every reference has to prove itself and a wrong answer near it must not be paid; besides,
problems that stand twice, contradict each other, are in training and held out alike, are too long, or overlap with evaluation
sets. Nothing is changed or removed; `findings` says what was found and where.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

from problems import overlap
from problems.catalog import perturb, record_of, solve
from problems.errors import LabError
from problems.overlap import OverlapIndex, tokens_of
from problems.progress import followed
from problems.types import Domain, Problem, boxed
from rewards.pool import VerifierPool
from rewards.references import EXAMPLES, answers_of, shown, unreadable
from rewards.types import Verdict

KINDS: dict[str, str] = {  # kind of a finding -> what it means
    "unreadable": "the reference or the checks cannot be read: every completion is an `error`",
    "refused": "the verifier does not accept the set's own reference or program",
    "spoilt": "the verifier pays for a wrong answer near the reference",
    "solution": "the worked solution ends in another answer than the reference",
    "duplicate": "the same question as another one of its split",
    "contradiction": "the same question as another one, with another reference",
    "leak": "the same question in training and held out",
    "long": "the prompt is longer than the limit",
    "overlap": "an evaluation problem, or one with other numbers or some other words",
    "unproven": "neither reference nor solution: nothing to prove it with (no fault)",
}
NOTES = ("unproven",)
_SPOILS_FUNCTION = """
def _spoil(function):
    def spoilt(*args, **kwargs):
        value = function(*args, **kwargs)
        if isinstance(value, bool):
            return not value
        if isinstance(value, (int, float)):
            return 2 * value + 1 if abs(value) < 1e300 else 0
        for kind, more in ((str, "x"), (list, [987]), (tuple, (987,))):
            if isinstance(value, kind):
                return value + more
        return 987 if value is None else None
    return spoilt
{name} = _spoil({name})
"""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something about one problem: its kind (one of KINDS), where the problem stands, its reference, and what exactly."""

    kind: str
    source: str
    reference: str | None
    detail: str


def _finding(kind: str, problem: Problem, detail: str) -> Finding:
    return Finding(kind=kind, source=problem.source, reference=problem.reference, detail=detail)


def right_completion(problem: Problem) -> str | None:
    """Return the shortest completion that the set itself holds to be right, or None where it has none."""
    try:
        return solve(problem, "direct")
    except LabError:  # without a reference, and without a solution
        return None


def spoilt_completion(problem: Problem) -> str:
    """Return a wrong completion near the right one; of a program, one whose results are all something else."""
    if problem.domain != "code":
        return boxed(perturb(problem))
    program = (problem.solution or "").removesuffix("\n```")
    name = problem.checks.get("entry_point")
    if name:
        return program + _SPOILS_FUNCTION.format(name=name) + "\n```"
    return program.replace("```python\n", '```python\nprint("spoilt")\n', 1) + "\n```"


def unprovable(problems: Iterable[Problem], *, by_own: bool = False) -> Iterator[Finding]:
    """Yield what cannot be read (`by_own`: only a verifier of one's own can tell), and what holds nothing to prove itself."""
    for problem in problems:
        if not by_own and (reason := unreadable(problem)):
            yield _finding("unreadable", problem, reason)
        elif right_completion(problem) is None:
            yield _finding("unproven", problem, "no reference and no solution")


def unproven(problems: Iterable[Problem], pool: VerifierPool) -> Iterator[Finding]:
    """Yield references that do not prove themselves and wrong answers that are paid; all verdicts are made by the pool."""
    waiting: list[tuple[Problem, str, list[str], list[Future[Verdict]]]] = []
    for problem in problems:
        right = right_completion(problem)
        if right is None:
            continue
        tried = [("refused", [right]), ("spoilt", [spoilt_completion(problem)])]
        if pool.own is not None and problem.reference is not None:  # nobody but it knows in what form
            tried = [("refused", [*answers_of(problem.reference)]), ("spoilt", [*answers_of(perturb(problem))])]
        if problem.reference is not None and "\\boxed" in (problem.solution or ""):
            tried.append(("solution", [problem.solution or ""]))
        waiting += [(problem, kind, texts, [pool.submit(problem, text) for text in texts]) for kind, texts in tried]
    for problem, kind, texts, futures in followed(waiting, "proving references"):
        verdicts = [future.result() for future in futures]
        paid = [text for text, verdict in zip(texts, verdicts, strict=True) if verdict.status == "correct"]
        if bool(paid) == (kind == "spoilt"):
            said = f"{verdicts[0].status}: {verdicts[0].detail}" + (f" (paid for {shown(paid[0])})" if paid else "")
            yield _finding(kind, problem, said)


def repeated(problems: Iterable[Problem], pool: VerifierPool) -> Iterator[Finding]:
    """Yield questions that stand twice: in one split, with two references, or in training and held out."""
    first: dict[tuple[str, ...], Problem] = {}
    for problem in sorted(problems, key=lambda one: one.split != "train"):
        other = first.setdefault(_question(problem), problem)
        if other is problem:
            continue
        if other.reference != problem.reference and not _says_the_same(problem, other, pool):
            detail = f"{other.source} has the reference {shown(other.reference)}"
            yield _finding("contradiction", problem, detail)
        elif (other.split == "train") != (problem.split == "train"):
            yield _finding("leak", problem, f"{problem.split}; {other.source} is in {other.split}")
        else:
            yield _finding("duplicate", problem, f"as {other.source}")


def _question(problem: Problem) -> tuple[str, ...]:
    """Return what two spellings of one question have in common."""
    if numbers := problem.checks.get("numbers", ()):
        return (*sorted(map(str, numbers)), str(problem.checks.get("target")))  # their order does not matter
    if isinstance(record_of(problem.domain), Domain):
        return tuple(problem.prompt.split())  # generated: spelt one way only, and every sign of a grid counts
    return tuple(tokens_of(problem.prompt, with_drawings=True))


def _says_the_same(problem: Problem, other: Problem, pool: VerifierPool) -> bool:
    """Tell whether the reference of `other`, written differently, is a right answer to `problem`."""
    return pool.submit(problem, boxed(other.reference or "")).result().status == "correct"


def too_long(problems: Iterable[Problem], limit: int, unit: str, length: Callable[[Problem], int]) -> Iterator[Finding]:
    """Yield prompts of more than `limit` of `unit`, as `length` counts them."""
    for problem in problems:
        if (size := length(problem)) > limit:
            yield _finding("long", problem, f"{size:,} {unit}, {limit:,} may be")


def overlapping(problems: Iterable[Problem], index: OverlapIndex) -> Iterator[Finding]:
    """Yield problems that overlap with those of `index`, but for themselves."""
    for problem, found in overlap.overlapping(problems, index):
        if found.source != problem.source:
            yield _finding("overlap", problem, f"{found.kind} with {found.source}: {shown(found.shared)}")


def findings_of(problems: Sequence[Problem], pool: VerifierPool, *, is_finite: bool = True) -> list[Finding]:
    """Return what can be said of a set by itself; generated problems (not `is_finite`) may repeat themselves."""
    found = list(unprovable(problems, by_own=pool.own is not None))
    cannot = {finding.source for finding in found}
    found += unproven((problem for problem in problems if problem.source not in cannot), pool)
    return [*found, *repeated(problems, pool)] if is_finite else found


def faults(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that are faults and no mere notes."""
    return [finding for finding in findings if finding.kind not in NOTES]


def table(findings: Iterable[Finding]) -> str:
    """Return the findings by kind as lines: how many, what the kind means, and the first few."""
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_kind[finding.kind].append(finding)
    lines = []
    for kind, meaning in KINDS.items():
        if members := by_kind.get(kind):
            lines.append(f"{len(members):6}  {kind:<13} {meaning}{_of_what(members) if kind == 'overlap' else ''}")
            lines += [f"        {one.source}: {shown(one.reference)}: {shown(one.detail)}" for one in members[:EXAMPLES]]
            if len(members) > EXAMPLES:
                lines.append(f"        ... and {len(members) - EXAMPLES} more")
    return "\n".join(lines)


def _of_what(overlaps: Sequence[Finding]) -> str:
    """Return how many overlaps there are of each kind."""
    counts = Counter(finding.detail.partition(" with ")[0] for finding in overlaps)
    return f" ({', '.join(f'{count} {kind}' for kind, count in sorted(counts.items()))})"


def as_json(name: str, sizes: dict[str, int], findings: Sequence[Finding]) -> dict[str, Any]:
    """Return one set's findings as plain data, all of them."""
    counts = {kind: count for kind in KINDS if (count := sum(finding.kind == kind for finding in findings))}
    rows = [asdict(finding) for finding in findings]
    return {"set": name, "problems": sizes, "clean": not faults(findings), "counts": counts, "findings": rows}
