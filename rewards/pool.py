"""A pool of verifier processes that can be killed.

`SIGALRM` is no time-out: it fails off the main thread and cannot stop C code. Here every verdict is made in a worker
process; one that does not answer in time is killed with its whole process group and replaced, and its verdict is
`timeout`. Each worker is served by one thread, so verdicts arrive while the caller goes on (sampling, for instance).
"""

import contextlib
import json
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import asdict
from types import TracebackType

from problems.types import Problem
from rewards.code.settings import SandboxSettings
from rewards.code.verifier import time_limit
from rewards.types import Verdict

Item = tuple[Problem, str]
_START_SECONDS = 30.0  # a new interpreter on a loaded machine


class WorkerDied(Exception):
    """The worker process ended without an answer."""


class _Worker:
    """One verifier process and the pipe to it."""

    def __init__(self, memory_megabytes: int, sandbox: SandboxSettings):
        self.fresh = True
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rewards.worker", str(memory_megabytes), sandbox.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        os.set_blocking(self.stdout.fileno(), False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.stdout, selectors.EVENT_READ)

    def ask(self, request: bytes, timeout_seconds: float) -> bytes:
        """Send one line and return the line that answers it; raises TimeoutError or WorkerDied."""
        deadline = time.monotonic() + timeout_seconds + (_START_SECONDS if self.fresh else 0)
        try:
            self.stdin.write(request)
            self.stdin.flush()
        except OSError:
            raise WorkerDied from None
        reply = b""
        while not reply.endswith(b"\n"):
            if not self.selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            chunk = self.stdout.read(65536)
            if chunk == b"":
                raise WorkerDied
            reply += chunk or b""
        self.fresh = False
        return reply

    def kill(self) -> None:
        """End the process and everything it started, and reap it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.selector.close()
        for pipe in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):  # bytes that the dead worker never read
                pipe.close()


class VerifierPool:
    """Grades (problem, completion) pairs in `workers` processes. Use as a context manager."""

    def __init__(
        self,
        workers: int = 1,
        timeout_seconds: float = 5.0,
        memory_megabytes: int = 2048,
        sandbox: SandboxSettings | None = None,
    ):
        self.sandbox = sandbox or SandboxSettings.from_environment()
        self.timeout_seconds = timeout_seconds
        self.memory_megabytes = memory_megabytes
        self.restarts = 0
        self._queue: queue.SimpleQueue[tuple[Future[Verdict], bytes, float] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._serve, daemon=True, name=f"verifier-{i}") for i in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, problem: Problem, completion: str) -> Future[Verdict]:
        """Queue one completion; the future always ends in a Verdict, never in an exception."""
        future: Future[Verdict] = Future()
        request = json.dumps({"problem": asdict(problem), "completion": completion}).encode() + b"\n"
        # A program has limits of its own, which the sandbox keeps; this one is for the worker itself.
        seconds = time_limit(problem.checks, self.sandbox) if problem.domain == "code" else self.timeout_seconds
        self._queue.put((future, request, seconds))
        return future

    def grade(self, items: Iterable[Item], deadline_seconds: float | None = None) -> list[Verdict]:
        """Return one verdict an item, in order; what has not begun by the deadline is an `error` (unscorable)."""
        return collect([self.submit(problem, completion) for problem, completion in items], deadline_seconds)

    def close(self) -> None:
        """End all workers; verdicts that are still queued are dropped."""
        while not self._queue.empty():
            item = self._queue.get()
            if item is not None:
                item[0].cancel()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> "VerifierPool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _serve(self) -> None:
        """Serve the queue with one worker at a time, replacing it when it dies."""
        worker = _Worker(self.memory_megabytes, self.sandbox)
        while (item := self._queue.get()) is not None:
            future, request, seconds = item
            if not future.set_running_or_notify_cancel():
                continue
            started = time.monotonic()
            try:
                verdict = Verdict(**json.loads(worker.ask(request, seconds)))
            except (TimeoutError, WorkerDied) as failure:
                worker.kill()
                code = worker.process.returncode
                detail = f"no verdict within {seconds:g} s"
                if isinstance(failure, WorkerDied):
                    detail = f"the verifier process died (exit status {code})"
                verdict = Verdict(status="timeout", detail=detail, seconds=time.monotonic() - started)
                self.restarts += 1
                worker = _Worker(self.memory_megabytes, self.sandbox)
            future.set_result(verdict)
        worker.kill()


def collect(futures: list[Future[Verdict]], deadline_seconds: float | None = None) -> list[Verdict]:
    """Wait for `futures` up to the deadline; what has not begun by then becomes an `error` verdict."""
    end = None if deadline_seconds is None else time.monotonic() + deadline_seconds
    verdicts = []
    for future in futures:
        try:
            verdicts.append(future.result(None if end is None else max(0.0, end - time.monotonic())))
        except TimeoutError:
            late = future.cancel()
            detail = f"the batch deadline of {deadline_seconds:g} s passed before this verdict " + (
                "began" if late else "ended"
            )
            verdicts.append(Verdict(status="error", detail=detail))
    return verdicts
