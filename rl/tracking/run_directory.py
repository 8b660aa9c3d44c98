"""The run directory: one place that says what was run, with what, how far it came and how it ended.

    config.yaml      resolved settings, each with where it came from
    provenance.json  command line, versions, git commit, machine
    tracking.json    who the run is for trackers: its id, project and group
    status.json      running, finished, failed or preempted (an exit code alone proves nothing)
    metrics.jsonl    one record a step; the same run gives the same ones, byte for byte, also across kill and resume
    timing.jsonl     one record a step; seconds and speeds, which differ from run to run
    resumes.jsonl    the step after which each resume that still counts went on

Files appear whole or not at all.
"""

import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from problems.errors import LabError
from rl.stopping import is_told_to_stop

JsonDict = dict[str, Any]  # an object of JSON
PACKAGES = ("torch", "transformers", "trl", "peft", "deepspeed", "datasets", "wandb", "sympy", "numpy")


class RunDirectoryError(LabError):
    """A run directory that cannot be used; the message says what to do."""


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write `path` whole or not at all, and have it on disk when this returns."""
    temporary = path.with_name(f".{path.name}.tmp{os.getpid()}")
    try:
        content = data.encode() if isinstance(data, str) else data
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)  # the new name is on disk only when its directory is
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def plain(value: Any) -> Any:
    """Return `value` with NaN and infinities as null, which JSON has no words for."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


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
                raise RunDirectoryError(f"{path} line {number + 1} is not JSON; the file was damaged") from None


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


@dataclass(frozen=True)
class RunDirectory:
    """A run directory that exists and is ours."""

    path: Path

    @classmethod
    def create(cls, path: Path, config_text: str, *, resume: bool = False) -> "RunDirectory":
        """Make the directory and write what the run is; raises RunDirectoryError when it belongs to another run."""
        check_free(path, resume=resume)
        try:
            path.mkdir(parents=True, exist_ok=True)
            write_atomic(path / "config.yaml", config_text)
            write_atomic(path / "provenance.json", json.dumps(provenance(), indent=1))
        except OSError as error:
            raise RunDirectoryError(f"cannot write the run directory {path}: {error}; choose another run.dir") from None
        run = cls(path)
        run.set_status("running")
        return run

    def set_status(self, status: str, **details: Any) -> None:
        """Record how the run stands."""
        record = {"status": status, "pid": os.getpid(), "time": _now(), **details}
        write_atomic(self.path / "status.json", json.dumps(plain(record), indent=1))

    def set_failure(self, error: BaseException) -> bool:
        """Record that `error` ended the run. Any rank may say so, and the first is believed: it knows the cause.

        What the other ranks find later (a peer that has gone, a signal from the launcher) only follows from it. Returns
        whether it may be news: False where another rank was first.
        """
        try:
            standing = json.loads((self.path / "status.json").read_text(encoding="utf-8"))["status"]
        except (OSError, ValueError, KeyError):
            return True  # not begun, or on a disk that this machine does not see
        if standing != "running":
            return False
        status = "preempted" if is_told_to_stop(error) else "failed"
        rank = int(os.environ.get("RANK", "0"))
        self.set_status(status, error=f"{type(error).__name__}: {error}", rank=rank)
        return True

    def append(self, name: str, record: Mapping[str, Any]) -> None:
        """Append one record to a JSONL file and flush it."""
        with open(self.path / name, "a", encoding="utf-8") as file:
            file.write(json.dumps(plain(record)) + "\n")

    def cut_after(self, step: int) -> None:
        """Remove records and rollouts of steps after `step`, which a resumed run writes again, and note the resume."""
        for name in ("metrics.jsonl", "timing.jsonl", "resumes.jsonl"):
            path = self.path / name
            if path.exists():
                records = [record for record in read_records(path) if record["step"] <= step]
                write_atomic(path, json_lines(records))
        for kind in ("step", "tokens"):  # the completions of a step, and tokens of some of them
            for file in (self.path / "rollouts").glob(f"{kind}-*.jsonl.gz"):
                of_step = file.name.removeprefix(f"{kind}-").removesuffix(".jsonl.gz")
                if of_step.isdecimal() and int(of_step) > step:
                    file.unlink()
        if step > 0:
            self.append("resumes.jsonl", {"step": step, "time": _now()})
