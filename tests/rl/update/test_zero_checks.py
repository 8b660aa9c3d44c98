"""DeepSpeed's own checks before a step, asked once for all gradients, against DeepSpeed's own words; and what ZeRO 3 copies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rl.policy.opening import load_model
from rl.runtime import device, process_group
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig
from rl.update.batch import collate, uniform_row
from rl.update.engine import Engine
from rl.update.zero_checks import check_together


@pytest.fixture(params=[(1, "fp32"), (2, "bf16")])
def engine(random_model: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """With a gradient, before its step."""
    stage, dtype = request.param
    settings = [f"model.path={random_model}", "problems=[{domain: chain}]", "run.name=unused", f"deepspeed.stage={stage}"]
    config = load_config(RunConfig, [], [*settings, f"model.dtype={dtype}", "optimizer.max_grad_norm=0.5"]).config
    with process_group():
        engine = Engine(load_model(config.model), config)
        row = uniform_row(np.arange(4, dtype=np.int32), np.arange(5, 13, dtype=np.int32), np.zeros(8, np.float32))
        micro = collate([row], 0, device(), engine.layout)
        engine.backward(engine.logprobs(micro.token_rows, micro.targets)[0].sum(), last=True)
        yield engine
        engine.finish()


def of_deepspeed(optimizer: Any, name: str) -> Any:
    """The class's method, which check_together covers up in the instance."""
    return getattr(type(optimizer), name).__get__(optimizer)


def test_the_norm_is_deepspeeds(engine):
    optimizer = engine.engine.optimizer
    gradients, weights = optimizer.averaged_gradients[0], optimizer.params_in_partition[0]
    expected = of_deepspeed(optimizer, "get_grad_norm_direct")(gradients, weights)
    found = optimizer.get_grad_norm_direct(gradients, weights)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan"), None])
def test_a_gradient_that_is_not_finite_is_seen_and_the_step_left_out(engine, value):
    optimizer = engine.engine.optimizer
    if value is not None:
        optimizer.averaged_gradients[0][3].view(-1)[1] = value
    expected = of_deepspeed(optimizer, "has_overflow_partitioned_grads_serial")()
    found = optimizer.has_overflow_partitioned_grads_serial()
    assert found.item() is expected.item() is (value is not None)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    before = [weights.detach().clone() for weights in engine.policy.parameters()]
    engine.step(1e-2)
    same = [torch.equal(a, b) for a, b in zip(before, engine.policy.parameters(), strict=True)]
    assert all(same) if value is not None else not any(same)
    assert engine.engine.skipped_steps == int(value is not None)


def test_the_copy_that_is_sampled_from_has_the_trainers_precision_in_its_adapters_too(random_model):
    settings = [f"model.path={random_model}", "problems=[{domain: chain}]", "run.name=unused", "model.dtype=bf16"]
    settings += ["model.lora.r=2", "deepspeed={stage: 3, shard_frozen: true}"]
    config = load_config(RunConfig, [], settings).config
    with process_group():
        engine = Engine(load_model(config.model), config)
        for (name, mine), theirs in zip(engine.policy.named_parameters(), engine.sampling_model.parameters(), strict=True):
            assert theirs.dtype == torch.bfloat16, name
            with engine.whole_weights([mine]):
                assert torch.equal(mine, theirs)
        engine.finish()


def test_an_optimizer_that_asks_otherwise_is_left_alone():
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))])
    before = dict(vars(optimizer))
    assert not check_together(optimizer)
    assert vars(optimizer) == before
