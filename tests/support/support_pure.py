"""Small things that several tests of the torch-free parts share."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forks import HANGS_SECONDS

from problems.types import Problem

ROOT = Path(__file__).resolve().parents[2]

# a file that defines a domain
PARITY = '''"""Is a number odd? `7 odd?` is 1, `8 odd?` is 0."""

from random import Random

from pydantic import Field

from problems.types import Domain, Draft, Problem, SourceConfig, boxed, thinking


class ParityConfig(SourceConfig):
    """Settings of `parity`."""

    largest: int = Field(default=10_000, ge=1, description="largest number asked about")


def generate(rng: Random, config: ParityConfig) -> Draft:
    """Draw a number."""
    number = rng.randint(0, config.largest)
    return Draft(prompt=f"{number} odd?", reference=str(number % 2))


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Look at the last digit."""
    answer = problem.reference or ""
    return boxed(answer) if style == "direct" else thinking(f"ends in {problem.prompt.split()[0][-1]}", answer)


def perturb(problem: Problem, rng: Random) -> str:
    """Return the other answer."""
    return str(1 - int(problem.reference or 0))


DOMAIN = Domain(name="parity", config=ParityConfig, generate=generate, solve=solve, perturb=perturb)
'''


def number_problem(reference: str = "8", domain: str = "arithmetic") -> Problem:
    return Problem(id="p", domain=domain, split="test", prompt="?", reference=reference, source="test")


def countdown_problem(numbers: list[int], target: int) -> Problem:
    checks = {"numbers": numbers, "target": target}
    return Problem(id="c", domain="countdown", split="test", prompt="?", reference=None, checks=checks, source="test")


def public_data(name: str) -> Path:
    """Return a folder of downloaded problems, or skip the test where there is none."""
    folder = Path(os.environ.get("REASONLAB_DATA", ROOT.parent / "shared" / "data")) / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}; set REASONLAB_DATA to a folder that holds {name}/")
    return folder


def fetched_model() -> Path:
    """Return the GGUF file of SmolLM2-135M-Instruct, or skip the test where it was never fetched."""
    pytest.importorskip("gguf")
    from rl.policy.fetching import fetched_path

    file = fetched_path("smollm2-135m")
    if not file.is_file():
        pytest.skip(f"no {file}; `reasonlab fetch smollm2-135m` downloads it (94 MiB)")
    return file


def alive(pid: int) -> bool:
    """Whether a process is there; one that nobody has reaped yet is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone_within(pid: int, seconds: float) -> bool:
    """Wait for the end of a process; return whether it came."""
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a new interpreter in the repository root."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=HANGS_SECONDS, check=False)


def all_from(terminal: int) -> bytes:
    """Return what is written to a terminal, by our end of it, until its last writer is gone; closes this end."""
    written = b""
    try:
        while chunk := os.read(terminal, 65536):
            written += chunk
    except OSError:  # Linux says EIO when the last writer has closed the terminal
        pass
    finally:
        os.close(terminal)
    return written
