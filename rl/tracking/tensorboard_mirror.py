"""TensorBoard: event files below the run directory (`tensorboard --logdir runs`). Needs the package `tensorboard`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl.tracking.mirrors import About, Mirror, numbers
from rl.tracking.run_directory import JsonDict

DIRECTORY = "tensorboard"
_FLUSH_SECONDS = 10


class TensorBoard(Mirror):
    """Scalars, histograms, and tables and alerts as text."""

    def __init__(self, about: About):
        from torch.utils.tensorboard import SummaryWriter

        # what a killed process wrote of the steps that come again is hidden by TensorBoard itself
        self._writer = SummaryWriter(
            log_dir=str(about.directory / DIRECTORY), purge_step=about.first_step, flush_secs=_FLUSH_SECONDS
        )
        self._writer.add_text("config", _code(json.dumps(about.config, indent=1, default=str)), about.first_step)

    def log(self, step: int, values: Mapping[str, Any], distributions: Mapping[str, Sequence[float]]) -> None:
        """Write scalars and histograms."""
        for name, value in numbers(values).items():
            self._writer.add_scalar(name, value, step)
        for name, members in distributions.items():
            if len(members):
                self._writer.add_histogram(name, np.asarray(members, dtype=float), step)

    def table(self, step: int, name: str, records: Sequence[JsonDict]) -> None:
        """Write the records as text, each as indented JSON: what models write is never taken for markup."""
        shown = "\n".join(json.dumps(record, indent=1, ensure_ascii=False) for record in records)
        self._writer.add_text(name, _code(shown), step)

    def alert(self, step: int, title: str, text: str, level: str) -> None:
        """Write an alert as text."""
        self._writer.add_text("alerts", _code(f"{level}: {title}\n{text}"), step)

    def model(self, directory: Path, name: str, aliases: Sequence[str]) -> None:
        """Leave models out: TensorBoard has no place for them."""

    def finish(self, exit_code: int) -> None:
        """Flush and close the file."""
        self._writer.close()


def _code(text: str) -> str:
    """Return Markdown that shows `text` as it stands: lines set in by four are code."""
    return "\n".join(f"    {line}" for line in text.splitlines())
