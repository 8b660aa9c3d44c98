"""Progress on the terminal: a bar with the time left and where the time goes; plain lines where there is no terminal."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_PLAIN_EVERY_SECONDS = 10.0


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


class StepView:
    """Shows the steps of a run."""

    def __init__(self, *, total: int, done: int = 0, name: str = ""):
        self.console = Console(stderr=True)
        self.total = total
        self.name = name
        self._last_line = -_PLAIN_EVERY_SECONDS
        self._progress: Progress | None = None
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[line]}"),
            )
            self._progress = Progress(*columns, console=self.console)
            self._task = self._progress.add_task(name, total=total, completed=done, line="")
            self._progress.start()

    def show(self, step: int, metrics: Mapping[str, Any], timing: Mapping[str, float]) -> None:
        """Show one training step."""
        reward = _number(metrics.get("reward"))
        tokens = _number(metrics.get("completions/mean_length"), 0)
        accuracy = metrics.get("eval/accuracy")
        held_out = "" if accuracy is None else f"  held-out {_number(accuracy)}"
        seconds = "/".join(_number(timing.get(name, 0.0), 1) for name in ("sample", "score", "train"))
        line = f"reward {reward}  tokens {tokens}{held_out}  sample/score/train {seconds} s"
        self.update(step, line, urgent="eval/accuracy" in metrics)

    def update(self, step: int, line: str, *, urgent: bool = False) -> None:
        """Show `line` for `step`; without a terminal at most one line in ten seconds unless `urgent` or the last."""
        if self._progress is not None:
            self._progress.update(self._task, completed=step, line=line)
            return
        now = time.monotonic()
        is_last = step >= self.total
        is_due = now - self._last_line >= _PLAIN_EVERY_SECONDS
        if urgent or is_last or is_due:
            self._last_line = now
            self.console.print(f"{self.name} {step}/{self.total}  {line}", highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print lines above the bar, where there is one."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._progress is not None:
            self._progress.stop()

    def __enter__(self) -> "StepView":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
