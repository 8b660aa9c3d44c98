"""The ranks of a run at work on its directory: joined, and sure which start of the run they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from rl.exchange import all_gather
from rl.heartbeat import Heart
from rl.runtime import process_group, rank, world_size
from rl.settings.schema import WatchSettings
from rl.stopping import Guard
from rl.tracking.disk import naming_disk
from rl.tracking.run_directory import RunDirectory


@contextmanager
def at_work(run: RunDirectory, watch: WatchSettings, *, even_alone: bool = True) -> Iterator[RunDirectory]:
    """Join the ranks, let their hearts beat, and write down how the run ends; all ranks must enter.

    run: as rank 0 has begun it, on the others its path alone. Yields it as it was begun, on all of them. Before they have met
    only rank 0 may say how it ended (where that was refused the run, another start is at work on it), and none looks for a
    file STOP, which may be an earlier one's that rank 0 is about to remove.
    """
    with process_group(even_alone=even_alone, on_failure=run.set_failure if rank() == 0 else None):
        ours = replace(run, start=all_gather(run.start)[0])
        assert Guard.active is not None, "every process group has one"
        heart = Heart(ours.path, rank(), world_size(), watch.stall_seconds, ours.start)
        with Guard.active.telling(None if rank() == 0 else ours.set_failure), naming_disk(ours.path), heart:
            yield ours
