"""One-step-off sampling: what the next step begins with is sampled beside the update, from the weights before it.

A thread decodes with a frozen copy of the weights and takes part in no collective: ranks gather after it has ended. Only
the first `num_problems` are sampled ahead; what dynamic sampling draws in place of others follows at the step, from its own
weights. The ratio is taken against the sampler's log-probabilities, so the update knows how far it has moved on; every rollout
says which weights it is from. What lies ready goes into the checkpoint, because the weights it came from are gone by then.
"""

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from problems.types import ProblemSource
from rl.exchange import gather_shares, share
from rl.groups import Round, first_problems
from rl.heartbeat import doing
from rl.rollout import RolloutWorker
from rl.runtime import device, rank
from rl.settings.schema import RunConfig
from rl.types import Rollout
from rl.update.engine import Engine

_FILE = "ahead.pickle"


class Ahead:
    """Holds what has been sampled for the coming step, if anything."""

    def __init__(self, engine: Engine, worker: RolloutWorker, config: RunConfig):
        self.engine, self.worker, self.config = engine, worker, config
        self._ready: Round | None = None

    def take(self) -> Round | None:
        """Hand over the first round of the coming step."""
        ready, self._ready = self._ready, None
        return ready

    def put_back(self, ready: Round | None) -> None:
        """Undo `take`: the step was not done, and will be begun again."""
        self._ready = ready

    @contextmanager
    def beside(self, step: int, cursor: int, source: ProblemSource, *, wanted: bool = True) -> Iterator[None]:
        """Sample what step `step` begins with, from the weights of now, while the block runs; all ranks must enter.

        `source` is where its problems come from; it is read from another thread and must be nobody else's meanwhile. It is
        not `wanted` beside the last update of a run.
        """
        if not self.config.train.one_step_off or not wanted:
            yield
            return
        worker = replace(self.worker, sampler=replace(self.worker.sampler, model=self.engine.snapshot()))
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # the copy is made on another stream than the one that reads it
        with ThreadPoolExecutor(1, "ahead") as thread:
            sampling = thread.submit(self._sample, worker, step, cursor, source)
            yield
            with doing("waiting for what is sampled ahead"):
                mine = sampling.result()
        self._ready = Round(rollouts=gather_shares(mine))

    def _sample(self, worker: RolloutWorker, step: int, cursor: int, source: ProblemSource) -> list[tuple[Rollout, ...]]:
        with _own_stream():
            problems = first_problems(source, self.config.algorithm, cursor)
            stream = (self.config.run.seed, step, 1)
            mine, _, _ = worker.rollouts(share(problems), self.config.algorithm.group_size, stream, step - 1)
            return mine

    def save(self, directory: Path) -> None:
        """Write what lies ready, once for all ranks."""
        if rank() == 0 and self._ready is not None:
            (directory / _FILE).write_bytes(pickle.dumps(self._ready))

    def load(self, directory: Path) -> None:
        """Read what `save` wrote into a checkpoint of this run."""
        if (directory / _FILE).exists():
            self._ready = _Reader(BytesIO((directory / _FILE).read_bytes())).load()


class _Reader(pickle.Unpickler):
    """Reads what was saved when `Round` still stood in another file."""

    def find_class(self, module: str, name: str) -> Any:
        """See pickle.Unpickler."""
        return Round if (module, name) == ("rl.rollout", "Round") else super().find_class(module, name)


@contextmanager
def _own_stream() -> Iterator[None]:
    """Let this thread's kernels run beside those of the update."""
    if not torch.cuda.is_available():
        yield
        return
    torch.cuda.set_device(device())  # a new thread begins on device 0
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        yield
    stream.synchronize()
