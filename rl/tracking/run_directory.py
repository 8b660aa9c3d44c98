"""The run directory: one place that says what was run, with what, how far it came and how it ended.

    config.yaml      resolved settings, each with where it came from
    provenance.json  command line, versions, git commit, machine
    tracking.json    who the run is for trackers: its id, project and group
    status.json      running, finished, failed or preempted (an exit code alone proves nothing), and of which process
    ranks/           what each rank does now (rl/heartbeat.py); who reads "running" asks rl/tracking/standing.py
    metrics.jsonl    one record a step; the same run gives the same ones, byte for byte, also across kill and resume
    timing.jsonl     one record a step; seconds and speeds, which differ from run to run
    resumes.jsonl    the step after which each resume that still counts went on

Files appear whole or not at all.
"""

import json
import math
import os
import platform
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from problems.errors import LabError
from problems.telling import as_json, plain, remark, tell
from rl.heartbeat import read_status
from rl.stopping import is_told_to_stop
from rl.tracking.disk import FAILING, FULL, FailingDiskError
from rl.tracking.standing import is_at_work, standing_in_words, this_process

JsonDict = dict[str, Any]  # an object of JSON
_SYNC_SECONDS = 1.0  # a sync takes milliseconds on a disk of the machine's own and may take a tenth of a second on another
PACKAGES = ("torch", "transformers", "trl", "peft", "deepspeed", "datasets", "wandb", "sympy", "numpy")


class RunDirectoryError(LabError):
    """A run directory that cannot be used; the message says what to do."""


class ElsewhereError(RunDirectoryError):
    """Another machine works on the run. With exit status 1: it may be one that was given up for lost, and ends soon."""

    exit_status = 1


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write `path` whole or not at all, and have it on disk when this returns."""
    temporary = path.with_name(f".{path.name}.tmp{os.getpid()}-{threading.get_native_id()}")  # of this thread alone
    try:
        content = data.encode() if isinstance(data, str) else data
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):  # on a disk that has become read-only it stays
            temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Have the names in a directory on disk: a new file is there after a power cut only when its directory is."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_over(path: Path, content: bytes) -> bool:
    """Write `path` in place, where its blocks hold the new content, and return whether they do.

    For a full disk, which has no room for a second file.
    """
    if not path.exists() or len(content) > path.stat().st_blocks * 512:  # stat(2): in units of 512 bytes everywhere
        return False
    with open(path, "r+b") as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    return True


def append_records(path: Path, records: Iterable[JsonDict], *, synced: bool = True) -> None:
    """Add records to a JSONL file and have them on disk when this returns, or, not `synced`, with the kernel.

    The kernel keeps them when the process is killed, and loses them when the machine is.
    """
    with open(path, "a", encoding="utf-8") as file:
        file.write(json_lines(records))
        file.flush()
        if synced:
            os.fsync(file.fileno())


def json_lines(records: Iterable[JsonDict]) -> str:
    """Return the text of a JSONL file."""
    return "".join(json.dumps(record) + "\n" for record in records)


def read_records(path: Path) -> Iterator[JsonDict]:
    """Yield the records of a JSONL file; a torn last line (a killed writer) is left out."""
    if not path.exists():
        return
    # not splitlines(): a text in a record may hold U+2028 and its like, which end no line of JSONL
    lines = path.read_text(encoding="utf-8").split("\n")
    may_be_torn = len(lines) - 2  # from here on: the last line, with or without its line break
    for number, line in enumerate(lines):
        if not line:
            continue
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            if number < may_be_torn:
                raise RunDirectoryError(
                    f"{path} line {number + 1} is not JSON; the file was damaged: remove that line"
                ) from None


def provenance() -> JsonDict:
    """Return what is needed to repeat a run besides its settings."""
    versions = {name: _installed(name) for name in PACKAGES}
    return {
        "argv": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "git": _git(),
        "world_size": int(os.environ.get("WORLD_SIZE", "1")),
        "started": _now(),
    }


def read_provenance(run: Path) -> JsonDict:
    """Return what a run directory holds of `provenance`, {} where it holds nothing."""
    try:
        found: JsonDict = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _never_began(path: Path) -> bool:
    """Whether the run in `path` failed before it had anything to show, so that nothing is lost by starting over."""
    try:
        status = json.loads((path / "status.json").read_text(encoding="utf-8"))["status"]
    except (OSError, ValueError, KeyError):
        return False
    results = ("metrics.jsonl", "rollouts", "checkpoints", "model", "results.json", "samples.jsonl")
    has_results = any((path / name).exists() for name in results)
    return status == "failed" and not has_results


def check_free(path: Path, *, resume: bool = False) -> None:
    """Raise RunDirectoryError where `path` belongs to another run, unless that is to be gone on with."""
    if is_at_work(path, before := read_status(path)):
        assert before is not None
        kind = RunDirectoryError if before["host"] == socket.gethostname() else ElsewhereError
        raise kind(
            f"{path} is being worked on by process {before['pid']} of {before['host']}; `touch {path}/STOP` has it save and "
            "end, or choose another run.name"
        )
    if (path / "config.yaml").exists() and not resume and not _never_began(path):
        raise RunDirectoryError(
            f"{path} already holds a run; continue it with --resume, choose another run.name, or remove the directory"
        )


def _git() -> JsonDict | None:
    commit = _ask_git("rev-parse", "HEAD")
    if not commit:
        return None
    changes = _ask_git("status", "--porcelain")
    return {"commit": commit, "dirty": bool(changes)}


def _ask_git(*arguments: str) -> str | None:
    """Return what git says of our own checkout, None where there is no git or no checkout."""
    here = Path(__file__).resolve().parents[2]
    try:
        answer = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def tell_run(run: Path, model: Path | None = None) -> None:
    """Tell where a training left its run, or the model; as JSON its status and its last metrics too. Rank 0 alone does."""
    if os.environ.get("RANK", "0") == "0":
        found = {**(standing(run) if as_json() else {}), **({} if model is None else {"model": model})}
        tell(found, lambda: print(f"run: {run}" if model is None else f"model: {model}"))


def standing(run: Path) -> JsonDict:
    """Return how a run stands: its directory, what status.json says, and the last of its metrics."""
    status = read_status(run) or {"status": None}
    metrics = deque(read_records(run / "metrics.jsonl"), maxlen=1)
    return {"run": str(run), **status, "metrics": metrics[0] if metrics else None}


@dataclass(frozen=True)
class RunDirectory:
    """A run directory that exists and is ours."""

    path: Path
    start: str = ""  # names what has begun or resumed the run, for all of its ranks; "": nobody has, as far as this one knows
    _synced: dict[str, float] = field(
        default_factory=dict, compare=False, repr=False
    )  # file -> clock in seconds of its last sync

    @classmethod
    def create(cls, path: Path, config_text: str, *, resume: bool = False) -> "RunDirectory":
        """Make the directory and write what the run is; raises RunDirectoryError when it belongs to another run."""
        check_free(path, resume=resume)
        if "killed" in (before := standing_in_words(path)):
            remark(f"{path} {before}")
        run = cls(path, secrets.token_hex(8))
        try:
            path.mkdir(parents=True, exist_ok=True)
            run.set_status("running")  # first: from now on another start is refused
            run._remove_unfinished()
            write_atomic(path / "config.yaml", config_text)
            write_atomic(path / "provenance.json", json.dumps(provenance(), indent=1))
        except OSError as error:
            with suppress(OSError):
                run.set_failure(error)
            advice = "make room there, or choose another run.dir" if error.errno in FULL else "choose another run.dir"
            kind = FailingDiskError if error.errno in FAILING else RunDirectoryError
            raise kind(f"cannot write the run directory {path}: {error}; {advice}") from None
        return run

    def _remove_unfinished(self) -> None:
        """Remove what `write_atomic` of a killed process left."""
        for directory in (self.path, self.path / "rollouts"):
            for file in directory.glob(".*.tmp[0-9]*"):
                file.unlink(missing_ok=True)

    def set_status(self, status: str, **details: Any) -> None:
        """Record how the run stands."""
        start = {"start": self.start} if self.start else {}
        record = {"status": status, **this_process(), **start, "time": _now(), **details}
        content = json.dumps(plain(record), indent=1).encode()
        try:
            write_atomic(self.path / "status.json", content)
        except OSError as error:
            # that the disk is full is what the status is going to say
            if error.errno not in FULL or not _write_over(self.path / "status.json", content):
                raise

    def set_failure(self, error: BaseException) -> bool:
        """Record that `error` ended the run. Any rank may say so, and the first is believed: it knows the cause.

        What the other ranks find later (a peer that has gone, a signal from the launcher) only follows from it. Returns
        whether it may be news: False where another rank was first, or another start has taken the run over.
        """
        record = read_status(self.path)
        if record is None:
            return True  # not begun, or on a disk that this machine does not see
        if record.get("status") != "running" or record.get("start", self.start) != self.start:
            return False
        status = "preempted" if is_told_to_stop(error) else "failed"
        rank = int(os.environ.get("RANK", "0"))
        self.set_status(status, error=f"{type(error).__name__}: {error}", rank=rank)
        return True

    def append(self, name: str, record: Mapping[str, Any]) -> None:
        """Append one record to a JSONL file; it is on disk within a second's appending, or after `sync`."""
        now = time.monotonic()
        is_due = now - self._synced.get(name, -math.inf) >= _SYNC_SECONDS
        append_records(self.path / name, [plain(record)], synced=is_due)
        if is_due:
            self._synced[name] = now

    def sync(self) -> None:
        """Have all that was appended on disk: a checkpoint may not be newer than the metrics that lead to it."""
        for name in self._synced:
            with open(self.path / name, "rb") as file:
                os.fsync(file.fileno())

    def cut_after(self, step: int, records_after: int | None = None) -> None:
        """Remove records and rollouts of steps after `step`, which a resumed run writes again, and note the resume.

        `records_after`: the step for records, where it is another one.
        """
        last = step if records_after is None else records_after
        for name in ("metrics.jsonl", "timing.jsonl", "resumes.jsonl"):
            path = self.path / name
            if path.exists():
                records = [record for record in read_records(path) if record["step"] <= last]
                write_atomic(path, json_lines(records))
        for kind in ("step", "tokens"):  # the completions of a step, and tokens of some of them
            for file in (self.path / "rollouts").glob(f"{kind}-*.jsonl.gz"):
                of_step = file.name.removeprefix(f"{kind}-").removesuffix(".jsonl.gz")
                if of_step.isdecimal() and int(of_step) > step:
                    file.unlink()
        if last > 0:
            self.append("resumes.jsonl", {"step": last, "time": _now()})
