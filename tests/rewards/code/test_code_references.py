"""The references of public sets pass, and the same references with their results spoilt do not."""

import pytest
from code_support import data_file, needs_sandbox

from problems.sets.code import CodeConfig, load_code
from problems.types import Problem
from rewards.checking import spoilt_completion
from rewards.code.judging.verifier import CodeVerifier
from rewards.code.settings import SandboxSettings

pytestmark = needs_sandbox
SETS = [
    ("humaneval/HumanEval.jsonl.gz", "humaneval", 164, set()),
    ("mbpp/mbpp.jsonl", "mbpp", 974, set()),
    ("mbpp/sanitized-mbpp.json", "mbpp", 427, set()),
    # Mbpp/239 and Mbpp/398 by position: the assertion of these rows contradicts their own reference.
    ("mbpp-plus/MbppPlus-v0.1.0.jsonl", "mbpp-plus", 399, {95, 161}),
]


def load(name: str, columns: str) -> list[Problem]:
    source = load_code(CodeConfig.model_validate({"path": str(data_file(name)), "format": columns}), seed=0)
    return [source.get("test", index) for index in range(source.size("test"))]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "columns", "size", "broken"), SETS, ids=[name for name, *_ in SETS])
def test_references_pass_and_spoilt_ones_do_not(name: str, columns: str, size: int, broken: set[int]) -> None:
    problems = load(name, columns)
    assert len(problems) == size
    verifier = CodeVerifier(SandboxSettings())
    try:
        failed = {
            number: verdict.detail
            for number, problem in enumerate(problems, start=1)
            if (verdict := verifier.verify(problem, problem.solution or "")).status != "correct"
        }
        paid = [
            n
            for n, problem in enumerate(problems, 1)
            if verifier.verify(problem, spoilt_completion(problem)).status == "correct"
        ]
    finally:
        verifier.close()
    assert set(failed) == broken, failed
    assert paid == []


def test_a_few_references_pass_quickly() -> None:
    verifier = CodeVerifier(SandboxSettings())
    try:
        for problem in load("humaneval/HumanEval.jsonl.gz", "humaneval")[:40]:
            assert verifier.verify(problem, problem.solution or "").status == "correct", problem.source
            assert verifier.verify(problem, spoilt_completion(problem)).status == "wrong", problem.source
    finally:
        verifier.close()


def test_contest_rows_become_problems_with_tests() -> None:
    for name, size in (("code_contests_test.json", 165), ("codeforces_test.json", 408)):
        problems = load(f"codecontests-sample/{name}", "apps")
        assert len(problems) == size
        assert all(problem.checks["style"] == "stdin" and problem.checks["tests"] for problem in problems)
