"""docs/own-problems.md can be followed literally: its files are written, its commands are run, the package stays as it was."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from following import follow_page
from support import REPOSITORY, rows

pytestmark = pytest.mark.slow
PAGE = (REPOSITORY / "docs" / "own-problems.md").read_text(encoding="utf-8")
# the same commands with less to do
LESS = {
    "sft": ["sft={steps: 2, rows: 2, row_tokens: 128, learning_rate: 3e-3, warmup_steps: 1, threads: 1}"],
    "train": [
        "train={steps: 1, threads: 1, self_check: false}",
        "algorithm={num_problems: 2, group_size: 2}",
        "evaluation={every_steps: 0}",
    ],
    "grade": ["--workers", "1"],
    "eval": ["num_problems=2", "sampling.max_completion_tokens=8"],
}


def tree() -> str:
    """Return what git says of the package."""
    asked = ["git", "status", "--porcelain", "--ignored=no", "--", "problems", "rewards", "rl", "launch", "bench"]
    return subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout


def test_the_page_can_be_followed_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = tree()
    assert follow_page(PAGE, tmp_path, LESS) == PAGE.count("\nreasonlab ") + PAGE.count("\npytest ") == 12
    assert tree() == before

    verdicts, scores = (rows(tmp_path / name) for name in ("verdicts.jsonl", "scores.jsonl"))
    assert [(row["status"], row["reward"]) for row in verdicts] == [("correct", 1.0), ("wrong", 0.0), ("wrong", 0.0)]
    # 17 ends as 7 does, 8 is only as long
    assert [(row["status"], row["reward"]) for row in scores] == [("correct", 1.0), ("wrong", 0.0), ("wrong", 0.1)]
    kept = (tmp_path / "runs" / "my-graded" / "config.yaml").read_text()
    assert "python: my_check.py:verify" in kept
    assert len(re.findall(r"file_hash: '?[0-9a-f]{16}", kept)) == 2  # of the domain and of the verifier
    about = json.loads((tmp_path / "runs" / "my-brief" / "results.json").read_text())
    assert re.fullmatch(r"my_reward\.py:brief, [0-9a-f]{16}", about["verifier"])


def test_what_the_table_quotes_is_what_the_code_says() -> None:
    table = PAGE.split("## When something is wrong")[1]
    source = "".join((REPOSITORY / file).read_text() for file in ("problems/own.py", "problems/ownfile.py", "rewards/own.py"))
    source += (REPOSITORY / "rewards" / "pool.py").read_text()
    for said in ("looked for in", "cannot load", "has no such setting; it has", "defines no function", "is neither a verifier",
                 "no verdict within", "died twice", "expected a number between 0 and 1", "expected a Verdict",
                 "it was handed", "needs the column", "has changed: its hash was"):  # fmt: skip
        assert said in table
        assert said in source
