"""`reasonlab grade`, the pool behind it, and the TRL reward function."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch.cli import main
from problems.errors import LabError
from problems.types import Problem
from rewards.grade import MAX_ROW_BYTES, finished_rows, grade_file
from rewards.pool import VerifierPool
from rewards.trl import math_reward
from rewards.verifiers import verify


def _row(index: int, reference: str | None, completion: object) -> str:
    return json.dumps({"id": index, "problem": {"domain": "math", "reference": reference}, "completion": completion})


ROWS = [
    _row(0, "1/2", "\\boxed{0.5}"),
    _row(1, "1/2", "\\boxed{0.6}"),
    "this is no JSON",
    _row(3, "1/2", None),
    json.dumps([1, 2]),
    _row(5, None, "5"),
    _row(6, "5", "9^{9^{9^9}}"),
    _row(7, "5", "no idea"),
    json.dumps({"id": "eight", "problem": {"domain": "nosuch", "reference": "5"}, "completion": "5"}),
    json.dumps({"id": 9, "problem": {"reference": 5}, "completion": "5"}),
    json.dumps({"id": 10, "problem": {"reference": "5"}, "completion": "\ud800 5"}),
]
STATUSES = ["correct", "wrong", "error", "error", "error", "error", "timeout", "unparsed", "error", "correct", "unparsed"]


def _read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_row_in_gives_one_row_out_in_order(tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(ROWS) + "\n")
    grade_file(source, output, workers=2)
    results = _read(output)
    assert [result["status"] for result in results] == STATUSES
    assert [result["id"] for result in results] == [0, 1, None, 3, None, 5, 6, 7, "eight", 9, 10]
    assert [result["reward"] for result in results[:3]] == [1.0, 0.0, None]
    assert set(results[0]) == {"id", "status", "reward", "extracted", "detail", "seconds"}


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(ROWS) + "\n")
    grade_file(source, output)
    whole = output.read_text()
    lines = whole.splitlines(keepends=True)
    output.write_text("".join(lines[:4]) + lines[4][:10])  # killed in the middle of a row
    assert finished_rows(output) == 4
    grade_file(source, output)
    again = _read(output)
    assert [row["status"] for row in again] == STATUSES
    output.write_text(whole * 2)
    with pytest.raises(LabError, match="already has 22 rows"):
        grade_file(source, output)


def test_a_row_that_is_too_long_or_too_deep_is_an_error_and_the_next_ones_are_graded(tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    long = _row(0, "4", "x" * (2 * MAX_ROW_BYTES + 7) + "\\boxed{4}")
    source.write_text("\n".join([long, "", _row(1, "4", "\\boxed{4}"), "[" * 100_000, _row(3, "4", "\\boxed{5}")]))
    counts = grade_file(source, output)
    assert counts == {"error": 2, "correct": 1, "wrong": 1}
    results = _read(output)
    assert [result["status"] for result in results] == ["error", "correct", "error", "wrong"]
    assert "it has more than 20,000,000 bytes" in results[0]["detail"]
    assert "RecursionError" in results[2]["detail"]
    output.write_text("".join(line + "\n" for line in output.read_text().splitlines()[:1]))
    grade_file(source, output)  # goes on behind the long row, not in the middle of it
    assert [result["status"] for result in _read(output)] == ["error", "correct", "error", "wrong"]


def test_a_row_without_a_domain_is_math(tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps({"id": 0, "problem": {"reference": "\\sqrt{2}"}, "completion": "\\boxed{2^{1/2}}"}) + "\n")
    grade_file(source, output)
    assert [result["status"] for result in _read(output)] == ["correct"]


def test_the_command_explains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(ROWS[0] + "\n")
    assert main(["grade", str(source), str(tmp_path / "out.jsonl"), "--explain", "--workers", "1"]) == 0
    assert "0: correct: exact rationals; reference: 1/2; answer (box): 0.5" in capsys.readouterr().out
    assert main(["grade", str(tmp_path / "none.jsonl"), str(tmp_path / "out2.jsonl")]) == 2


def test_trl_reward_takes_text_and_conversations_and_knows_none() -> None:
    chat = [{"role": "assistant", "content": "So \\boxed{4}"}]
    rewards = math_reward(["\\boxed{4}", chat, "\\boxed{5}", "x"], solution=["4", "$4$", "4", None], prompts=["", "", "", ""])
    assert rewards == [1.0, 1.0, 0.0, None]
    assert math_reward(["\\boxed{50}"], solution=["50\\%"], prompts=[[{"role": "user", "content": "What percent?"}]]) == [1.0]


@pytest.mark.parametrize(
    ("completion", "status"),
    [
        ("\\boxed{18}", "correct"),
        ("#### 18", "correct"),
        ("\\boxed{18 \\text{ dollars}}", "correct"),
        ("\\boxed{\\$18.00}", "correct"),
        ("The answer is 18.", "correct"),
        ("\\boxed{19 \\text{ dollars}}", "wrong"),
        ("\\boxed{18} dollars", "correct"),
        ("\\boxed{18} percent", "wrong"),
        ("\\boxed{18} or \\boxed{19}", "wrong"),
        ("#### 18 or 19", "wrong"),
        ("#### 17", "wrong"),
        ("no idea", "unparsed"),
    ],
)
def test_word_problems_take_units_and_words(completion: str, status: str) -> None:
    problem = Problem(id="1", domain="gsm8k", split="test", prompt="", reference="18", source="test")
    assert verify(problem, completion).status == status


def test_grading_loads_no_torch() -> None:
    code = "import rewards.math, rewards.trl, rewards.grade, rewards.verifiers, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


@pytest.mark.slow
def test_hostile_rows_neither_leak_workers_nor_lose_rows() -> None:
    good = Problem(id="g", domain="math", split="test", prompt="", reference="\\frac{1}{2}", source="test")
    hostile = ["9^{9^{9^9}}", "(" * 5000, "x" * 300_000, "\\sum_{i=1}^{2000}\\sum_{j=1}^{2000} i j"]
    items = [(good, hostile[i // 100 % 4] if i % 100 == 0 else f"\\boxed{{{i % 7}/{(i % 7) * 2 or 1}}}") for i in range(20_000)]
    with VerifierPool(2, timeout_seconds=60.0) as pool:
        started = time.monotonic()
        verdicts = pool.grade(items)
        elapsed = time.monotonic() - started
        assert pool.restarts == 0
    assert len(verdicts) == len(items)
    assert all((verdict.status == "correct") == (i % 100 != 0 and i % 7 != 0) for i, verdict in enumerate(verdicts))
    assert elapsed < 600


def test_workers_do_not_import_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rewards").mkdir()
    (tmp_path / "rewards" / "__init__.py").write_text("raise SystemExit('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    problem = Problem(id="1", domain="math", split="test", prompt="", reference="5", source="test")
    with VerifierPool(1) as pool:
        assert pool.grade([(problem, "\\boxed{5}")])[0].status == "correct"
