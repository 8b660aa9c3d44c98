"""What a run directory holds besides completions: curves, checkpoints, alerts, settings; and which runs a path means."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from problems.errors import LabError
from rl.diagnosis.alerts import alerts
from rl.tracking.run_directory import JsonDict
from rl.tracking.standing import standing_of
from rl.viewing.reading import GrowingLines, finite, read_lines, read_object, read_text, stamp
from rl.viewing.texts import visible

Kind = Literal["practice", "imitation", "evaluation"]
_FILES = ("metrics.jsonl", "timing.jsonl", "resumes.jsonl", "status.json", "config.yaml", "results.json")
_MOST_STEP = 10**12


class ViewingError(LabError):
    """Something that cannot be looked at."""


@dataclass(frozen=True)
class Run:
    """A run directory that is looked at; what is new or changed is read with each call of `facts`."""

    path: Path
    name: str  # unique among those that are looked at together

    @property
    def has_samples(self) -> bool:
        """Whether its completions are those of an evaluation."""
        return (self.path / "samples.jsonl").is_file()

    @cached_property
    def kind(self) -> Kind:
        """What made the run, by the files that it left."""
        if self.has_samples or (self.path / "about.json").is_file():
            return "evaluation"
        return "imitation" if re.search(r"^sft:", read_text(self.path / "config.yaml", self.path), re.MULTILINE) else "practice"

    @cached_property
    def _growing(self) -> tuple[GrowingLines, GrowingLines]:
        return GrowingLines(self.path / "metrics.jsonl", self.path), GrowingLines(self.path / "timing.jsonl", self.path)

    def stamp(self) -> Sequence[tuple[int, int] | str | None]:
        """Return what changes whenever `facts` may."""
        return [*(stamp(self.path / name) for name in _FILES), stamp(self.path / "checkpoints"), self._standing()]

    def facts(self) -> JsonDict:
        """Return curves, marks on them, alerts and settings as plain data.

        With the same `generation` a curve only goes on: up to step `settled` it has all its points.
        """
        lines = [growing.read() for growing in self._growing]
        metrics, timing = (_by_step(of.records) for of in lines)
        resumes = _by_step(read_lines(self.path / "resumes.jsonl", self.path).records)
        ends = [int(records[-1]["step"]) for records in (metrics, timing) if records]
        return {
            "name": visible(self.name),
            "family": family(visible(self.name)),
            "kind": self.kind,
            "status": visible(self._standing()),
            "generation": sum(growing.generation for growing in self._growing),
            "settled": min(ends, default=-1),
            "curves": {**columns(metrics), **columns(_with_rest(timing))},
            "checkpoints": self._checkpoints(),
            "evaluations": [int(record["step"]) for record in metrics if "eval/accuracy" in record],
            "resumes": [int(record["step"]) for record in resumes],
            "alerts": [asdict(alert) for alert in alerts(metrics)],
            "settings": visible(read_text(self.path / "config.yaml", self.path)),
            "results": _headline(read_object(self.path / "results.json", self.path)),
            "damaged": sum(of.damaged for of in lines),
        }

    def _standing(self) -> str:
        """Return how the run stands; that changes without any file when it is killed."""
        found = (read_object(self.path / name, self.path) for name in ("status.json", "ranks/rank-0.json"))
        return standing_of(*found)

    def _checkpoints(self) -> list[int]:
        """Return the steps whose checkpoint is still there."""
        names = [file.name for file in (self.path / "checkpoints").glob("step-*")]
        return sorted(int(found[1]) for name in names if (found := re.fullmatch(r"step-(\d{1,9})", name)))


def runs_at(paths: Sequence[Path]) -> list[Run]:
    """Return the runs that the paths are or hold, in their order; raises ViewingError where there are none."""
    found = list(dict.fromkeys(run for path in paths for run in _below(path)))
    if not found:
        listed = ", ".join(map(str, paths))
        raise ViewingError(f"no run at {listed}; give the run directory of `reasonlab train`, `sft` or `eval`, or one above it")
    return [Run(path, name) for path, name in zip(found, _names(found), strict=True)]


def _below(path: Path) -> list[Path]:
    """Return a run directory itself, or those up to two levels below it."""
    if not path.is_dir():
        raise ViewingError(f"{path} is no directory; give a run directory, or one that holds runs")
    if _is_run(path):
        return [path]
    found = [inner for pattern in ("*", "*/*") for inner in path.glob(pattern) if inner.is_dir() and _is_run(inner)]
    return sorted(found, key=lambda run: (_started(run), run))


def _started(run: Path) -> str:
    """Return when a run began, in a form that sorts by time; "" where nobody knows."""
    return str(read_object(run / "provenance.json", run).get("started", ""))


def _is_run(path: Path) -> bool:
    return any((path / name).is_file() for name in ("metrics.jsonl", "samples.jsonl")) or (path / "rollouts").is_dir()


def _names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each: as few of its last parts as tell them all apart, two at most where they do not."""
    whole = [path.resolve().parts for path in paths]
    for length in range(1, max(map(len, whole)) + 1):
        names = ["/".join(parts[-length:]) for parts in whole]
        if len(set(names)) == len(names):
            return names
    return ["/".join(parts) for parts in whole]


def family(name: str) -> str:
    """Return the name without its seed: runs of one family differ in nothing else, as far as their names say."""
    return re.sub(r"seed[-_=]?\d+", "seed", name)


def columns(records: Sequence[JsonDict]) -> dict[str, tuple[list[int], list[float]]]:
    """Return for every metric the steps that have a number of it, and the numbers."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for record in records:
        for key, value in record.items():
            if key != "step":
                steps, values = found.setdefault(visible(key), ([], []))
                steps.append(record["step"])
                values.append(value)
    return found


def _by_step(records: Sequence[JsonDict]) -> list[JsonDict]:
    """Return the numbers of records in the order of their steps, of the last record of a step that stands twice."""
    by_step = {}
    for record in records:
        step = record.get("step")
        if isinstance(step, int) and 0 <= step < _MOST_STEP:
            by_step[step] = {key: known for key, value in record.items() if (known := finite(value)) is not None}
    return [by_step[step] for step in sorted(by_step)]


def _with_rest(timing: Sequence[JsonDict]) -> list[JsonDict]:
    """Return timing with what is left of a step's time."""
    whole = []
    for record in timing:
        known = [record[name] for name in ("sample", "score", "train") if name in record]
        rest = {"rest": max(0.0, record["step_time"] - sum(known))} if "step_time" in record else {}
        whole.append({**record, **rest})
    return whole


def _headline(results: JsonDict) -> JsonDict | None:
    """Return accuracy and its interval of a finished evaluation."""
    accuracy = results.get("accuracy")
    if not isinstance(accuracy, dict):
        return None
    return {name: finite(accuracy.get(name)) for name in ("value", "low", "high")}
