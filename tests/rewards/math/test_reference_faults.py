"""A reference that cannot be read is the set's fault: an error, listed beforehand, and never a wrong answer."""

import json
from pathlib import Path

import pytest

from launch.grade import grade_command
from launch.problems import problems_command
from problems.types import Problem
from rewards.math import grade
from rewards.math.verify import reference_fault
from rewards.verifiers import verify


def problem(reference: str | None, domain: str = "math", **checks: str) -> Problem:
    return Problem(id="p", domain=domain, split="test", prompt="", reference=reference, checks=checks, source="here:1")


READABLE = [
    "1/2", "x^2 + 1", "Evelyn", "\\text{Evelyn}", "June 20", "Alice, Bob and Carol", "(B) 12", "\\text{(B) and (C)}", "A, B",
    "no solution", "regular hexagon", "\\text{yes}", "$5", "$\\frac{1}{2}$",
]  # fmt: skip
UNREADABLE = [
    "the function is even", "Let $x$ be prime.", "n is small", "x^^2", "\\frac{1}{", "no three points are collinear",
    "It follows from the first part that the sum cannot be larger than n", "see the picture because it is there", "2 + + ) 3",
]  # fmt: skip


@pytest.mark.parametrize("reference", READABLE)
def test_formulas_choices_and_labels_can_be_graded_against(reference: str) -> None:
    assert reference_fault(problem(reference)) is None
    assert grade(reference, "\\boxed{77777}").status == "wrong"


@pytest.mark.parametrize("reference", UNREADABLE)
def test_prose_and_broken_formulas_are_errors_and_not_wrong_answers(reference: str) -> None:
    assert (reference_fault(problem(reference)) or "").startswith("the reference cannot be read: ")
    verdict = grade(reference, "\\boxed{77777}")
    assert verdict.status == "error"
    assert "the reference cannot be read" in verdict.detail


def test_a_set_of_texts_compares_texts() -> None:
    prose = "the function is even"
    assert verify(problem(prose), "\\boxed{The function is even.}").status == "error"
    assert verify(problem(prose, answers="text"), "\\boxed{The function is even.}").status == "correct"
    assert verify(problem(prose, answers="text"), "\\boxed{The function is odd.}").status == "wrong"
    assert reference_fault(problem(prose, answers="text")) is None


def write_rows(path: Path) -> Path:
    rows = [
        {"prompt": f"q {len(reference)}?", "reference": reference}
        for reference in ["1/2", "the function is even", "n is small", "x^^2"]
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.slow
def test_problems_check_lists_them_by_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_rows(tmp_path / "own.jsonl")
    assert problems_command(["check", "--problems", str(file)]) == 1
    out = capsys.readouterr().out
    assert "3 of 4 references" in out
    assert f"{file}:2: the function is even" in out
    assert problems_command(["check", "--problems", str(file), "problems.0.answers=text"]) == 0
    assert problems_command(["check", "--problems", "chain"]) == 0
    assert "600 references, all of them" in capsys.readouterr().out


def test_grade_checks_references_of_rows_and_broken_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.jsonl"
    asked = [
        ("math", "5"),
        ("math", "so it is proven"),
        ("chain", "five"),
        ("countdown", None),
        ("nosuch", "5"),
        ("math", None),
    ]
    rows = [{"problem": {"domain": domain, "reference": reference}, "completion": ""} for domain, reference in asked]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no JSON\n")
    assert grade_command(["--check-references", str(file)]) == 1
    out = capsys.readouterr().out
    assert "6 of 7 references" in out
    for reason in (
        "is not a number",
        "checks need 'numbers' and 'target'",
        "no verifier",
        "is empty",
        "the row cannot be read",
    ):
        assert reason in out
