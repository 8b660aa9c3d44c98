"""The judging side of the sandbox: starts the host, asks it for confined processes, and talks with them under deadlines."""

import atexit
import contextlib
import fcntl
import importlib.util
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from problems.errors import LabError
from rewards.code.settings import Limits, SandboxSettings
from rewards.code.wire import MAX_FRAME_BYTES, FrameError, pack

_START_SECONDS = 30.0
_REPLY_SECONDS = 20.0  # the host answers at once; only a machine in trouble makes it wait
_SLOWEST = 3.0  # on a loaded machine a program may take this many times its limit, as long as it gets little CPU time
_SEALS = 0xF  # F_SEAL_SEAL, SHRINK, GROW, WRITE
_BUNDLED = {"numpy": ("numpy.libs",), "scipy": ("scipy.libs",), "pandas": ("pandas.libs",)}


class SandboxUnavailable(LabError):
    """This machine cannot confine programs as well as the settings demand."""


class HostDied(Exception):
    """The sandbox itself failed: nobody's answer is to blame."""


class TimeLimit(Exception):
    """The program took too long."""


class Closed(Exception):
    """The program's end of a link is gone."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended: exit status (negative: signal), whether we had to kill it, and what it used."""

    status: int
    killed: bool
    cpu_seconds: float
    peak_megabytes: float
    over: str | None


class Sandbox:
    """One host process and the socket to it. Not for use by several threads at once."""

    def __init__(self, settings: SandboxSettings, preload: Sequence[str] = ()):
        if sys.platform != "linux":
            raise SandboxUnavailable(f"programs are confined by Linux calls; this is {sys.platform}")
        self.settings = settings
        self.packages = _find_packages(settings.packages)
        self.preload = [name for name in preload if name in self.packages]
        # Imported by the host, which is a bare interpreter: the one that virtual environments are made from.
        self.python = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
        self.owner = os.getpid()
        self.tester: Tester | None = None
        self.unclean: str | None = None  # why the scratch folder could not be emptied: then the sandbox is not used again
        off: list[str] = list(settings.off)
        hello = self._start(off)
        if "failed" in hello and "mount" not in off:
            # Half of a new root is no root: begin again without one.
            reason = str(hello["failed"])
            hello = self._start([*off, "mount"])
            hello.get("layers", {})["mount"] = reason
        if "failed" in hello:
            self.close()
            raise SandboxUnavailable(f"the sandbox cannot be built: {hello['failed']}")
        self.layers: dict[str, str | None] = hello["layers"]
        self.leaks: list[str] = hello["leaks"]
        missing = self.below_minimum()
        if missing and not settings.allow_weak:
            self.close()
            raise SandboxUnavailable(
                "programs cannot be confined well enough here: " + "; ".join(missing) + ". `reasonlab doctor` tells more; "
                "set sandbox.allow_weak: true to run them all the same (then a program may harm this machine)"
            )

    def below_minimum(self) -> list[str]:
        """Return what is missing from the stated minimum."""
        missing = [
            f"{name}: {self.layers.get(name, 'not there')}"
            for name in ("seccomp", "no_new_privileges", "limits")
            if self.layers.get(name, "not there") is not None
        ]
        if self.layers.get("mount", "") is not None and self.layers.get("landlock", "") is not None:
            missing.append(
                f"neither a mount namespace ({self.layers.get('mount')}) nor Landlock ({self.layers.get('landlock')})"
            )
        return missing + [f"a trial program could {leak}" for leak in self.leaks]

    def _start(self, off: list[str]) -> dict[str, Any]:
        self.scratch = tempfile.mkdtemp(prefix="reasonlab-")
        self.control, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        config = {
            "socket": inner.fileno(),
            "scratch": self.scratch,
            "off": off,
            "packages": self.packages,
            "preload": self.preload,
            "memory_megabytes": self.settings.memory_megabytes,
        }
        host = str(Path(__file__).parents[1] / "inside" / "host.py")
        self.process = subprocess.Popen(
            [self.python, "-I", "-S", host, json.dumps(config)],
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(inner.fileno(),),
            start_new_session=True,
        )
        inner.close()
        self.control.settimeout(_START_SECONDS)
        atexit.register(self.close)
        try:
            text = self.control.recv(65536)
        except OSError as error:
            text = json.dumps({"failed": f"no word from it: {error}"}).encode()
        hello: dict[str, Any] = json.loads(text or b'{"failed": "it ended at once", "layers": {}}')
        if "failed" in hello:
            self.close()
        else:
            self.control.settimeout(_REPLY_SECONDS)
        return hello

    def ask(self, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Any:
        """Send a request to the host and return its reply."""
        self.tell(request, descriptors)
        return self.reply()

    def tell(self, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send a request to the host."""
        try:
            socket.send_fds(self.control, [json.dumps(request).encode()], descriptors)
        except OSError as error:
            raise HostDied(f"the sandbox is gone: {error}") from None

    def reply(self) -> Any:
        """Return the host's next reply."""
        try:
            text = self.control.recv(65536)
        except OSError as error:
            raise HostDied(f"the sandbox does not answer: {error}") from None
        if not text:
            raise HostDied("the sandbox ended")
        return json.loads(text)

    def close(self) -> None:
        """End the host and everything inside. The launcher removes the scratch folder."""
        atexit.unregister(self.close)
        self.control.close()
        if self.owner != os.getpid():
            return  # a fork of the judging process: the sandbox is not ours to end
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)  # only when the launcher could not


def _find_packages(names: Sequence[str]) -> dict[str, str]:
    """Return entry in the packages folder -> where it really is, for those of `names` that are installed."""
    found: dict[str, str] = {}
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            continue
        folder = os.path.realpath(spec.submodule_search_locations[0])
        found[name] = folder
        for extra in _BUNDLED.get(name, ()):
            path = os.path.join(os.path.dirname(folder), extra)
            if os.path.isdir(path):
                found[extra] = path
    return found


class Tester:
    """A confined process that runs one set of tests after another, for tests that leave nothing behind."""

    MAX_RUNS = 200

    def __init__(self, sandbox: Sandbox):
        limits = Limits(test_seconds=3600, program_seconds=3600, memory_megabytes=2048, output_bytes=0)
        self.children = Children(sandbox, limits)
        self.channel = self.children.channel()
        self.children.spawn({"testers": (-1, -1, -1, self.channel.inner.fileno())})
        self.children.settle()
        self.runs = 0

    def begin(self, setup: Any, link: int, deadline: "Deadline") -> None:
        """Send the tests and the descriptor of the link to the program."""
        data = pack(setup)
        self.runs += 1
        try:
            socket.send_fds(self.channel.socket, [data[:4]], [link])
        except OSError as error:
            raise HostDied(f"the test process is gone: {error}") from None
        self.channel.send_bytes(data[4:], deadline)

    @classmethod
    def of(cls, sandbox: Sandbox) -> "Tester":
        """Return the sandbox's own, new when there is none or it has run often enough."""
        if sandbox.tester is not None and sandbox.tester.runs >= cls.MAX_RUNS:
            cls.drop(sandbox)
        if sandbox.tester is None:
            sandbox.tester = cls(sandbox)
        return sandbox.tester

    @staticmethod
    def drop(sandbox: Sandbox) -> None:
        """End it; the next tests get a new one."""
        tester, sandbox.tester = sandbox.tester, None
        if tester is not None:
            tester.children.__exit__()


class Channel:
    """Our end of a link to a confined process. What arrives is data from an adversary."""

    def __init__(self) -> None:
        self.socket, self.inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.buffer = bytearray()
        self.ended = False

    def send(self, message: Any, deadline: "Deadline") -> None:
        """Send one message."""
        self.send_bytes(pack(message), deadline)

    def send_bytes(self, message: bytes, deadline: "Deadline") -> None:
        """Send bytes as they are."""
        data = memoryview(message)
        while data:
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                deadline.wait(self.socket, select.POLLOUT)
            except OSError:
                raise Closed from None

    def receive(self, deadline: "Deadline") -> dict[str, Any]:
        """Return the next message; raises Closed, TimeLimit or FrameError."""
        while (message := self.take()) is None:
            if self.ended:
                raise Closed
            deadline.wait(self.socket, select.POLLIN)
            self.read()
        return message

    def read(self) -> None:
        """Read what has arrived."""
        try:
            piece = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self.ended = not piece
        self.buffer += piece

    def take(self) -> dict[str, Any] | None:
        """Return a message that has arrived as a whole, or None."""
        if len(self.buffer) < 4:
            return None
        (length,) = struct.unpack_from(">I", self.buffer)
        if length > MAX_FRAME_BYTES:
            raise FrameError("a message that is too long")
        if len(self.buffer) < 4 + length:
            return None
        body = bytes(self.buffer[4 : 4 + length])
        del self.buffer[: 4 + length]
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            raise FrameError("a message that is not data") from None
        if not isinstance(message, dict):
            raise FrameError("a message that is not one of ours")
        return message

    def close(self) -> None:
        """Close both ends."""
        self.socket.close()
        self.inner.close()


class Deadline:
    """The time limit of a test or a program.

    Wall time is what we bound, but on a loaded machine it says more about the machine than about the program. So a program
    that waited for a CPU (it used between a tenth and all of the time that passed) gets its limit in CPU time, within
    `_SLOWEST` times the wall time; one that sleeps does not.
    """

    def __init__(self, children: "Children", seconds: float):
        self.children = children
        self.seconds = seconds
        self.started = time.monotonic()
        self.allowed = seconds

    def wait(self, readable: Any, event: int = select.POLLIN) -> None:
        """Wait until the object is ready; raises TimeLimit."""
        self.wait_any([readable], event)

    def wait_any(self, objects: Sequence[Any], event: int = select.POLLIN) -> list[int]:
        """Wait until one of the objects is ready and return the ready descriptors; raises TimeLimit."""
        poll = select.poll()
        for item in objects:
            poll.register(item, event)
        while True:
            left = self.started + self.allowed - time.monotonic()
            ready = poll.poll(max(0.0, left) * 1000 + 1)
            if ready:
                return [descriptor for descriptor, _ in ready]
            if time.monotonic() - self.started >= self.allowed:
                self._extend()

    def _extend(self) -> None:
        """Allow for the CPU time that the machine did not give, or raise TimeLimit."""
        wall = time.monotonic() - self.children.started
        share = self.children.cpu_seconds() / wall if wall > 0 else 1.0
        allowed = self.seconds / min(1.0, max(share, 1 / _SLOWEST)) if share >= 0.1 else self.seconds
        if time.monotonic() - self.started >= allowed - 0.01:
            raise TimeLimit
        self.allowed = allowed


class Children:
    """The confined processes of one program. Use as a context manager: they are gone afterwards, whatever happened."""

    def __init__(self, sandbox: Sandbox, limits: Limits):
        self.sandbox = sandbox
        self.limits = limits
        self.started = time.monotonic()
        self.requested = False
        self.pids: list[int] | None = None
        self.ended: list[Ended] | None = None
        self._open: list[Channel | int] = []
        self._inner: list[int] = []

    def channel(self) -> Channel:
        """Return a new channel that is closed with the children."""
        channel = Channel()
        self._open.append(channel)
        return channel

    def pipe(self) -> tuple[int, int]:
        """Return a new pipe that is closed with the children."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        self._open += [reader, writer]
        self._inner.append(writer)
        return reader, writer

    def link(self) -> tuple[int, int]:
        """Return the two ends of a stream between two children."""
        ends = [end.detach() for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)]
        self._open += ends
        self._inner += ends
        return ends[0], ends[1]

    def input(self, data: bytes) -> int:
        """Return a descriptor from which `data` is read, and that cannot be changed."""
        descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._open.append(descriptor)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        return descriptor

    def spawn(self, roles: Mapping[str, Sequence[int]]) -> None:
        """Start a process for every role -> descriptors (they become 0, 1, 2 ...; -1 is /dev/null)."""
        given = sorted({number for numbers in roles.values() for number in numbers if number >= 0})
        children = [
            {"role": role, "descriptors": [given.index(n) if n >= 0 else -1 for n in numbers]}
            for role, numbers in roles.items()
        ]
        limits = {"cpu_seconds": self.limits.cpu_seconds, "address_bytes": self.limits.address_bytes}
        self.sandbox.tell({"op": "spawn", "children": children, **limits}, given)
        self.requested = True
        for item in self._open:  # the other ends live in the children only, so that we notice when they are gone
            if isinstance(item, Channel):
                item.inner.close()
        for writer in self._inner:
            os.close(writer)
            self._open.remove(writer)
        self._inner.clear()

    def settle(self) -> None:
        """Read the host's answer to `spawn`, so that it is not taken for another."""
        self._pids()

    def _pids(self) -> list[int]:
        if self.pids is None:
            self.pids = list(self.sandbox.reply())
        return self.pids

    def cpu_seconds(self) -> float:
        """Return the CPU time used so far."""
        return float(self.sandbox.ask({"op": "cpu", "pids": self._pids()}))

    def reap(self, grace: float = 0.0) -> list[Ended]:
        """End the processes, after waiting `grace` seconds for them to end by themselves."""
        if self.ended is None:
            found = self.sandbox.ask({"op": "reap", "pids": self._pids(), "grace": grace})
            self.ended = [
                Ended(status=status, killed=killed, cpu_seconds=cpu, peak_megabytes=peak / 1024, over=over)
                for status, killed, cpu, peak, over in found["ended"]
            ]
            self.sandbox.unclean = found.get("unclean")
        return self.ended

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.requested:
                self.reap()
        finally:
            for item in self._open:
                if isinstance(item, Channel):
                    item.close()
                else:
                    with contextlib.suppress(OSError):
                        os.close(item)
