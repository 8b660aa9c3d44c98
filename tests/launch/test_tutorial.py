"""docs/tutorial.md can be followed literally: its files are written, its commands are run, with less to do."""

import json
from pathlib import Path

import pytest
from following import follow_page
from support import REPOSITORY

pytestmark = pytest.mark.slow
PAGE = (REPOSITORY / "docs" / "tutorial.md").read_text(encoding="utf-8")
LESS = {
    "sft": ["sft={steps: 2, rows: 2, row_tokens: 128, learning_rate: 3e-3, warmup_steps: 1, threads: 1}"],
    "diagnose": ["train.threads=1", "algorithm.group_size=4", "--seconds", "5"],
    "train": [
        "train={steps: 1, threads: 1, self_check: false}",
        "algorithm={num_problems: 2, group_size: 2}",
        "evaluation={every_steps: 0}",
    ],
    "eval": ["num_problems=2"],
}


def test_the_tutorial_can_be_followed_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert PAGE.count(" 2400:") == 1
    assert PAGE.count("[:2000]") == PAGE.count("[2000:]") == 1
    shorter = PAGE.replace(" 2400:", " 130:").replace("[:2000]", "[:120]").replace("[2000:]", "[120:]")
    commands = [line for line in PAGE.splitlines() if line.startswith(("reasonlab ", "pytest ", "python "))]
    in_the_lab = ["reasonlab view runs/demo-seed0     # prints an address; Ctrl-C ends it"]
    assert follow_page(shorter, tmp_path, LESS) == len(commands) - len(in_the_lab) == 12
    assert in_the_lab[0] in commands

    for name in ("before", "after"):
        about = json.loads((tmp_path / "runs" / name / "results.json").read_text())
        assert about["verifier"].startswith("check_blanks.py:verify, "), name
        assert about["reading"] == "strict"
