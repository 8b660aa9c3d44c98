"""The python tool: the sandbox as a session that keeps its state, for models that call an interpreter while they think."""

import os
import select
from dataclasses import dataclass
from typing import Literal

from rewards.code.judging.executor import Children, Closed, Deadline, HostDied, Sandbox, TimeLimit
from rewards.code.settings import Limits, SandboxSettings
from rewards.code.wire import FrameError

ToolStatus = Literal["ok", "exception", "time limit", "output limit", "memory limit", "ended"]


@dataclass(frozen=True, kw_only=True)
class ToolResult:
    """What one piece of code did. After any status but ok and exception the state is lost: the next piece begins anew."""

    status: ToolStatus
    stdout: str
    stderr: str
    error: str | None = None


class PythonSession:
    """Runs pieces of code one after another in one confined process. Use as a context manager; not for several threads."""

    def __init__(self, settings: SandboxSettings | None = None, max_output_bytes: int = 64 * 1024):
        self.settings = settings or SandboxSettings.from_environment()
        self.max_output_bytes = max_output_bytes
        self._sandbox: Sandbox | None = None
        self._children: Children | None = None

    def run(self, code: str, timeout_seconds: float | None = None) -> ToolResult:
        """Run `code` in the session's name space; the value of a last expression is printed, as at a prompt."""
        seconds = timeout_seconds or self.settings.timeout_seconds
        output = {"stdout": bytearray(), "stderr": bytearray()}
        status: ToolStatus = "ok"
        error = None
        try:
            children = self._begin()
            deadline = Deadline(children, seconds)
            self._channel.send({"code": code}, deadline)
            answer = None
            while answer is None:
                ends = [self._pipes["stdout"], self._pipes["stderr"], self._channel.socket]
                ready = deadline.wait_any(ends, select.POLLIN)
                self._drain(output)
                if max(map(len, output.values())) > self.max_output_bytes:
                    status = "output limit"
                    break
                if self._channel.socket.fileno() in ready:
                    self._channel.read()
                    answer = self._channel.take()
                    if answer is None and self._channel.ended:
                        raise Closed
            self._drain(output)
            error = str(answer["error"])[:2000] if answer and answer.get("error") else None
            if error is not None:
                status = "memory limit" if error.startswith("MemoryError") else "exception"
        except TimeLimit:
            status = "time limit"
        except (Closed, FrameError):
            status = "ended"
        if status not in ("ok", "exception"):
            self._end()
        stdout, stderr = (
            bytes(output[name][: self.max_output_bytes]).decode("utf-8", "replace") for name in ("stdout", "stderr")
        )
        return ToolResult(status=status, stdout=stdout, stderr=stderr, error=error)

    def _drain(self, output: dict[str, bytearray]) -> None:
        """Read what was printed so far, up to the limit."""
        for name, descriptor in self._pipes.items():
            while len(output[name]) <= self.max_output_bytes:
                try:
                    piece = os.read(descriptor, 65536)
                except BlockingIOError:
                    break
                output[name] += piece
                if not piece:
                    break

    def _begin(self) -> Children:
        if self._children is not None:
            return self._children
        if self._sandbox is None:
            self._sandbox = Sandbox(self.settings, self.settings.packages)
        # The life of a session is not bounded by a program's time, only each piece of code is.
        limits = Limits(
            test_seconds=3600, program_seconds=3600, memory_megabytes=self.settings.memory_megabytes, output_bytes=0
        )
        children = Children(self._sandbox, limits)
        self._channel = children.channel()
        (out, out_end), (err, err_end) = children.pipe(), children.pipe()
        self._pipes = {"stdout": out, "stderr": err}
        for descriptor in (out, err):
            os.set_blocking(descriptor, False)
        children.spawn({"session": (-1, out_end, err_end, self._channel.inner.fileno())})
        self._children = children
        return children

    def _end(self) -> None:
        children, self._children = self._children, None
        if children is not None:
            try:
                children.__exit__()
            except HostDied:
                self.close()

    def close(self) -> None:
        """End the session and its sandbox."""
        self._end()
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()

    def __enter__(self) -> "PythonSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
