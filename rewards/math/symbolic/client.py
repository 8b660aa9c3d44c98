"""The sympy process as its parent sees it: started at first need, one question at a time, replaced when it dies.

One process serves all threads of this one. It stays in this process's group, so that a pool that kills a stuck verifier with
its group takes it along; it ends by itself when this process is gone. After a fork the child starts one of its own.
"""

import json
import os
import threading
import time
from typing import Any

from rewards.child import Child, WorkerDied, WorkerNotStarted, WorkerUnusable
from rewards.math.symbolic.wire import Reply

CPU_SECONDS = 2  # of one question
WALL_SECONDS = 4.0  # of one question, starting the process included; below the pool's limit of a verdict
MEGABYTES = 1024
MAX_ANSWER_BYTES = 65_536
MAX_KNOWN = 256  # decisions that are remembered; a question has at most MAX_NODES nodes
_MODULE = "rewards.math.symbolic.worker"
_AT_ONCE = 1.0  # a process that dies sooner was already dead, or was killed by someone else


class SympyProcess:
    """A process that answers questions about trees."""

    def __init__(self, cpu_seconds: int = CPU_SECONDS, wall_seconds: float = WALL_SECONDS, megabytes: int = MEGABYTES):
        self.cpu_seconds, self.wall_seconds, self.megabytes = cpu_seconds, wall_seconds, megabytes
        self.asked = 0
        self.restarts = 0
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._known: dict[bytes, Reply] = {}

    def ask(self, request: dict[str, Any]) -> Reply:
        """Return what the process found, up to when it ended if it does; never waits longer than its wall time."""
        line = json.dumps(request).encode() + b"\n"
        with self._lock:
            if (known := self._known.get(line)) is not None:  # the answers of a group are often the same
                return known
            self.asked += 1
            started = time.monotonic()
            reply = self._asked(line, started)
            if reply is None and time.monotonic() - started < _AT_ONCE:
                reply = self._asked(line, started)
            return self._kept(line, reply or Reply(None, "SYMPY_ENDED"))

    def _kept(self, line: bytes, reply: Reply) -> Reply:
        """Remember what was decided, and return it; the oldest is forgotten when there are too many."""
        if reply.same is not None:
            if len(self._known) >= MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[line] = reply
        return reply

    def _asked(self, line: bytes, started: float) -> Reply | None:
        """Return the finding, the last one before a time-out, or None where the process died without any."""
        deadline = started + self.wall_seconds
        last: Reply | None = None
        try:
            child = self._running()
            child.start(deadline - time.monotonic())
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
            self._replace()
            return last or Reply(None, "SYMPY_TIMED_OUT")
        except WorkerDied:
            self._replace()
            return last
        except (WorkerUnusable, ValueError, KeyError, TypeError, OSError):
            self._replace()
            return Reply(None, "SYMPY_ENDED")

    def _running(self) -> Child:
        if self._child is None:
            arguments = [str(self.megabytes), str(self.cpu_seconds)]
            self._child = Child(_MODULE, arguments, own_group=False)
        return self._child

    def _replace(self) -> None:
        self.restarts += 1
        self.close()

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
