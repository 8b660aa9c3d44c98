"""Files of a run as they are found: half written, damaged, made by somebody else.

Elsewhere a damaged file is an error; here what can be read is shown, and how much could not. Sizes are bounded, and nothing
outside of the run directory is opened, whatever its links say.
"""

import gzip
import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

from rl.tracking.run_directory import JsonDict

MOST_BYTES = 1 << 30  # of one file when it is unpacked: a gzip file of a megabyte may hold a thousand times that
_MOST_DIGITS = 15


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


def read_bytes(path: Path, home: Path) -> bytes:
    """Return a file of the run directory `home`, unpacked if its name ends in .gz; b"" for what is not there or not in it."""
    try:
        if not path.resolve(strict=True).is_relative_to(home.resolve()) or not path.is_file():  # a pipe would never end
            return b""
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


def _float(digits: str) -> float | None:
    return value if math.isfinite(value := float(digits)) else None


def _int(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else None


# what is no number for the browser, or too large to count with, is read as nothing
_DECODER = json.JSONDecoder(parse_float=_float, parse_int=_int, parse_constant=lambda _: None)


def _parsed(line: bytes) -> JsonDict | None:
    try:
        record = _DECODER.decode(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
