"""Rows in verl's format, a parquet or JSON file or a folder of them: `{domain: verl, path: data/gsm8k}`.

Rows of ours and of sets that verl prepares say which verifier judges them (problems/verl.py); where others' do not, say
`verifier: math`, which then judges all. `reasonlab problems export --format verl` writes such files.
"""

from pathlib import Path

from pydantic import Field

from problems.finite import FiniteSource, finite_source
from problems.rows import local_splits
from problems.types import SPLITS, ProblemError, ProblemSet, SourceConfig
from problems.verl import problem_of


class VerlConfig(SourceConfig):
    """Settings of `verl`."""

    path: str = Field(description="parquet or JSON file, or a folder with train.parquet, test.parquet")
    verifier: str | None = Field(default=None, description="domain whose verifier judges; default: what each row says")


def load_verl(config: VerlConfig, seed: int) -> FiniteSource:
    """Load verl's rows; a file is of the split that its name says, and of train and test where it says none."""
    path = Path(config.path)
    if not path.exists():
        raise ProblemError(f"no problem file or folder at {path}")
    named = [split for split in SPLITS if split in path.name.lower()]
    raw = local_splits(path, named or ("train", "test"))
    return finite_source(f"verl {path}", raw, lambda row, split, where: problem_of(row, split, where, config.verifier), seed)


SET = ProblemSet(name="verl", config=VerlConfig, load=load_verl, verifier=None)
