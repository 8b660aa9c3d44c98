"""How far long work is, and the time left: a bar on a terminal, now and then a line elsewhere, nothing where it is quiet.

A terminal that cannot move its cursor (TERM=dumb) gets lines too; colours are left to rich, which honours NO_COLOR.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from problems.telling import is_quiet, warn

if TYPE_CHECKING:
    from rich.progress import Progress as Bar  # loaded only where there is a terminal

T = TypeVar("T")
_LINE_EVERY_SECONDS = 30.0
_TENTH_EVERY_SECONDS = 5.0  # a tenth of the work is a reason for a line, if the last one is so long ago
_MARKS, _MARK_EVERY_SECONDS = 30, 1.0  # the steps that the time left is told by: so many of the last, so far apart


def has_cursor() -> bool:
    """Whether stderr is a terminal on which a line can be written over."""
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def clock(seconds: float) -> str:
    """Return a duration as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


class Pace:
    """Tells the time left from how fast the last part of the work went."""

    def __init__(self, total: float | None, done: float, now: float):
        self.total = total
        self._marks = deque([(now, done)], maxlen=_MARKS)
        self._has_start = True

    def mark(self, done: float, now: float) -> None:
        """Take note of how much is done."""
        if len(self._marks) > 1 and now - self._marks[-2][0] < _MARK_EVERY_SECONDS:
            self._marks.pop()
        self._marks.append((now, done))
        if self._has_start and now - self._marks[1][0] >= _MARK_EVERY_SECONDS:
            self._marks.popleft()  # the first step pays for what is made once: it counts while there is no other
            self._has_start = False

    def left(self, now: float) -> float | None:
        """Return the seconds that are left, None where nobody can know."""
        (began, first), (last, done) = self._marks[0], self._marks[-1]
        if self.total is None or done <= first:
            return None
        return max(0.0, (self.total - done) * (last - began) / (done - first) - (now - last))


class Progress:
    """Shows how far one piece of work is. Use as a context manager, or close it.

    total: how much there is to do, None where that is not known. unit: what is counted, if the name does not say so.
    """

    def __init__(self, name: str, total: float | None, *, done: float = 0, unit: str = ""):
        self.name, self.total, self.done = name, total, done
        self._unit = f" {unit}" if unit else ""
        self._stderr = sys.stderr  # as it is now: transformers' own bars are hidden by putting another in its place
        self._began = self._last_line = time.monotonic()
        self._tenths = self._tenths_done()
        self._has_news = False  # a line was written
        self._pace = Pace(total, done, self._began)
        self._bar: Bar | None = None
        if has_cursor() and not is_quiet():
            self._open_bar()

    def update(self, done: float, line: str = "", *, urgent: bool = False) -> None:
        """Say how much is done, and `line` about it; without a bar the first, the last and an `urgent` line are always said."""
        now = time.monotonic()
        self.done = done
        self._pace.mark(done, now)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, count=self._count(), line=line)
            return
        waited = now - self._last_line
        is_tenth = self._tenths_done() > self._tenths and waited >= _TENTH_EVERY_SECONDS
        is_news = bool(line) and (urgent or not self._has_news or done == self.total)
        if is_news or is_tenth or waited >= _LINE_EVERY_SECONDS:
            self._last_line, self._tenths, self._has_news = now, self._tenths_done(), True
            left = self._pace.left(now)
            time_left = () if left is None or done == self.total else (f"{clock(left)} left",)
            if not is_quiet():
                parts = [f"{self.name} {self._count()}", *time_left, *((line,) if line else ())]
                print("  ".join(parts), file=self._stderr, flush=True)

    def total_is(self, total: float) -> None:
        """Say how much there is to do, where that becomes known later."""
        self.total = self._pace.total = total
        if self._bar is not None:
            self._bar.update(self._task, total=total)

    def advance(self, more: float = 1) -> None:
        """Say that so much more is done."""
        self.update(self.done + more)

    def say(self, words: str) -> None:
        """Say what must not be missed, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(words, highlight=False, markup=False, soft_wrap=True)
        else:
            warn(words)

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _count(self) -> str:
        of_all = "" if self.total is None else f"/{self.total:.0f}"
        return f"{self.done:.0f}{of_all}{self._unit}"

    def _tenths_done(self) -> int:
        return int(10 * self.done / self.total) if self.total else 0

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar
        from rich.text import Text

        pace = self._pace

        class TimeLeft(ProgressColumn):
            """Not rich's own, which knows nothing of steps that take longer than half a minute."""

            def render(self, task: Task) -> Text:
                """Return how much time is left."""
                left = None if task.finished else pace.left(time.monotonic())
                return Text("" if left is None else f"{clock(left)} left", style="progress.remaining")

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            TimeLeft(),
            TextColumn("{task.fields[line]}", markup=False),
        )
        # rich puts what is printed above the bar; a stdout that goes elsewhere must not end up on this terminal
        self._bar = Bar(*columns, console=Console(file=sys.stderr), refresh_per_second=4, redirect_stdout=sys.stdout.isatty())
        self._task = self._bar.add_task(self.name, total=self.total, count=self._count(), line="")
        self._bar.update(self._task, completed=self.done)  # what add_task takes is an int
        self._bar.start()


def followed(items: Iterable[T], name: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, showing how many of them are done; the number of those that have none (a stream) is `total`."""
    with Progress(name, len(items) if isinstance(items, Sized) else total) as progress:
        for item in items:
            yield item
            progress.advance()
