"""Checkpoints that are either whole or not there.

`checkpoints/step-000123/` holds the DeepSpeed state of every rank (`engine/`), the model as a plain Hugging Face
directory (`policy/`, adapters as adapters), `state.json`, and last of all `manifest.json` with the size and sha256 of every
file. Everything is written under a temporary name and renamed when complete; a directory without a manifest that holds
is not a checkpoint. Older ones are removed only after the new one is in place; the newest N and the best stay.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from rl.runtime import rank, world_size
from rl.tracking.run_directory import JsonDict, write_atomic
from rl.types import TrainState


class Stateful(Protocol):
    """A part of a run that has state. All ranks call both; what is the same on all of them, rank 0 alone writes."""

    def save(self, directory: Path) -> None:
        """Write the state into a checkpoint."""

    def load(self, directory: Path) -> None:
        """Restore what `save` wrote into a checkpoint of this run, maybe on another number of ranks."""


def _barrier() -> None:
    if world_size() > 1:
        torch.distributed.barrier()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file() and path.name != "manifest.json")


def write_manifest(directory: Path, **about: Any) -> None:
    """Write the list of all files of `directory`, on disk before this returns."""
    files: JsonDict = {}
    for path in _files(directory):
        name = str(path.relative_to(directory))
        files[name] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    write_atomic(directory / "manifest.json", json.dumps({**about, "files": files}, indent=1))


def find_fault(directory: Path) -> str | None:
    """Return what is wrong with a checkpoint, or None when every file is there with its size and hash."""
    try:
        manifest = json.loads((directory / "manifest.json").read_text())
        files = manifest["files"]
    except (OSError, ValueError, KeyError) as error:
        return f"no readable manifest.json ({type(error).__name__})"
    for name, expected in files.items():
        path = directory / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != expected["bytes"]:
            return f"{name} has {path.stat().st_size} bytes, expected {expected['bytes']}"
        if _sha256(path) != expected["sha256"]:
            return f"{name} was changed (its sha256 differs)"
    return None


def save(
    root: Path, parts: Iterable[Stateful], state: TrainState, keep_last: int, save_more: Callable[[Path], None], **about: Any
) -> Path:
    """Save a checkpoint of `state.step`; all ranks must call, rank 0 completes it. There alone `save_more` adds its files.

    The manifest says what `about` says.
    """

    def save_parts(directory: Path) -> None:
        for part in parts:
            part.save(directory)

    def complete(directory: Path) -> None:
        save_more(directory)
        write_atomic(directory / "state.json", json.dumps(asdict(state), indent=1))

    kept = Kept(newest=keep_last, best_step=state.best_step)
    return write(root, state.step, kept, save_parts, complete, **about)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Which checkpoints stay when a new one is there."""

    newest: int
    best_step: int | None = None


def write(
    root: Path, step: int, kept: Kept, on_all: Callable[[Path], None], on_first: Callable[[Path], None], **about: Any
) -> Path:
    """Have `on_all` write on every rank and then `on_first` on rank 0, into a directory that appears whole; all must call."""
    final = root / f"step-{step:06d}"
    temporary = root / f".step-{step:06d}.tmp"
    if rank() == 0:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    _barrier()
    on_all(temporary)
    _barrier()
    if rank() == 0:
        on_first(temporary)
        write_manifest(temporary, step=step, world_size=world_size(), **about)
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        _sync_directory(root)
        _prune(root, kept)
    _barrier()
    return final


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def list_checkpoints(root: Path) -> list[Path]:
    """Return the checkpoint directories under `root`, oldest first, whole or not."""
    return sorted(root.glob("step-[0-9]*"), key=lambda path: int(path.name.removeprefix("step-")))


def _prune(root: Path, kept: Kept) -> None:
    best = f"step-{kept.best_step or 0:06d}"  # none is saved after step 0, so without a best step nothing has this name
    for path in list_checkpoints(root)[: -kept.newest]:
        if path.name != best:
            shutil.rmtree(path)


def latest(root: Path, say: Callable[[str], None]) -> Path | None:
    """Return the newest whole checkpoint under `root`, or None; says which broken ones were passed over and why."""
    for path in reversed(list_checkpoints(root)):
        fault = find_fault(path)
        if fault is None:
            return path
        say(f"checkpoint {path} is not whole: {fault}; falling back to the one before it")
    return None


def load(path: Path, parts: Iterable[Stateful], say: Callable[[str], None], **about: Any) -> TrainState:
    """Restore all parts and the state from a whole checkpoint; says what is not known of it. All ranks must call.

    Says too where `about`, or the number of ranks, is not what it was when the checkpoint was written.
    """
    manifest = read_manifest(path)
    now = {"world_size": world_size(), **about}
    if changed := [f"{name} {manifest[name]} then, {value} now" for name, value in now.items() if manifest[name] != value]:
        say(
            f"{path} was written otherwise ({'; '.join(changed)}): its weights and optimizer state are cut anew, and the run "
            "goes on with the same problems and streams, the same up to rounding"
        )
    for part in parts:
        part.load(path)
    return read_state(path, say)


def read_manifest(path: Path) -> JsonDict:
    """Return what the manifest of a whole checkpoint says."""
    manifest: JsonDict = json.loads((path / "manifest.json").read_text())
    return manifest


def read_state(path: Path, say: Callable[[str], None]) -> TrainState:
    """Return the state that a checkpoint holds; says what an older version did not count."""
    record = json.loads((path / "state.json").read_text())
    if record["step"] and "compute_tokens" not in record:  # nor did metrics.jsonl say then how many tokens were learned from
        say(
            f"{path} was written by an older version, which did not count tokens of compute: the metric compute_tokens begins "
            f"here, at 0, without what the first {record['step']} steps spent (they sampled {record['num_tokens']:,} tokens), "
            "and train.compute_tokens limits what is spent from here on"
        )
    return TrainState.of_record(record)
