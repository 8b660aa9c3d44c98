"""The judge's handle on the sandbox: starts the host, asks it for confined processes, and sees to it that they end.

Covered: nothing runs below the stated minimum of isolation unless the settings allow it; a sandbox that fails is told apart
from a program that fails; no process, descriptor or folder outlives its user.
Not covered: the isolation itself, which is the host's (`rewards/code/inside`).
"""

import atexit
import contextlib
import fcntl
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from problems.errors import LabError
from rewards.code.judging.channel import Channel, Deadline
from rewards.code.settings import Limits, SandboxSettings
from rewards.code.wire import (
    Child,
    CpuRequest,
    ExamSetup,
    Hello,
    HostConfig,
    HostFailed,
    HostRequest,
    Overrun,
    Reaped,
    ReapRequest,
    Role,
    SpawnRequest,
    pack,
)

_START_SECONDS = 30.0
_REPLY_SECONDS = 20.0  # the host answers at once; only a machine in trouble makes it wait
_SEALS = 0xF  # F_SEAL_SEAL, SHRINK, GROW, WRITE
_BUNDLED = {"numpy": ("numpy.libs",), "scipy": ("scipy.libs",), "pandas": ("pandas.libs", "dateutil", "six.py", "tzdata")}


class SandboxUnavailable(LabError):
    """This machine cannot confine programs as well as the settings demand."""


class HostDied(Exception):
    """The sandbox itself failed: nobody's answer is to blame."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended: exit status (negative: signal), whether we had to kill it, what it used, what it was killed for."""

    status: int
    killed: bool
    cpu_seconds: float
    peak_megabytes: float
    overrun: Overrun | None


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
        self.examiner: KeptExaminer | None = None
        self.unclean: str | None = None  # why the scratch folder could not be emptied: then the sandbox is not used again
        hello = self._build(list(settings.off))
        self.layers = hello["layers"]  # layer -> None, or why it is not in force
        self.leaks = hello["leaks"]
        missing = self.below_minimum()
        if missing and not settings.allow_weak:
            self.close()
            raise SandboxUnavailable(
                "programs cannot be confined well enough here: "
                + "; ".join(missing)
                + ". `reasonlab doctor --sandbox` tells more; "
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

    def _build(self, off: list[str]) -> Hello:
        """Start a host that stands; raises SandboxUnavailable."""
        hello = self._start(off)
        if "failed" in hello and "mount" not in off:
            # Half of a new root is no root: begin again without one.
            reason = hello["failed"]
            hello = self._start([*off, "mount"])
            hello["layers"]["mount"] = reason
        if "failed" in hello:
            self.close()
            raise SandboxUnavailable(f"the sandbox cannot be built: {hello['failed']}")
        return hello

    def _start(self, off: list[str]) -> Hello | HostFailed:
        """Start a host and return its first words."""
        self.scratch = tempfile.mkdtemp(prefix="reasonlab-")
        self.control, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        config = HostConfig(
            socket=inner.fileno(),
            scratch=self.scratch,
            off=off,
            packages=self.packages,
            preload=self.preload,
            memory_megabytes=self.settings.memory_megabytes,
        )
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
        hello = self._first_words()
        if "failed" in hello:
            self.close()
        else:
            self.control.settimeout(_REPLY_SECONDS)
        return hello

    def _first_words(self) -> Hello | HostFailed:
        try:
            text = self.control.recv(65536)
        except OSError as error:
            return HostFailed(failed=f"no word from it: {error}", layers={})
        if not text:
            return HostFailed(failed="it ended at once", layers={})
        hello: Hello | HostFailed = json.loads(text)
        return hello

    def ask(self, request: HostRequest, descriptors: Sequence[int] = ()) -> Any:
        """Send a request to the host and return its reply, which the asker gives a type."""
        self.tell(request, descriptors)
        return self.reply()

    def tell(self, request: HostRequest, descriptors: Sequence[int] = ()) -> None:
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
            return  # a fork of the judge: the sandbox is not ours to end
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)  # only when the launcher could not


def _find_packages(names: Sequence[str]) -> dict[str, str]:
    """Return entry in the packages folder -> where it really is, for those of `names` that are installed."""
    folders: dict[str, str] = {}
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            continue
        folder = os.path.realpath(spec.submodule_search_locations[0])
        folders[name] = folder
        for extra in _BUNDLED.get(name, ()):
            path = os.path.join(os.path.dirname(folder), extra)
            if os.path.exists(path):
                folders[extra] = path
    return folders


class Children:
    """The confined processes of one program. Use as a context manager: they are gone afterwards, whatever happened."""

    def __init__(self, sandbox: Sandbox, limits: Limits):
        self.sandbox = sandbox
        self.limits = limits
        self.started = time.monotonic()
        self.requested = False
        self._pids: list[int] | None = None
        self._ended: list[Ended] | None = None
        self._open: list[Channel | int] = []
        self._inner: list[int] = []  # descriptors among them that only the children are to hold

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

    def spawn(self, roles: Mapping[Role, Sequence[int]]) -> None:
        """Start a process for every role -> descriptors (they become 0, 1, 2 ...; -1 is /dev/null).

        The host's answer is read only when it is needed, so that the program starts while the judge goes on.
        """
        given = sorted({number for numbers in roles.values() for number in numbers if number >= 0})
        places = {number: place for place, number in enumerate(given)}
        request = SpawnRequest(
            op="spawn",
            children=[
                Child(role=role, descriptors=[places.get(number, -1) for number in numbers]) for role, numbers in roles.items()
            ],
            cpu_seconds=self.limits.cpu_seconds,
            address_bytes=self.limits.address_bytes,
        )
        self.sandbox.tell(request, given)
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
        self.pids()

    def pids(self) -> list[int]:
        """Return the processes' numbers, as the host knows them."""
        if self._pids is None:
            self._pids = list(self.sandbox.reply())
        return self._pids

    def cpu_seconds(self) -> float:
        """Return the CPU time used so far."""
        return float(self.sandbox.ask(CpuRequest(op="cpu", pids=self.pids())))

    def reap(self, grace: float = 0.0) -> list[Ended]:
        """End the processes, after waiting `grace` seconds for them to end by themselves."""
        if self._ended is None:
            reaped: Reaped = self.sandbox.ask(ReapRequest(op="reap", pids=self.pids(), grace=grace))
            self._ended = [
                Ended(
                    status=ended["status"],
                    killed=ended["killed"],
                    cpu_seconds=ended["cpu_seconds"],
                    peak_megabytes=ended["peak_kilobytes"] / 1024,
                    overrun=ended["overrun"],
                )
                for ended in reaped["ended"]
            ]
            self.sandbox.unclean = reaped.get("unclean")
        return self._ended

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.requested:
                self.reap()
        finally:
            self._close()

    def _close(self) -> None:
        for item in self._open:
            if isinstance(item, Channel):
                item.close()
            else:
                with contextlib.suppress(OSError):
                    os.close(item)


class KeptExaminer:
    """An examiner that runs one set of tests after another, for tests that leave nothing behind in its process."""

    MAX_RUNS = 200

    def __init__(self, sandbox: "Sandbox"):
        limits = Limits(test_seconds=3600, program_seconds=3600, memory_megabytes=2048, output_bytes=0)
        self.children = Children(sandbox, limits)
        self.channel = self.children.channel()
        self.children.spawn({"kept examiner": (-1, -1, -1, self.channel.inner.fileno())})
        self.children.settle()
        self.runs = 0

    def begin(self, setup: ExamSetup, link: int, deadline: Deadline) -> None:
        """Send the tests and the descriptor of the link to the candidate."""
        frame = pack(setup)
        self.runs += 1
        try:
            socket.send_fds(self.channel.socket, [frame[:4]], [link])  # a descriptor needs some bytes to travel with
        except OSError as error:
            raise HostDied(f"the test process is gone: {error}") from None
        self.channel.send_bytes(frame[4:], deadline)

    @classmethod
    def of(cls, sandbox: "Sandbox") -> "KeptExaminer":
        """Return the sandbox's own, new when there is none or it has run often enough."""
        if sandbox.examiner is not None and sandbox.examiner.runs >= cls.MAX_RUNS:
            cls.drop(sandbox)
        if sandbox.examiner is None:
            sandbox.examiner = cls(sandbox)
        return sandbox.examiner

    @staticmethod
    def drop(sandbox: "Sandbox") -> None:
        """End it; the next tests get a new one."""
        examiner, sandbox.examiner = sandbox.examiner, None
        if examiner is not None:
            examiner.children.__exit__()
