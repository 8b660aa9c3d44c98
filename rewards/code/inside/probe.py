"""Tries, from inside a confined child, what must not work. What does work is a leak. Standard library only."""

import json
import os
import signal
import socket
from collections.abc import Callable


def _read_host_file() -> None:
    with open("/etc/passwd"):
        pass


def _write_outside() -> None:
    path = f"/var/tmp/reasonlab-probe-{os.getpid()}"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    os.unlink(path)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _execute() -> None:
    if os.access("/bin/true", os.X_OK):  # would replace this process; only then is there something to try
        os.execv("/bin/true", ["true"])
    raise PermissionError


def _connect() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()


def _unix() -> None:
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).close()


def _signal_parent() -> None:
    os.kill(os.getppid() or 1, 0)


def _signal_group() -> None:
    os.kill(0, 0)


def _environment() -> None:
    if set(os.environ) <= {"TMPDIR"}:
        raise PermissionError


ATTEMPTS: dict[str, Callable[[], None]] = {
    "read a file of the host": _read_host_file,
    "write outside the scratch folder": _write_outside,
    "make a process": _fork,
    "open an internet socket": _connect,
    "open a Unix socket": _unix,
    "signal the parent": _signal_parent,
    "signal the group": _signal_group,
    "read environment variables": _environment,
    "execute a program": _execute,  # last: success would end the probe, which counts as a leak too
}


def run(become_child: Callable[[list[int], int, int], None]) -> list[str]:
    """Return the attempts that succeeded in a child that `become_child` has confined."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        become_child([writer, writer, writer, writer], 5, 4 * 2**30)
        for name, attempt in ATTEMPTS.items():
            try:
                attempt()
            except (OSError, PermissionError):
                continue
            os.write(3, json.dumps(name).encode() + b"\n")
        os.write(3, b"done\n")
        os._exit(0)
    os.close(writer)
    text = b""
    while piece := os.read(reader, 4096):
        text += piece
    os.close(reader)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    lines = text.decode().split("\n")[:-1]
    finished = bool(lines) and lines[-1] == "done"
    leaks = [str(json.loads(line)) for line in (lines[:-1] if finished else lines)]
    return leaks if finished else [*leaks, "execute a program, or the probe was killed"]
