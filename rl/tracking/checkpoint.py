"""Checkpoints that are either whole or not there.

`checkpoints/step-000123/` holds the DeepSpeed state of every rank (`engine/`), the model as a plain Hugging Face
directory (`policy/`, adapters as adapters), `state.json`, and last of all `manifest.json` with the size and sha256 of every
file. Everything is written under a temporary name and renamed when complete; a directory without a manifest that holds
is not a checkpoint. Older ones are removed only after the new one is in place; the newest N and the best stay. Where the disk
has no room for that, see `make_room`.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from problems.errors import LabError
from rl.exchange import all_gather
from rl.exchange import barrier as _barrier
from rl.policy.interfaces import CausalLM
from rl.runtime import rank, world_size
from rl.settings.disk import AtOnce, Weights, size_in_words
from rl.tracking.disk import FailingDiskError, free_bytes, free_in_words
from rl.tracking.run_directory import JsonDict, sync_directory, write_atomic
from rl.types import TrainState

# and nothing behind it: `step-000010.bak` is somebody's copy. One of the same step is set aside while another takes its place
_NAME, _ASIDE = re.compile(r"step-([0-9]{6,})"), re.compile(r"\.step-([0-9]{6,})\.old")
_SEEN_SECONDS = 90.0  # in which a file server shows on one machine what another has made
_MARGIN = 1.05  # what a checkpoint may be larger than expected, and metrics and rollouts beside it


class CheckpointError(LabError):
    """A checkpoint that cannot be used or written; the message says what to do."""


class Stateful(Protocol):
    """A part of a run that has state. All ranks call both; what is the same on all of them, rank 0 alone writes."""

    def save(self, directory: Path) -> None:
        """Write the state into a checkpoint."""

    def load(self, directory: Path) -> None:
        """Restore what `save` wrote into a checkpoint of this run, maybe on another number of ranks."""


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
    for folder in directory.rglob("*"):
        if folder.is_dir():
            sync_directory(folder)
    write_atomic(directory / "manifest.json", json.dumps({**about, "files": files}, indent=1))


def find_fault(directory: Path) -> str | None:
    """Return what is wrong with a checkpoint, or None when every file is there with its size and hash."""
    try:
        files = _listed(directory)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        return f"no readable manifest.json ({type(error).__name__})"
    if "state.json" not in files:
        return "its manifest.json lists no state.json"
    for name, (size, digest) in files.items():
        path = directory / name
        try:
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != size:
                return f"{name} has {path.stat().st_size} bytes, expected {size}"
            if _sha256(path) != digest:
                return f"{name} was changed (its sha256 differs)"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
    return None


def _listed(directory: Path) -> dict[str, tuple[int, str]]:
    """Return (bytes, sha256) by file, as the manifest has them; raises much for one that is none."""
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    return {name: (int(file["bytes"]), str(file["sha256"])) for name, file in manifest["files"].items()}


def save(
    root: Path,
    parts: Iterable[Stateful],
    state: TrainState,
    keep_last: int,
    save_more: Callable[[Path], None],
    *,
    expected_bytes: int = 0,
    **about: Any,
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
    return write(root, state.step, kept, save_parts, complete, expected_bytes=expected_bytes, **about)


def weights_of(model: CausalLM) -> Weights:
    """Count the numbers of a model, whose weights may be shards of ZeRO 3."""
    counts = [(getattr(weight, "ds_numel", weight.numel()), weight.requires_grad) for weight in model.parameters()]
    return Weights(whole=sum(n for n, _ in counts), trained=sum(n for n, is_trained in counts if is_trained))


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Which checkpoints stay when a new one is there."""

    newest: int
    best_step: int | None = None


def write(
    root: Path,
    step: int,
    kept: Kept,
    on_all: Callable[[Path], None],
    on_first: Callable[[Path], None],
    *,
    expected_bytes: int = 0,
    **about: Any,
) -> Path:
    """Have `on_all` write on every rank and then `on_first` on rank 0, into a directory that appears whole; all must call.

    Raises CheckpointError where the disk has no room for it. Whatever fails, the earlier ones are what they were.
    """
    final = root / f"step-{step:06d}"
    temporary = root / f".step-{step:06d}.tmp"
    if rank() == 0:
        clear_unfinished(root)
        make_room(root, step, kept, expected_bytes)
        temporary.mkdir(parents=True)
    _barrier()
    try:
        _check_all_see(temporary)
        on_all(temporary)
        _barrier()
        if rank() == 0:
            on_first(temporary)
            write_manifest(temporary, step=step, world_size=world_size(), **about)
            _put_in_place(temporary, final)
    except BaseException:
        if rank() == 0:  # half a checkpoint may fill the disk, and the last words of the run need some of it
            shutil.rmtree(temporary, ignore_errors=True)
        raise
    if rank() == 0:
        _prune(root, step, kept)
    _barrier()
    return final


def _check_all_see(directory: Path) -> None:
    """Raise CheckpointError on all ranks where one does not see what rank 0 has made; all must call."""
    until = time.monotonic() + _SEEN_SECONDS
    while not directory.is_dir() and time.monotonic() < until:  # a file server may be late
        time.sleep(0.1)
    blind = [number for number, sees in enumerate(all_gather(directory.is_dir())) if not sees]
    if blind:
        raise CheckpointError(
            f"{directory.parent} is another directory for {'ranks' if len(blind) > 1 else 'rank'} {', '.join(map(str, blind))} "
            "than for rank 0: a checkpoint would lack what they hold. run.dir must be on a file system that all hosts share"
        )


def clear_unfinished(root: Path) -> None:
    """Remove what a killed save left, of whatever step: it may be as large as a checkpoint."""
    for path in root.glob(".step-*.tmp"):
        shutil.rmtree(path, ignore_errors=True)


def _put_in_place(temporary: Path, final: Path) -> None:
    """Give a checkpoint its name, with a whole one of this step under some name at any moment where there was one before."""
    aside = final.with_name(f".{final.name}.old")
    if final.exists() and find_fault(final) is None:
        shutil.rmtree(aside, ignore_errors=True)
        final.rename(aside)
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    sync_directory(final.parent)


def step_of(checkpoint: Path) -> int:
    """Return the step whose state a checkpoint directory holds, by its name."""
    found = _NAME.fullmatch(checkpoint.name) or _ASIDE.fullmatch(checkpoint.name)
    assert found is not None, f"{checkpoint} is not named as a checkpoint"
    return int(found[1])


def list_checkpoints(root: Path) -> list[Path]:
    """Return the checkpoint directories under `root`, oldest first, whole or not; what is named otherwise is none."""
    return sorted((path for path in root.glob("step-*") if _NAME.fullmatch(path.name) and path.is_dir()), key=step_of)


def _set_aside(root: Path) -> list[Path]:
    return [path for path in root.glob(".step-*.old") if _ASIDE.fullmatch(path.name)]


def _surplus(root: Path, step: int, kept: Kept) -> list[Path]:
    """Return the earlier checkpoints that do not stay beside that of `step`, oldest first.

    Later ones, which a resumed run passed over because they are not whole, count for nothing: they must not push out this one.
    """
    earlier = [path for path in list_checkpoints(root) if step_of(path) < step]
    out = earlier[: max(0, len(earlier) - (kept.newest - 1))]
    return [path for path in out if step_of(path) != kept.best_step]


def _prune(root: Path, step: int, kept: Kept) -> None:
    for path in [*_surplus(root, step, kept), *_set_aside(root)]:
        try:
            shutil.rmtree(path)
        except OSError as error:  # what is there too long costs room; the run goes on
            _say(f"checkpoint {path} could not be removed ({error}); remove it by hand")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def make_room(root: Path, step: int, kept: Kept, expected_bytes: int) -> None:
    """Have room for the checkpoint of `step` on the disk, or raise CheckpointError.

    It is taken to be as large as the largest that is there, the first one to have `expected_bytes`. Where it does not fit
    beside all others, those that it is going to push out anyway go before it is there and not after, the oldest first, as
    long as a whole one stays. Where that is not enough either the run ends here, with the checkpoints it has: that costs
    the steps since the last one, as a kill would. Going on without saving would put all that follows at risk too, and
    nobody reads a warning at night; a save that is tried all the same fails half way and may take the room that metrics and
    the run's last words need.
    """
    before = list_checkpoints(root)
    needed = int(_MARGIN * (max(map(size_of, before), default=0) or expected_bytes))

    def fits() -> bool:
        free = free_bytes(root)
        return free is None or free >= needed

    if fits():
        return
    staying = next((path for path in reversed(before) if step_of(path) < step and find_fault(path) is None), None)
    for path in _surplus(root, step, kept):
        if path != staying and not fits():
            _say(f"the disk of {root} has no room for another checkpoint: {path.name} goes before that of step {step} is there")
            shutil.rmtree(path)
    if not fits():
        whole = "None is there yet" if staying is None else f"{staying.name} is whole"
        raise CheckpointError(
            f"the checkpoint of step {step} is not begun: it needs {size_in_words(needed)}, and on the disk of {root} are "
            f"{free_in_words(root)}. {whole}: make room there, then go on with --resume. Fewer stay with a lower "
            "checkpoint.keep_last, which a resumed run may change"
        )


def size_of(checkpoint: Path) -> int:
    """Return the bytes that the files of a checkpoint take, whole or not."""
    return sum(path.stat().st_size for path in _files(checkpoint))


def check_room(root: Path, expected_bytes: int, at_once: AtOnce, *, is_certain: bool = True) -> None:
    """Raise CheckpointError, before the first step, where the run would end for want of room for its checkpoints.

    Those that are there already count, with their size for `expected_bytes`. An estimate that is not certain is told and no
    more, and so is room for one less than `at_once.most`.
    """
    there = [size for path in list_checkpoints(root) if (size := size_of(path))]
    each = int(_MARGIN * max(there, default=expected_bytes))
    free = free_bytes(root)
    if free is None or not each or len(there) >= at_once.most:
        return
    fitting = len(there) + free // each
    if fitting >= at_once.most:
        return
    words = (
        f"the disk of {root} has room for {fitting} checkpoints of this run, each of {size_in_words(each)} "
        f"({size_in_words(free)} free{f', {len(there)} there' if there else ''})"
    )
    if fitting >= at_once.least:
        _say(f"{words}; up to {at_once.most} are there at one time, so old ones go before new ones are whole")
        return
    words += (
        f", and needs it for {at_once.least}: make room, choose another run.dir, or keep fewer (checkpoint.keep_last; the best "
        "one of evaluation.every_steps is kept besides, and an old one stays until a new one is whole)"
    )
    if there or is_certain:
        raise CheckpointError(words)
    _say(f"{words}. The size is an estimate, so the run goes on")


def latest(root: Path, say: Callable[[str], None]) -> Path | None:
    """Return the newest whole checkpoint under `root`; says which broken ones were passed over and why.

    None where there is none at all. Raises CheckpointError where there are some and none is whole: whoever takes that for a
    run that has not saved yet would begin anew and remove all that it has written down.
    """
    found = sorted([*_set_aside(root), *list_checkpoints(root)], key=step_of)
    for path in reversed(found):
        fault = find_fault(path)
        if fault is None:
            return path
        say(f"checkpoint {path} is not whole: {fault}; falling back to the one before it")
    if found:
        raise CheckpointError(
            f"{root} holds {len(found)} checkpoints and none is whole, as said above: bring one back, or move {root} away and "
            "begin anew"
        )
    return None


def agree_on(path: Path | None) -> None:
    """Raise FailingDiskError where the ranks have not all chosen the same checkpoint; all must call."""
    chosen = all_gather(path)
    if any(other != chosen[0] for other in chosen):
        words = ", ".join(f"rank {number}: {other.name if other else 'none'}" for number, other in enumerate(chosen))
        raise FailingDiskError(
            f"the ranks see different checkpoints as the newest whole one ({words}): the disk of one machine fails, or its "
            "file server does not show yet what another has written; start again, and if it stays so, ask `reasonlab doctor`"
        )


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
