"""Metrics: always to files, and to mirrors (Weights & Biases and others). A dead or missing mirror never stops a run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

from problems.telling import warn
from rl.settings.schema import RunConfig, SftConfig, TrackingSettings
from rl.stopping import is_told_to_stop
from rl.tracking.lineage import identify, origin_of
from rl.tracking.mirrors import About, Mirror, shown_values
from rl.tracking.run_directory import JsonDict, RunDirectory, read_provenance, read_records
from rl.tracking.tensorboard_mirror import TensorBoard
from rl.tracking.trackio_mirror import Trackio
from rl.tracking.wandb_mirror import WandB, wandb_mode

WANDB = "W&B"
# the further mirrors by their setting: the name that messages use, and what opens one; packages are imported only then
MIRRORS: dict[str, tuple[str, Callable[[About], Mirror]]] = {
    "tensorboard": ("TensorBoard", TensorBoard),
    "trackio": ("trackio", Trackio),
}


class Tracker:
    """Writes records to the run directory and hands them to the mirrors. Only rank 0 makes one."""

    def __init__(
        self,
        run: RunDirectory,
        settings: TrackingSettings,
        *,
        job_type: str,
        config: Mapping[str, Any],
        wandb_id: str | None = None,
        first_step: int = 0,
    ):
        self.run = run
        origin = origin_of(config.get("model", {}).get("path"))
        self.identity = identify(
            run.path,
            project=settings.project,
            group=settings.group or (run.path.name if origin is None else origin.run.group),
            name=run.path.name,
            known_id=wandb_id,
        )
        about = About(
            directory=run.path,
            name=self.identity.name,
            project=settings.project,
            group=self.identity.group,
            job_type=job_type,
            id=self.identity.id,
            config={**config, "provenance": read_provenance(run.path), "lineage": None if origin is None else origin.record()},
            first_step=first_step,
        )
        self._step = first_step
        self._mirrors: dict[str, Mirror] = {}
        mode = wandb_mode(settings)
        if mode != "disabled":
            self._open(WANDB, lambda: WandB(about, mode, origin))
        for setting in settings.mirrors:
            name, opening = MIRRORS[setting]
            self._open(name, partial(opening, about))
        if first_step > 0 and self._mirrors:
            self._catch_up(first_step)

    def _catch_up(self, first_step: int) -> None:
        """Have mirrors show what they lack of the steps before: what a killed process has logged last is in the files alone."""
        timing = {record["step"]: record for record in read_records(self.run.path / "timing.jsonl")}
        for record in read_records(self.run.path / "metrics.jsonl"):
            step = record["step"]
            if step < first_step:
                shown = shown_values(_but_step(record), _but_step(timing.get(step, {})))
                self._each("catch up", methodcaller("catch_up", step, shown))

    def _open(self, name: str, opening: Callable[[], Mirror]) -> None:
        try:
            self._mirrors[name] = opening()
        except Exception as error:  # a tracker of any fault must not cost the run
            _say(name, "start", error)

    def _each(self, what: str, action: Callable[[Mirror], object]) -> None:
        """Do something with every mirror; the first failure of one is said, and it is left alone from then on."""
        for name, mirror in list(self._mirrors.items()):
            try:
                action(mirror)
            except Exception as error:  # see _open
                del self._mirrors[name]
                _say(name, what, error)
                if isinstance(error, ConnectionError):  # its process was killed
                    with suppress(Exception):
                        mirror.abandon()

    @property
    def wandb_id(self) -> str | None:
        """The W&B run id, to be kept in checkpoints; None without W&B."""
        return self.identity.id if WANDB in self._mirrors else None

    def log(
        self,
        step: int,
        metrics: Mapping[str, Any],
        timing: Mapping[str, float] | None = None,
        distributions: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        """Record one step: `metrics` must be what the run computes, `timing` what the machine took.

        `distributions` are values of the step by name, which mirrors show as histograms; the files hold them with the rollouts.
        """
        self.run.append("metrics.jsonl", {"step": step, **metrics})
        if timing is not None:
            self.run.append("timing.jsonl", {"step": step, **timing})
        self._step = step
        shown = shown_values(metrics, timing or {})
        self._each("log", lambda mirror: mirror.log(step, shown, distributions or {}))

    def table(self, step: int, name: str, records: Sequence[JsonDict]) -> None:
        """Add a line for each record to a table; all records must have the same keys."""
        if records:
            self._each("log a table", lambda mirror: mirror.table(step, name, records))

    def alert(self, title: str, text: str, level: str = "WARN") -> None:
        """Tell whoever watches the run from afar; `level` is INFO, WARN or ERROR."""
        self._each("send an alert", lambda mirror: mirror.alert(self._step, title, text, level))

    def model(self, directory: Path, *further_names: str) -> None:
        """Point at a model that the run has written, under the directory's name and further ones (`best`)."""
        aliases = [directory.name, *further_names]
        self._each("log a model", lambda mirror: mirror.model(directory, self.identity.artifact, aliases))

    def summarise(self, results: Mapping[str, Any]) -> None:
        """Tell the mirrors how the run came out, for their tables of runs."""
        self._each("keep a summary", lambda mirror: mirror.summarise(results))

    def finish(self, exit_code: int = 0) -> None:
        """Close the mirrors."""
        self._each("finish", lambda mirror: mirror.finish(exit_code))


def _but_step(record: JsonDict) -> JsonDict:
    return {key: value for key, value in record.items() if key != "step"}


def _say(name: str, what: str, error: Exception) -> None:
    first_line = str(error).strip().split("\n")[0][:200]
    reason = f"{type(error).__name__}: {first_line}"
    warn(f"{name} could not {what} ({reason}); going on with metrics.jsonl only")


@contextmanager
def open_tracker(
    run: RunDirectory, config: RunConfig | SftConfig, job_type: str, wandb_id: str | None = None, first_step: int = 0
) -> Iterator[Tracker]:
    """Open the metrics and their mirrors; these are told whether the run ended well.

    `wandb_id` and `first_step` are of a run that is resumed: its id in its checkpoint, and the first step that comes again.
    """
    shown = config.model_dump(mode="json")
    tracker = Tracker(run, config.tracking, job_type=job_type, config=shown, wandb_id=wandb_id, first_step=first_step)
    try:
        yield tracker
    except BaseException as error:
        if not is_told_to_stop(error):
            tracker.alert(f"{run.path.name} failed", f"{type(error).__name__}: {error}", "ERROR")
        tracker.finish(exit_code=1)
        raise
    tracker.finish()
