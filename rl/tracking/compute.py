"""What a run has spent, in tokens and in seconds, and how good it was by then.

A token of compute is one token's way through the model. A sampled token goes through it once. One that is learned from counts
three times, since backwards costs twice as much as forwards (Kaplan et al., arXiv 2001.08361, section 2.1). Prompts count with
each of their completions, also where they were computed once for all of a group. Left out: evaluations, verifiers, and the
further forward passes of a reference policy or of `algorithm.old_logprobs: recompute`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from problems.errors import LabError
from rl.tracking.run_directory import read_records

FORWARD_AND_BACKWARD = 3


def compute_tokens(sampled: int, trained: int) -> int:
    """Return the tokens of compute of so many tokens sampled and learned from, prompts included."""
    return sampled + FORWARD_AND_BACKWARD * trained


@dataclass(frozen=True, kw_only=True)
class Point:
    """How good a run was on held-out problems after `step`, and what it had spent by then."""

    step: int
    compute_tokens: int
    seconds: float  # by the clock, of sampling, scoring and learning: no start-up, no evaluation
    accuracy: float
    low: float  # of the 95 % interval, over problems
    high: float


def points(run: Path) -> list[Point]:
    """Return the evaluations inside a training or a cold start, in the order of their steps.

    Raises LabError for a run that wrote down no evaluation, or was made before compute was.
    """
    clock = _seconds_by_step(run)
    found = []
    for record in read_records(run / "metrics.jsonl"):
        if "eval/accuracy" not in record:
            continue
        step = record["step"]
        if step and "compute_tokens" not in record:
            raise LabError(
                f"{run} was made by an older version, which did not write compute_tokens down: remove it, run it anew"
            )
        low, high = record["eval/accuracy_low"], record["eval/accuracy_high"]
        spent, seconds = record.get("compute_tokens", 0), clock.get(step, 0.0)
        accuracy = record["eval/accuracy"]
        found.append(Point(step=step, compute_tokens=spent, seconds=seconds, accuracy=accuracy, low=low, high=high))
    if not found:
        raise LabError(f"{run} holds no evaluation: set evaluation.every_steps")
    return found


def _seconds_by_step(run: Path) -> dict[int, float]:
    """Return the seconds spent up to each step that was written down."""
    total, before = 0.0, 0
    clock = {}
    for record in read_records(run / "timing.jsonl"):
        total += _seconds(record, record["step"] - before)
        before = record["step"]
        clock[before] = total
    return clock


def _seconds(record: Mapping[str, Any], steps: int) -> float:
    """Return the seconds of what one record is about: a step of practice, or `steps` steps of imitation and their mean."""
    if "train" in record:
        total: float = record["sample"] + record["score"] + record["train"] + record.get("waited_ahead", 0.0)
        return total
    return float(record["step_time"]) * steps
