"""What starts the ranks of one machine, there, and ends them: `python -m launch.nodes.agent COMMAND ...`.

It reads from stdin, which ssh carries: first a line of JSON, the environment to add; then a number a line, the signal to send
to all of them; an empty line says that the front process is there. The end of stdin, and on other machines a silence, means
that nobody watches over them any more (the front process was killed, the connection is gone or cut), and they are told to stop:
ranks that nobody will end hold their GPUs for an hour of a collective's time-out, and the run may be going on elsewhere.

The command gets a session of its own, so that a signal to its process group reaches the launcher, the ranks and their
helpers. DeepSpeed's launcher of one machine is told nothing, though: on SIGTERM it would end the ranks one by one, killing each
after 30 seconds, whatever it saves. Its ranks are told, and it ends when they have. The agent exits with the command's status,
128 + N where signal N ended it. Standard library only.

An agent that is itself killed tells nobody anything; on Linux the kernel then sends the command SIGTERM.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

PATIENCE_SECONDS = 90.0  # from being told to stop to being killed
PATIENCE = "--patience="  # of another number of seconds, in front of the command
SILENCE = "--silence="  # in front of it, too: seconds without a line on stdin after which the connection is taken to be cut
_LAUNCHER = "deepspeed.launcher.launch"
_PR_SET_PDEATHSIG = 1  # prctl(2)


class Group:
    """The command and all that it started."""

    def __init__(self, command: Sequence[str], added: dict[str, str], patience: float) -> None:
        self.patience, self._has_ranks = patience, _LAUNCHER in command
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **added},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # its own session: a group whose number is the process's
            preexec_fn=_be_told_of_the_end_of_the_agent if sys.platform == "linux" else None,  # noqa: PLW1509 (no threads yet)
        )
        self._end: threading.Timer | None = None

    def tell(self, number: int) -> None:
        """Send a signal to all of it, or to its ranks; what has not ended in time is killed."""
        if self._end is None:
            self._end = threading.Timer(self.patience, self.tell, [signal.SIGKILL])
            self._end.daemon = True
            self._end.start()
        ranks = _children(self.process.pid) if self._has_ranks and number != signal.SIGKILL else []
        for rank in ranks:
            with contextlib.suppress(ProcessLookupError):  # ended in the meantime
                os.kill(rank, number)
        if not ranks:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def listen(self, lines: Iterator[str]) -> None:
        """Pass on what stdin says, until it ends."""
        for line in lines:
            if line.strip().isdecimal():
                self.tell(int(line))
        self.tell(signal.SIGTERM)

    def finish(self) -> int:
        """Wait for the command and return its exit status; whatever it left behind is killed."""
        status = self.process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return status if status >= 0 else 128 - status


def said(descriptor: int, silence: float | None) -> Iterator[str]:
    """Yield the lines that a descriptor says, until it ends or has said nothing for `silence` seconds."""
    rest = b""
    while select.select([descriptor], [], [], silence)[0] and (data := os.read(descriptor, 65536)):
        *whole, rest = (rest + data).split(b"\n")
        yield from (line.decode() for line in whole)


def _be_told_of_the_end_of_the_agent() -> None:
    """Have the kernel send this process SIGTERM when its parent is gone; runs in the child, while there is one thread."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _children(pid: int) -> list[int]:
    """Return the processes that a process has started and that are still there."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):  # ended in the meantime
            # a name, which may be cut in the middle of a sign, stands in brackets before them
            fields = (
                stat.read_text(errors="replace").rpartition(")")[2].split()
            )  # from the third of proc(5) on: state, parent, ...
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def main(command: Sequence[str]) -> NoReturn:
    """Run a command as described above."""
    seconds: dict[str, float | None] = {PATIENCE: None, SILENCE: None}
    while command[0].startswith(tuple(seconds)):
        name, equals, value = command[0].partition("=")
        seconds[name + equals] = float(value)
        command = command[1:]
    lines = said(sys.stdin.fileno(), seconds[SILENCE])
    group = Group(command, json.loads(next(lines, "").strip() or "{}"), seconds[PATIENCE] or PATIENCE_SECONDS)

    def pass_on(number: int, frame: FrameType | None) -> None:
        group.tell(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, pass_on)
    threading.Thread(target=group.listen, args=(lines,), daemon=True).start()
    status = group.finish()
    sys.stdout.flush()
    os._exit(status)  # the thread may sit in a read that never ends, and the interpreter would wait for its lock


if __name__ == "__main__":
    main(sys.argv[1:])
