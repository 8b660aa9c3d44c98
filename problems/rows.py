"""Reads the rows of a problem set: JSON, JSONL and parquet files, or a data set of the Hugging Face hub.

A local path may be one file or a folder with `train.jsonl` / `test.jsonl` (or files of such names in another of the formats).
What a row means is each set's own business (problems/sets/).
"""

import gzip
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from problems.types import SPLITS, ProblemError

Row = Mapping[str, Any]  # column -> value, as the file has it
Splits = dict[str, tuple[str, list[Row]]]  # split -> (where its rows came from, its rows)
_FAULTS_SHOWN = 10
_FILE_ENDINGS = ("jsonl", "json", "jsonl.gz", "json.gz")  # of a split in a folder, by preference


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


def read_rows(path: Path) -> list[Row]:
    """Read a JSON list or JSON lines, compressed or not, or a parquet file."""
    if path.suffix == ".parquet":
        return _read_parquet({"train": [str(path)]})["train"]
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = data.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ProblemError(f"cannot read the problem file {path}: {error}") from None
    if not text.lstrip().startswith("["):
        return read_jsonl(path, text)
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise ProblemError(f"{path} begins like a JSON list and is none: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ProblemError(f"{path} must hold a list of objects")
    return rows


def local_splits(path: Path, unnamed: Sequence[str] = ("train", "test")) -> Splits:
    """Return the rows of one file, as every split of `unnamed`, or of a folder of files named by their splits.

    By default a file serves training and test: its owner knows which it is for, and validation is cut out of train.
    """
    if path.is_file():
        rows = read_rows(path)
        return {split: (str(path), rows) for split in unnamed}
    candidates = {split: [path / f"{split}.{ending}" for ending in _FILE_ENDINGS] for split in SPLITS}
    files = {split: found[0] for split, some in candidates.items() if (found := [file for file in some if file.is_file()])}
    if not files:
        return _parquet_splits(path)
    return {split: (str(file), read_rows(file)) for split, file in files.items()}


def _parquet_splits(path: Path) -> Splits:
    """Read a folder as a hub data set is downloaded: `train-00000-of-00001.parquet`, perhaps in a sub-folder."""
    files = {split: [str(file) for file in sorted(path.rglob(f"{split}*.parquet"))] for split in SPLITS}
    if not any(files.values()):
        raise ProblemError(f"{path} holds none of train.jsonl, validation.jsonl, test.jsonl, train*.parquet, test*.parquet")
    return {split: (f"{path}/{split}", rows) for split, rows in _read_parquet(files).items()}


def _read_parquet(files: Mapping[str, Sequence[str]]) -> dict[str, list[Row]]:
    named = {split: list(names) for split, names in files.items() if names}
    loaded = _loaded(", ".join(itertools.chain.from_iterable(named.values())), "parquet", None, data_files=named)
    return {split: list(rows) for split, rows in loaded.items()}


def plain(value: Any) -> Any:
    """Return a cell without numpy's types, however deep: parquet read by pandas has arrays and their scalars in it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def mapping(given: Any, what: str = "checks") -> dict[str, Any]:
    """Return a mapping that is given as one or as its JSON; nothing is an empty one. Raises ProblemError for anything else."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise ProblemError(f"{what} must be an object or its JSON, found {given!r:.60} ({error})") from None
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ProblemError(f"{what} must be an object or its JSON, found {given!r:.60}")
    # a struct of parquet has every key of any row, with a null where a row has it not
    return {name: value for name, value in plain(given).items() if value is not None}


def hub_splits(name: str, subset: str | None, revision: str | None, splits: Mapping[str, str] | None = None) -> Splits:
    """Return the rows of a hub data set; `splits` maps our splits to the hub's, without it those that are called like ours."""
    loaded = _loaded(name, name, subset, revision=revision)
    wanted = {split: split for split in SPLITS if split in loaded} if splits is None else splits
    if not wanted or (missing := [theirs for theirs in wanted.values() if theirs not in loaded]):
        missed = "none of train, validation, test" if not wanted else f"no split {', '.join(missing)}"
        raise ProblemError(f"the data set {name!r} has {missed}; it has {', '.join(loaded)}: say `splits: {{test: NAME}}`")
    return {ours: (f"{name}/{theirs}", list(loaded[theirs])) for ours, theirs in wanted.items()}


def hub_files(name: str, revision: str | None, files: Mapping[str, str]) -> Splits:
    """Return the rows of single files, split -> name, of a hub data set whose loading script `datasets` no longer runs."""
    where = f"hf://datasets/{name}{f'@{revision}' if revision else ''}"
    kind = "parquet" if next(iter(files.values())).endswith(".parquet") else "json"
    loaded = _loaded(name, kind, None, data_files={split: f"{where}/{file}" for split, file in files.items()})
    return {split: (f"{name}/{file}", list(loaded[split])) for split, file in files.items()}


def _loaded(name: str, path: str, subset: str | None, **options: Any) -> Any:
    import datasets  # heavy, and needed only here

    try:
        return datasets.load_dataset(path, subset, **options)
    except Exception as error:  # datasets raises dozens of types here; the message is what the user needs
        raise ProblemError(
            f"cannot load the data set {name!r}: {type(error).__name__}: {error}. "
            f"Give a local folder or JSONL file with the same columns as `path` instead."
        ) from error
