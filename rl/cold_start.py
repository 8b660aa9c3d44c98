"""A run's cold start: where its model is missing, `reasonlab sft` makes it first, in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from problems.errors import LabError
from problems.telling import remark
from rl.exchange import all_gather, sums_over_ranks
from rl.runtime import LAUNCHER_VARIABLES, rank
from rl.settings.schema import RunConfig
from rl.stopping import GRACE_SECONDS, INTERRUPTED, PREEMPTED, be_patient

_LOOK_SECONDS = 0.5


class ColdStartError(LabError):
    """The cold start ended without a model. Its exit status is passed on, to tell whether another start may end better."""

    def __init__(self, command: Sequence[str], code: int) -> None:
        if code == PREEMPTED:
            words = "was told to stop and has saved its weights; to go on with it: the same command again"
        else:
            words = f"ended with exit status {code}"
        super().__init__(f"the cold start `{' '.join(command[1:])}` {words}")
        self.exit_status = code if code in (LabError.exit_status, PREEMPTED, INTERRUPTED) else 1


def has_model(config: RunConfig) -> bool:
    """Whether there is a model to begin with, or a fault that opening it will name."""
    return config.model.cold_start is None or Path(config.model.path).exists()


def cold_start_arguments(config: RunConfig) -> list[str]:
    """Return the arguments of `reasonlab sft` that make the model where the run looks for it."""
    directory = Path(config.model.path).parent
    where = [f"run.dir={directory.parent}", f"run.name={directory.name}", f"run.seed={config.run.seed}"]
    return ["--config", str(config.model.cold_start), *where]


def cold_start(config: RunConfig) -> None:
    """Make the model by imitation, as the config says; a process of its own on rank 0 does it. All ranks must call.

    What ends this rank tells that process, which saves at its next boundary; this one waits for it.
    """
    process = _begin(config) if rank() == 0 else None
    patience = config.watch.grace_seconds + GRACE_SECONDS if process else 0.0
    with be_patient(patience), process or nullcontext():
        try:
            while sums_over_ranks(process is not None and process.poll() is None)[0]:
                time.sleep(_LOOK_SECONDS)
        except BaseException:
            if process is not None:
                process.terminate()
            raise
    if code := all_gather(0 if process is None else process.returncode)[0]:
        raise ColdStartError(_command(config), code)


def _begin(config: RunConfig) -> "subprocess.Popen[bytes]":
    path = Path(config.model.path)
    remark(f"no model at {path} yet: imitating worked examples first ({config.model.cold_start})")
    resume = ["--resume"] if (path.parent / "config.yaml").exists() else []  # one that was cut short
    alone = {key: value for key, value in os.environ.items() if key not in LAUNCHER_VARIABLES}
    return subprocess.Popen([*_command(config), *resume], env=alone)


def _command(config: RunConfig) -> list[str]:
    return [sys.executable, "-m", "rl.sft", *cold_start_arguments(config)]
