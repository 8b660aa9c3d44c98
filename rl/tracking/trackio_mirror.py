"""trackio: a database on this machine, shown by `trackio show`. Needs the package `trackio`; written against 0.43."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

from rl.tracking.mirrors import About, Mirror, numbers
from rl.tracking.run_directory import JsonDict


class Trackio(Mirror):
    """Numbers, histograms, tables and alerts in a local project of trackio."""

    def __init__(self, about: About):
        import trackio
        from trackio.sqlite_storage import SQLiteStorage

        self._module = trackio
        name = f"{about.group}/{about.name}-{about.id}"  # trackio tells runs apart by their names alone
        with _silent():
            shown = SQLiteStorage.get_max_step_for_run(about.project, name)
            self._run = trackio.init(
                project=about.project,
                name=name,
                group=about.group,
                config={**about.config, "job_type": about.job_type},
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        self._shown_step = -1 if shown is None else int(shown)

    def log(self, step: int, values: Mapping[str, Any], distributions: Mapping[str, Sequence[float]]) -> None:
        """Add a step, unless a process that was killed has."""
        if step <= self._shown_step:
            return
        histograms = {name: self._module.Histogram(members) for name, members in distributions.items() if len(members)}
        self._run.log({**numbers(values), **histograms}, step=step)

    def catch_up(self, step: int, values: Mapping[str, Any]) -> None:
        """Add a step that is not there yet."""
        self.log(step, values, {})

    def table(self, step: int, name: str, records: Sequence[JsonDict]) -> None:
        """Add a table of this step."""
        if step <= self._shown_step:
            return
        table = self._module.Table(columns=list(records[0]), data=[list(record.values()) for record in records])
        self._run.log({name: table}, step=step)

    def alert(self, step: int, title: str, text: str, level: str) -> None:
        """Raise an alert of trackio's."""
        with _silent():  # it would be printed a second time
            self._run.alert(title=title, text=text, level=self._module.AlertLevel[level])

    def finish(self, exit_code: int) -> None:
        """Write what is left and end the run."""
        with _silent():
            self._run.finish()


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what trackio prints for notebooks out of the terminal."""
    with redirect_stdout(io.StringIO()):
        yield
