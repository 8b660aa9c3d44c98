"""Messages between the two sides: a length in four bytes, then that many bytes. Standard library only."""

import json
import socket
import struct
from typing import Any

MAX_FRAME_BYTES = 8 * 2**20


class FrameError(Exception):
    """A message that is too long, or not one of ours."""


def pack(message: Any) -> bytes:
    """Return `message` (JSON data) as one frame."""
    body = json.dumps(message, separators=(",", ":")).encode("ascii")
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"a message of {len(body)} bytes; at most {MAX_FRAME_BYTES} are carried")
    return struct.pack(">I", len(body)) + body


class Link:
    """A blocking stream of frames, for processes inside the sandbox (their deadlines are kept outside)."""

    def __init__(self, descriptor: int):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, descriptor)
        self.buffer = b""

    def send(self, message: Any) -> None:
        """Send one message."""
        self.socket.sendall(pack(message))

    def receive(self) -> Any:
        """Return the next message; raises EOFError when the other end is gone."""
        (length,) = struct.unpack(">I", self._exactly(4))
        if length > MAX_FRAME_BYTES:
            raise FrameError("a message that is too long")
        try:
            return json.loads(self._exactly(length))
        except (ValueError, RecursionError):
            raise FrameError("a message that is not data") from None

    def _exactly(self, count: int) -> bytes:
        pieces, missing = [self.buffer[:count]], count - len(self.buffer)
        self.buffer = self.buffer[count:]
        while missing > 0:
            piece = self.socket.recv(max(65536, missing))
            if not piece:
                raise EOFError
            pieces.append(piece[:missing])
            self.buffer = piece[missing:]
            missing -= len(piece)
        return b"".join(pieces)
