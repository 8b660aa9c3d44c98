"""How the judge talks with a confined process: messages on a channel, under a deadline.

Covered: a process that sends too much, sends what is no data, sends nothing, or goes away, costs no more than its time limit.
Not covered: what the messages say. Whoever reads them takes them for an adversary's.
"""

import json
import select
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from rewards.code.wire import MAX_FRAME_BYTES, FrameError, Message, pack

_SLOWEST = 3.0  # on a loaded machine a program may take this many times its limit, as long as it gets little CPU time
Received: TypeAlias = Mapping[str, object]  # an object of JSON; no field can be relied on
_Pollable: TypeAlias = int | socket.socket


class TimeLimit(Exception):
    """The program took too long."""


class Closed(Exception):
    """The program's end of a link is gone."""


class Processes(Protocol):
    """What a deadline needs to know of the processes that it bounds: when they were started (monotonic), and their CPU time."""

    started: float

    def cpu_seconds(self) -> float:
        """Return the CPU time used so far."""
        ...


class Channel:
    """The judge's end of a link to a confined process. What arrives is data from an adversary.

    `inner` is the other end, until the process has it; `ended` says that the process has closed it.
    """

    def __init__(self) -> None:
        self.socket, self.inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.buffer = bytearray()
        self.ended = False

    def send(self, message: Message, deadline: "Deadline") -> None:
        """Send one message; raises Closed or TimeLimit."""
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

    def receive(self, deadline: "Deadline") -> Received:
        """Return the next message; raises Closed, TimeLimit or FrameError."""
        while (message := self.take()) is None:
            if self.ended:
                raise Closed
            deadline.wait(self.socket, select.POLLIN)
            self.read()
        return message

    def answer(self, deadline: "Deadline") -> Received:
        """Return the next message that is more than a word of progress (`wire.Compiled`, `wire.Ready`)."""
        while True:
            message = self.receive(deadline)
            if "compiled" not in message and "ready" not in message:
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

    def take(self) -> Received | None:
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
            message: object = json.loads(body)
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

    def __init__(self, processes: Processes, seconds: float):
        self.processes = processes
        self.seconds = seconds
        self.started = time.monotonic()
        self.allowed = seconds

    def wait(self, readable: _Pollable, event: int = select.POLLIN) -> None:
        """Wait until the object is ready; raises TimeLimit."""
        self.wait_any([readable], event)

    def wait_any(self, objects: Sequence[_Pollable], event: int = select.POLLIN) -> list[int]:
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
        wall = time.monotonic() - self.processes.started
        share = self.processes.cpu_seconds() / wall if wall > 0 else 1.0
        allowed = self.seconds / min(1.0, max(share, 1 / _SLOWEST)) if share >= 0.1 else self.seconds
        if time.monotonic() - self.started >= allowed - 0.01:
            raise TimeLimit
        self.allowed = allowed
