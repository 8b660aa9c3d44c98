"""What a run directory holds besides completions: curves, checkpoints, alerts, settings; and which runs a path means."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from problems.errors import LabError
from rl.diagnosis.alerts import alerts
from rl.tracking.run_directory import JsonDict
from rl.viewing.reading import read_lines, read_object, read_text, stamp
from rl.viewing.texts import visible

Kind = Literal["practice", "imitation", "evaluation"]
_FILES = ("metrics.jsonl", "timing.jsonl", "status.json", "config.yaml", "results.json")
_TOKENS = "num_tokens"  # counted since the start of the run


class ViewingError(LabError):
    """Something that cannot be looked at."""


@dataclass(frozen=True)
class Run:
    """A run directory that is looked at; everything is read anew with each access to `facts`."""

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

    def stamp(self) -> Sequence[tuple[int, int] | None]:
        """Return what changes whenever `facts` may."""
        return [stamp(self.path / name) for name in _FILES] + [stamp(self.path / "checkpoints")]

    def facts(self) -> JsonDict:
        """Return curves, checkpoints, alerts and settings as plain data."""
        metrics = read_lines(self.path / "metrics.jsonl", self.path)
        timing = read_lines(self.path / "timing.jsonl", self.path)
        records = _by_step(metrics.records)
        return {
            "name": visible(self.name),
            "family": family(visible(self.name)),
            "kind": self.kind,
            "status": visible(read_object(self.path / "status.json", self.path).get("status", "unknown")),
            "curves": {**columns(records), **columns(_with_rest(_by_step(timing.records), records))},
            "checkpoints": self._checkpoints(),
            "alerts": [asdict(alert) for alert in alerts(records)],
            "settings": visible(read_text(self.path / "config.yaml", self.path)),
            "results": _headline(read_object(self.path / "results.json", self.path)),
            "damaged": metrics.damaged + timing.damaged,
        }

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


def columns(records: Sequence[Mapping[str, Any]]) -> dict[str, tuple[list[int], list[float]]]:
    """Return for every metric the steps that have a number of it, and the numbers."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for record in records:
        for key, value in record.items():
            if key != "step" and isinstance(value, int | float) and not isinstance(value, bool):
                steps, values = found.setdefault(visible(key), ([], []))
                steps.append(record["step"])
                values.append(value)
    return found


def _by_step(records: Sequence[JsonDict]) -> list[JsonDict]:
    """Return the records in the order of their steps, the last one of a step that stands twice."""
    by_step = {record["step"]: record for record in records if isinstance(record.get("step"), int)}
    return [by_step[step] for step in sorted(by_step)]


def _with_rest(timing: Sequence[JsonDict], metrics: Sequence[JsonDict]) -> list[JsonDict]:
    """Return timing with what is left of a step's time, and its tokens a second."""
    tokens = {record["step"]: record[_TOKENS] for record in metrics if isinstance(record.get(_TOKENS), int | float)}
    whole = []
    for record in timing:
        seconds = record.get("step_time")
        added: JsonDict = {}
        if isinstance(seconds, int | float) and seconds > 0:
            known = [part for name in ("sample", "score", "train") if isinstance(part := record.get(name), int | float)]
            added["rest"] = max(0.0, seconds - sum(known))
            if record["step"] in tokens and (record["step"] == 1 or record["step"] - 1 in tokens):
                added["tokens_per_second"] = (tokens[record["step"]] - tokens.get(record["step"] - 1, 0)) / seconds
        whole.append({**record, **added})
    return whole


def _headline(results: JsonDict) -> JsonDict | None:
    """Return accuracy and its interval of a finished evaluation."""
    accuracy = results.get("accuracy")
    if not isinstance(accuracy, dict):
        return None
    return {name: accuracy.get(name) for name in ("value", "low", "high")}
