"""What each rank does now, written down every second, so that whoever waits can be told for whom.

    RUN/ranks/rank-N.json    what the rank does, since when, and when it last got anywhere
    RUN/ranks/rank-N.stacks  where all of its threads stood, each time it got nowhere for long
    RUN/stalls.log           what was said of that in the terminal

The work itself only names its phases (`doing`) and counts what it gets done (`Now.marks`); a thread does the rest. It also
looks for the file STOP, and writes it where its own rank was told to stop, so that the others hear of it between boundaries.

A rank stalls when it gets nowhere: nothing was counted, and its phase has not changed. A rank that waits in an exchange is held
up by those that have come to fewer of them: all ranks come to all exchanges, in the same order.

Left out: what happens inside of DeepSpeed's own collectives, where a rank that waits and one that hangs look alike.
"""

import contextlib
import faulthandler
import json
import math
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from problems.telling import warn
from rl.stopping import PREEMPTED, Guard, told_to_stop

BEAT_SECONDS = 1.0
SILENT_SECONDS = 30.0  # without a beat; a loaded file server may be late by some
_LATE_SECONDS = 90.0  # that a file server may take to show what another machine has written
EXCHANGE = "exchange"
RANKS, STOP, STALLS = "ranks", "STOP", "stalls.log"
_BY_A_RANK = "rank "  # what the file begins with where no user wrote it
_SLACK = 1.5  # of a second: what two looks at the same clock may differ by


@dataclass(frozen=True, eq=False)
class Phase:
    """What a rank is doing."""

    name: str
    began: float  # seconds of time.monotonic
    detail: Callable[[], str] | None = None  # how far it has come, in words; asked from another thread
    patience: float = 0.0  # seconds without any progress that are usual here


class Now:
    """What this process does now; only its main work says so, and another thread reads it."""

    phase: ClassVar[Phase] = Phase("starting", time.monotonic(), patience=float("inf"))
    marks: ClassVar[int] = 0  # grows with every piece of work that is done: a token of all rows, a micro-batch, a file
    exchanges: ClassVar[int] = 0  # that this rank has come to
    worker: ClassVar[int] = threading.get_ident()  # the thread that does the main work


@contextmanager
def doing(name: str, detail: Callable[[], str] | None = None, patience: float = 0.0) -> Iterator[None]:
    """Say what is done inside; from threads beside the main work nothing is said."""
    if threading.get_ident() != Now.worker:
        yield
        return
    before, Now.phase = Now.phase, Phase(name, time.monotonic(), detail, patience)
    try:
        yield
    finally:
        Now.phase = before
        Now.marks += 1


@contextmanager
def exchanging() -> Iterator[None]:
    """Be in an exchange inside; where it breaks off, say for whom this rank waited."""
    Now.exchanges += 1
    with doing(EXCHANGE):
        try:
            yield
        except RuntimeError as error:
            missing = "" if Heart.active is None else Heart.active.missing()
            if not missing:
                raise
            raise RuntimeError(f"{error}; this rank waited for {missing}") from error


def wall_clock() -> float:
    """Return seconds since 1970: it may be set back, but is the only clock that processes of several machines share."""
    return time.time()  # noqa: TID251


def clear(run: Path) -> None:
    """Remove what an earlier process of this run has left; to be called once, before the ranks begin."""
    shutil.rmtree(run / RANKS, ignore_errors=True)
    (run / STOP).unlink(missing_ok=True)
    (run / RANKS).mkdir(parents=True, exist_ok=True)


def is_stopped_by_hand(run: Path) -> bool:
    """Whether there is a file STOP that no rank has written."""
    try:
        return not (run / STOP).read_text(encoding="utf-8", errors="replace").startswith(_BY_A_RANK)
    except OSError:
        return False


def read_beat(run: Path, rank: int) -> dict[str, Any] | None:
    """Return what a rank wrote last: rank, pid, host, time, phase, seconds in it, seconds without progress, exchanges."""
    return read_object(run / RANKS / f"rank-{rank}.json")


def read_status(run: Path) -> dict[str, Any] | None:
    """Return what a run directory's status.json says, None where there is none to be read (yet, or from this machine)."""
    return read_object(run / "status.json")


def read_object(path: Path) -> dict[str, Any] | None:
    """Return the object of JSON in a file, None where there is none to be read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def silence(beat: Mapping[str, Any]) -> float:
    """Return seconds since a beat was written.

    Infinite where its time is to come, by more than clocks differ: the clock was set back, and the rank has not beaten since.
    """
    seconds: float = wall_clock() - beat["time"]
    return math.inf if seconds < -SILENT_SECONDS else max(0.0, seconds)


class Heart:
    """Writes this rank's beats and says when it, or the run, gets nowhere. Use as a context manager in the main thread."""

    active: ClassVar["Heart | None"] = None  # the one of this process

    def __init__(self, run: Path, rank: int, world_size: int, stall_seconds: float, start: str = "") -> None:
        self.run, self.rank, self.world_size, self.stall_seconds = run, rank, world_size, stall_seconds
        self.start = start  # of which this rank is, as status.json names it
        self._has_seen_itself, self._began = False, time.monotonic()
        self._seen: tuple[Phase, int, str] = (Now.phase, Now.marks, "")
        self._changed = time.monotonic()
        self._said = 0  # times, of this stall
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat_until_the_end, daemon=True, name="heartbeat")

    def __enter__(self) -> "Heart":
        Now.worker = threading.get_ident()
        Heart.active = self
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        Heart.active = None

    def missing(self) -> str:
        """Return in words which ranks have not come to the exchange that this one is in; "" where nobody knows."""
        late = []
        for other in range(self.world_size):
            beat = None if other == self.rank else read_beat(self.run, other)
            if beat is None or beat.get("exchanges", 0) >= Now.exchanges:
                continue
            silent, was_doing = silence(beat), described(beat["phase"])
            has_done = f"has been {was_doing} for {beat['seconds'] + silent:.0f} s"
            if silent > SILENT_SECONDS:
                since = "since the clock was set back" if math.isinf(silent) else f"for {silent:.0f} s"
                has_done = f"has given no sign of life {since} (it was {was_doing})"
            late.append(f"rank {other}, which {has_done}")
        return ", ".join(late)

    def _beat_until_the_end(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # a full disk or a lost one is for the run itself to find
                self._beat()
            if self._ended.wait(min(BEAT_SECONDS, self.stall_seconds / 4)):
                return

    def _beat(self) -> None:
        self._end_if_left_behind()
        phase, marks = Now.phase, Now.marks
        detail = "" if phase.detail is None else phase.detail()
        if self._seen != (phase, marks, detail):
            if self._said:
                self._say(f"rank {self.rank} goes on after {time.monotonic() - self._changed:.0f} s")
            self._seen, self._changed, self._said = (phase, marks, detail), time.monotonic(), 0
        now = time.monotonic()
        self._write(phase, detail, now)
        self._spread_the_word()
        still, limit = now - self._changed, max(self.stall_seconds, phase.patience)
        if still > limit * 2**self._said:
            self._said += 1
            self._report(phase, detail, now)

    def _end_if_left_behind(self) -> None:
        """End this process where another start has taken the run over: this machine was cut off, and given up for lost.

        Nothing more is written, neither in the run's files nor about how it ended: they are the other's.
        """
        status = read_status(self.run) or {}
        theirs = status.get("start", self.start)
        self._has_seen_itself = self._has_seen_itself or theirs == self.start  # before that, a file server may be late
        if theirs == self.start or status.get("status") != "running":
            return
        if self._has_seen_itself or time.monotonic() > self._began + _LATE_SECONDS:
            os.write(2, f"rank {self.rank} ends: {self.run} is being worked on by another start of the run\n".encode())
            os._exit(PREEMPTED)

    def _write(self, phase: Phase, detail: str, now: float) -> None:
        record = {
            "rank": self.rank,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "time": wall_clock(),
            "phase": phase.name,
            "detail": detail,
            "seconds": round(now - phase.began, 1),
            "still": round(now - self._changed, 1),
            "exchanges": Now.exchanges,
        }
        self._put(self.run / RANKS / f"rank-{self.rank}.json", json.dumps(record))

    def _put(self, file: Path, text: str) -> None:
        """Have a file appear whole, for whoever reads it meanwhile; it need not survive a loss of power, so no fsync."""
        temporary = self.run / RANKS / f".rank-{self.rank}.tmp"
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, file)

    def _spread_the_word(self) -> None:
        """Tell this rank what the file STOP says, or write it where this rank was told otherwise."""
        file, told, ours = self.run / STOP, told_to_stop(), f" (start {self.start})" if self.start else ""
        if told is None and file.exists():
            words = file.read_text(encoding="utf-8", errors="replace").strip()
            by_a_rank = words.startswith(_BY_A_RANK)
            if by_a_rank and not words.endswith(ours):  # of another start, which has no say in this one
                file.unlink()
            elif Guard.active is not None:
                said = words.removesuffix(ours) if by_a_rank else f"{STOP}: {words}" if words else f"the file {STOP}"
                Guard.active.ask(said[:200])
        elif told is not None and not file.exists():
            self._put(file, f"{_BY_A_RANK}{self.rank}: {told.reason}{ours}\n")

    def _report(self, phase: Phase, detail: str, now: float) -> None:
        if self._said == 1:
            with open(self.run / RANKS / f"rank-{self.rank}.stacks", "a", encoding="utf-8") as file:
                file.write(f"-- {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}, {phase.name}\n")
                file.flush()
                faulthandler.dump_traceback(file, all_threads=True)
        seconds = now - phase.began
        if phase.name == EXCHANGE:
            if self._speaks_for_those_who_wait():
                self._say(f"rank {self.rank} has waited {seconds:.0f} s for {self.missing() or 'the other ranks'}")
            return
        words = f"rank {self.rank} has been {described(phase.name)} for {seconds:.0f} s"
        if now - self._changed < seconds - _SLACK:
            words += f" and got nowhere in the last {now - self._changed:.0f} s"
        self._say(words + (f", {detail}" if detail else "") + f"; its threads stand in {RANKS}/rank-{self.rank}.stacks")

    def _speaks_for_those_who_wait(self) -> bool:
        """Whether this rank is the first of those that wait: one says it for all."""
        before = (read_beat(self.run, rank) for rank in range(self.rank))
        return not any(beat["phase"] == EXCHANGE and silence(beat) < SILENT_SECONDS for beat in before if beat)

    def _say(self, words: str) -> None:
        warn(words)
        with open(self.run / STALLS, "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {words}\n")


def described(phase: str) -> str:
    """Return a phase as it stands behind "has been"."""
    return "waiting for other ranks" if phase == EXCHANGE else phase
