"""Kinds of answers that outside cases showed to be judged wrongly, a file a kind of work in `tests/data/math_kinds/`.

A line is `{"class", "reference", "answer", "right"}` and, where it matters, "prompt", "reading" ("strict" or "lenient", else
lenient) and "thinking_open". `answer` is a whole completion where the class says "completion", else a bare answer, which
is judged as it stands and inside of a box.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from support_pure import ROOT

from rewards.math import grade
from rewards.types import Reading

FOLDER = ROOT / "tests" / "data" / "math_kinds"
SLOW = ("calculus", "calculus_second", "exactness")  # several seconds each
FILES = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in SLOW else [])
    for path in sorted(FOLDER.glob("*.jsonl"))
]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts(row: dict[str, Any]) -> list[str]:
    """Return what is graded for a row: the completion, or the bare answer alone and inside of a box."""
    if "completion" in row["class"] or row.get("reading") == "strict":
        return [row["answer"]]
    return [row["answer"], f"So \\boxed{{{row['answer']}}}"]


def misses(path: Path) -> list[tuple[str, str, str, str]]:
    """Return (reference, text, status, detail) of every text that does not get its label."""
    found: list[tuple[str, str, str, str]] = []
    for row in rows(path):
        reading = Reading(policy=row.get("reading", "lenient"), thinking_open=row.get("thinking_open", False))
        for text in texts(row):
            verdict = grade(row["reference"], text, row.get("prompt", ""), reading)
            if (verdict.status == "correct") != row["right"]:
                found.append((row["reference"], text, verdict.status, verdict.detail))
    return found


@pytest.mark.parametrize("path", FILES)
def test_every_row_gets_its_label(path: Path) -> None:
    assert not misses(path)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_kind_has_ten_cases_and_both_labels(path: Path) -> None:
    for kind in {row["class"] for row in rows(path)}:
        labels = [row["right"] for row in rows(path) if row["class"] == kind]
        assert len(labels) >= 10, kind
        assert 0 < sum(labels) < len(labels), kind
