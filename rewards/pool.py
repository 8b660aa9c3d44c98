"""A pool of verifier processes that can be killed.

Covered:

- an answer that stalls its verdict: the worker is killed with its whole process group and replaced; the verdict is `timeout`;
- a worker that dies: it is replaced and asked once more, since something else may have killed it; when that one dies too, the
  answer did it, and the verdict is `timeout` as well;
- a worker that does not start, or says something that is no verdict: the verdict is `error`, the grader's fault;
- a verifier of one's own (rewards/own.py) that stalls or dies: `error` too, since nobody has bounded what it does.

Not covered: what a verifier does while it runs. Programs are confined by `rewards.code`, inside of the worker.

`SIGALRM` would be no time-out: it fails off the main thread and cannot stop C code. Each worker is served by one thread, so
verdicts arrive while the caller goes on (sampling, for instance).
"""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from types import TracebackType

from problems import own as own_problems
from problems.types import Problem
from rewards.child import Child, WorkerDied, WorkerNotStarted, WorkerUnusable
from rewards.code.settings import SandboxSettings
from rewards.own import OwnVerifier
from rewards.types import STRICT, Reading, Verdict
from rewards.verifiers import verifier_of

Item = tuple[Problem, str]
_START_SECONDS = 30.0  # a new interpreter on a loaded machine
_BATCH = 8  # requests that a worker is handed together, so that a quick verdict costs no wake-up of its own
_BATCH_BYTES = 16_384  # of them; they must fit the pipe, whatever the worker does
_LOOK_SECONDS = 1.0
_START_TRIES = 3  # in a row and without a verdict between them; then it will not start at all


class _Worker(Child):
    """One verifier process."""

    def __init__(self, module: str, memory_megabytes: int, sandbox: SandboxSettings, own: OwnVerifier | None):
        of_ones_own = {"verifiers": own_problems.VERIFIERS, "judge": own and own.model_dump()}
        super().__init__(module, [str(memory_megabytes), sandbox.model_dump_json(), json.dumps(of_ones_own)], own_group=True)

    def send(self, requests: bytes, timeout_seconds: float) -> None:
        """Hand over one request or more, a line each; raises one of FAILURES."""
        self.start(_START_SECONDS)  # starting up is not the answer's time
        self.write(requests, timeout_seconds)

    def receive(self, timeout_seconds: float) -> Verdict:
        """Return the verdict on the oldest request without one; raises one of FAILURES."""
        reply = self.read_line(timeout_seconds)
        try:
            return Verdict(**json.loads(reply))
        except (ValueError, TypeError) as error:
            raise WorkerUnusable(f"the verifier process said something that is no verdict: {error}"[:200]) from None


@dataclass(frozen=True, eq=False, kw_only=True)
class _Request:
    """What waits in the queue: a line for a worker and where its verdict goes."""

    future: Future[Verdict]
    line: bytes
    seconds: float
    may_be_joined: bool  # whether others may be handed over behind it: they would wait for it


FAILURES = (TimeoutError, WorkerDied, WorkerUnusable, WorkerNotStarted)


class VerifierPool:
    """Grades (problem, completion) pairs in `workers` processes that run `module`. Use as a context manager."""

    def __init__(
        self,
        workers: int = 1,
        timeout_seconds: float = 5.0,
        memory_megabytes: int = 2048,
        module: str = "rewards.worker",
        sandbox: SandboxSettings | None = None,
        own: OwnVerifier | None = None,
    ):
        self.own = own and own.checked()  # a path that is whole, of a file that can be used
        self.sandbox = sandbox or SandboxSettings.from_environment()
        self.timeout_seconds = timeout_seconds
        self.memory_megabytes = memory_megabytes
        self.module = module
        self._closed = False
        self.restarts = 0
        self._failed_starts = 0
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._serve, daemon=True, name=f"verifier-{i}") for i in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, problem: Problem, completion: str, reading: Reading = STRICT) -> Future[Verdict]:
        """Queue one completion; the future always ends in a Verdict, never in an exception."""
        if self._closed:
            raise RuntimeError("the verifier pool is closed")
        future: Future[Verdict] = Future()
        try:
            request = self._request(problem, completion, reading)
        except (TypeError, ValueError) as error:  # a problem of somebody's own code
            future.set_result(Verdict(status="error", detail=f"problem {problem.id} cannot be said in JSON: {error}"[:200]))
            return future
        seconds, may_be_joined = self._needs(problem)
        self._queue.put(_Request(future=future, line=request, seconds=seconds, may_be_joined=may_be_joined))
        return future

    def _request(self, problem: Problem, completion: str, reading: Reading) -> bytes:
        """Return the line that asks for a verdict."""
        # asdict() would copy deeply; and no verifier of the lab needs the worked solution
        left_out = () if self.own else ("solution", "difficulty")
        fields = {name: value for name, value in vars(problem).items() if name not in left_out}
        for name in {"checks", "difficulty"} & set(fields):
            fields[name] = dict(fields[name])
        return json.dumps({"problem": fields, "completion": completion, "reading": vars(reading)}).encode() + b"\n"

    def is_slow(self, problem: Problem) -> bool:
        """Whether a verdict on this problem may take seconds; of a verifier of one's own nobody knows."""
        entry = verifier_of(problem.domain)
        return self.own is not None or (entry is not None and entry.is_slow)

    def _needs(self, problem: Problem) -> tuple[float, bool]:
        """Return the time limit of a verdict in seconds, and whether others may be handed over behind it."""
        if self.own is not None:
            return self.timeout_seconds, False  # nobody knows how long it takes
        entry = verifier_of(problem.domain)
        if entry is None:
            return self.timeout_seconds, True  # the worker says in its verdict that there is none, or knows one that we do not
        if entry.time_limit is None:
            return self.timeout_seconds, not entry.is_slow
        return entry.time_limit(problem.checks, self.sandbox), not entry.is_slow

    def grade(self, items: Iterable[Item], deadline_seconds: float | None = None, reading: Reading = STRICT) -> list[Verdict]:
        """Return one verdict an item, in order; what has not begun by the deadline is an `error` (unscorable)."""
        return collect([self.submit(problem, completion, reading) for problem, completion in items], deadline_seconds)

    def close(self) -> None:
        """End all workers; verdicts that are still queued are dropped."""
        self._closed = True
        while not self._queue.empty():
            item = self._queue.get()
            if item is not None:
                item.future.cancel()
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
        worker = self._start()
        while (first := self._queue.get()) is not None:
            batch, is_last = self._batch(first)
            sent = False  # whether the worker has what is left of the batch
            for number, item in enumerate(batch):
                if self._closed:
                    item.future.cancel()
                    continue
                # A cancelled request is judged all the same: the worker has it already, and its reply must be read.
                is_wanted = item.future.set_running_or_notify_cancel()
                started = time.monotonic()
                verdict, worker, sent = self._decide(worker, batch[number:], sent)
                if not verdict.seconds:  # the worker did not say
                    verdict = replace(verdict, seconds=time.monotonic() - started)
                if is_wanted:
                    item.future.set_result(verdict)
            if is_last:
                break
        worker.kill()

    def _batch(self, first: _Request) -> tuple[list[_Request], bool]:
        """Return the requests that are handed over together, and whether the queue has ended behind them."""
        batch, size = [first], len(first.line)
        while first.may_be_joined and len(batch) < _BATCH and size < _BATCH_BYTES:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return batch, True
            batch.append(item)
            size += len(item.line)
            if not item.may_be_joined:
                break
        return batch, False

    def _start(self) -> _Worker:
        return _Worker(self.module, self.memory_megabytes, self.sandbox, self.own)

    def _decide(self, worker: _Worker, batch: list[_Request], sent: bool) -> tuple[Verdict, _Worker, bool]:
        """Return the verdict on the first of `batch`, the worker for the next, and whether that has the rest of the batch."""
        seconds = batch[0].seconds
        for _ in range(2):
            if self._failed_starts >= _START_TRIES:
                detail = "the verifier processes do not start, see their error output"
                return Verdict(status="error", detail=detail), worker, False
            try:
                if not sent:
                    worker.send(b"".join(item.line for item in batch), seconds)
                verdict = worker.receive(seconds)
                self._failed_starts = 0
                return verdict, worker, True
            except FAILURES as failure:
                self._failed_starts += isinstance(failure, WorkerNotStarted)
                worker.kill()
                verdict = self._blame(failure, worker.process.returncode, seconds)
                self.restarts += 1
                worker, sent = self._start(), False
                if not isinstance(failure, WorkerDied):
                    break
        return verdict, worker, False

    def _blame(self, failure: Exception, exit_status: int, seconds: float) -> Verdict:
        if isinstance(failure, WorkerUnusable | WorkerNotStarted):
            return Verdict(status="error", detail=str(failure))
        died = isinstance(failure, WorkerDied)
        detail = f"the verifier process died twice (exit status {exit_status})" if died else f"no verdict within {seconds:g} s"
        if self.own is not None:
            return Verdict(status="error", detail=f"{self.own.label}: {detail}")
        return Verdict(status="timeout", detail=detail)


def collect(
    futures: list[Future[Verdict]], deadline_seconds: float | None = None, look: Callable[[], None] | None = None
) -> list[Verdict]:
    """Wait for `futures` up to the deadline; what has not begun by then becomes an `error` verdict.

    `look` is called every second meanwhile; what it raises ends the waiting.
    """
    end = None if deadline_seconds is None else time.monotonic() + deadline_seconds
    verdicts = []
    for future in futures:
        try:
            if look is not None:
                _look_while_waiting(future, end, look)
            verdicts.append(future.result(None if end is None else max(0.0, end - time.monotonic())))
        except TimeoutError:
            missed = "began" if future.cancel() else "ended"  # only what has not begun can be cancelled
            detail = f"the batch deadline of {deadline_seconds:g} s passed before this verdict {missed}"
            verdicts.append(Verdict(status="error", detail=detail))
    return verdicts


def _look_while_waiting(future: Future[Verdict], end: float | None, look: Callable[[], None]) -> None:
    """Call `look` every second until the future is done, or the clock is at `end`."""
    while not future.done() and (end is None or time.monotonic() < end):
        look()
        wait([future], _LOOK_SECONDS if end is None else min(_LOOK_SECONDS, max(0.0, end - time.monotonic())))
