"""A child process that is spoken to by lines and can be killed: one line a request, one line an answer.

Its first line is empty and says that it is ready. The pool's verifier processes (`pool.py`) and the math verifier's sympy
process (`math/symbolic/`) are such children. Reading and writing never wait longer than they are told, whatever the child does.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

_WRITTEN_AT_ONCE = 65_536


class WorkerDied(Exception):
    """The process ended without an answer."""


class WorkerUnusable(Exception):
    """The process said something that is no answer: the grader's fault."""


class WorkerNotStarted(Exception):
    """The process did not start: the grader's fault."""


class Child:
    """One process that runs `module`, and the pipes to it.

    `own_group`: it leads a session of its own, and `kill` ends all that it started. A child without one stays in its parent's
    group, so that whoever kills that group takes it along; it must start no processes.
    """

    def __init__(self, module: str, arguments: Sequence[str], *, own_group: bool):
        self.ready = False
        self.unread = b""
        self._own_group = own_group
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],  # -P: the working directory shadows nothing
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=own_group,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        for pipe in (self.stdin, self.stdout):
            os.set_blocking(pipe.fileno(), False)
        self._reading, self._writing = selectors.DefaultSelector(), selectors.DefaultSelector()
        self._reading.register(self.stdout, selectors.EVENT_READ)
        self._writing.register(self.stdin, selectors.EVENT_WRITE)

    def start(self, timeout_seconds: float) -> None:
        """Wait for the line that says it is ready; raises WorkerNotStarted."""
        if self.ready:
            return
        try:
            self.read_line(timeout_seconds)
        except (TimeoutError, WorkerDied):
            raise WorkerNotStarted("the verifier process did not start, see its error output") from None
        self.ready = True

    def write(self, lines: bytes, timeout_seconds: float) -> None:
        """Hand over `lines`; raises TimeoutError or WorkerDied."""
        deadline = time.monotonic() + timeout_seconds
        while lines:
            if not self._writing.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            try:
                lines = lines[os.write(self.stdin.fileno(), lines[:_WRITTEN_AT_ONCE]) :]
            except BlockingIOError:
                continue
            except OSError:
                raise WorkerDied from None

    def read_line(self, timeout_seconds: float, max_bytes: int | None = None) -> bytes:
        """Return the next line; raises TimeoutError, WorkerDied, or WorkerUnusable for one above `max_bytes`."""
        deadline = time.monotonic() + timeout_seconds
        while b"\n" not in self.unread:
            if max_bytes is not None and len(self.unread) > max_bytes:
                raise WorkerUnusable(f"an answer of more than {max_bytes} bytes")
            if not self._reading.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            chunk = os.read(self.stdout.fileno(), 65_536)
            if not chunk:
                raise WorkerDied
            self.unread += chunk
        line, _, self.unread = self.unread.partition(b"\n")
        return line

    def kill(self) -> None:
        """End the process, with everything it started where it has a group of its own, and reap it."""
        with contextlib.suppress(ProcessLookupError):
            if self._own_group:
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.process.wait()
        self._reading.close()
        self._writing.close()
        for pipe in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):  # bytes that the dead process never read
                pipe.close()
