"""Rows of public data sets become problems; what is in them is never executed while loading."""

import base64
import json
import pickle
import zlib

import pytest

from problems.catalog import build_source
from problems.sets.code import apps_problem, livecodebench_problem, mbpp_problem, unpack_private_tests
from problems.types import ProblemError
from rl.settings.schema import RunConfig


def packed(value: object) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


def test_livecodebench_rows_of_both_kinds() -> None:
    cases = [{"input": "[1, 2]\n3", "output": "[4]", "testtype": "functional"}]
    row = {
        "question_content": "q",
        "starter_code": "class Solution: ...",
        "public_test_cases": json.dumps(cases),
        "private_test_cases": packed(json.dumps(cases)),
        "metadata": json.dumps({"func_name": "go"}),
    }
    checks = livecodebench_problem(row, "x").checks
    assert checks["entry_point"] == "go"
    assert checks["tests"] == [{"args": [[1, 2], 3], "expected": [4]}] * 2
    text = livecodebench_problem({**row, "metadata": "{}"}, "x").checks
    assert text["tests"][0] == {"stdin": "[1, 2]\n3", "stdout": "[4]"}


class Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("1 / 0",))


def test_a_pickle_that_would_call_something_is_refused() -> None:
    with pytest.raises(ProblemError, match=r"eval is not plain data"):
        unpack_private_tests(packed(Runs()), "row 1")
    with pytest.raises(ProblemError, match="row 2: private tests that cannot be read"):
        unpack_private_tests("not base64!", "row 2")


def test_apps_rows_of_both_kinds() -> None:
    stdin = {"question": "q", "input_output": json.dumps({"inputs": ["1\n"], "outputs": ["2\n"]}), "solutions": '["print(2)"]'}
    problem = apps_problem(stdin, "x")
    assert problem.checks["tests"] == [{"stdin": "1\n", "stdout": "2\n"}]
    assert problem.solution == "```python\nprint(2)\n```"
    call = {"question": "q", "input_output": json.dumps({"fn_name": "f", "inputs": [[1, 2]], "outputs": [[3]]})}
    assert apps_problem(call, "x").checks["tests"] == [{"args": [1, 2], "expected": 3}]
    with pytest.raises(ProblemError, match="missing column question"):
        apps_problem({"title": "no"}, "x")


def test_the_function_under_test_is_found() -> None:
    row = {
        "text": "Count.",
        "code": "def helper(x): return x\ndef count(x): return len(helper(x))",
        "test_list": ["assert count([1]) == 1", "assert count(set([1, 2])) == 2"],
    }
    problem = mbpp_problem(row, "x")
    assert problem.checks["entry_point"] == "count"
    assert "assert count([1]) == 1" in problem.prompt
    assert "assert count(set([1, 2])) == 2" not in problem.prompt


def test_a_configuration_may_name_the_domain_and_the_sandbox(tmp_path) -> None:
    row = {"text": "Add.", "code": "def add(a, b): return a + b", "test_list": ["assert add(1, 2) == 3"]}
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")
    source = {"domain": "code", "path": str(tmp_path), "format": "mbpp", "timeout_seconds": 2}
    config = RunConfig.model_validate(
        {"run": {"name": "x"}, "model": {"path": "x"}, "problems": [source], "sandbox": {"allow_weak": True}}
    )
    assert config.sandbox.allow_weak
    problem = build_source(config.problems, 0).get("train", 0)
    assert problem.checks["timeout_seconds"] == 2
