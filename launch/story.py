"""What a demo tells, and how its phases are done: each is one of the lab's own commands in a process of its own.

A phase that is finished is not done again, and a training or an evaluation that was stopped goes on where it was.
"""

import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from problems.errors import LabError
from problems.telling import is_quiet, remark
from rl.tracking.run_directory import write_atomic

# What `python -m` and the deepspeed launcher start: a name in a string is an arrow that no reader of imports sees.
COMMAND_LINE = "launch.cli"  # reasonlab
TRAINING = "rl.train"  # reasonlab train, as the launcher wants it: a module that is told its --local_rank
LAUNCHER = "deepspeed.launcher.runner"

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


_TELLING_MINUTES = 1.0  # a phase that usually takes so long tells by the time it took how fast the machine is


class DemoError(LabError):
    """A phase of the demo failed."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """What a demo tells: with which settings, from which model, and which sizes its closing numbers are about."""

    name: str  # of its run directories, before the seed
    sft: str  # files in configs/
    rl: str
    evaluation: str
    fetched: str | None = None  # the model that imitation starts from, by the name that `reasonlab fetch` has for it
    imitation: str  # what its phase is about
    size: str  # the difficulty that tells problems apart
    practised: range  # sizes of the problems that it practises, as in its settings
    beyond: range  # those that imitation can do least about
    why_beyond: str
    sft_minutes: float  # on two cores; what is not named takes seconds
    rl_minutes: float
    eval_minutes: float  # of one of two evaluations


@dataclass(frozen=True)
class Phase:
    """One command of the lab; `mark` exists (and says finished, if it is a status file) when it is done."""

    name: str
    about: str
    arguments: list[str]
    mark: Path
    ranks: int = 1
    resumable: bool = False
    minutes: float = 0.3  # that it usually takes, on two cores

    def finished(self) -> bool:
        """Whether the phase was done before."""
        if not self.mark.exists():
            return False
        return self.mark.name != "status.json" or json.loads(self.mark.read_text())["status"] == "finished"

    def run(self) -> None:
        """Run the command; raises DemoError when it fails."""
        arguments = list(self.arguments)
        if self.mark.name == "status.json" and self.mark.exists():
            if self.resumable:
                arguments.append("--resume")
            else:
                shutil.rmtree(self.mark.parent)  # half a phase of this demo, done again from its beginning
        program = [sys.executable, "-m", COMMAND_LINE, *arguments]
        if self.ranks > 1:
            launcher = [sys.executable, "-m", LAUNCHER, "--num_gpus", str(self.ranks)]
            program = [*launcher, "--module", TRAINING, *arguments[1:]]
        remark("$ reasonlab " + " ".join(arguments))
        results = subprocess.DEVNULL if is_quiet() else None  # those of the demo are told at its end
        code = subprocess.run(program, cwd=CONFIGS.parent, stdout=results, check=False).returncode
        if code:
            raise DemoError(f"`reasonlab {' '.join(arguments)}` ended with exit status {code}")


def configured(home: Path, seed: int, command: str, configs: Sequence[str], name: str, *settings: str) -> list[str]:
    """Return the arguments of a command with files of configs/, whose run is `name` below `home`."""
    files = [word for config in configs for word in ("--config", str(CONFIGS / config))]
    here = [f"run.dir={home}", f"run.seed={seed}", f"tracking.group={home.name}"]
    return [command, *files, f"run.name={name}", *settings, *here]


def do_phases(phases: Sequence[Phase], home: Path) -> dict[str, float]:
    """Do what is not done yet, in order; return the seconds of each phase ever done under `home`, from its seconds.json.

    How much time all of it still takes is said before each phase; how far a phase is, by its own command.
    """
    file = home / "seconds.json"
    spent: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
    for number, phase in enumerate(phases, start=1):
        heading = f"\n== {number}/{len(phases)} {phase.about}"
        if phase.finished():
            remark(f"{heading}: already done")
            continue
        remark(f"{heading} (about {max(1, round(minutes_left(phases, spent)))} min left in all)")
        started = time.monotonic()
        phase.run()
        spent[phase.name] = round(spent.get(phase.name, 0) + time.monotonic() - started, 1)
        home.mkdir(parents=True, exist_ok=True)  # fetching makes none
        write_atomic(file, json.dumps(spent))
    return spent


def minutes_left(phases: Sequence[Phase], spent: Mapping[str, float]) -> float:
    """Return what phases that are not finished usually take, at the pace of those that are. spent: seconds by name.

    Short ones tell no pace: a download, or what starting a program takes, says nothing of how fast the machine computes.
    """
    todo = [phase for phase in phases if not phase.finished()]
    done = [phase for phase in phases if phase not in todo and phase.name in spent and phase.minutes >= _TELLING_MINUTES]
    usual = sum(phase.minutes for phase in done)
    pace = sum(spent[phase.name] for phase in done) / 60 / usual if usual else 1.0
    return pace * sum(phase.minutes for phase in todo)


def part(results: Mapping[str, Any], size: str, sizes: range) -> dict[str, float]:
    """Return accuracy over the problems of some sizes, the mean of the per-size estimates, with its 95 % interval.

    Sizes are independent sets of problems, so their standard errors add up as variances.
    """
    found = [results["by_difficulty"][f"{size}={n}"] for n in sizes]
    total = sum(f["problems"] for f in found)
    value = sum(f["value"] * f["problems"] for f in found) / total
    below = math.sqrt(sum(((f["value"] - f["low"]) * f["problems"] / total) ** 2 for f in found))
    above = math.sqrt(sum(((f["high"] - f["value"]) * f["problems"] / total) ** 2 for f in found))
    tokens = sum(f["reasoning_tokens"] * f["problems"] for f in found) / total
    return {"value": value, "low": value - below, "high": value + above, "reasoning_tokens": tokens}
