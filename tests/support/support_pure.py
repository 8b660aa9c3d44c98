"""Small things that several tests of the torch-free parts share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from problems.types import Problem

ROOT = Path(__file__).resolve().parents[2]


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


def real_model() -> Path:
    """Return the GGUF file of SmolLM2-135M-Instruct, or skip the test where it was never fetched."""
    pytest.importorskip("gguf")
    from launch.fetch import MODELS, cache_directory

    file = cache_directory() / "models" / "smollm2-135m" / MODELS["smollm2-135m"].file_name
    if not file.is_file():
        pytest.skip(f"no {file}; `reasonlab fetch smollm2-135m` downloads it (94 MiB)")
    return file


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a new interpreter in the repository root."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
