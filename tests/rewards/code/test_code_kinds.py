"""A verdict's kind is a field, one of a closed set, decided by types and not by words; and it reaches whoever counts it."""

from typing import Any

import pytest
from code_support import code_problem, fenced, needs_sandbox

from rewards import verifiers
from rewards.code.judging.outcome import KINDS
from rewards.code.judging.source import MAX_CANDIDATE_CHARACTERS
from rewards.code.judging.verifier import CodeVerifier
from rewards.code.session import PythonSession
from rewards.code.settings import SandboxSettings
from rewards.pool import VerifierPool
from rewards.trl import code_reward, completion_text
from rewards.types import Verdict

CALL = {"style": "function", "entry_point": "f", "tests": [{"args": [], "expected": 1}]}
ASSERT = {"style": "assert", "entry_point": "f", "tests": "assert f() == 1"}
SCRIPT = {"style": "stdin", "tests": [{"stdin": "", "stdout": "1"}]}


@needs_sandbox
@pytest.mark.parametrize("checks", [CALL, ASSERT, SCRIPT], ids=["function", "assert", "stdin"])
def test_an_error_that_only_speaks_of_memory_is_an_exception(checks: dict[str, object]) -> None:
    verifier = CodeVerifier(SandboxSettings())
    source = "def f():\n    raise {error}\n" + ("f()" if checks is SCRIPT else "")
    try:
        spoken = verifier.verify(code_problem(checks), fenced(source.format(error="ValueError('MemoryError')")))
        raised = verifier.verify(code_problem(checks), fenced(source.format(error="MemoryError('x')")))
    finally:
        verifier.close()
    assert (spoken.status, spoken.kind) == ("wrong", "exception")
    assert (raised.status, raised.kind) == ("wrong", "memory limit")


@needs_sandbox
def test_the_python_tool_tells_want_of_memory_by_type() -> None:
    with PythonSession(SandboxSettings()) as session:
        spoken = session.run("class MemoryErrorOfMine(Exception): pass\nraise MemoryErrorOfMine")
        assert (spoken.status, spoken.error) == ("exception", "MemoryErrorOfMine: ")
        assert session.run("raise MemoryError").status == "memory limit"


def test_kinds_that_need_no_sandbox() -> None:
    verifier = CodeVerifier(SandboxSettings())
    assert verifier.verify(code_problem(CALL), "```cpp\nint main() {}\n```").kind == "no program"
    long = fenced("#" * (MAX_CANDIDATE_CHARACTERS + 1))
    assert verifier.verify(code_problem(CALL), long).kind == "compile error"
    assert verifier.verify(code_problem({"style": "riddle"}), fenced("x = 1")).kind == "bad tests"
    assert {"no program", "compile error", "bad tests"} <= set(KINDS)


@needs_sandbox
def test_the_kind_survives_the_pipe_between_worker_and_pool() -> None:
    with VerifierPool() as pool:
        right, wrong = pool.grade([(code_problem(CALL), fenced(f"def f(): return {value}")) for value in (1, 2)])
    assert (right.status, right.kind, wrong.status, wrong.kind) == ("correct", "correct", "wrong", "wrong answer")


def test_a_kind_that_the_table_does_not_name_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = verifiers.VerifierEntry(verify=lambda *_: Verdict(status="correct", kind="odd"), kinds=("even",))
    monkeypatch.setitem(verifiers.VERIFIERS, "code", entry)
    verdict = verifiers.verify(code_problem(CALL), "x")
    assert (verdict.status, verdict.detail) == ("error", "ValueError: kind 'odd' is none of the verifier's: even")


@needs_sandbox
def test_code_reward_reads_conversations_as_math_reward_does() -> None:
    answer: Any = {"role": "assistant", "content": [{"type": "text", "text": fenced("def f(): return 1")}]}
    conversation: Any = [answer, {"role": "tool", "content": "said after the answer"}]
    assert completion_text(conversation) == fenced("def f(): return 1")
    assert code_reward(completions=[conversation, [{"role": "assistant", "content": None}]], checks=[CALL, CALL]) == [1.0, 0.0]
