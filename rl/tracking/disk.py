"""The disk under a run: what is free on it, and what to say when it takes no more.

A full disk shows itself wherever something is written, as an OSError, or as an error of torch or safetensors that is none.
`naming_disk` stands around a run and has all of them end it in words. Left out: quotas, which `statvfs` does not know; they
show when they are hit.
"""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from problems.errors import LabError
from rl.settings.disk import size_in_words

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_CLOSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
FAILING = frozenset({errno.EIO, errno.ESTALE})
# of errors that carry no number: safetensors puts it in its text, torch's writer (2.13) has only seen that a write fell short
_TEXTS = {
    "(os error 28)": errno.ENOSPC,
    "(os error 122)": errno.EDQUOT,
    "(os error 30)": errno.EROFS,
    "(os error 5)": errno.EIO,
    "iostream error": errno.ENOSPC,
    "unexpected pos": errno.ENOSPC,
    "PytorchStreamWriter failed": errno.ENOSPC,
}
_REST = "What was saved before is whole; go on with --resume"


class DiskError(LabError):
    """A disk that takes no more; the message says what to do."""


class FailingDiskError(DiskError):
    """A disk that fails: that of a file server, which is started anew, may well do so once only."""

    exit_status = 1


def free_bytes(path: Path) -> int | None:
    """Return what is free on the disk of `path`, which need not exist yet; None where the file system does not say."""
    while not path.exists():
        path = path.parent
    usage = shutil.disk_usage(path)
    return usage.free if usage.total else None  # some network file systems know of no size


def free_in_words(path: Path) -> str:
    """Return what is free on the disk of `path` as a part of a sentence."""
    free = free_bytes(path)
    return "how much is free it does not say" if free is None else f"{size_in_words(free)} free"


@contextmanager
def naming_disk(directory: Path) -> Iterator[None]:
    """Turn what a disk that takes no more raises inside, wherever that is, into a DiskError about `directory`."""
    try:
        yield
    except LabError:
        raise
    except Exception as error:
        number = _number(error, directory)
        if number is None:
            raise
        kind = FailingDiskError if number in FAILING else DiskError
        raise kind(_words(number, error, directory)) from error


def _number(error: BaseException | None, directory: Path) -> int | None:
    """Return the errno of a disk's fault that `error` is or follows from; None for any other error."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in FULL | _CLOSED | FAILING and _is_about(error, directory):
            return error.errno
        if found := [number for text, number in _TEXTS.items() if text in str(error)]:
            return found[0]
        error = error.__cause__ or error.__context__
    return None


def _is_about(error: OSError, directory: Path) -> bool:
    """Whether the disk of the run is meant: a file elsewhere that cannot be read or written is another matter."""
    if error.filename is None:  # of what is open already nothing says where it lies
        return error.errno not in {errno.EACCES, errno.EPERM}
    return Path(str(error.filename)).resolve().is_relative_to(directory.resolve())


def _words(number: int, error: Exception, directory: Path) -> str:
    first_line = str(error).strip().split("\n")[0][:200]
    if number in FULL:
        return (
            f"no room is left on the disk of {directory} ({first_line}; now {free_in_words(directory)}): make room there. "
            f"{_REST}. Lower checkpoint.keep_last and train.rollouts_megabytes have a run keep less"
        )
    if number in _CLOSED:
        return f"{directory} cannot be written any more ({first_line}): make it writable. {_REST}"
    return f"the disk of {directory} fails ({first_line}): if it goes on to, have it looked at, or copy the run. {_REST}"
