"""What a checkpoint is reckoned to take (rl/settings/disk.py) is what an engine writes."""

import json
from pathlib import Path

import numpy as np
import pytest

from rl.policy.opening import load_model, load_tokenizer, save_policy
from rl.policy.tiny import make_tiny_model
from rl.runtime import device, process_group
from rl.settings.disk import checkpoint_bytes
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig, TinyModelConfig
from rl.tracking.checkpoint import Kept, size_of, weights_of, write
from rl.tracking.run_directory import write_atomic
from rl.update.batch import collate, uniform_row
from rl.update.engine import Engine

pytestmark = pytest.mark.slow
SHAPE = TinyModelConfig(hidden_size=128, intermediate_size=512, layers=4, heads=4, max_positions=32)  # a million weights


@pytest.mark.parametrize(
    "settings",
    [
        ["deepspeed.stage=0"],
        ["deepspeed.stage=1"],
        ["deepspeed.stage=3"],
        ["deepspeed.stage=0", "model.dtype=bf16"],
        ["deepspeed.stage=2", "model.dtype=bf16"],
        ["deepspeed.stage=3", "model.dtype=bf16"],
        ["deepspeed.stage=1", "model.lora={r: 64}"],
    ],
    ids=" ".join,
)
def test_the_reckoned_size_of_a_checkpoint_is_its_size(settings: list[str], tmp_path: Path) -> None:
    make_tiny_model(SHAPE, tmp_path / "model", 0)
    common = [f"model.path={tmp_path / 'model'}", "problems=[{domain: chain}]", "run.name=unused", "optimizer.warmup_steps=0"]
    config = load_config(RunConfig, [], [*common, *settings]).config
    with process_group():
        engine = Engine(load_model(config.model), config)
        row = uniform_row(np.arange(4, dtype=np.int32), np.arange(5, 13, dtype=np.int32), np.zeros(8, np.float32))
        micro = collate([row], 0, device(), engine.layout)
        engine.backward(engine.logprobs(micro.token_rows, micro.targets)[0].sum(), last=True)
        engine.step(1e-6)  # before it, there are no moments
        reckoned = checkpoint_bytes(config, weights_of(engine.policy))

        def on_first(directory: Path) -> None:
            save_policy(engine.sampling_model, load_tokenizer(config.model), directory / "policy", merge=False)
            write_atomic(directory / "state.json", json.dumps({}))

        saved = write(tmp_path / "saved", 1, Kept(newest=1), engine.save, on_first)
        engine.finish()
    # what does not grow with the weights, names and a script of DeepSpeed's, is a few percent of so small a model
    assert reckoned < size_of(saved) < 1.05 * reckoned + 60_000
