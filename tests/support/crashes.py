"""Children of a test that are killed in the middle of something, or that write to a small disk of their own.

A child is a fork of the test's process: what it is to do is a function, and no library is loaded again. It must start no
computation of torch, whose threads a fork does not have.
"""

import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_CLONE_NEWNS, _MS_RDONLY, _MS_REMOUNT, _MS_REC, _MS_PRIVATE = 0x20000, 1, 32, 0x4000, 1 << 18  # mount(2), unshare(2)
_CHANGES = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir")  # of Python's audit events, those that touch a disk


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    status: int  # negative: the signal that ended it
    answer: Any  # what its function returned; its traceback where it raised something


def in_child(action: Callable[[], object]) -> Ended:
    """Do something in a child; what it returns must be JSON."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            answer = json.dumps(action())
            status = 0
        except BaseException:
            answer = json.dumps(traceback.format_exc())
        finally:
            with open(writer, "w") as pipe:
                pipe.write(answer)
            os._exit(status)
    os.close(writer)
    with open(reader) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), json.loads(said) if said else None)


def answer_of(action: Callable[[], object]) -> Any:
    """Return what `action` returns in a child; fails with its traceback where it raises something."""
    ended = in_child(action)
    assert ended.status == 0, ended.answer
    return ended.answer


def killed_before_each_change(action: Callable[[], object], below: Callable[[], Path]) -> Iterator[int]:
    """Do something in children, each killed before another of its changes to files: the first, the second and so on.

    Yields how many changes there were, after each kill; `below` makes ready for the next child and says where its changes are
    counted. The last child, which nobody kills, must end well.
    """
    changes = 0
    while True:
        place = str(below())

        def until_killed(allowed: int = changes, place: str = place) -> None:
            left = allowed

            def count(event: str, arguments: tuple[Any, ...]) -> None:
                nonlocal left
                if event not in _CHANGES or not _is_change_below(place, event, arguments):
                    return
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1

            sys.addaudithook(count)
            action()

        ended = in_child(until_killed)
        if ended.status != -signal.SIGKILL:
            assert ended.status == 0, ended.answer
            return
        yield changes
        changes += 1


def _is_change_below(place: str, event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        return str(arguments[0]).startswith(place) and bool((arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR))
    # shutil.rmtree names files by their directory's descriptor, the last argument
    return str(arguments[0]).startswith(place) or arguments[-1] >= 0


# -- a disk of one's own


class SmallDisk:
    """A file system in memory that only this child sees."""

    def __init__(self, place: Path, kibibytes: int):
        self.place = place
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._check(self._libc.unshare(_CLONE_NEWNS))
        self._mount("none", "/", "none", _MS_REC | _MS_PRIVATE, "")
        self._mount("tmpfs", str(place), "tmpfs", 0, f"size={kibibytes}k")

    def resize(self, kibibytes: int) -> None:
        """Make it larger or smaller."""
        self._mount("tmpfs", str(self.place), "tmpfs", _MS_REMOUNT, f"size={kibibytes}k")

    def make_read_only(self) -> None:
        """Let nobody write to it."""
        self._mount("tmpfs", str(self.place), "tmpfs", _MS_REMOUNT | _MS_RDONLY, "")

    def fill(self, leave_kibibytes: int = 0) -> None:
        """Write a file that leaves so much room."""
        free = os.statvfs(self.place)
        wanted = free.f_bavail * free.f_frsize - leave_kibibytes * 1024
        (self.place / "filling").write_bytes(bytes(max(0, wanted)))

    def _mount(self, what: str, place: str, kind: str, flags: int, options: str) -> None:
        self._check(self._libc.mount(what.encode(), place.encode(), kind.encode(), flags, options.encode()))

    def _check(self, result: int) -> None:
        if result:
            raise PermissionError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@cache
def can_mount() -> bool:
    """Whether a child may have a disk of its own here."""
    return in_child(lambda: str(SmallDisk(Path("/tmp"), 64).place)).status == 0


def on_small_disk(place: Path, kibibytes: int, action: Callable[[SmallDisk], object]) -> Any:
    """Return what `action` returns in a child in which `place` is a small disk; skips where that is not allowed."""
    if not can_mount():
        pytest.skip("needs the right to mount a file system (root, and user namespaces or a privileged container)")
    place.mkdir(exist_ok=True)
    return answer_of(lambda: action(SmallDisk(place, kibibytes)))
