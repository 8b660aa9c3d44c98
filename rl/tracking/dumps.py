"""Dumps: all that one process needs to repeat an update that was left out, in `dumps/step-000123/` of the run directory.

    rows.npz               the batch: tokens, advantages, weights, the sampler's and the old policy's log-probabilities
    policy/                the weights before the update, a Hugging Face directory (adapters as adapters)
    reference.safetensors  the reference policy, where it is not the model that the run began with
    config.yaml            the run's settings, resolved
    found.json             what was found, and how the batch was cut over ranks and micro-batches

A dump appears whole or not at all. `reasonlab replay` reads it (rl/replay.py).
"""

import io
import json
import math
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from problems.errors import LabError
from rl.settings.loading import read_settings
from rl.tracking.run_directory import JsonDict, write_atomic
from rl.types import Row

_BY_PROMPT_TOKEN = ("prompt_ids",)
_BY_TOKEN = ("completion_ids", "sampling_logprobs", "advantages", "weights", "entropy_weights")
_OLD = "old_logprobs"  # of all rows or of none


class DumpError(LabError):
    """A dump that cannot be read; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Dump:
    """What a dump holds, its weights apart."""

    path: Path
    rows: tuple[Row, ...]
    settings: Mapping[str, Any]  # of the run, unchecked
    found: JsonDict

    @property
    def micro_batches(self) -> list[list[int]]:
        """Row numbers of each micro-batch, of all ranks, those of rank 0 first."""
        return [numbers for cuts in self.found["micro_batches"] for numbers in cuts if numbers]


def pack_rows(rows: Sequence[Row]) -> bytes:
    """Return `rows` as the bytes of an npz file: every field of all rows in one array, and their lengths."""
    fields = (*_BY_PROMPT_TOKEN, *_BY_TOKEN, *([_OLD] if rows[0].old_logprobs is not None else []))
    arrays: dict[str, Any] = {name: np.concatenate([getattr(row, name) for row in rows]) for name in fields}
    arrays["prompt_lengths"] = np.asarray([len(row.prompt_ids) for row in rows])
    arrays["completion_lengths"] = np.asarray([len(row.completion_ids) for row in rows])
    arrays["problem_ids"] = np.asarray([row.problem_id for row in rows])
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def unpack_rows(data: bytes) -> tuple[Row, ...]:
    """Undo `pack_rows`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays: dict[str, NDArray[Any]] = dict(file)
    lengths = {"prompt": arrays.pop("prompt_lengths"), "completion": arrays.pop("completion_lengths")}
    problem_ids = arrays.pop("problem_ids").tolist()
    cut = {
        name: np.split(values, np.cumsum(lengths["prompt" if name in _BY_PROMPT_TOKEN else "completion"])[:-1])
        for name, values in arrays.items()
    }
    by_row = [{name: parts[number] for name, parts in cut.items()} for number in range(len(problem_ids))]
    return tuple(Row(**fields, problem_id=problem_id) for fields, problem_id in zip(by_row, problem_ids, strict=True))


def in_words(number: float) -> float | str:
    """Return a number as JSON can hold it: what is not finite by its name."""
    return number if math.isfinite(number) else str(number)


def list_dumps(run: Path) -> list[Path]:
    """Return the dumps of a run that are whole, oldest first."""
    return sorted(path.parent for path in (run / "dumps").glob("step-*/found.json"))


def write_dump(
    run: Path, step: int, rows: Sequence[Row], found: JsonDict, save_weights: Callable[[Path], None], *, keep: int
) -> Path | None:
    """Write a dump of step `step` (from 1) and return where; None where the first `keep` dumps are there already.

    `save_weights` writes policy and reference into a directory. Raises OSError, and nothing is left, where that fails.
    """
    there = list_dumps(run)
    if len(there) >= keep:
        return None
    number = 1 + sum(path.name.startswith(f"step-{step:06d}") for path in there)  # of the step's updates that were left out
    name = f"step-{step:06d}" + (f"-{number}" if number > 1 else "")
    final, temporary = run / "dumps" / name, run / "dumps" / f".{name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        save_weights(temporary)
        write_atomic(temporary / "rows.npz", pack_rows(rows))
        write_atomic(temporary / "config.yaml", (run / "config.yaml").read_text(encoding="utf-8"))
        write_atomic(temporary / "found.json", json.dumps(found, indent=1))
        temporary.rename(final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return final


def read_dump(path: Path) -> Dump:
    """Return what the dump in `path` holds; raises DumpError for what is none."""
    try:
        found = json.loads((path / "found.json").read_text(encoding="utf-8"))
        rows = unpack_rows((path / "rows.npz").read_bytes())
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise DumpError(
            f"{path} is no dump of an update ({type(error).__name__}: {error}); give a directory like RUN/dumps/step-000123"
        ) from None
    return Dump(path=path, rows=rows, settings=read_settings(path / "config.yaml"), found=found)


def as_record(culprit: Any) -> JsonDict:
    """Return a record of frozen fields as JSON can hold it."""
    return {name: in_words(value) if isinstance(value, float) else value for name, value in asdict(culprit).items()}
