"""A rank that ends badly: it fails while the other waits for it, or waits for what never comes until it is stopped.

ending_worker fail|wait DIRECTORY    writes its process's number into DIRECTORY/ready-RANK before it does
"""

import os
import sys
from pathlib import Path

import torch

from problems.errors import LabError
from rl.at_work import at_work
from rl.runtime import rank
from rl.settings.schema import WatchSettings
from rl.tracking.run_directory import RunDirectory, write_atomic


def main() -> None:
    what, directory = [a for a in sys.argv[1:] if not a.startswith("--local_rank")]
    run = RunDirectory.create(Path(directory) / "run", "") if rank() == 0 else RunDirectory(Path(directory) / "run")
    with at_work(run, WatchSettings()):
        torch.distributed.barrier()
        write_atomic(Path(directory) / f"ready-{rank()}", str(os.getpid()))
        if what == "fail":
            if rank() == 1:
                raise LabError("rank 1 has had enough")
            torch.distributed.all_reduce(torch.ones(3))
        else:
            torch.distributed.recv(torch.zeros(1), 1 - rank())  # nobody sends


if __name__ == "__main__":
    main()
