"""Run on every rank by `reasonlab doctor --hostfile`: a sum over all of them, checked and measured.

Rank 0 prints one line of JSON: ranks, bytes, seconds (the median of the turns), backend.
"""

import json
import statistics
import sys
import time
from collections.abc import Sequence

import torch

from problems.errors import LabError
from rl.runtime import device, process_group, rank, world_size
from rl.settings.arguments import clearly

NUM_FLOATS, TURNS = 2**22, 5  # 16 MiB: the bandwidth shows, and a slow network is done within seconds
_MEETING_MINUTES = 1.0


@clearly
def main(argv: Sequence[str]) -> int:
    """Sum over the ranks; raises LabError where the sum is wrong. argv: what the launcher adds, of no use here."""
    with process_group(timeout_minutes=_MEETING_MINUTES):
        seconds = []
        for _ in range(1 + TURNS):
            mine = torch.full((NUM_FLOATS,), float(rank() + 1), device=device())
            torch.distributed.barrier()
            began = time.perf_counter()
            torch.distributed.all_reduce(mine)
            is_right = bool((mine == world_size() * (world_size() + 1) / 2).all())  # 1 + 2 + ... + N; waits for the device
            seconds.append(time.perf_counter() - began)
            if not is_right:
                raise LabError(f"rank {rank()}: the sum over the ranks is wrong")
        if rank() == 0:
            about = {"ranks": world_size(), "bytes": 4 * NUM_FLOATS, "seconds": statistics.median(seconds[1:])}
            print(json.dumps({**about, "backend": torch.distributed.get_backend()}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
