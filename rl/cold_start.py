"""A run's cold start: where its model is missing, `reasonlab sft` makes it first, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from problems.errors import LabError
from problems.telling import remark
from rl.runtime import LAUNCHER_VARIABLES, rank, world_size
from rl.settings.schema import RunConfig
from rl.stopping import INTERRUPTED, PREEMPTED


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
    """Make the model by imitation, as the config says; a process of its own on rank 0 does it. All ranks must call."""
    path = Path(config.model.path)
    if rank() == 0:
        remark(f"no model at {path} yet: imitating worked examples first ({config.model.cold_start})")
        command = [sys.executable, "-m", "rl.sft", *cold_start_arguments(config)]
        if (path.parent / "config.yaml").exists():  # one that was cut short
            command.append("--resume")
        if code := _imitate(command):
            raise ColdStartError(command, code)
    if world_size() > 1:
        torch.distributed.barrier()


def _imitate(command: Sequence[str]) -> int:
    """Do the cold start and return its exit status; what ends this process tells it to save and end, too."""
    alone = {key: value for key, value in os.environ.items() if key not in LAUNCHER_VARIABLES}
    with subprocess.Popen(command, env=alone) as process:  # leaving waits for it, so that it can save
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise
