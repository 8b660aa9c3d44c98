"""The public programs of style assert: no hostile one is paid, no honest one refused, and none is unscorable."""

import pytest
from code_programs import misjudged, programs
from code_support import NAMESPACES, code_problem, fenced, needs_sandbox

from rewards.code.judging.verifier import CodeVerifier
from rewards.code.settings import SandboxSettings
from rl.settings.schema import RunConfig

pytestmark = needs_sandbox
FORGIVEN = "try:\n    r = f(1)\nexcept Exception:\n    r = 2\nassert r == 2"


def test_there_are_a_hundred_of_each() -> None:
    honest = [program for program in programs() if program.honest]
    assert len(honest) >= 100
    assert len(programs()) - len(honest) >= 100


def test_of_a_few_no_hostile_program_is_paid_and_no_honest_one_refused() -> None:
    assert misjudged(SandboxSettings(), programs()[::12]) == []  # the slow test below has them all


@pytest.mark.slow
@pytest.mark.parametrize("off", [(), NAMESPACES], ids=["all layers", "no namespaces"])
def test_no_hostile_program_is_paid_and_no_honest_one_refused(off: tuple[str, ...]) -> None:
    assert misjudged(SandboxSettings.model_validate({"off": off}), programs()) == []


def test_one_process_says_so_and_pays_what_lies() -> None:
    checks = {"style": "assert", "entry_point": "f", "tests": "assert f(1) == 2"}
    liar = fenced("class A:\n    def __eq__(self, other): return True\ndef f(x): return A()")
    apart, together = CodeVerifier(SandboxSettings()), CodeVerifier(SandboxSettings(same_process=True))
    try:
        assert [v.verify(code_problem(checks), liar).status for v in (apart, together)] == ["wrong", "correct"]
        verdict = together.verify(code_problem(checks), fenced("def f(x): return x"))
        assert (verdict.status, verdict.kind, verdict.detail) == (
            "wrong",
            "wrong answer",
            "wrong answer: same process: assertion failed",
        )
        assert together.verify(code_problem(checks), fenced("def f(x): return x + 1")).detail == "correct: same process"
        assert together.verify(code_problem(checks), fenced("def f(x): exit()")).status == "wrong"
    finally:
        apart.close()
        together.close()


def test_training_refuses_one_process() -> None:
    given = {"run": {"name": "x"}, "model": {"path": "x"}, "problems": [{"domain": "chain"}], "sandbox": {"same_process": True}}
    with pytest.raises(ValueError, match="it is for evaluation only"):
        RunConfig.model_validate(given)


@pytest.mark.parametrize("source", ["f = 5", "import os\nf = os", "f = None", "def f(x): return __import__('os')"])
def test_a_program_without_a_function_is_wrong_and_not_unscorable(source: str) -> None:
    verifier = CodeVerifier(SandboxSettings())
    try:
        checks = {"style": "assert", "entry_point": "f", "tests": FORGIVEN}
        assert verifier.verify(code_problem(checks), fenced(source)).status == "wrong"
    finally:
        verifier.close()
