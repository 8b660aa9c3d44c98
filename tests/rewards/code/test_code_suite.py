"""No attack is paid, nothing of the host is touched, no honest program is refused: as root, as an ordinary user, with and
without namespaces."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from code_runner import judge_all
from code_suite import ATTACKS, BOMBS, CASES, HONEST
from code_support import NAMESPACES, needs_sandbox
from forks import HANGS_SECONDS

from rewards.code.settings import SandboxSettings

pytestmark = needs_sandbox
SLOW = {case.name for case in BOMBS} | {case.name for case in CASES if case.name.startswith("12-")}
QUICK = [case for case in CASES if case.name not in SLOW]


def test_the_suite_has_more_than_a_hundred_attacks_of_several_kinds() -> None:
    assert len(ATTACKS) >= 100
    assert len({case.kind for case in ATTACKS}) >= 9
    assert len(HONEST) >= 40
    assert sum(len(case.styles) for case in QUICK) > 500


@pytest.mark.parametrize("part", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_no_quick_attack_is_paid_and_no_honest_program_refused(part: int) -> None:
    chosen = QUICK[part::3]
    assert judge_all(SandboxSettings(), chosen) == (sum(len(case.styles) for case in chosen), [])


@pytest.mark.slow
def test_nor_without_namespaces() -> None:
    chosen = [case for case in QUICK if case.kind not in ("exit", "forged message", "patching")]
    assert judge_all(SandboxSettings.model_validate({"off": NAMESPACES}), chosen)[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("off", [(), NAMESPACES], ids=["all layers", "no namespaces"])
def test_bombs_are_bounded(off: tuple[str, ...]) -> None:
    settings = SandboxSettings.model_validate({"off": off})
    bombs = [case for case in CASES if case.name in SLOW]
    if off:
        bombs = bombs[::3]  # they mostly wait for their limits; the ordinary user's run below has all of them
    assert judge_all(settings, bombs)[1] == []


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("off", [(), NAMESPACES], ids=["all layers", "no namespaces"])
def test_the_whole_suite_as_an_ordinary_user(off: tuple[str, ...]) -> None:
    python = os.environ.get("REASONLAB_USER_PYTHON", os.path.realpath(sys.executable))
    root = Path(__file__).parents[3]
    user: dict[str, Any] = {"user": 54321, "group": 54321, "extra_groups": []}
    environment = {"PYTHONPATH": os.pathsep.join([str(root), *filter(None, sys.path)]), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        trial = subprocess.run([python, "-c", "import problems.types, numpy"], env=environment, cwd=root, **user, check=False)
    except OSError:
        trial = None
    if trial is None or trial.returncode != 0:
        pytest.skip("an ordinary user cannot read this Python or this repository (set REASONLAB_USER_PYTHON)")
    command = [python, "tests/support/code_runner.py", json.dumps({"off": off})]
    ran = subprocess.run(
        command, env=environment, cwd=root, **user, capture_output=True, text=True, timeout=HANGS_SECONDS, check=False
    )
    assert json.loads(ran.stdout)["faults"] == [], ran.stderr
    assert json.loads(ran.stdout)["verdicts"] > 700
