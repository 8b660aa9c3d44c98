"""A run that is killed at random moments and started again is the run that was not, through `reasonlab launch` on two ranks."""

import gzip
import shutil
import sys
from pathlib import Path

import pytest
from forks import SUPPORT
from soak import differences
from support import run_command

pytestmark = pytest.mark.slow
STEPS = 8


def test_killed_three_times_nothing_is_lost_nothing_doubled_and_nobody_left(imitator: Path, tmp_path: Path) -> None:
    settings = [
        "problems=[{domain: chain, terms: [2, 3]}]", "sampling.max_completion_tokens=24", "train.self_check=false",
        "algorithm={num_problems: 4, group_size: 8}", "optimizer={learning_rate: 1e-3, warmup_steps: 2}",
        "checkpoint.every_steps=2", "evaluation={every_steps: 3, num_problems: 8}",
    ]  # fmt: skip
    words = ["--steps", str(STEPS), "--kills", "3", "--seeds", "3", "--model", str(imitator), "--dir", str(tmp_path)]
    done = run_command([sys.executable, str(SUPPORT / "soak.py"), *words, *settings], tmp_path, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("seed 3, kill ") == 3
    assert "seed 3: as if nothing had been" in done.stdout

    # and it would have been seen
    spoilt = tmp_path / "spoilt"
    shutil.copytree(tmp_path / "killed-3", spoilt)
    with gzip.open(spoilt / "rollouts" / "step-000002.jsonl.gz", "at") as file:
        file.write("\n")
    with (spoilt / "timing.jsonl").open("a") as file:
        file.write('{"step": 8}\n')
    found = differences(tmp_path / "undisturbed", spoilt, STEPS)
    assert [line.split(":")[0] for line in found] == ["timing.jsonl", "rollouts"]
