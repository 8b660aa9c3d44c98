"""One scored completion as an evaluation writes it down, and the two files that hold them.

    samples.jsonl   what was said and how it was judged: the same, byte for byte, on any number of ranks and after a resume
    measured.jsonl  line by line beside it what may differ in the last digit or by the clock: log-probability, seconds

Problems come in their order, the samples of one together. Files grow part by part; what a killed writer left of a problem
is cut off and drawn again.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from problems.types import Problem, ProblemError
from rewards.types import Status, Verdict
from rl.tracking.run_directory import JsonDict, append_records, json_lines, read_records, write_atomic
from rl.types import Completion, Rollout

SAMPLES, MEASURED = "samples.jsonl", "measured.jsonl"
_IN_MEASURED = ("mean_logprob", "verifier_seconds")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One completion of a problem with its verdict."""

    problem_id: str
    sample: int  # its number among the samples of the problem
    prompt: str  # the question, without any template
    reference: str | None
    cluster: str  # problems that share a source have the same
    difficulty: dict[str, Any] = field(default_factory=dict)
    completion: str
    finish_reason: str
    num_tokens: int
    reasoning_tokens: int | None  # None where nobody counted them (an endpoint)
    status: Status
    extracted: str | None
    detail: str
    mean_logprob: float | None  # nats a token that was drawn; None where there is none
    verifier_seconds: float

    @property
    def is_correct(self) -> bool:
        """Whether the verdict is correct."""
        return self.status == "correct"

    @property
    def is_scored(self) -> bool:
        """Whether there is a verdict at all: an error is the grader's or the reference's fault."""
        return self.status != "error"

    @property
    def is_answered(self) -> bool:
        """Whether there is a verdict on an answer: an abstention is none."""
        return self.is_scored and self.status != "abstained"


Asked = Sequence[Scored]  # the samples of one problem


def cluster_of(problem: Problem, key: str | None) -> str:
    """Return the cluster of a problem: its own id, or what it says under `key`, a key of its difficulty or checks or `domain`.

    Raises ProblemError where it says nothing there.
    """
    if key is None:
        return problem.id  # one problem that was drawn twice is one cluster all the same
    known = {**problem.checks, **problem.difficulty, "domain": problem.domain}
    if key not in known:
        keys = ", ".join(sorted(known))
        raise ProblemError(f"cluster: problem {problem.id} ({problem.source}) has no {key!r}; it has: {keys}")
    return f"{key}={known[key]}"


def scored(problem: Problem, number: int, completion: Completion, verdict: Verdict, cluster: str, **more: Any) -> Scored:
    """Return the record of one completion; `more` holds `reasoning_tokens` and `mean_logprob`."""
    return Scored(
        problem_id=problem.id,
        sample=number,
        prompt=problem.prompt,
        reference=problem.reference,
        cluster=cluster,
        difficulty=dict(problem.difficulty),
        completion=completion.text,
        finish_reason=completion.finish_reason,
        num_tokens=completion.num_tokens,
        status=verdict.status,
        extracted=verdict.extracted,
        detail=verdict.detail,
        verifier_seconds=round(verdict.seconds, 6),
        **more,
    )


def share_correct(asked: Sequence[Scored]) -> Fraction:
    """Return the share of correct samples among those of a problem that could be scored, of which there must be one."""
    correct = [sample.is_correct for sample in asked if sample.is_scored]
    return Fraction(sum(correct), len(correct))


def of_rollouts(rollouts: Sequence[Rollout], cluster: str | None = None) -> list[Scored]:
    """Return the records of one problem's rollouts."""
    return [
        scored(
            rollout.problem,
            number,
            rollout.completion,
            rollout.reward.verdict,
            rollout.problem.id if cluster is None else cluster,
            reasoning_tokens=rollout.reasoning_tokens,
            mean_logprob=_mean_logprob(rollout),
        )
        for number, rollout in enumerate(rollouts)
    ]


def _mean_logprob(rollout: Rollout) -> float | None:
    """Return the mean log-probability of the tokens that were drawn, and not put in by budget forcing."""
    logprobs = rollout.sampling_logprobs
    drawn = logprobs if rollout.forced is None else logprobs[~rollout.forced]
    return round(float(np.mean(drawn, dtype=np.float64)), 6) if len(drawn) else None


def append_samples(directory: Path, samples: Sequence[Scored]) -> None:
    """Add records to both files and have them on disk; samples.jsonl last, whose lines count."""
    records = [asdict(sample) for sample in samples]
    measured = [{key: record[key] for key in ("problem_id", "sample", *_IN_MEASURED)} for record in records]
    said = [{key: value for key, value in record.items() if key not in _IN_MEASURED} for record in records]
    for name, lines in ((MEASURED, measured), (SAMPLES, said)):
        append_records(directory / name, lines)


def read_samples(directory: Path) -> list[Scored]:
    """Return the records of an evaluation, those that both files hold whole."""
    pairs = zip(read_records(directory / SAMPLES), read_records(directory / MEASURED), strict=False)
    return [Scored(**{**said, **{key: measured[key] for key in _IN_MEASURED}}) for said, measured in pairs]


def by_problem(samples: Sequence[Scored]) -> list[list[Scored]]:
    """Return the samples of each problem, in their order; a problem that was asked twice comes twice."""
    problems: list[list[Scored]] = []
    for sample in samples:
        if sample.sample == 0:
            problems.append([])
        problems[-1].append(sample)
    return problems


def cut_to_whole(directory: Path, problems: Sequence[Problem], samples: int) -> list[list[Scored]]:
    """Return what a killed evaluation has of the first problems, whole ones only, and cut both files back to them."""
    kept: list[list[Scored]] = []
    for asked, problem in zip(by_problem(read_samples(directory)), problems, strict=False):
        if len(asked) < samples or asked[0].problem_id != problem.id:
            break
        kept.append(asked)
    lines = len(kept) * samples
    for name in (SAMPLES, MEASURED):
        if (directory / name).exists():
            whole: list[JsonDict] = list(read_records(directory / name))[:lines]
            write_atomic(directory / name, json_lines(whole))
    return kept
