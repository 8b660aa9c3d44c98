"""How a process of a run ends when it fails or is told to stop: soon, with a status that says why, whatever it waits for.

    0    finished
    1    an error, or a disk that fails and may not do so again
    2    an error that the user can act on (LabError)
    75   told to stop by SIGTERM, SIGUSR1 or a file STOP in the run directory, and ended at a boundary: start it again
    130  stopped by Ctrl-C (SIGINT)
    143  the same as 75 where there is no boundary (yet), or none came in time, or another rank was a moment earlier

A run has boundaries while it does its work (`Guard.at_boundaries`): moments at which all ranks agree that one of them was told
to stop (rl/exchange.py), so that they can still save together. Work that may be thrown away is left before that
(`leave_if_told`). Elsewhere, at the start for instance, a signal ends the process where it is.

Why it takes more than an exception: a rank that waits for another (gloo, NCCL, the store) is inside C++, where Python's
signal handlers do not run, and the deepspeed launcher gives each rank up to 30 seconds before it kills, one rank after
another (deepspeed 0.19.8, launcher/launch.py, terminate_process_tree). So a thread keeps the time.

Left out: a launcher that is killed itself, or whose front process (deepspeed.launcher.runner) alone is told to stop, tells
its ranks nothing, and they go on.
"""

import atexit
import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import ClassVar, NoReturn

from problems.errors import LabError

Listener = Callable[[BaseException], bool | None]  # is told what ends the run; False: it knew that from another rank
GRACE_SECONDS = 4.0  # for reports and clean-up, from the moment it is clear that the run ends
PREEMPTED, INTERRUPTED = 75, 128 + signal.SIGINT
_HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_LEFT, _FAILED, _ASKED = 0, 255, 254  # what the pipe carries besides the numbers of signals
_may_leave: ContextVar[bool] = ContextVar("_may_leave", default=False)  # of this thread: others begin without


@dataclass(frozen=True)
class Told:
    """What asks a run to end at its next boundary, and the exit status that stands for it."""

    reason: str
    status: int = PREEMPTED


class Leaving(Exception):
    """This rank leaves work that may be thrown away, to meet the others; never seen outside of `rl.exchange.gathered`."""

    def __init__(self, told: Told) -> None:
        super().__init__(told.reason)
        self.told = told


class Preempted(SystemExit):
    """The run ends at a boundary, as it was told to. Raised on all ranks at the same place, so they may still save together."""

    def __init__(self, told: Told) -> None:
        super().__init__(told.status)
        self.told = told

    def __str__(self) -> str:
        return self.told.reason


def told_to_stop() -> Told | None:
    """Return what has told this rank to end at the next boundary."""
    return None if Guard.active is None else Guard.active.told


@contextmanager
def may_be_left() -> Iterator[None]:
    """Have `leave_if_told` leave the work inside, in this thread alone."""
    token = _may_leave.set(True)
    try:
        yield
    finally:
        _may_leave.reset(token)


def leave_if_told() -> None:
    """Raise Leaving where this rank was told to stop and what it does may be left; nearly free."""
    guard = Guard.active
    if guard is not None and guard.told is not None and _may_leave.get():
        raise Leaving(guard.told)


def exit_status(error: BaseException) -> int:
    """Return the exit status of a process that `error` ends."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    return error.exit_status if isinstance(error, LabError) else 1


def is_told_to_stop(error: BaseException) -> bool:
    """Whether a signal ended the run, and no fault."""
    return isinstance(error, KeyboardInterrupt | SystemExit)


class Guard:
    """Sees to it that this process ends soon after an error or being told to stop.

    In the main thread the first signal raises KeyboardInterrupt or SystemExit(143), which unwind as usual. In parallel the
    C half of Python's signal handling writes the signal's number into a pipe (signal.set_wakeup_fd), also while the main
    thread is stuck in C++, and a thread that reads the pipe ends the process, GRACE_SECONDS later, when the main thread has
    not. A process without peers has nobody to wait for and nobody who waits: it may take its time, until a second Ctrl-C.

    Where there are boundaries the first signal is only noted, in `told`, and all of the above begins when the time for
    reaching one is up. A second Ctrl-C ends the process at once.
    """

    active: ClassVar["Guard | None"] = None  # the one of this process

    def __init__(self) -> None:
        Guard.active = self
        self.cause: BaseException | None = None  # what the first signal raised, or what `end_process` was given
        self.told: Told | None = None
        self._seconds_to_boundary: float | None = None  # None: there are no boundaries
        self._is_late = False  # no boundary came in time
        self._is_over = False  # none will come: all was done, and what is left is to conclude
        self._listeners: list[Listener] = []
        self._told = threading.Lock()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)  # set_wakeup_fd insists
        self._thread = threading.Thread(target=self._watch, daemon=True, name="guard")
        self._thread.start()
        self._in_main_thread = threading.current_thread() is threading.main_thread()
        if self._in_main_thread:  # signals cannot be handled from another
            self._pipe_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            self._handlers_before = {number: signal.signal(number, self._stop) for number in _HEARD}

    def close(self) -> None:
        """Stop watching and put the signal handlers back."""
        if self._in_main_thread:
            for number, handler in self._handlers_before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._pipe_before)
        os.write(self._writer, bytes([_LEFT]))
        self._thread.join()
        os.close(self._reader)
        os.close(self._writer)
        Guard.active = None

    @contextmanager
    def telling(self, listener: Listener | None) -> Iterator[None]:
        """Have `listener` told if the run ends inside."""
        if listener is not None:
            self._listeners.append(listener)
        yield
        if listener is not None:
            self._listeners.remove(listener)  # after an error it stays, to be told further out

    def tell(self, cause: BaseException) -> bool:
        """Tell the listeners, once, whether this thread or the guard's is the first; return whether it was news to all."""
        if not self._told.acquire(blocking=False):
            return False
        is_news = True
        for listener in self._listeners:
            with contextlib.suppress(OSError):  # a full disk must not hide what happened first
                is_news = listener(cause) is not False and is_news
        return is_news

    def end_process(self, cause: BaseException) -> None:
        """Let the process end with the status of `cause`: as soon as its errors are reported, or when the time is up.

        The interpreter's own teardown is left out: it waits for threads of C++ that may wait for a peer.
        """
        self.cause = cause
        atexit.register(_exit_now, exit_status(cause))
        os.write(self._writer, bytes([_FAILED]))

    @contextmanager
    def at_boundaries(self, seconds: float) -> Iterator[None]:
        """Inside, have what asks this process to stop only noted: it is at a boundary within `seconds`, or ends where it is."""
        self._seconds_to_boundary, self._is_over = seconds, False
        try:
            yield
            self._is_over = True
        except Preempted:
            self._is_over = True  # the boundary was reached; trackers may take their time
            raise
        finally:
            self._seconds_to_boundary = None

    def ask(self, reason: str) -> None:
        """Ask this process to end at its next boundary; where there are none, nothing happens."""
        if self._seconds_to_boundary is not None and self.told is None:
            self.told = Told(reason)
            os.write(self._writer, bytes([_ASKED]))

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.cause is not None:  # a second signal must not interrupt the clean-up
            return
        if not self._is_late and (self.told is not None or self._seconds_to_boundary is not None):
            self._note(number)  # a signal may come twice, and behind the boundary too
            return
        self.cause = _cause_of(number if self.told is None else _number_of(self.told))
        raise self.cause

    def _note(self, number: int) -> None:
        """Note what a signal asks for; of several the user's own counts, though a launcher may be quicker with its SIGTERM."""
        if self.told is None or number == signal.SIGINT:
            status = INTERRUPTED if number == signal.SIGINT else PREEMPTED
            self.told = Told(signal.Signals(number).name, status)

    def _watch(self) -> None:
        first = self._next_word(None)
        assert first is not None, "without a deadline there is always a word"
        if first not in (_LEFT, _FAILED) and self._seconds_to_boundary is not None:
            first = self._until_boundary(first, self._seconds_to_boundary)
        if first == _LEFT:
            return
        grace = GRACE_SECONDS if self._is_late else _grace_seconds(first)
        deadline = None if grace is None else time.monotonic() + grace
        while deadline is None or time.monotonic() < deadline:
            word = self._next_word(deadline)
            if word == _LEFT:
                return
            if word == signal.SIGINT:
                if first == signal.SIGINT:  # Ctrl-C again: the user means it
                    break
                first = word  # the launcher, which heard of Ctrl-C too, was quicker with its SIGTERM than the terminal
        self._end(_cause_of(first) if first != _FAILED else self.cause or SystemExit(1))

    def _until_boundary(self, word: int, seconds: float) -> int:
        """Wait for the main thread to be at a boundary; return the word with which the process ends."""
        deadline = time.monotonic() + seconds
        if word != _ASKED:
            self._note(word)
        if os.environ.get("RANK", "0") == "0":
            assert self.told is not None
            _complain(
                f"told to stop ({self.told.reason}): at the next boundary, within {seconds:g} s; Ctrl-C ends it at once\n"
            )
        was_interrupted = word == signal.SIGINT
        while (further := self._next_word(deadline)) is not None:
            if further in (_LEFT, _FAILED):
                return further
            if further == signal.SIGINT and was_interrupted:
                self._end(KeyboardInterrupt())
            if further != _ASKED:
                self._note(further)
            was_interrupted |= further == signal.SIGINT
        if self._is_over:
            return self._until_the_end(was_interrupted)
        self._is_late = True
        if self._in_main_thread:
            os.kill(os.getpid(), signal.SIGTERM)  # now the main thread may be interrupted wherever it is
        assert self.told is not None
        return _number_of(self.told)

    def _until_the_end(self, was_interrupted: bool) -> int:
        """Wait for a run to conclude that was told to stop when all was done; return the word with which it ends."""
        while (word := self._next_word(None)) not in (_LEFT, _FAILED):
            if word == signal.SIGINT and was_interrupted:
                self._end(KeyboardInterrupt())
            was_interrupted |= word == signal.SIGINT
        return word

    def _end(self, cause: BaseException) -> NoReturn:
        """Tell the listeners and end the process from this thread."""
        telling = threading.Thread(target=self.tell, args=(cause,), daemon=True)
        telling.start()
        telling.join(GRACE_SECONDS)  # on a file server that hangs it takes for ever
        status = exit_status(cause)
        _complain(f"rank {os.environ.get('RANK', '0')} was still waiting for something: ended with exit status {status}\n")
        os._exit(status)

    def _next_word(self, deadline: float | None) -> int | None:
        """Return the next number from the pipe that means something here, or None at the deadline."""
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._reader], [], [], left)[0]:
                return None
            word = os.read(self._reader, 1)[0]
            if word in (_LEFT, _FAILED, _ASKED, *_HEARD):
                return word


def _complain(text: str) -> None:
    os.write(2, text.encode())  # sys.stderr may be locked by the main thread


def _cause_of(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + signal.SIGTERM)


def _number_of(told: Told) -> int:
    return signal.SIGINT if told.status == INTERRUPTED else signal.SIGTERM


def _grace_seconds(word: int) -> float | None:
    """Return how long the main thread has to end by itself after `word`; None: for ever."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    if word in (signal.SIGINT, _FAILED):
        return GRACE_SECONDS
    # the launcher sends the next rank of this machine its SIGTERM when this one has ended
    return GRACE_SECONDS / int(os.environ.get("LOCAL_SIZE", os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _exit_now(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a reader that has gone, a stream that is closed
            stream.flush()
    os._exit(status)
