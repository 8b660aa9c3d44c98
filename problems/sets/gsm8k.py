"""GSM8K, word problems of primary school (Cobbe et al., arXiv 2110.14168), through `datasets` or from local files.

A row is {"question": "Natalia sold clips to 48 of her friends in April, and then ...",
"answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\\n... #### 72"}.
"""

import re
from pathlib import Path

from pydantic import Field

from problems.finite import FiniteSource, finite_source
from problems.rows import Row, hub_splits, local_splits
from problems.seeding import content_hash
from problems.types import Problem, ProblemError, ProblemSet, SourceConfig

_CALCULATOR = re.compile(r"<<[^<>]*>>")  # a note for a calculator: no part of the solution
_MOST_STEPS = 8  # longer solutions are counted with these


class Gsm8kConfig(SourceConfig):
    """Settings of `gsm8k`."""

    path: str = Field(default="openai/gsm8k", description="hub name, local folder (JSONL or parquet) or JSONL file")
    revision: str | None = Field(default=None, description="commit of the hub data set, for runs that can be repeated")


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
        difficulty={"steps": min(steps, _MOST_STEPS)},
        source=where,
        solution=_CALCULATOR.sub("", solution).strip(),
    )


def load_gsm8k(config: Gsm8kConfig, seed: int) -> FiniteSource:
    """Load GSM8K from the hub or from local files of the same columns."""
    path = Path(config.path)
    raw = local_splits(path) if path.exists() else hub_splits(config.path, "main", config.revision)
    return finite_source("gsm8k", raw, gsm8k_problem, seed)


SET = ProblemSet(name="gsm8k", config=Gsm8kConfig, load=load_gsm8k, verifier="word_problem")
