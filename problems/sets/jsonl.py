"""Problems of one's own, one JSON object a line: `{"prompt": "2+2?", "reference": 4}`.

A row may also say its `domain` (default: "math", whose verifier reads numbers and formulas), `checks`, `difficulty`,
`solution` (what the cold start imitates) and `id`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from problems.finite import FiniteSource, finite_source
from problems.rows import Row, local_splits
from problems.seeding import content_hash
from problems.types import Problem, ProblemError, ProblemSet, SourceConfig

DEFAULT_DOMAIN = "math"  # as `reasonlab grade` has it


class JsonlConfig(SourceConfig):
    """Settings of `jsonl`."""

    path: str = Field(description="JSONL file, or folder with train.jsonl, validation.jsonl, test.jsonl")
    answers: Literal["math", "text"] = Field(
        default="math", description="math: a reference in prose is an error; text: it has only to be said in the same words"
    )


def plain_problem(row: Row, split: str, where: str) -> Problem:
    """Turn a row of our own shape (`prompt`, `reference`, optional `domain`, `checks`, `difficulty`, `solution`)."""
    if not isinstance(row.get("prompt"), str) or not row["prompt"].strip():
        raise ProblemError(f"{where}: 'prompt' must be a text; found columns {', '.join(map(str, row))}")
    reference = row.get("reference")
    if reference is None and not row.get("checks"):
        raise ProblemError(f"{where}: a problem needs a 'reference' or 'checks', or nothing can verify it")
    for column, kind in (("domain", str), ("checks", dict), ("difficulty", dict), ("solution", str)):
        if row.get(column) is not None and not isinstance(row[column], kind):
            raise ProblemError(f"{where}: {column!r} must be a {kind.__name__}, found {row[column]!r:.60}")
    domain = row.get("domain") or DEFAULT_DOMAIN
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


def _text_problem(row: Row, split: str, where: str) -> Problem:
    """Turn a row of a set whose answers are texts into a problem that says so."""
    problem = plain_problem(row, split, where)
    return replace(problem, checks={"answers": "text", **problem.checks})


def load_jsonl(config: JsonlConfig, seed: int) -> FiniteSource:
    """Load problems of our own shape."""
    path = Path(config.path)
    if not path.exists():
        raise ProblemError(f"no problem file or folder at {path}")
    convert = plain_problem if config.answers == "math" else _text_problem
    return finite_source(f"jsonl {path}", local_splits(path), convert, seed)


SET = ProblemSet(name="jsonl", config=JsonlConfig, load=load_jsonl, verifier=None)
