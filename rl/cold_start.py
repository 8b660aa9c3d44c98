"""A run's cold start: where its model is missing, `reasonlab sft` makes it first, in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from problems.errors import LabError
from problems.telling import remark
from rl.exchange import all_gather, barrier, sums_over_ranks
from rl.heartbeat import STOP, is_stopped_by_hand
from rl.runtime import LAUNCHER_VARIABLES, rank
from rl.settings.arguments import cold_start_overrides
from rl.settings.schema import RunConfig
from rl.stopping import GRACE_SECONDS, INTERRUPTED, PREEMPTED, Guard, told_to_stop

_LOOK_SECONDS = 0.5
_TOLD = (128 + signal.SIGTERM, -signal.SIGTERM)  # as 75, but before there was a boundary to save at, or too far from one


class ColdStartError(LabError):
    """The cold start ended without a model. Its exit status is passed on, to tell whether another start may end better."""

    def __init__(self, command: Sequence[str], code: int) -> None:
        if code == PREEMPTED:
            words = "was told to stop and has saved its weights; to go on with it: the same command again"
        elif code in _TOLD:
            words = "was told to stop and had no time to save; the same command again goes on with what it had saved before"
            code = PREEMPTED
        else:
            words = f"ended with exit status {code}"
        super().__init__(f"the cold start `{' '.join(command[1:])}` {words}")
        self.exit_status = code if code in (LabError.exit_status, PREEMPTED, INTERRUPTED) else 1


def has_model(config: RunConfig) -> bool:
    """Whether there is a model to begin with, or a fault that opening it will name."""
    return config.model.cold_start is None or Path(config.model.path).exists()


def cold_start_arguments(config: RunConfig) -> list[str]:
    """Return the arguments of `reasonlab sft` that make the model where the run looks for it."""
    return ["--config", str(config.model.cold_start), *cold_start_overrides(config)]


def cold_start(config: RunConfig) -> None:
    """Make the model by imitation, as the config says; a process of its own on rank 0 does it. All ranks must call.

    What tells any rank to stop, a file STOP of either run directory included, tells that process, which saves at its next
    boundary. All ranks wait for it: a launcher kills what is left soon after the first of them has ended.
    """
    process = _begin(config) if rank() == 0 else None
    barrier()  # before any rank looks for a file STOP: that of an earlier start is gone now
    assert Guard.active is not None, "every process group has one"
    with Guard.active.at_boundaries(config.watch.grace_seconds + GRACE_SECONDS):
        try:
            has_been_told = False
            while (counts := sums_over_ranks(process is not None and process.poll() is None, _is_told(config)))[0]:
                if counts[1] and not has_been_told and process is not None:
                    process.terminate()
                    has_been_told = True
                time.sleep(_LOOK_SECONDS)
        except BaseException:
            if process is not None:
                _end(process)
            raise
        if code := all_gather(0 if process is None else process.returncode)[0]:
            raise ColdStartError(_command(config), code)


def _is_told(config: RunConfig) -> bool:
    return told_to_stop() is not None or is_stopped_by_hand(config.run.path)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Have the imitation save and end, and wait for it, also through the signal that may follow an error."""
    process.terminate()
    try:
        process.wait()
    except (KeyboardInterrupt, SystemExit):  # raised once
        process.wait()


def _begin(config: RunConfig) -> "subprocess.Popen[bytes]":
    (config.run.path / STOP).unlink(missing_ok=True)  # of an earlier start
    path = Path(config.model.path)
    remark(f"no model at {path} yet: imitating worked examples first ({config.model.cold_start})")
    resume = ["--resume"] if (path.parent / "config.yaml").exists() else []  # one that was cut short
    alone = {key: value for key, value in os.environ.items() if key not in LAUNCHER_VARIABLES}
    return subprocess.Popen([*_command(config), *resume], env=alone)


def _command(config: RunConfig) -> list[str]:
    return [sys.executable, "-m", "rl.sft", *cold_start_arguments(config)]
