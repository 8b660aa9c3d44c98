"""The python tool: the sandbox as a session that keeps its state, for models that call an interpreter while they think."""

import os
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rewards.code.judging.channel import Channel, Closed, Deadline, Received, TimeLimit
from rewards.code.judging.sandbox import Children, HostDied, Sandbox
from rewards.code.settings import Limits, SandboxSettings
from rewards.code.wire import FrameError, Piece

ToolStatus = Literal["ok", "exception", "time limit", "output limit", "memory limit", "ended"]
_Running: TypeAlias = tuple[Children, Channel, dict[str, int]]  # the process, the way to it, and what it prints on


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
        self._running: _Running | None = None

    def run(self, code: str, timeout_seconds: float | None = None) -> ToolResult:
        """Run `code` in the session's name space; the value of a last expression is printed, as at a prompt."""
        output = {"stdout": bytearray(), "stderr": bytearray()}
        status: ToolStatus = "ok"
        error = None
        try:
            done = self._run_piece(code, timeout_seconds or self.settings.timeout_seconds, output)
            if done is None:
                status = "output limit"
            elif done.get("error"):
                error = str(done["error"])[:2000]
                status = "memory limit" if done.get("memory") is True else "exception"
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

    def _run_piece(self, code: str, seconds: float, output: dict[str, bytearray]) -> Received | None:
        """Return the candidate's last word on the piece (`wire.PieceDone`), or None where it printed too much."""
        children, channel, pipes = self._running or self._begin()
        deadline = Deadline(children, seconds)
        channel.send(Piece(code=code), deadline)
        while True:
            ready = deadline.wait_any([*pipes.values(), channel.socket])
            self._drain(pipes, output)
            if max(map(len, output.values())) > self.max_output_bytes:
                return None
            if channel.socket.fileno() not in ready:
                continue
            channel.read()
            done = channel.take()
            if done is not None:
                self._drain(pipes, output)
                return done
            if channel.ended:
                raise Closed

    def _drain(self, pipes: dict[str, int], output: dict[str, bytearray]) -> None:
        """Read what was printed so far, up to the limit."""
        for name, descriptor in pipes.items():
            while len(output[name]) <= self.max_output_bytes:
                try:
                    piece = os.read(descriptor, 65536)
                except BlockingIOError:
                    break
                output[name] += piece
                if not piece:
                    break

    def _begin(self) -> _Running:
        if self._sandbox is None:
            self._sandbox = Sandbox(self.settings, self.settings.packages)
        # The life of a session is not bounded by a program's time, only each piece of code is.
        limits = Limits(
            test_seconds=3600, program_seconds=3600, memory_megabytes=self.settings.memory_megabytes, output_bytes=0
        )
        children = Children(self._sandbox, limits)
        channel = children.channel()
        (out, out_end), (err, err_end) = children.pipe(), children.pipe()
        for descriptor in (out, err):
            os.set_blocking(descriptor, False)
        children.spawn({"session": (-1, out_end, err_end, channel.inner.fileno())})
        self._running = children, channel, {"stdout": out, "stderr": err}
        return self._running

    def _end(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            try:
                running[0].__exit__()
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
