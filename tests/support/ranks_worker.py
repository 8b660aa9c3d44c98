"""Run under the deepspeed launcher: what ranks tell each other, and what they hold together of a model they have opened.

ranks_worker OUTPUT MODEL    writes OUTPUT/rank-N.json; numbers are MiB
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from problems.errors import LabError
from rl.exchange import all_gather, sums_over_ranks
from rl.policy.opening import load_model
from rl.runtime import process_group, rank
from rl.settings.schema import ModelSettings
from rl.tracking import checkpoint


@dataclass(frozen=True)
class Record:
    """Something with arrays in it, of every kind that could go wrong."""

    name: str
    arrays: tuple[Any, ...]


def record_of(number: int) -> list[Record]:
    """What rank `number` says: more of it the higher the number."""
    floats = np.arange(100 * number + 7, dtype=np.float32)
    return [
        Record("plain", (floats, np.arange(3, dtype=np.int32), np.ones(5, dtype=np.bool_))),
        Record("strange", (floats[::2], np.zeros((0, 4)), floats[:6].reshape(2, 3).T, np.float64(number))),
        *[Record(f"more {k}", (np.full(k, number, dtype=np.int64),)) for k in range(number)],
    ]


def same(found: list[Record], expected: list[Record]) -> bool:
    """Whether names, types, shapes and values are the same, and floats can be computed with."""
    pairs = [(a, b) for one, other in zip(found, expected, strict=True) for a, b in zip(one.arrays, other.arrays, strict=True)]
    return [one.name for one in found] == [one.name for one in expected] and all(
        np.asarray(a).dtype == np.asarray(b).dtype and np.array_equal(a, b) and np.asarray(a).flags.aligned for a, b in pairs
    )


def shared_out() -> float:
    """Return this process's memory, in MiB, with pages that others map too counted in equal parts (proc(5), smaps_rollup)."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def save_apart(root: Path) -> None:
    """Save a checkpoint where each rank has a directory of its own, as on machines that share no file system."""
    root.mkdir()
    checkpoint._SEEN_SECONDS = 0.5
    checkpoint.write(root, 1, checkpoint.Kept(newest=2), lambda directory: None, lambda directory: None)


def main() -> None:
    output, model_path = Path(sys.argv[-2]), sys.argv[-1]  # the launcher puts an argument of its own before
    torch.set_num_threads(1)
    with process_group():
        from deepspeed.utils import groups

        heard = all_gather(record_of(rank()))
        findings: dict[str, Any] = {
            "heard": [same(record, record_of(number)) for number, record in enumerate(heard)],
            "sums": sums_over_ranks(rank() + 1, 10 * rank()),
        }
        of_deepspeed = groups._get_data_parallel_group()._get_backend(torch.device("cpu"))  # where no time is named
        findings["patience"] = of_deepspeed.options._timeout.total_seconds()
        torch.distributed.barrier()
        before = shared_out()
        model = load_model(ModelSettings(path=model_path), trainable=False)
        read = sum(float(weights.sum()) for weights in model.parameters())  # every page of it
        torch.distributed.barrier()
        findings |= {"held": shared_out() - before, "read": read}
        torch.distributed.barrier()
        checkpoint.agree_on(Path("step-000003"))
        for name, disagree in (
            ("checkpoints", lambda: checkpoint.agree_on(Path(f"step-00000{rank()}"))),
            ("directories", lambda: save_apart(output / f"of-rank-{rank()}")),
        ):
            try:
                disagree()
            except LabError as refused:
                findings[name] = [refused.exit_status, str(refused)]
        (output / f"rank-{rank()}.json").write_text(json.dumps(findings))


if __name__ == "__main__":
    main()
