"""Models made once a session."""

import os

os.environ.setdefault("WANDB_MODE", "disabled")
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("TRITON_INTERPRET", "1")  # before anything imports Triton: its kernels run on the CPU

from pathlib import Path

import pytest
from hypothesis import settings

# property tests are the same on every machine: no clock decides, no chance, no memory of earlier runs
settings.register_profile("lab", deadline=None, derandomize=True, database=None)
settings.load_profile("lab")


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a tiny model of random weights and its tokenizer."""
    from rl.policy.tiny import make_tiny_model
    from rl.settings.schema import TinyModelConfig

    directory = tmp_path_factory.mktemp("models") / "random"
    make_tiny_model(TinyModelConfig(hidden_size=32, intermediate_size=64, layers=2, heads=2, max_positions=128), directory, 0)
    return directory


@pytest.fixture(scope="session")
def imitator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a model that writes well-formed answers to `chain` and is sometimes right: a minute's cold start."""
    from rl.settings.loading import load_config
    from rl.settings.schema import SftConfig
    from rl.sft import run_sft

    home = tmp_path_factory.mktemp("imitator")
    chosen = [
        f"run.dir={home}",
        "run.name=sft",
        "model.tiny={hidden_size: 32, intermediate_size: 64, layers: 2, heads: 2, max_positions: 128}",
        "problems=[{domain: chain, terms: [2, 3]}]",
        "styles={direct: 0.7, steps: 0.3}",
        "sft={steps: 100, rows: 16, row_tokens: 64, learning_rate: 1e-2, warmup_steps: 10, threads: 1}",
    ]
    return run_sft(load_config(SftConfig, [], chosen))
