"""Metrics: always to files, mirrored to Weights & Biases. A dead or missing W&B never stops a run.

W&B steps are our own (`define_metric`): its internal counter drops records that are logged again after a resume.
"""

import netrc
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rl.settings.schema import RunConfig, SftConfig, TrackingSettings
from rl.tracking.run_directory import JsonDict, RunDirectory

STEP_KEY = "train/global_step"


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


class Tracker:
    """Writes records to the run directory and mirrors them. Only rank 0 makes one."""

    def __init__(
        self,
        run: RunDirectory,
        settings: TrackingSettings,
        *,
        job_type: str,
        config: Mapping[str, Any],
        wandb_id: str | None = None,
    ):
        self.run = run
        self.settings = settings
        self._wandb: Any = None  # the run in W&B, None without one
        self._module: Any = None  # imported only where it is used: it takes a second
        mode = wandb_mode(settings)
        if mode != "disabled":
            self._try("start", lambda: self._start(mode, job_type, config, wandb_id))

    def _start(self, mode: str, job_type: str, config: Mapping[str, Any], wandb_id: str | None) -> None:
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        self._module = wandb
        # without the interval an offline run that is killed keeps nothing of its last 15 seconds; console output is no metric
        settings = wandb.Settings(x_transaction_log_flush_interval=1.0, init_timeout=15, console="off")  # type: ignore[call-arg]
        self._wandb = wandb.init(
            project=self.settings.project,
            group=self.settings.group or self.run.path.name,
            name=self.run.path.name,
            job_type=job_type,
            dir=str(self.run.path.resolve()),  # a service that a parent process started may stand in another directory
            mode=mode,  # type: ignore[arg-type]
            id=wandb_id,
            resume="allow",
            config=dict(config),
            settings=settings,
        )
        self._wandb.define_metric(STEP_KEY)
        for prefix in ("train/*", "eval/*", "time/*", "perf/*"):
            self._wandb.define_metric(prefix, step_metric=STEP_KEY)

    @property
    def wandb_id(self) -> str | None:
        """The W&B run id, to be kept in checkpoints."""
        return self._wandb.id if self._wandb is not None else None

    def _try(self, what: str, action: Callable[[], object]) -> None:
        """Do something with W&B; on any failure say so once and go on without it."""
        try:
            action()
        except Exception as error:  # a tracker of any fault must not cost the run
            self._wandb = None
            first_line = str(error).strip().split("\n")[0][:200]
            reason = f"{type(error).__name__}: {first_line}"
            print(f"W&B could not {what} ({reason}); going on with metrics.jsonl only", file=sys.stderr)

    def log(self, step: int, metrics: Mapping[str, Any], timing: Mapping[str, float] | None = None) -> None:
        """Record one step: `metrics` must be what the run computes, `timing` what the machine took."""
        self.run.append("metrics.jsonl", {"step": step, **metrics})
        if timing is not None:
            self.run.append("timing.jsonl", {"step": step, **timing})
        if self._wandb is None:
            return
        mirrored: JsonDict = {STEP_KEY: step}
        for key, value in metrics.items():
            mirrored[key if key.startswith("eval/") else f"train/{key}"] = value
        for key, seconds in (timing or {}).items():
            mirrored[key if "/" in key else f"time/{key}"] = seconds
        self._try("log", lambda: self._wandb.log(mirrored))

    def table(self, step: int, name: str, records: Sequence[JsonDict]) -> None:
        """Log a table with a line for each record; all records must have the same keys."""
        if self._wandb is None:
            return
        table = self._module.Table(columns=list(records[0]), data=[list(record.values()) for record in records])
        self._try("log a table", lambda: self._wandb.log({STEP_KEY: step, name: table}))

    def summarise(self, results: Mapping[str, Any]) -> None:
        """Tell the mirror how the run came out, for its table of runs."""
        if self._wandb is not None:
            self._try("keep a summary", lambda: self._wandb.summary.update(dict(results)))

    def finish(self, exit_code: int = 0) -> None:
        """Close the mirror."""
        if self._wandb is not None:
            self._try("finish", lambda: self._wandb.finish(exit_code))


@contextmanager
def open_tracker(
    run: RunDirectory, config: RunConfig | SftConfig, job_type: str, wandb_id: str | None = None
) -> Iterator[Tracker]:
    """Open the metrics and their mirror; it is told whether the run ended well."""
    tracker = Tracker(run, config.tracking, job_type=job_type, config=config.model_dump(mode="json"), wandb_id=wandb_id)
    try:
        yield tracker
    except BaseException:
        tracker.finish(exit_code=1)
        raise
    tracker.finish()
