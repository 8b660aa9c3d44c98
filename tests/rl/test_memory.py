"""Out of memory comes early and says what to lower."""

import os
import sys
from mmap import mmap
from pathlib import Path

import numpy as np
import pytest
import torch
from support import reasonlab, run_command

from problems.errors import LabError
from rl.memory import longest_rows, naming_settings, peak_memory_gb
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig


def config(**train):
    settings = [f"train.{key}={value}" for key, value in train.items()]
    base = ["model.path=x/y", "problems=[{domain: chain}]", "run.name=unused", "sampling.max_completion_tokens=90"]
    return load_config(RunConfig, [], base + settings).config


def test_an_allocation_that_fails_names_the_settings_to_lower():
    wanted = r"out of memory while probing .*train.micro_batch_tokens.*sampling.max_rows"
    with pytest.raises(LabError, match=wanted), naming_settings("probing"):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(LabError, match=r"model.gradient_checkpointing=true"), naming_settings("probing"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes"), naming_settings("probing"):
        torch.ones(2, 3) @ torch.ones(2, 3)


def test_the_longest_micro_batch_is_full_and_as_long_as_can_be():
    # prompts of 10 and completions of 90 tokens: 1000 tokens hold ten rows, 50 tokens still one
    rows = longest_rows(config(micro_batch_tokens=1000), 10, 50)
    assert [row.length for row in rows] == [100] * 10
    assert sum(row.weights.sum() for row in rows) == pytest.approx(1)
    assert max(row.completion_ids.max() for row in rows) < 50
    assert len({row.completion_ids.tobytes() for row in rows}) == 10
    assert len(longest_rows(config(micro_batch_tokens=50), 10, 50)) == 1


def test_peak_memory_grows_with_what_is_used():
    before = peak_memory_gb()
    now = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    # more than there ever was, by 0.2 GB; mapped, because malloc may give memory that is the process's already
    block = mmap(-1, int(before * 1e9 - now + 0.2e9))
    np.frombuffer(block, np.uint8)[:: os.sysconf("SC_PAGE_SIZE")] = 1
    assert peak_memory_gb() >= before + 0.15
    block.close()
    assert peak_memory_gb() >= before + 0.15


@pytest.mark.slow
def test_a_micro_batch_that_does_not_fit_is_found_before_the_first_step(random_model, tmp_path):
    arguments = [
        f"model.path={random_model}",
        "problems=[{domain: chain, terms: [2, 3]}]",
        f"run.dir={tmp_path}",
        "run.name=run",
    ]
    arguments += ["sampling.max_completion_tokens=64", "train={steps: 1, threads: 1, memory_probe: true}"]
    fits = reasonlab("train", *arguments, "--dry-run", cwd=tmp_path)
    assert fits.returncode == 0, fits.stderr
    limited = 'ulimit -v 8000000; exec "$@"'  # KiB of address space: 8 GB, where the interpreter and its libraries take some
    program = ["bash", "-c", limited, "bash", sys.executable, "-m", "launch.cli", "train", *arguments]
    done = run_command([*program, "train.micro_batch_tokens=2000000"], tmp_path)
    assert done.returncode == 2, done.stderr
    assert "out of memory while probing the longest micro-batch" in done.stderr
    assert "lower train.micro_batch_tokens" in done.stderr
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
