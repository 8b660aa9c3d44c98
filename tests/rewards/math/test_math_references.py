"""Every reference of the public sets can be read, equals itself, and is the final answer of its own worked solution.

The sets are not part of the repository: REASONLAB_DATA names their folder (default: ../shared/data); skipped where absent.
"""

import json
import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from rewards.math import compare_texts, grade

DATA = Path(os.environ.get("REASONLAB_DATA", Path(__file__).parents[4] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no data sets in {DATA}; set REASONLAB_DATA")


def _lines(name: str) -> Iterator[dict]:
    with (DATA / name).open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _references(name: str) -> list[tuple[str, str, str | None]]:
    """Return (question, reference, solution) of one set."""
    if name == "math":
        rows = list(_lines("math/test.jsonl"))
        return [(row["problem"], row["solution"], row["solution"]) for row in rows]
    if name == "math500":
        return [(row["problem"], row["answer"], row["solution"]) for row in _lines("math500/math500_test.jsonl")]
    if name == "math-train":
        rows = json.loads((DATA / "math-train" / "math_train.json").read_text())
        return [(row["problem"], row["answer"], None) for row in rows if row["answer"]]  # 4 rows have no answer
    if name == "aime":
        rows = json.loads((DATA / "aime" / "aime2024.json").read_text())
        rows += json.loads((DATA / "aime" / "aime_1983_2023.json").read_text())
        rows += list(_lines("aime2025/aime_2025.jsonl"))
        return [(row["problem"], str(row["answer"]), None) for row in rows]
    rows = [*_lines("gsm8k/test.jsonl"), *_lines("gsm8k/train.jsonl")]
    return [(row["question"], row["answer"].rpartition("####")[2].strip(), row["answer"]) for row in rows]


@pytest.mark.parametrize("name", ["math", "math500", "math-train", "aime", "gsm8k"])
def test_references_equal_themselves_and_their_solutions(name: str) -> None:
    failures = []
    for question, reference, solution in _references(name):
        if (
            grade(reference, f"\\boxed{{ {reference} }}" if "boxed" not in reference else reference, question).status
            != "correct"
        ):
            failures.append(("itself", reference[:80]))
        if solution is not None and grade(reference, solution, question).status != "correct":
            failures.append(("solution", reference[:80]))
    assert not failures


def test_references_of_different_value_are_different() -> None:
    plain = sorted(
        {
            row["answer"]
            for row in _lines("math500/math500_test.jsonl")
            if not re.search(r"circ|text|mbox|\\\\?[%$]", row["answer"])
        }
    )
    assert not [(one, other) for one, other in pairwise(plain) if compare_texts(one, other)[0] == "correct"]
