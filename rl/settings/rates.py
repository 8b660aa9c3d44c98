"""How long the parts of a step take on one rank, from runs that were made: measured, never guessed. Imports no torch.

A run tells how long its ranks took for their share of a step. Runs with other shares (fewer problems a rank) tell apart what
each token takes and what every step takes whatever its size; with one run all time is taken to go with the tokens, so what is
said of more ranks than it had is the least time they can take: decoding half the rows is seldom twice as fast.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from problems.errors import LabError
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig
from rl.settings.traffic import Work

_WARMING_UP = 1  # steps: the first one compiles and allocates


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the steps of one run did and took: means over them, seconds of one rank."""

    run: Path
    config: RunConfig
    ranks: int
    steps: int
    work: Work
    sampling: float
    rewards: float  # waiting for verdicts
    update: float  # what its ranks sent in it included
    rest: float


@dataclass(frozen=True, kw_only=True)
class Line:
    """Seconds by amount of work: some at any rate, and some for each unit."""

    fixed: float
    each: float

    def at(self, amount: float) -> float:
        """Return the seconds of so much work."""
        return self.fixed + self.each * amount


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What a rank takes for its share."""

    sampling: Line  # by completion tokens of the rank
    rewards: Line  # by rollouts of the rank
    update: Line  # by trained tokens of the rank, prompts included
    rest: Line  # by rollouts of all ranks: each rank looks at all of them
    shares: int  # different ones that were measured


def seen(run: Path) -> Seen:
    """Return what a run directory of `reasonlab train` tells; raises LabError where it tells too little."""
    config = load_config(RunConfig, [run / "config.yaml"], []).config
    if config.train.one_step_off:
        raise LabError(f"{run} sampled beside its updates (train.one_step_off), so neither has a time of its own: take another")
    if (run / "resumes.jsonl").exists():
        raise LabError(f"{run} was resumed, maybe on other ranks, and only its last start tells of how many: take another")
    metrics = {record["step"]: record for record in _records(run / "metrics.jsonl")}
    steps = [
        (timing, metrics[timing["step"]], metrics[timing["step"] - 1])
        for timing in _records(run / "timing.jsonl")[_WARMING_UP:]
        if _is_plain(metrics, timing["step"])
    ]
    if not steps:
        raise LabError(
            f"{run} has no step to take rates from: needed are steps after its first that learned something and had no "
            "evaluation; for a short look: reasonlab train ... run.name=look train.steps=6 evaluation.every_steps=0"
        )
    timings, records, before = zip(*steps, strict=True)
    sampling, rewards, update = (fmean(timing[name] for timing in timings) for name in ("sample", "score", "train"))
    return Seen(
        run=run,
        config=config,
        ranks=_ranks(run),
        steps=len(steps),
        work=_work(config, records, before),
        sampling=sampling,
        rewards=rewards,
        update=update,
        rest=fmean(timing["step_time"] for timing in timings) - sampling - rewards - update,
    )


def _is_plain(metrics: Mapping[int, Mapping[str, Any]], step: int) -> bool:
    record, before = metrics.get(step, {}), metrics.get(step - 1, {})
    return bool(record.get("batch/rows")) and "eval/accuracy" not in record and "num_tokens" in before


def _ranks(run: Path) -> int:
    path = run / "provenance.json"
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["world_size"])
    except (OSError, ValueError, KeyError) as error:
        raise LabError(f"{path} does not tell how many ranks made the run ({error}): take rates from another") from None


def _work(config: RunConfig, records: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> Work:
    size = config.algorithm.group_size
    completion = fmean(record["completions/mean_length"] for record in records)
    groups = fmean(record["groups/sampled"] for record in records)
    read = fmean(record["num_tokens"] - last["num_tokens"] for record, last in zip(records, before, strict=True))
    return Work(
        groups=groups,
        trained_groups=fmean(record["batch/rows"] for record in records) / config.algorithm.epochs / size,
        group_size=size,
        prompt_tokens=read / (groups * size) - completion,
        completion_tokens=completion,
    )


def rates(runs: Sequence[Seen], sending: Sequence[float], cores: Sequence[float]) -> Rates:
    """Return what a rank takes, from one run or several.

    sending: the seconds of each run's update in which its ranks sent; cores: what each of its ranks had of them, by which
    its seconds are brought to those of one core.
    """
    parts = {name: [getattr(one, name) * had for one, had in zip(runs, cores, strict=True)] for name in _MEASURED}
    parts["update"] = [max(0.0, one.update - sent) * had for one, sent, had in zip(runs, sending, cores, strict=True)]
    amounts = {
        "sampling": [one.work.sampled_tokens / one.ranks for one in runs],
        "rewards": [one.work.rollouts / one.ranks for one in runs],
        "update": [one.work.trained_tokens * one.config.algorithm.epochs / one.ranks for one in runs],
        "rest": [one.work.rollouts for one in runs],
    }
    lines = {name: line(amounts[name], parts[name]) for name in _MEASURED}
    return Rates(**lines, shares=_shares(amounts["sampling"]))


_MEASURED = ("sampling", "rewards", "update", "rest")
# amounts that are no farther apart are one amount, measured twice: a slope through them would be one through noise
_ONE_AMOUNT = 0.2


def _shares(amounts: Sequence[float]) -> int:
    """Return how many amounts there are that differ."""
    shares, last = 0, 0.0
    for amount in sorted(amounts):
        if amount > (1 + _ONE_AMOUNT) * last:
            shares, last = shares + 1, amount
    return shares


def line(amounts: Sequence[float], seconds: Sequence[float]) -> Line:
    """Return the line nearest to what was measured (least squares), with neither part below zero."""
    middle, height = fmean(amounts), fmean(seconds)
    spread = sum((amount - middle) ** 2 for amount in amounts)
    if _shares(amounts) == 1:
        return Line(fixed=0.0, each=height / middle)
    each = sum((a - middle) * (s - height) for a, s in zip(amounts, seconds, strict=True)) / spread
    if each <= 0:
        return Line(fixed=height, each=0.0)
    fixed = height - each * middle
    if fixed >= 0:
        return Line(fixed=fixed, each=each)
    through_zero = sum(a * s for a, s in zip(amounts, seconds, strict=True)) / sum(amount**2 for amount in amounts)
    return Line(fixed=0.0, each=through_zero)


def _records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a run's file; a last line that is not whole yet is left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise LabError(
            f"rates are taken from the directory of a run of `reasonlab train`; cannot read {path}: {error}"
        ) from None
    found = []
    for text in lines:
        try:
            found.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return found
