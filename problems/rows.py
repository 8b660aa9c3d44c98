"""Reads the rows of a problem set: JSONL and parquet files, or a data set of the Hugging Face hub.

A local path may be a JSONL file or a folder with `train.jsonl` / `test.jsonl` (or parquet files of such names). What a row
means is each set's own business (problems/sets/).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from problems.types import SPLITS, ProblemError

Row = Mapping[str, Any]  # column -> value, as the file has it
Splits = dict[str, tuple[str, list[Row]]]  # split -> (where its rows came from, its rows)
_FAULTS_SHOWN = 10


def read_jsonl(path: Path, text: str | None = None) -> list[Row]:
    """Read objects, one a line (of `text`, where the file is read already); broken lines are reported with their numbers."""
    if text is None:
        text = _read_text(path)
    rows: list[Row] = []
    faults: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines() also cuts at U+2028
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            faults.append(f"line {number}: {error.msg} at column {error.colno}: {line[:60]!r}")
            continue
        if isinstance(row, dict):
            rows.append(row)
        else:
            faults.append(f"line {number}: expected an object {{...}}, found {type(row).__name__}: {line[:60]!r}")
    if faults:
        raise _broken(path, faults)
    if not rows:
        raise ProblemError(f"{path} holds no problems")
    return rows


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(f"cannot read the problem file {path}: {error}") from None


def _broken(path: Path, faults: list[str]) -> ProblemError:
    shown = "\n  ".join(faults[:_FAULTS_SHOWN])
    if len(faults) > _FAULTS_SHOWN:
        shown += f"\n  ... and {len(faults) - _FAULTS_SHOWN} more"
    return ProblemError(
        f"{path} has {len(faults)} broken line(s); each line must be one JSON object. Mend or remove them:\n  {shown}"
    )


def local_splits(path: Path) -> Splits:
    """Return the rows of a JSONL file, or of a folder of JSONL or parquet files named by their splits."""
    if path.is_file():
        rows = read_jsonl(path)  # its owner knows whether it is for training or for a test; validation is cut out of train
        return {split: (str(path), rows) for split in ("train", "test")}
    files = {split: path / f"{split}.jsonl" for split in SPLITS if (path / f"{split}.jsonl").is_file()}
    if not files:
        return _parquet_splits(path)
    return {split: (str(file), read_jsonl(file)) for split, file in files.items()}


def _parquet_splits(path: Path) -> Splits:
    """Read a folder as a hub data set is downloaded: `train-00000-of-00001.parquet`, perhaps in a sub-folder."""
    files = {split: [str(file) for file in sorted(path.rglob(f"{split}*.parquet"))] for split in SPLITS}
    if not any(files.values()):
        raise ProblemError(f"{path} holds none of train.jsonl, validation.jsonl, test.jsonl, train*.parquet, test*.parquet")
    import datasets  # heavy, and needed only here

    loaded = datasets.load_dataset("parquet", data_files={split: names for split, names in files.items() if names})
    return {split: (f"{path}/{split}", list(rows)) for split, rows in loaded.items()}


def hub_splits(name: str, subset: str | None, revision: str | None) -> Splits:
    """Return the rows of a hub data set."""
    import datasets  # heavy, and needed only here

    try:
        loaded = datasets.load_dataset(name, subset, revision=revision)
    except Exception as error:  # datasets raises dozens of types here; the message is what the user needs
        raise ProblemError(
            f"cannot load the data set {name!r}: {type(error).__name__}: {error}. "
            f"Give a local folder or JSONL file with the same columns as `path` instead."
        ) from error
    return {split: (f"{name}/{split}", list(rows)) for split, rows in loaded.items() if split in SPLITS}
