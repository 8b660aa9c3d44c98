"""What the tests of the code verifier share."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from problems.types import Problem
from rewards.code.judging.sandbox import Sandbox, SandboxUnavailable
from rewards.code.settings import SandboxSettings

NAMESPACES = ("user", "pid", "mount", "network", "ipc", "uts")
DATA = Path(os.environ.get("REASONLAB_DATA", Path(__file__).parents[3] / "shared" / "data"))


def code_problem(checks: dict[str, Any], prompt: str = "a question") -> Problem:
    return Problem(id="p", domain="code", split="test", prompt=prompt, reference=None, checks=checks, source="test")


def fenced(source: str) -> str:
    return f"Here it is.\n```python\n{source}\n```"


def data_file(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no {path} (set REASONLAB_DATA)")
    return path


def sandbox_works() -> bool:
    """Return whether programs can be confined on this machine at all."""
    try:
        Sandbox(SandboxSettings()).close()
    except SandboxUnavailable:
        return False
    return True


needs_sandbox = pytest.mark.skipif(sys.platform != "linux" or not sandbox_works(), reason="programs cannot be confined here")
