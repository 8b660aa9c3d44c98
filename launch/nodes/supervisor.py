"""Attempts at a run: start every machine's agent, pass signals on, watch status.json, and see that all of them end.

Each command runs in a session of its own, so that Ctrl-C at the terminal reaches this process alone, which tells the agents
on their stdin; they tell the ranks. Where one machine ends with an error the others are told to stop: their ranks would wait
for it as long as a collective may, an hour.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from launch.nodes.commands import NodeCommand
from launch.nodes.hosts import HostError
from launch.nodes.outcome import Outcome, judged
from problems.telling import warn
from rl.heartbeat import read_status

_LOOK_SECONDS = 0.2
_GREET_SECONDS = 5.0  # much shorter than the silence that an agent minds
_LINGER_SECONDS = 120.0  # for processes to end by themselves once status.json says that the run has
_AFTER_AGENTS_SECONDS = 15.0  # for an agent's connection to end, after it has killed what took no notice


class Attempt:
    """The processes of one attempt; what they print goes to `output` where there is one."""

    def __init__(self, commands: Sequence[NodeCommand], output: BinaryIO | None = None) -> None:
        self.codes: dict[str, int] = {}  # exit status of each host's command that has ended
        self.first: str | None = None  # the host that ended first with another status than 0
        self._ends_at: float | None = None  # then the commands themselves are killed, whatever their agents do
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._patience = max(command.patience_seconds for command in commands) + _AFTER_AGENTS_SECONDS
        for command in commands:
            try:
                process = subprocess.Popen(
                    command.words, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
                )
            except FileNotFoundError:  # those that were started end with this process
                raise HostError(f"{command.words[0]} is not installed here, and {command.host} is reached by it") from None
            self._running[command.host] = process
            _say_to(process, json.dumps(command.environment))

    def tell(self, number: int) -> None:
        """Have every rank that is left get a signal, and be killed if it takes no notice."""
        for process in list(self._running.values()):  # a timer or a signal may call this at any moment
            _say_to(process, str(int(number)))
        if self._ends_at is None:
            self._ends_at = time.monotonic() + self._patience

    def wait(self, run: Path, before: dict[str, Any] | None) -> None:
        """Wait until all have ended. run: the run directory; before: what its status.json said at the start."""
        over = threading.Event()
        greeting = threading.Thread(target=self._greet, args=(over,), daemon=True)
        greeting.start()
        try:
            self._watch(run, before)
        finally:
            over.set()
            greeting.join()

    def _greet(self, over: threading.Event) -> None:
        """Tell the agents now and then that this process is there, also while a file server keeps it waiting."""
        while not over.wait(_GREET_SECONDS):
            for process in list(self._running.values()):
                _say_to(process, "")

    def _watch(self, run: Path, before: dict[str, Any] | None) -> None:
        over_since = None
        while self._running:
            self._collect()
            now = time.monotonic()
            if not ((status := read_status(run)) != before and _is_over(status)):
                over_since = None  # also where another machine's ranks have begun anew
            elif over_since is None:
                over_since = now
            if over_since is not None and now > over_since + _LINGER_SECONDS and self._ends_at is None:
                self.tell(signal.SIGTERM)
            if self._ends_at is not None and now > self._ends_at:
                for process in self._running.values():
                    process.kill()
            time.sleep(_LOOK_SECONDS)

    def _collect(self) -> None:
        """Take note of what has ended; after the first error the others are told to stop."""
        for host, process in list(self._running.items()):
            code = process.poll()
            if code is None:
                continue
            del self._running[host]
            self.codes[host] = code if code >= 0 else 128 - code
            if code and self.first is None:
                self.first = host
                self.tell(signal.SIGTERM)


def _is_over(status: dict[str, Any] | None) -> bool:
    return status is not None and status.get("status") in ("finished", "failed", "preempted")


def _say_to(process: "subprocess.Popen[bytes]", line: str) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # it has ended, which `wait` will see
        os.write(process.stdin.fileno(), f"{line}\n".encode())  # unbuffered: a signal handler may call this at any moment


class Supervisor:
    """Does attempts, and knows whether this process was told to stop; to be entered by the main thread."""

    def __init__(self) -> None:
        self.told: int | None = None  # the first signal that this process got
        self._going: Attempt | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Get the signals that ask this process to stop; one that is ignored (nohup) stays ignored."""
        asked = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP]
        heard = [number for number in asked if signal.getsignal(number) != signal.SIG_IGN]
        old = {number: signal.signal(number, self._hear) for number in heard}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def attempt(self, commands: Sequence[NodeCommand], run: Path) -> Outcome:
        """Do one attempt and return how it ended. run: the run directory; its status counts if this attempt has written it."""
        before = read_status(run)
        self._going = going = Attempt(commands)
        if self.told is not None:  # meanwhile
            going.tell(self.told)
        going.wait(run, before)
        self._going = None
        after = read_status(run)
        return judged(going.codes, going.first, self.told, after if after != before else None)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        is_repeated = number == self.told
        self.told = self.told or number
        if self._going is not None:
            # the ranks write down how they end on SIGTERM and SIGINT, not when the terminal goes away
            self._going.tell(signal.SIGKILL if is_repeated else signal.SIGTERM if number == signal.SIGHUP else number)


def say(message: str) -> None:
    """Warn of something, apart from what the ranks print."""
    warn(f"launch: {message}")
