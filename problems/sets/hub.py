"""Public problem sets: GSM8K through `datasets` or from local files, and any JSONL file of problems.

A local path may be a JSONL file or a folder with `train.jsonl` / `test.jsonl` (or parquet files of such names). Sets
that have no validation split get one out of `train`, by content hash, so that no test item is ever used to choose a
checkpoint.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field

from problems.seeding import content_hash, derive_rng, derive_seed
from problems.types import SPLITS, Problem, ProblemError, SourceConfig

Row = Mapping[str, Any]
_CALCULATOR = re.compile(r"<<[^<>]*>>")
_VALIDATION_SHARE = 20  # one train item in 20


class Gsm8kConfig(SourceConfig):
    """Settings of `gsm8k`."""

    path: str = Field(default="openai/gsm8k", description="hub name, local folder (JSONL or parquet) or JSONL file")
    revision: str | None = Field(default=None, description="commit of the hub data set, for runs that can be repeated")


class JsonlConfig(SourceConfig):
    """Settings of `jsonl`."""

    path: str = Field(description="JSONL file, or folder with train.jsonl, validation.jsonl, test.jsonl")


def read_jsonl(path: Path, text: str | None = None) -> list[Row]:
    """Read objects, one a line (of `text`, where the file is read already); broken lines are reported with their numbers."""
    rows: list[Row] = []
    broken: list[str] = []
    try:
        lines = (path.read_text(encoding="utf-8") if text is None else text).split("\n")  # splitlines() also cuts at U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(f"cannot read the problem file {path}: {error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            broken.append(f"line {number}: {error.msg} at column {error.colno}: {line[:60]!r}")
            continue
        if isinstance(row, dict):
            rows.append(row)
        else:
            broken.append(f"line {number}: expected an object {{...}}, found {type(row).__name__}: {line[:60]!r}")
    if broken:
        shown = "\n  ".join(broken[:10]) + (f"\n  ... and {len(broken) - 10} more" if len(broken) > 10 else "")
        raise ProblemError(
            f"{path} has {len(broken)} broken line(s); each line must be one JSON object. Mend or remove them:\n  {shown}"
        )
    if not rows:
        raise ProblemError(f"{path} holds no problems")
    return rows


def gsm8k_problem(row: Row, split: str, where: str) -> Problem:
    """Turn a GSM8K row (`question`, `answer` ending in `#### number`) into a problem."""
    missing = [column for column in ("question", "answer") if not isinstance(row.get(column), str)]
    if missing:
        raise ProblemError(f"{where}: missing column(s) {', '.join(missing)}; found {', '.join(map(str, row))}")
    solution, mark, answer = row["answer"].rpartition("####")
    if not mark or not answer.strip():
        raise ProblemError(f"{where}: the answer has no '#### number' at its end: ...{row['answer'][-60:]!r}")
    reference = answer.strip().replace(",", "")
    steps = len(_CALCULATOR.findall(solution))
    return Problem(
        id=content_hash("gsm8k", row["question"], reference),
        domain="gsm8k",
        split=split,
        prompt=row["question"].strip(),
        reference=reference,
        difficulty={"steps": min(steps, 8)},
        source=where,
        solution=_CALCULATOR.sub("", solution).strip(),
    )


def plain_problem(row: Row, split: str, where: str) -> Problem:
    """Turn a row of our own shape (`prompt`, `reference`, optional `domain`, `checks`, `difficulty`, `solution`)."""
    if not isinstance(row.get("prompt"), str) or not row["prompt"].strip():
        raise ProblemError(f"{where}: 'prompt' must be a text; found columns {', '.join(map(str, row))}")
    reference = row.get("reference")
    if reference is None and not row.get("checks"):
        raise ProblemError(f"{where}: a problem needs a 'reference' or 'checks', or nothing can verify it")
    domain = row.get("domain") or "arithmetic"
    for column, kind in (("domain", str), ("checks", dict), ("difficulty", dict), ("solution", str)):
        if row.get(column) is not None and not isinstance(row[column], kind):
            raise ProblemError(f"{where}: {column!r} must be a {kind.__name__}, found {row[column]!r:.60}")
    return Problem(
        id=str(row.get("id") or content_hash(domain, row["prompt"], str(reference))),
        domain=domain,
        split=split,
        prompt=row["prompt"],
        reference=None if reference is None else str(reference),
        checks=row.get("checks") or {},
        difficulty=row.get("difficulty") or {},
        source=where,
        solution=row.get("solution"),
    )


@lru_cache(maxsize=8)
def _order(seed: int, epoch: int, count: int) -> tuple[int, ...]:
    order = list(range(count))
    derive_rng("order", seed, epoch).shuffle(order)
    return tuple(order)


@dataclass(frozen=True)
class FiniteSource:
    """A set held in memory, read in a new shuffled order on every pass."""

    name: str
    splits: Mapping[str, Sequence[Problem]]
    seed: int

    def get(self, split: str, index: int) -> Problem:
        """Return item `index`; pass p = index // size has an order of its own (evaluation keeps the file's order)."""
        items = self.splits.get(split, ())
        if not items:
            have = ", ".join(f"{name} ({len(rows)})" for name, rows in self.splits.items() if rows) or "none"
            raise ProblemError(f"{self.name} has no {split} problems; splits found: {have}")
        epoch, position = divmod(index, len(items))
        if split != "train":
            return items[position]
        return items[_order(self.seed, epoch, len(items))[position]]

    def size(self, split: str) -> int:
        """Return how many different problems `split` holds."""
        return len(self.splits.get(split, ()))


def _local_splits(path: Path) -> dict[str, tuple[str, list[Row]]]:
    """Return split -> (where it came from, rows)."""
    if path.is_file():
        rows = read_jsonl(path)  # its owner knows whether it is for training or for a test; validation is cut out of train
        return {split: (str(path), rows) for split in ("train", "test")}
    found = {split: path / f"{split}.jsonl" for split in SPLITS if (path / f"{split}.jsonl").is_file()}
    if not found:
        return _parquet_splits(path)
    return {split: (str(file), read_jsonl(file)) for split, file in found.items()}


def _parquet_splits(path: Path) -> dict[str, tuple[str, list[Row]]]:
    """Read a folder as a hub data set is downloaded: `train-00000-of-00001.parquet`, perhaps in a sub-folder."""
    files = {split: [str(file) for file in sorted(path.rglob(f"{split}*.parquet"))] for split in SPLITS}
    if not any(files.values()):
        raise ProblemError(f"{path} holds none of train.jsonl, validation.jsonl, test.jsonl, train*.parquet, test*.parquet")
    import datasets

    loaded = datasets.load_dataset("parquet", data_files={split: names for split, names in files.items() if names})
    return {split: (f"{path}/{split}", list(rows)) for split, rows in loaded.items()}


def hub_splits(name: str, subset: str | None, revision: str | None) -> dict[str, tuple[str, list[Row]]]:
    """Return split -> (where it came from, rows) of a hub data set."""
    import datasets  # heavy, and needed only here

    try:
        loaded = datasets.load_dataset(name, subset, revision=revision)
    except Exception as error:  # datasets raises dozens of types here; the message is what the user needs
        raise ProblemError(
            f"cannot load the data set {name!r}: {type(error).__name__}: {error}. "
            f"Give a local folder or JSONL file with the same columns as `path` instead."
        ) from error
    return {split: (f"{name}/{split}", list(rows)) for split, rows in loaded.items() if split in SPLITS}


def finite_source(
    name: str, raw: dict[str, tuple[str, list[Row]]], convert: Callable[[Row, str, str], Problem], seed: int
) -> FiniteSource:
    """Return the source of the rows of each split; a train split without a validation split gives one item in 20 to it."""
    splits: dict[str, list[Problem]] = {split: [] for split in SPLITS}
    own_validation = "validation" in raw
    for split, (where, rows) in raw.items():
        for number, row in enumerate(rows, start=1):
            problem = convert(row, split, f"{where}:{number}")
            content = content_hash(problem.domain, problem.prompt, str(problem.reference))
            held_out = split == "train" and derive_seed("validation", content) % _VALIDATION_SHARE == 0
            if held_out and not own_validation:
                problem = convert(row, "validation", f"{where}:{number}")
            splits[problem.split].append(problem)
    return FiniteSource(name, splits, seed)


def load_gsm8k(config: Gsm8kConfig, seed: int) -> FiniteSource:
    """Load GSM8K from the hub or from local files of the same columns."""
    path = Path(config.path)
    raw = _local_splits(path) if path.exists() else hub_splits(config.path, "main", config.revision)
    return finite_source("gsm8k", raw, gsm8k_problem, seed)


def load_jsonl(config: JsonlConfig, seed: int) -> FiniteSource:
    """Load problems of our own shape."""
    path = Path(config.path)
    if not path.exists():
        raise ProblemError(f"no problem file or folder at {path}")
    return finite_source(f"jsonl {path}", _local_splits(path), plain_problem, seed)
