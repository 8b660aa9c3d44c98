"""Weights & Biases: curves, histograms, one growing table, alerts, and checkpoints as references with their lineage.

Steps are our own (`define_metric`): W&B's internal counter drops records that are logged again after a resume, and a step of
our own doubles them, so what the run's logs hold is looked up first (wandb_log.py). Offline, W&B links no artifact to the run
that uses it: the lineage then stands in the config alone.
"""

import netrc
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from problems.telling import remark
from rl.settings.schema import TrackingSettings
from rl.tracking.lineage import Origin
from rl.tracking.mirrors import STEP_KEY, About, Mirror
from rl.tracking.run_directory import JsonDict
from rl.tracking.wandb_log import held_keys

_FINISH_SECONDS = 60.0  # for the end of an upload; the other ranks wait ten minutes for rank 0
_PREFIXES = ("train/*", "eval/*", "time/*", "perf/*")


def wandb_mode(settings: TrackingSettings) -> str:
    """Return online, offline or disabled: as configured, else as the environment says, else offline without a key."""
    if settings.wandb != "auto":
        return settings.wandb
    mode = os.environ.get("WANDB_MODE")
    if mode:
        return mode
    if os.environ.get("WANDB_DISABLED", "").lower() in ("1", "true"):
        return "disabled"
    has_key = os.environ.get("WANDB_API_KEY") or _netrc_has_key()
    return "online" if has_key else "offline"


def _netrc_has_key() -> bool:
    try:
        return netrc.netrc(Path.home() / ".netrc").authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


class WandB(Mirror):
    """A run in W&B, online or in files that `wandb sync` sends later."""

    def __init__(self, about: About, mode: str, origin: Origin | None):
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        self._module = wandb
        # online the server knows what it has; files here may be ahead of it, and what it lacks must go there again
        self._held = {} if mode == "online" else held_keys(about.directory / "wandb", about.id)
        # an upload that hangs may not hold up the end of a run; older versions have no such setting
        patience = {"finish_timeout": _FINISH_SECONDS} if "finish_timeout" in wandb.Settings.model_fields else {}
        self._tables: dict[str, Any] = {}
        self._run = wandb.init(
            project=about.project,
            group=about.group,
            name=about.name,
            job_type=about.job_type,
            dir=str(about.directory.resolve()),  # a service that a parent process started may stand in another directory
            mode=mode,  # type: ignore[arg-type]
            id=about.id,
            resume="allow",
            config=dict(about.config),
            # without the interval an offline run that is killed keeps nothing of its last 15 seconds; output is no metric
            settings=wandb.Settings(x_transaction_log_flush_interval=1.0, init_timeout=15, console="off", **patience),  # type: ignore[call-arg]
        )
        self._run.define_metric(STEP_KEY)
        for prefix in _PREFIXES:
            self._run.define_metric(prefix, step_metric=STEP_KEY)
        self._shown_step = self._step_online()
        if origin is not None and mode == "online":
            self._use(origin)

    def _step_online(self) -> int:
        """Return the last step that the server shows of a run that is resumed, -1 for one that begins."""
        step = self._run.summary.get(STEP_KEY) if self._run.resumed else None
        return int(step) if isinstance(step, int | float) else -1

    def _use(self, origin: Origin) -> None:
        """Link the run to the model it begins with; one that nobody logged online is no fault of this run."""
        try:
            self._run.use_artifact(f"{origin.run.artifact}:{origin.model}")
        except Exception as error:
            remark(f"W&B knows no artifact of {origin.directory} ({type(error).__name__}); its place is in the config")

    def log(self, step: int, values: Mapping[str, Any], distributions: Mapping[str, Sequence[float]]) -> None:
        """Send what is not there yet of a step, all in one record."""
        histograms = {name: self._module.Histogram(members) for name, members in distributions.items() if len(members)}
        self._send(step, {**values, **histograms})

    def _send(self, step: int, values: Mapping[str, Any]) -> None:
        held = self._held.get(step, set())
        new = {key: value for key, value in values.items() if key not in held}
        if new and step > self._shown_step:
            self._run.log({STEP_KEY: step, **new})

    def catch_up(self, step: int, values: Mapping[str, Any]) -> None:
        """Send what is not there yet of a step; histograms and rows of tables that were lost stay lost."""
        self._send(step, values)

    def table(self, step: int, name: str, records: Sequence[JsonDict]) -> None:
        """Add rows to the table: only these are written and sent, whatever is in it already."""
        if name in self._held.get(step, set()) or step <= self._shown_step:
            return
        columns = ["step", *records[0]]
        table = self._tables.get(name)
        if table is None or table.columns != columns:
            table = self._tables[name] = self._module.Table(columns=columns, log_mode="INCREMENTAL")
        for record in records:
            table.add_data(step, *record.values())
        self._run.log({STEP_KEY: step, name: table})

    def alert(self, step: int, title: str, text: str, level: str) -> None:
        """Send an alert, which W&B passes on by mail or Slack as its user has set it."""
        self._run.alert(title=title, text=f"step {step}: {text}", level=level)

    def summarise(self, results: Mapping[str, Any]) -> None:
        """Fill the table of runs."""
        self._run.summary.update(dict(results))

    def model(self, directory: Path, name: str, aliases: Sequence[str]) -> None:
        """Log a reference to a directory: a few kilobytes, whatever its size; nothing is copied or sent."""
        artifact = self._module.Artifact(name, type="model", metadata={"directory": str(directory.resolve())})
        artifact.add_reference(f"file://{directory.resolve()}", checksum=False)
        self._run.log_artifact(artifact, aliases=list(aliases))

    def finish(self, exit_code: int) -> None:
        """End the run."""
        self._run.finish(exit_code)

    def abandon(self) -> None:
        """Forget the service that has died, to which W&B would say goodbye at the end of the process, with a traceback."""
        with suppress(ConnectionError, SystemExit):  # the goodbye; how the service ended is no exit status of the run's
            self._module.teardown()
