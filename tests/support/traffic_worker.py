"""Run as a rank: trainings of a few steps, and what each step hands to torch's collectives.

traffic_worker OUTPUT RUNS      RUNS: a JSON object of settings by name; writes OUTPUT/NAME-RANK.json, a list by step: the bytes
                                that this rank sends, by collective, where it is done in a ring, or in a chain to one rank
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from torch.distributed import ProcessGroup

from rl import train
from rl.runtime import process_group, rank, world_size
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig


def size(tensors: Any) -> int:
    """Return the bytes of a tensor, or of all in nested lists."""
    return tensors.nbytes if isinstance(tensors, torch.Tensor) else sum(map(size, tensors))


# by method of a process group: the argument with what this rank puts in, and the parts of it that each rank sends
COUNTED: dict[str, tuple[str, int, Callable[[int], float]]] = {
    "allreduce": ("all-reduce", 0, lambda ranks: 2 * (ranks - 1) / ranks),
    "allreduce_coalesced": ("all-reduce", 0, lambda ranks: 2 * (ranks - 1) / ranks),
    "reduce": ("reduce", 0, lambda ranks: (ranks - 1) / ranks),
    "broadcast": ("broadcast", 0, lambda ranks: (ranks - 1) / ranks),
    "allgather": ("all-gather of a list", 1, lambda ranks: ranks - 1),
    "_allgather_base": ("all-gather", 1, lambda ranks: ranks - 1),
    "allgather_into_tensor_coalesced": ("all-gather", 1, lambda ranks: ranks - 1),
    "all_gather_single": ("all-gather", 1, lambda ranks: ranks - 1),
    "reduce_scatter": ("reduce-scatter", 1, lambda ranks: (ranks - 1) / ranks),
    "_reduce_scatter_base": ("reduce-scatter", 1, lambda ranks: (ranks - 1) / ranks),
    "reduce_scatter_single": ("reduce-scatter", 1, lambda ranks: (ranks - 1) / ranks),
    "reduce_scatter_tensor_coalesced": ("reduce-scatter", 1, lambda ranks: (ranks - 1) / ranks),
}
NOT_COUNTED = ("alltoall", "alltoall_base", "all_to_all_single", "gather", "scatter", "send")  # which nothing here calls


class Traffic:
    """What this rank has sent so far in the step, and in those before."""

    def __init__(self) -> None:
        self.now: dict[str, float] = defaultdict(float)
        self.steps: list[dict[str, float]] = []

    def count(self, method: str) -> None:
        """Have calls of a collective counted."""
        name, place, share = COUNTED[method]
        plain = getattr(ProcessGroup, method)

        @wraps(plain)
        def counted(group: ProcessGroup, *arguments: Any, **named: Any) -> Any:
            self.now[name] += size(arguments[place]) * share(group.size())
            return plain(group, *arguments, **named)

        setattr(ProcessGroup, method, counted)

    def end_of_step(self) -> None:
        """Close the account of a step."""
        self.steps.append(dict(self.now))
        self.now.clear()


def refuse(method: str) -> None:
    """Have a collective that would not be counted raise."""

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError(f"ProcessGroup.{method} is called, and not counted")

    setattr(ProcessGroup, method, refused)


def main() -> None:
    output, runs = Path(sys.argv[-2]), json.loads(sys.argv[-1])
    traffic = Traffic()
    for method in COUNTED:
        traffic.count(method)
    for method in NOT_COUNTED:
        refuse(method)
    record = train.record

    def counted_step(*arguments: Any, **named: Any) -> None:
        traffic.end_of_step()
        record(*arguments, **named)

    train.record = counted_step
    with process_group():
        for name, settings in runs.items():
            traffic.now.clear()
            traffic.steps = []
            chosen = [*settings, f"run.name={name}-of-{world_size()}", f"run.dir={output}"]
            train.run_training(load_config(RunConfig, [], chosen))
            (output / f"{name}-of-{world_size()}-{rank()}.json").write_text(json.dumps(traffic.steps))


if __name__ == "__main__":
    main()
