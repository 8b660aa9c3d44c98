"""Files of a run as they are found: half written, damaged, made by somebody else.

Elsewhere a damaged file is an error; here what can be read is shown, and how much could not. Sizes are bounded, and nothing
outside of the run directory is opened, whatever its links say.
"""

import gzip
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from rl.tracking.run_directory import JsonDict

MOST_BYTES = 1 << 30  # of one file when it is unpacked: a gzip file of a megabyte may hold a thousand times that
_TAIL_BYTES = 64
_LARGEST = 1e300


@dataclass(frozen=True, kw_only=True)
class Lines:
    """The records of a JSONL file."""

    records: list[JsonDict]
    damaged: int  # lines that are no object of JSON; a last line without its end is none of them: it is being written


def stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes with the content of a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def is_inside(path: Path, home: Path) -> bool:
    """Whether a file is there and, links followed, in the run directory `home`; a pipe, which would never end, is none."""
    try:
        return path.resolve(strict=True).is_relative_to(home.resolve()) and path.is_file()
    except (OSError, RuntimeError):  # links in a ring
        return False


def read_bytes(path: Path, home: Path) -> bytes:
    """Return a file of the run directory `home`, unpacked if its name ends in .gz; b"" for what is not there or not in it."""
    if not is_inside(path, home):
        return b""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            return file.read(MOST_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""


def read_text(path: Path, home: Path) -> str:
    """Return a text file of the run directory `home`; broken UTF-8 shows as U+FFFD."""
    return read_bytes(path, home).decode("utf-8", "replace")


def read_lines(path: Path, home: Path) -> Lines:
    """Return the records of a JSONL file of the run directory `home`."""
    return parse_lines(read_bytes(path, home))


def read_object(path: Path, home: Path) -> JsonDict:
    """Return the object of JSON in a file of the run directory `home`; {} where there is none."""
    found = _parsed(read_bytes(path, home))
    return {} if found is None else found


def parse_lines(data: bytes) -> Lines:
    """Return the records of the bytes of a JSONL file."""
    whole, _, unfinished = data.rpartition(b"\n")
    records, damaged = [], 0
    for line in whole.split(b"\n"):
        if not line.strip():
            continue
        record = _parsed(line)
        if record is None:
            damaged += 1
        else:
            records.append(record)
    if (last := _parsed(unfinished)) is not None:
        records.append(last)
    return Lines(records=records, damaged=damaged)


class GrowingLines:
    """The records of a JSONL file that grows: of what is there already nothing is read again.

    A file that was cut or replaced (a resumed run takes its last steps back) is read anew and counts as another `generation`.
    """

    def __init__(self, path: Path, home: Path):
        self._path, self._home = path, home
        self.generation = 0
        self._inode = -1
        self._offset = 0  # behind the last line that has its end
        self._tail = b""  # what stands before the offset
        self._known: list[JsonDict] = []
        self._damaged = 0

    def read(self) -> Lines:
        """Return all records, a last line without its end included if it is whole."""
        if not is_inside(self._path, self._home):
            return Lines(records=[], damaged=0)
        try:
            with open(self._path, "rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                file.seek(self._offset - len(self._tail))
                is_same = inode == self._inode and file.read(len(self._tail)) == self._tail
                if not is_same:
                    self._forget(inode)
                    file.seek(0)
                data = file.read(MOST_BYTES)
        except OSError:
            return Lines(records=[], damaged=0)
        ended = data[: data.rfind(b"\n") + 1]
        new = parse_lines(ended)
        self._known += new.records
        self._damaged += new.damaged
        self._offset += len(ended)
        self._tail = (self._tail + ended)[-_TAIL_BYTES:]
        last = _parsed(data[len(ended) :])
        return Lines(records=self._known + ([last] if last is not None else []), damaged=self._damaged)

    def _forget(self, inode: int) -> None:
        self.generation += 1
        self._inode, self._offset, self._tail = inode, 0, b""
        self._known, self._damaged = [], 0


# decoded without a look at each number, which would take twice the time: finite() judges those that are used
_DECODER = json.JSONDecoder(parse_constant=lambda _: None)


def _parsed(line: bytes) -> JsonDict | None:
    try:
        record = _DECODER.decode(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def finite(value: object) -> float | None:
    """Return a value of a record as a number; None where it is none, or one that nobody can count with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) <= _LARGEST else None  # neither NaN nor infinite, and no integer of a thousand digits
