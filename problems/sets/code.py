"""Programming problems with tests: HumanEval, MBPP (full, sanitized, plus), and rows as APPS, TACO and LiveCodeBench have them.

Each row becomes a problem of domain "code" whose `checks` say how a program is tested. Local files (JSON, JSONL, also .gz) or
data sets of the hub with the same columns.
"""

import ast
import base64
import io
import json
import pickle
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from problems.finite import FiniteSource, finite_source
from problems.lines import fenced
from problems.rows import Row, hub_splits, local_splits
from problems.seeding import content_hash
from problems.types import SPLITS, Problem, ProblemError, ProblemSet, SourceConfig

Format = Literal["humaneval", "mbpp", "mbpp-plus", "apps", "livecodebench"]
_ASK = "Write a Python program that solves this problem. Put it in one ```python block."
_FUNCTION_ASK = "Write a Python function that solves this problem. Put all code in one ```python block."
_MAX_UNPACKED_BYTES = 2**30
_TEST_BUILTINS = {"set", "sorted", "len", "tuple", "list"}  # what tests put around the function under test


class CodeConfig(SourceConfig):
    """Settings of `code`."""

    path: str = Field(description="hub name, or local JSON, JSONL (.gz) file or folder of train/validation/test.jsonl")
    format: Format = Field(description="columns of the rows")
    subset: str | None = Field(default=None, description="configuration of the hub data set, where it has several")
    revision: str | None = Field(default=None, description="commit of the hub data set, for runs that can be repeated")
    reward: Literal["all", "fraction"] = Field(default="all", description="pay only when all tests pass, or their share")
    timeout_seconds: float | None = Field(default=None, gt=0, description="time of one test; default: sandbox.timeout_seconds")
    memory_megabytes: int | None = Field(default=None, ge=64, description="memory of a program")


def _problem(row: Row, name: str, prompt: str, checks: Mapping[str, Any], solution: str | None) -> Problem:
    """Return a problem that is named `name`, by where its row stands; its split is set when all rows are read."""
    difficulty = {"style": checks["style"]}
    if row.get("difficulty"):
        difficulty["level"] = row["difficulty"]
    return Problem(
        id=content_hash("code", name, prompt, json.dumps(checks, sort_keys=True, default=str)),
        domain="code",
        split="test",
        prompt=prompt,
        reference=None,
        checks=checks,
        difficulty=difficulty,
        source=name,
        solution=solution,
    )


def _need(row: Row, where: str, *columns: str) -> None:
    missing = [column for column in columns if column not in row]
    if missing:
        raise ProblemError(f"{where}: missing column(s) {', '.join(missing)}; found {', '.join(map(str, row))}")


def _with_starter(prompt: str, starter: str | None) -> str:
    return f"{prompt}\n\n{fenced(starter)}" if starter else prompt


def humaneval_problem(row: Row, where: str) -> Problem:
    """HumanEval: prompt (code), entry_point, canonical_solution, test (`check(candidate)`)."""
    _need(row, where, "prompt", "entry_point", "test")
    checks = {"style": "assert", "tests": row["test"], "entry_point": row["entry_point"], "context": row["prompt"]}
    solution = row.get("canonical_solution")
    text = f"{_FUNCTION_ASK}\n\n```python\n{row['prompt']}```"
    return _problem(row, where, text, checks, fenced(row["prompt"] + solution) if solution else None)


def mbpp_problem(row: Row, where: str) -> Problem:
    """MBPP, full (text, code, test_list, test_setup_code) and sanitized (prompt, code, test_list, test_imports)."""
    _need(row, where, "test_list")
    question = row.get("text") or row.get("prompt")
    if not isinstance(question, str):
        raise ProblemError(f"{where}: missing column text (or prompt)")
    setup = "\n".join([*row.get("test_imports", ()), row.get("test_setup_code") or ""]).replace("\r", "")
    asserts = [line.replace("\r", "") for line in [*row["test_list"], *row.get("challenge_test_list", ())]]
    tests = "\n".join([setup, *asserts]).lstrip("\n") + "\n"
    checks = {"style": "assert", "tests": tests, "entry_point": _tested_function(asserts, row.get("code", ""), where)}
    # The first test is shown, as in the paper: without it nobody can know the name.
    text = f"{_FUNCTION_ASK}\n\n{question.strip()}\n\nIt must pass this test:\n{asserts[0]}"
    code = row.get("code", "").replace("\r\n", "\n")
    return _problem(row, where, text, checks, fenced(code) if code else None)


def _tested_function(asserts: Sequence[str], code: str, where: str) -> str:
    """Return the function under test: of the names called in every test, the one that the reference defines."""
    try:
        defined = [node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        called = [_called_names(text) for text in asserts]
    except SyntaxError as error:
        raise ProblemError(f"{where}: a test or the reference does not compile: {error}") from None
    common = set.intersection(*called)
    for name in reversed(defined):  # helpers come before what they help
        if name in common:
            return name
    if others := sorted(common - _TEST_BUILTINS):
        return others[0]
    raise ProblemError(f"{where}: the tests have no function in common")


def _called_names(text: str) -> set[str]:
    """Return the names that a test calls; raises SyntaxError."""
    calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return {function.id for function in calls if isinstance(function, ast.Name)}


def mbpp_plus_problem(row: Row, where: str) -> Problem:
    """MBPP+ of EvalPlus, in either of its forms.

    Its own file: prompt, entry_point, assertion (base tests; the inputs for more tests have no expected values). On the hub:
    columns of sanitized MBPP, and `test`, a script with all inputs and results.
    """
    if isinstance(row.get("test"), str):
        base = mbpp_problem(row, where)
        imports = "\n".join(row.get("test_imports") or ())
        tests = f"{imports}\n{row['test']}\n".lstrip("\n")
        return _problem(row, where, base.prompt, {**base.checks, "tests": tests}, base.solution)
    _need(row, where, "prompt", "entry_point", "assertion")
    checks = {"style": "assert", "tests": row["assertion"], "entry_point": row["entry_point"]}
    solution = row.get("canonical_solution")
    question = row["prompt"].strip().strip('"').strip()
    return _problem(row, where, f"{_FUNCTION_ASK}\n\n{question}", checks, fenced(solution) if solution else None)


def apps_problem(row: Row, where: str) -> Problem:
    """APPS and TACO: question, input_output {inputs, outputs, fn_name}, solutions; also rows of {problem, tests}."""
    question = row.get("question") or row.get("problem") or row.get("description")
    tests = row.get("input_output") or row.get("tests")
    if not isinstance(question, str) or not tests:
        raise ProblemError(f"{where}: missing column question or input_output; found {', '.join(map(str, row))}")
    data = _data(tests, where)
    name = data.get("fn_name") if isinstance(data, Mapping) else None
    pairs = list(_pairs(data, where))
    if name:
        checks: dict[str, Any] = {
            "style": "function",
            "entry_point": name,
            "tests": [{"args": _as_args(given), "expected": _as_expected(wanted)} for given, wanted in pairs],
        }
    else:
        checks = {"style": "stdin", "tests": [{"stdin": _text(given), "stdout": _text(wanted)} for given, wanted in pairs]}
    solutions = row.get("solutions") or row.get("solution") or []
    if isinstance(solutions, str):
        solutions = _data(solutions, where) if solutions.lstrip().startswith("[") else [solutions]
    text = _with_starter(f"{_FUNCTION_ASK if name else _ASK}\n\n{question.strip()}", row.get("starter_code"))
    return _problem(row, where, text, checks, fenced(solutions[0]) if solutions else None)


def _data(text: Any, where: str) -> Any:
    """Return JSON, or a Python literal, as data; some of these sets hold the one and some the other."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ProblemError(f"{where}: tests that are neither JSON nor a Python literal: {error}") from None


def _pairs(data: Any, where: str) -> Iterator[tuple[Any, Any]]:
    if isinstance(data, Mapping) and "inputs" in data:
        yield from zip(data["inputs"], data["outputs"], strict=True)
    elif isinstance(data, list) and all(isinstance(item, Mapping) and "input" in item for item in data):
        yield from ((item["input"], item["output"]) for item in data)
    else:
        raise ProblemError(f"{where}: tests must be {{inputs, outputs}} or a list of {{input, output}}")


def _text(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _as_args(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [json.loads(line) for line in str(value).split("\n") if line.strip()]


def _as_expected(value: Any) -> Any:
    """APPS wraps the value in a list of one item."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


class _NoGlobals(pickle.Unpickler):
    """Reads pickled text, numbers, lists and dicts. What would import or call anything is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is not plain data")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("persistent objects are not plain data")


def unpack_private_tests(text: str, where: str) -> Any:
    """Return LiveCodeBench's private tests: JSON, or base64 of a compressed pickle of JSON text."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(text, validate=True), _MAX_UNPACKED_BYTES)
        if unpacker.unconsumed_tail:
            raise ValueError("more than 1 GB")
        loaded = _NoGlobals(io.BytesIO(data)).load()
        return json.loads(loaded) if isinstance(loaded, str | bytes) else loaded
    except (ValueError, zlib.error, pickle.UnpicklingError, EOFError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise ProblemError(f"{where}: private tests that cannot be read: {error}") from None


def livecodebench_problem(row: Row, where: str) -> Problem:
    """LiveCodeBench: question_content, starter_code, public_test_cases, private_test_cases, metadata {func_name}."""
    _need(row, where, "question_content", "public_test_cases")
    tests = list(_data(row["public_test_cases"], where))
    if row.get("private_test_cases"):
        tests += unpack_private_tests(row["private_test_cases"], where)
    name = _data(row.get("metadata") or "{}", where).get("func_name")
    if name:
        try:
            cases = [{"args": _as_args(t["input"]), "expected": json.loads(t["output"])} for t in tests]
        except ValueError as error:
            raise ProblemError(f"{where}: a test of a function is not JSON: {error}") from None
        checks: dict[str, Any] = {"style": "function", "entry_point": name, "tests": cases}
    else:
        checks = {"style": "stdin", "tests": [{"stdin": t["input"], "stdout": t["output"]} for t in tests]}
    text = _with_starter(f"{_FUNCTION_ASK if name else _ASK}\n\n{row['question_content'].strip()}", row.get("starter_code"))
    return _problem(row, where, text, checks, None)


FORMATS: dict[str, Callable[[Row, str], Problem]] = {
    "humaneval": humaneval_problem,
    "mbpp": mbpp_problem,
    "mbpp-plus": mbpp_plus_problem,
    "apps": apps_problem,
    "livecodebench": livecodebench_problem,
}


def load_code(config: CodeConfig, seed: int) -> FiniteSource:
    """Load programming problems from the hub or from local files of the same columns."""
    path = Path(config.path)
    raw = local_splits(path, SPLITS) if path.exists() else hub_splits(config.path, config.subset, config.revision)
    limits = {"timeout_seconds": config.timeout_seconds, "memory_megabytes": config.memory_megabytes}
    extra = {"reward": config.reward, **{key: value for key, value in limits.items() if value is not None}}

    def convert(row: Row, split: str, where: str) -> Problem:
        problem = FORMATS[config.format](row, where)
        return replace(problem, split=split, checks={**problem.checks, **extra})

    return finite_source(f"code {config.path}", raw, convert, seed)


SET = ProblemSet(name="code", config=CodeConfig, load=load_code, verifier="code", solution_is_completion=True)
