"""How a process of a run ends when it fails or is told to stop: soon, with a status that says why, whatever it waits for.

    0    finished
    1    an error
    2    an error that the user can act on (LabError)
    130  stopped by Ctrl-C (SIGINT)
    143  stopped by SIGTERM: a cluster wants its machine back, or the launcher has seen another rank end

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
from types import FrameType
from typing import ClassVar, NoReturn

from problems.errors import LabError

Listener = Callable[[BaseException], bool | None]  # is told what ends the run; False: it knew that from another rank
GRACE_SECONDS = 4.0  # for reports and clean-up, from the moment it is clear that the run ends
_LEFT, _FAILED = 0, 255  # what the pipe carries besides the numbers of signals


def exit_status(error: BaseException) -> int:
    """Return the exit status of a process that `error` ends."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    return 2 if isinstance(error, LabError) else 1


def is_told_to_stop(error: BaseException) -> bool:
    """Whether a signal ended the run, and no fault."""
    return isinstance(error, KeyboardInterrupt | SystemExit)


class Guard:
    """Sees to it that this process ends within GRACE_SECONDS of an error, Ctrl-C or SIGTERM, if it has peers.

    In the main thread the first signal raises KeyboardInterrupt or SystemExit(143), which unwind as usual. In parallel the
    C half of Python's signal handling writes the signal's number into a pipe (signal.set_wakeup_fd), also while the main
    thread is stuck in C++, and a thread that reads the pipe ends the process when the main thread has not.
    A process without peers has nobody to wait for and nobody who waits: it may take its time, until a second Ctrl-C.
    """

    active: ClassVar["Guard | None"] = None  # the one of this process

    def __init__(self) -> None:
        Guard.active = self
        self.cause: BaseException | None = None  # what the first signal raised, or what `end_process` was given
        self._listeners: list[Listener] = []
        self._told = threading.Lock()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)  # set_wakeup_fd insists
        self._thread = threading.Thread(target=self._watch, daemon=True, name="guard")
        self._thread.start()
        self._in_main_thread = threading.current_thread() is threading.main_thread()
        if self._in_main_thread:  # signals cannot be handled from another
            self._pipe_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            self._handlers_before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}

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

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.cause is None:  # a second signal must not interrupt the clean-up
            self.cause = _cause_of(number)
            raise self.cause

    def _watch(self) -> None:
        first = self._next_word(None)
        assert first is not None, "without a deadline there is always a word"
        if first == _LEFT:
            return
        grace = _grace_seconds(first)
        deadline = None if grace is None else time.monotonic() + grace
        while deadline is None or time.monotonic() < deadline:
            word = self._next_word(deadline)
            if word == _LEFT:
                return
            if word == signal.SIGINT:
                if first == signal.SIGINT:  # Ctrl-C again: the user means it
                    break
                first = word  # the launcher, which heard of Ctrl-C too, was quicker with its SIGTERM than the terminal
        cause = _cause_of(first) if first != _FAILED else self.cause or SystemExit(1)
        self.tell(cause)
        status = exit_status(cause)
        text = f"rank {os.environ.get('RANK', '0')} was still waiting for something: ended with exit status {status}\n"
        os.write(2, text.encode())  # sys.stderr may be locked by the main thread
        os._exit(status)

    def _next_word(self, deadline: float | None) -> int | None:
        """Return the next number from the pipe that means something here, or None at the deadline."""
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._reader], [], [], left)[0]:
                return None
            word = os.read(self._reader, 1)[0]
            if word in (_LEFT, _FAILED, signal.SIGINT, signal.SIGTERM):
                return word


def _cause_of(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


def _grace_seconds(word: int) -> float | None:
    """Return how long the main thread has to end by itself after `word`; None: for ever."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    if word != signal.SIGTERM:
        return GRACE_SECONDS
    # the launcher sends the next rank of this machine its SIGTERM when this one has ended
    return GRACE_SECONDS / int(os.environ.get("LOCAL_SIZE", os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _exit_now(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a reader that has gone, a stream that is closed
            stream.flush()
    os._exit(status)
