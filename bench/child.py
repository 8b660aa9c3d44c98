"""One side in a process of its own, so that neither runs in the other's caches, allocator or threads.

    python -m bench.child SIDE BENCH WORK MODEL ROLLOUTS THREADS [toy]

The parent (compare.py) says what to do, a line at a time, and gets a line of JSON back: `update`, `sample` or `step` is
timed, `memory` gives the peak of one repetition of BENCH. Only one of the two sides ever works at a time.

`peak` is the high water of the measured repetition, `imports` what the process held before the model was opened, both in
MiB of resident memory; `training` = peak - imports is what the model, its gradients, the optimizer and the computation
take, which is what torch.cuda.max_memory_allocated counts, and what stands here on a GPU. A repetition on few short
rollouts goes first, so that gradients and optimizer state exist.
"""

import json
import os
import pickle
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TextIO

import torch

from bench.material import pool_of, run_config
from bench.ours import OurSide
from bench.sides import Side
from bench.theirs import TrlSide, fastest
from bench.work import WORKS, Work, toy
from rewards.pool import VerifierPool
from rl.runtime import process_group, quiet_libraries, set_threads
from rl.types import Group, Rollout

SIDES = ("ours", "trl")
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident(field: str) -> float:
    """Return VmRSS (now) or VmHWM (high water) of this process in MiB."""
    found = re.search(rf"{field}:\s+(\d+) kB", _STATUS.read_text())
    assert found is not None, f"Linux reports {field} in {_STATUS}"
    return int(found[1]) / 1024


def reset_high_water() -> None:
    """Make VmHWM start again from what is held now (proc(5), /proc/pid/clear_refs, value 5)."""
    _CLEAR.write_text("5")


def short_groups(groups: Sequence[Group]) -> tuple[Group, ...]:
    """Return the same groups with at most 8 tokens of each prompt and completion."""

    def cut(rollout: Rollout) -> Rollout:
        return replace(
            rollout,
            prompt_ids=rollout.prompt_ids[-8:],
            completion_ids=rollout.completion_ids[:8],
            sampling_logprobs=rollout.sampling_logprobs[:8],
        )

    return tuple(replace(group, rollouts=tuple(map(cut, group.rollouts))) for group in groups)


def measure(side: Side, bench: str, groups: Sequence[Group], imports: float) -> dict[str, float]:
    """Return the memory that one repetition of `bench` takes, in MiB."""
    if bench != "sample":
        side.groups = short_groups(groups)
        side.update()
        side.groups = groups
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    reset_high_water()
    before = resident("VmRSS")
    getattr(side, bench)()
    peak = resident("VmHWM")
    training = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else peak - imports
    return {"imports": imports, "before": before, "peak": peak, "training": training}


def build(name: str, bench: str, work: Work, model: Path, groups: Sequence[Group], pool: VerifierPool) -> Side:
    """Return the side with this name."""
    if name == "ours":
        return OurSide(work, model, pool, groups)
    return TrlSide(work, model, groups, fastest(bench, work))


def serve(name: str, bench: str, work: Work, model: Path, rollouts: Path, threads: int | None, answers: TextIO) -> None:
    """Build one side and do what the lines of standard input say."""
    quiet_libraries()
    set_threads(threads)
    with process_group():
        groups = pickle.loads(rollouts.read_bytes())  # written by compare.py a moment ago
        imports = resident("VmRSS")
        with pool_of(work, run_config(work, model)) as pool:
            side = build(name, bench, work, model, groups, pool)
            for line in sys.stdin:
                wanted = line.strip()
                found = measure(side, bench, groups, imports) if wanted == "memory" else asdict(getattr(side, wanted)())
                print(json.dumps(found), file=answers, flush=True)
            side.close()


if __name__ == "__main__":
    name, bench, work_name, model, rollouts, threads, *is_toy = sys.argv[1:]
    chosen = toy(WORKS[work_name]) if is_toy else WORKS[work_name]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    serve(name, bench, chosen, Path(model), Path(rollouts), int(threads) or None, answers)
