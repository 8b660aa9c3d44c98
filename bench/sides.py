"""What is measured: one side can sample, update on given rollouts, or do a whole step, and says how long each part took."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from rl.types import Group


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One repetition: wall seconds of its parts and the lengths of the completions it drew."""

    seconds: float
    sample: float | None = None
    update: float | None = None
    lengths: tuple[int, ...] = ()


class Side(Protocol):
    """One of the two that are compared; `groups` are the rollouts that `update` learns from."""

    groups: Sequence[Group]

    def step(self) -> Timed:
        """Sample, score and update on other problems each time."""
        ...

    def sample(self) -> Timed:
        """Only draw the completions of a step."""
        ...

    def update(self) -> Timed:
        """Only update, on the rollouts given at the start."""
        ...

    def close(self) -> None:
        """End whatever still runs."""
        ...


def clock() -> float:
    """Return the time in seconds, after whatever the accelerator still has to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def stopwatch(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """Return `function` with the seconds of each call appended to `spent`."""

    def timed(*args: Any, **kwargs: Any) -> Any:
        started = clock()
        try:
            return function(*args, **kwargs)
        finally:
            spent.append(clock() - started)

    return timed


def row_lengths(groups: Sequence[Group]) -> tuple[int, ...]:
    """Return the completion lengths of all rollouts."""
    return tuple(len(rollout.completion_ids) for group in groups for rollout in group.rollouts)
