"""The sympy process as its parent sees it: started at first need, one question at a time, replaced when it dies.

An answer has a CPU time; a process that starts slowly, or gets less than that on a loaded machine, says nothing of the answer.

One process serves all threads of this one. It stays in this process's group, so that a pool that kills a stuck verifier with
its group takes it along; it ends by itself when this process is gone. After a fork the child starts one of its own.
"""

import json
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

from rewards.child import Child, WorkerDied, WorkerNotStarted, WorkerUnusable
from rewards.math.symbolic.wire import Reply

CPU_SECONDS = 2  # of one question
WALL_SECONDS = 12.0  # of one question: its CPU time is what ends it, unless the machine is very busy
POOL_SECONDS = 4.0  # of start and question together in a worker that is killed after `reward.timeout_seconds`
START_SECONDS = 30.0  # a start is no answer's fault, and is waited for
MEGABYTES = 1024
MAX_ANSWER_BYTES = 65_536
MAX_KNOWN = 256  # decisions that are remembered; a question has at most MAX_NODES nodes
_MODULE = "rewards.math.symbolic.worker"
MOST = 0.8  # of its CPU time that an answer must have had before its end is its own fault
_AT_ONCE = 1.0  # of CPU time: a process that dies sooner was already dead, or was killed by someone else


class SympyProcess:
    """A process that answers questions about trees."""

    def __init__(self, cpu_seconds: int = CPU_SECONDS, wall_seconds: float = WALL_SECONDS, megabytes: int = MEGABYTES):
        self.cpu_seconds, self.wall_seconds, self.megabytes = cpu_seconds, wall_seconds, megabytes
        self.start_seconds = START_SECONDS
        self.total_seconds = math.inf  # of both together; a process that is itself limited has to say so
        self.asked = 0
        self.restarts = 0
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._known: dict[bytes, Reply] = {}

    def ask(self, request: dict[str, Any]) -> Reply:
        """Return what the process found, up to when it ended if it does; never waits longer than a start and its wall time.

        A process that dies at once is replaced, and the question asked once more.
        """
        line = json.dumps(request).encode() + b"\n"
        with self._lock:
            if (known := self._known.get(line)) is not None:  # the answers of a group are often the same
                return known
            self.asked += 1
            started = time.monotonic()
            reply = self._asked(line, started) or self._asked(line, started) or Reply(None, "SYMPY_ENDED")
            return self._kept(line, reply)

    def _kept(self, line: bytes, reply: Reply) -> Reply:
        """Remember what was decided, and return it; the oldest is forgotten when there are too many."""
        if reply.same is not None:
            if len(self._known) >= MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[line] = reply
        return reply

    def _asked(self, line: bytes, started: float) -> Reply | None:
        """Return the finding, the last one before a time-out, or None where the process died at once without any."""
        end = started + self.total_seconds
        last: Reply | None = None
        used = 0.0
        try:
            child = self._running()
            child.start(min(self.start_seconds, end - time.monotonic()))
            deadline = min(time.monotonic() + self.wall_seconds, end)
            used = self._spent()
            child.write(line, deadline - time.monotonic())
            while True:
                finding = json.loads(child.read_line(deadline - time.monotonic(), MAX_ANSWER_BYTES))
                reply = Reply(finding["same"], finding["rule"], tuple(finding["facts"]))
                if finding.get("exploded"):  # its memory may be in any state
                    self.close()
                if finding.get("final"):
                    return last if reply.same is None and last is not None else reply
                last = reply
        except WorkerNotStarted:
            if self._child is None or self._child.process.poll() is not None:
                self._replace()  # one that is only slow goes on starting, and serves the next question
            return Reply(None, "SYMPY_NOT_STARTED")
        except TimeoutError:
            starved = self._spent() - used < self.cpu_seconds * MOST
            self._replace()
            return last or Reply(None, "SYMPY_STARVED" if starved else "SYMPY_TIMED_OUT")
        except WorkerDied:
            died_at_once = self._spent() - used < _AT_ONCE
            self._replace()
            return last or (None if died_at_once else Reply(None, "SYMPY_ENDED"))
        except (WorkerUnusable, ValueError, KeyError, TypeError, OSError):
            self._replace()
            return Reply(None, "SYMPY_ENDED")

    def _spent(self) -> float:
        """Return the CPU time that the process has used, also after its end."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return math.inf  # not known: the answer's fault

    def _running(self) -> Child:
        if self._child is None:
            arguments = [str(self.megabytes), str(self.cpu_seconds)]
            self._child = Child(_MODULE, arguments, own_group=False)
        return self._child

    def _replace(self) -> None:
        """End the process and start the next one, which is then ready, or nearly so, when it is needed."""
        self.restarts += 1
        self.close()
        self._running()

    def close(self) -> None:
        """End the process; the next question starts another."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def forget(self) -> None:
        """Leave the process to the parent that forked this one."""
        self._lock = threading.Lock()
        self._child = None

    @property
    def pid(self) -> int | None:
        """The process id, None while none runs."""
        return self._child.process.pid if self._child is not None else None


SYMPY = SympyProcess()
os.register_at_fork(after_in_child=SYMPY.forget)
