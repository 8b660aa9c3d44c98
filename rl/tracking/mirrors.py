"""What shows the metrics of a run besides its files: the three calls of a mirror, and the names it is given.

The files are the truth. A mirror may fail at any call, and the run goes on without it (tracker.py). What a resumed run computes
again is what the mirror shows already, to the byte, so each mirror leaves out what it holds: no point is doubled.
"""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from problems.errors import LabError
from rl.settings.schema import TrackingSettings
from rl.tracking.run_directory import JsonDict

STEP_KEY = "train/global_step"
PACKAGES = {"tensorboard": "tensorboard", "trackio": "trackio"}  # of the mirrors that take one more: name -> its package


@dataclass(frozen=True, kw_only=True)
class About:
    """What a mirror is told of a run when it begins."""

    directory: Path
    name: str
    project: str
    group: str  # the same for imitation, practice and evaluations that belong together
    job_type: str
    id: str  # of this run alone, kept when it is resumed
    config: Mapping[str, Any]
    first_step: int  # that this process is going to log: what stands there from here on is logged again


class Mirror:
    """The three calls of every mirror, and what only some have a place for."""

    def log(self, step: int, values: Mapping[str, Any], distributions: Mapping[str, Sequence[float]]) -> None:
        """Show the numbers of a step (None where nothing was measured) and, by name, how values are distributed."""
        raise NotImplementedError

    def catch_up(self, step: int, values: Mapping[str, Any]) -> None:
        """Show the numbers of a step before `first_step` that are not shown yet: a killed process may have lost them."""

    def table(self, step: int, name: str, records: Sequence[JsonDict]) -> None:
        """Add a row for each record to the table `name`."""
        raise NotImplementedError

    def finish(self, exit_code: int) -> None:
        """Close it; nothing is logged any more."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Leave nothing behind that speaks at the end of the process: what it spoke to is gone."""

    def alert(self, step: int, title: str, text: str, level: str) -> None:
        """Tell whoever watches; `level` is INFO, WARN or ERROR."""

    def summarise(self, results: Mapping[str, Any]) -> None:
        """Show how the run came out."""

    def model(self, directory: Path, name: str, aliases: Sequence[str]) -> None:
        """Point at a model that the run has written."""


def check_installed(settings: TrackingSettings) -> None:
    """Raise LabError where a mirror is wanted whose package is not there; to be called before a run begins."""
    for mirror in settings.mirrors:
        package = PACKAGES[mirror]
        if importlib.util.find_spec(package) is None:
            raise LabError(
                f"tracking.mirrors names {mirror}, and the package {package} is not installed: pip install {package} "
                f"(or: pip install 'reasonlab[tracking]'), or leave it out; metrics.jsonl is written all the same"
            )


def shown_values(metrics: Mapping[str, Any], timing: Mapping[str, float]) -> JsonDict:
    """Return what is measured under the names that mirrors show: `train/` as TRL has them, `eval/`, `time/` and `perf/`."""
    shown: JsonDict = {}
    for key, value in metrics.items():
        shown[key if key.startswith("eval/") else f"train/{key}"] = value
    for key, seconds in timing.items():
        shown[key if "/" in key else f"time/{key}"] = seconds
    if "step_time" in timing:
        shown["train/step_time"] = timing["step_time"]  # TRL's name for it
    return {plain_name(key): value for key, value in shown.items()}


def plain_name(name: str) -> str:
    """Return a metric's name in the letters that every mirror takes: `eval/chain/terms=5` is `eval/chain/terms_5`."""
    return re.sub(r"[^\w./-]", "_", name)


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Return what of it is a number, for mirrors that have no word for nothing."""
    return {key: value for key, value in values.items() if isinstance(value, int | float)}
