"""Start two ranks, let them take one optimizer step, and see how they end: again and again, over ZeRO 0 to 3.

    python tests/support/starts_and_ends.py --times 200

Imports take most of a start, so they are done once and every rank is a fork of this process; how a rank ends is not
changed by that: its interpreter is torn down like any other. A rank that ends with a signal (SIGABRT is -6) or leaves a
process behind is a failure.
"""

import argparse
import atexit
import gc
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(Path(__file__).parent)]
os.environ.setdefault("OMP_NUM_THREADS", "1")

# what the ranks would import otherwise, see above
import deepspeed.runtime.zero.muon.muon_optimizer
import deepspeed.runtime.zero.stage3  # noqa: F401
import torch
from forks import renew_threads
from gradient_worker import accumulate
from support import free_port

from rl.policy.tiny import make_tiny_model
from rl.runtime import gloo_threads, process_group
from rl.settings.schema import TinyModelConfig

RANKS = 2
LONGEST_SECONDS = 120.0  # of one start and end


def run_rank(rank: int, port: str, stage: int, model: str) -> None:
    """Be one rank: join, one step, leave."""
    os.setsid()  # whatever this rank leaves behind can be found by its session
    renew_threads()
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(RANKS), LOCAL_SIZE=str(RANKS))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    with process_group():
        accumulate(model, stage)
        for _ in range(5):
            torch.distributed.all_reduce(torch.ones(100))
    if set(gloo_threads()) - {"S"}:
        sys.exit("a thread of gloo is still at work")
    # The worst moment to end is right after a collective, see rl/runtime.py, _leave. Exit handlers would put the end off:
    # without them a rank that does not leave its group aborts in 2 of 24 starts, with them in none of 56.
    atexit._clear()
    sys.stderr = sys.__stderr__ = None  # type: ignore[misc]  # torch complains that its handlers did not run


def left_behind(sessions: set[int]) -> list[int]:
    """Return the processes of these sessions that are still there."""
    processes = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()  # state, parent, group, session, ... (proc(5))
        except OSError:
            continue
        if int(fields[3]) in sessions:
            processes.append(int(file.parent.name))
    return processes


def start_and_end(stage: int, model: str) -> tuple[list[int], list[int]]:
    """Return the exit status of every rank (negative: a signal) and the processes left behind. Ranks return too: see main."""
    port = free_port()
    children = []
    for rank in range(RANKS):
        child = os.fork()
        if child == 0:
            run_rank(rank, port, stage, model)
            sys.exit(0)
        children.append(child)
    deadline = time.monotonic() + LONGEST_SECONDS
    statuses: dict[int, int] = {}
    while len(statuses) < RANKS:
        for child in set(children) - set(statuses):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                statuses[pid] = os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            for child in set(children) - set(statuses):
                os.kill(child, 9)
        time.sleep(0.005)
    return [statuses[child] for child in children], left_behind(set(children))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200, metavar="N", help="starts, over ZeRO 0 to 3 in turn (default: 200)")
    times = parser.parse_args().times
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FutureWarning)  # torch 2.13 renames what DeepSpeed 0.19.8 calls
    gc.freeze()  # what has been imported need not be searched by every rank
    endings: Counter[tuple[int, tuple[int, ...]]] = Counter()
    orphans = 0
    started = time.monotonic()
    model = Path(tempfile.mkdtemp())  # no context manager: a rank that ends unwinds this frame too, and would remove it
    make_tiny_model(TinyModelConfig(hidden_size=32, intermediate_size=64, layers=2, heads=2, max_positions=128), model, 0)
    for number in range(times):
        stage = number % 4
        statuses, processes = start_and_end(stage, str(model))
        endings[stage, tuple(statuses)] += 1
        orphans += len(processes)
        if any(statuses) or processes:
            print(f"start {number}, ZeRO {stage}: exit statuses {statuses}, left behind {processes}", flush=True)
    shutil.rmtree(model)
    good = sum(count for (_, statuses), count in endings.items() if not any(statuses))
    aborted = sum(count for (_, statuses), count in endings.items() if -6 in statuses)
    print(
        f"{good} of {times} starts ended well (ZeRO 0 to 3, {RANKS} ranks), {aborted} with SIGABRT, {orphans} orphans, "
        f"{time.monotonic() - started:.0f} s"
    )
    return 0 if good == times and not orphans else 1


if __name__ == "__main__":
    sys.exit(main())
