"""How a run stands, said truly: a process that was killed by SIGKILL, or whose machine is gone, has left "running" behind.

`RUN/status.json` says how the run stood when it was written, and by which process; `RUN/ranks/rank-0.json` is that process's
heartbeat. Where the process can be looked for, here, it must be there; elsewhere its heartbeat must not be old.
"""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl.heartbeat import BEAT_SECONDS, read_beat, read_status, silence

_LISTEN_SECONDS = 10 * BEAT_SECONDS
_OLD_SECONDS = 120.0  # of a heartbeat on another machine: clocks differ, and a file server may be slow


def this_process() -> dict[str, Any]:
    """Return what a process is found by later: pid, host, and what tells it from another of the same number."""
    pid = os.getpid()
    return {"pid": pid, "host": socket.gethostname(), "process": _identity(pid)}


def standing_in_words(run: Path) -> str:
    """Return in words how the run in a directory stands; "unknown" where nothing says so."""
    return standing_of(read_status(run), read_beat(run, 0))


def standing_of(record: Mapping[str, Any] | None, beat: Mapping[str, Any] | None) -> str:
    """As `standing_in_words`, of the content of status.json and of the heartbeat of rank 0."""
    if not record:
        return "unknown"
    last = killed_at(record, beat)
    return str(record.get("status", "unknown")) if last is None else f"was killed at about {last}"


def killed_at(record: Mapping[str, Any], beat: Mapping[str, Any] | None) -> str | None:
    """Return when a run gave its last sign of life that says it runs and does not; None where it does, or may do so."""
    if record.get("status") != "running":
        return None
    beaten = beat.get("time") if beat else None
    is_gone = _is_gone(record)
    if is_gone is None:  # it cannot be looked for from here
        is_gone = beat is not None and isinstance(beaten, int | float) and silence(beat) > _OLD_SECONDS
    if not is_gone:
        return None
    of_beat = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(beaten)) if isinstance(beaten, int | float) else ""
    return max(of_beat, str(record.get("time", "")))  # such times are in the order of their texts


def is_at_work(run: Path, record: Mapping[str, Any] | None) -> bool:
    """Whether another process is surely at work on a run whose status.json says `record`; takes seconds if it is elsewhere."""
    if record is None or record.get("status") != "running" or _is_own(record):
        return False
    is_gone = _is_gone(record)
    return _beats(run) if is_gone is None else not is_gone


def _is_own(record: Mapping[str, Any]) -> bool:
    return all(record.get(key) == value for key, value in this_process().items())


def _beats(run: Path) -> bool:
    """Whether the heart of a run is seen to beat; clocks of other machines are not asked."""
    before = read_beat(run, 0)
    if before is None:
        return False
    until = time.monotonic() + _LISTEN_SECONDS
    while time.monotonic() < until:
        time.sleep(BEAT_SECONDS / 2)
        if (read_beat(run, 0) or before).get("time") != before.get("time"):
            return True
    return False


def _is_gone(record: Mapping[str, Any]) -> bool | None:
    """Whether the process that wrote a status has ended; None where that cannot be seen from here."""
    identity, pid, own = record.get("process"), record.get("pid"), _identity(os.getpid())
    if record.get("host") != socket.gethostname() or own is None or not isinstance(identity, str) or not isinstance(pid, int):
        return None
    if identity.split()[0] != own.split()[0]:  # another container: its numbers mean nothing here
        return None
    return _identity(pid) != identity


def _identity(pid: int) -> str | None:
    """Return a process's namespace and its start in clock ticks since boot; None where there is none, or no Linux."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")  # the name in it may be cut in the middle of a sign
        fields = stat.rpartition(")")[2].split()  # from the third of proc(5) on: state, parent, ..., start
        return None if fields[0] in "ZX" else f"{os.readlink('/proc/self/ns/pid')} {fields[19]}"
    except (OSError, IndexError):
        return None
