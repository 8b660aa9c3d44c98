"""What ranks send each other, by hand. Real runs are held against it in tests/rl/update/test_sent.py."""

import json
from pathlib import Path
from typing import Any

import pytest

from rl.settings.model_files import ModelShape
from rl.settings.schema import RunConfig
from rl.settings.traffic import Passes, Work, exchanged_bytes, micro_batches, sent

# two layers of 64, 32, 32, 64, 128, 128 and 128 numbers, and 256 of embeddings: 1,408
SMALL = ModelShape(layers=2, hidden=8, intermediate=16, vocabulary=32, heads=2, kv_heads=1, head_dim=4, tied=True)
# a group is a prompt of 10 and 4 completions of 20: 90 tokens, one in a micro-batch of 100; 2 groups a rank of four
WORK = Work(groups=8, trained_groups=8, group_size=4, prompt_tokens=10, completion_tokens=20)


def config(stage: int = 0, **sections: Any) -> RunConfig:
    data = {
        "run": {"name": "a"},
        "model": {"path": "m"},
        "problems": [{"domain": "chain"}],
        "train": {"micro_batch_tokens": 100},
        "algorithm": {"num_problems": 8, "group_size": 4},
        "deepspeed": {"stage": stage},
    }
    return RunConfig.model_validate({**data, **sections})


@pytest.mark.parametrize(
    ("stage", "gradients", "weights"),
    [
        (0, 0.75 * 2 * 1408 * 4, 0),  # an all-reduce of 1,408 numbers of 4 bytes over four ranks
        (1, 0.75 * 2 * 1408 * 4, 0.75 * 1408 * 4),  # and the weights gathered
        (2, 2 * 0.75 * 2 * 1408 * 4, 0.75 * 1408 * 4),  # after each of two micro-batches
        (3, 2 * 0.75 * 1408 * 4, 2 * 0.75 * 1408 * 4),  # reduce-scatters; all weights are small, and gathered twice
    ],
)
def test_what_each_zero_stage_sends(stage: int, gradients: float, weights: float) -> None:
    found = sent(config(stage), SMALL, WORK, 4)
    assert (found.gradients, found.weights) == pytest.approx((gradients, weights))
    half = sent(config(stage, model={"path": "m", "dtype": "bf16"}), SMALL, WORK, 4)
    assert (half.gradients, half.weights) == pytest.approx((gradients / 2, weights / 2))
    assert found.total == found.gradients + found.weights + found.rollouts


def test_one_rank_sends_nothing() -> None:
    assert sent(config(3), SMALL, WORK, 1).total == 0


def test_zero_3_gathers_large_weights_for_every_pass_and_once_for_the_copy(tmp_path: Path) -> None:
    file = tmp_path / "ds.json"
    zero = {"stage3_param_persistence_threshold": 100}
    file.write_text(json.dumps({"zero_optimization": zero}))
    # large: six matrices of 128 and one of 256, 1,024 in all; small: 384
    passes, update = 2 * 1024, 1024 + 2 * 384
    found = sent(config(deepspeed={"stage": 3, "config": file}), SMALL, WORK, 4)
    assert found.weights == pytest.approx(0.75 * 4 * (passes + update))
    # what comes again only beyond 1,000 numbers is let go: the first 524, which lie 500 and more from the turn
    file.write_text(json.dumps({"zero_optimization": {**zero, "stage3_max_reuse_distance": 1000}}))
    found = sent(config(deepspeed={"stage": 3, "config": file}), SMALL, WORK, 4)
    assert found.weights == pytest.approx(0.75 * 4 * (passes + 2 * 524 + update))


def test_what_deepspeeds_own_file_says_of_gradients_counts(tmp_path: Path) -> None:
    file = tmp_path / "ds.json"
    file.write_text(json.dumps({"communication_data_type": "bf16"}))
    halved = sent(config(deepspeed={"stage": 2, "config": file}), SMALL, WORK, 4)
    assert halved.gradients == pytest.approx(2 * 0.75 * 2 * 1408 * 2)
    assert halved.weights == pytest.approx(0.75 * 1408 * 4)  # these are as they are
    file.write_text(json.dumps({"zero_optimization": {"use_multi_rank_bucket_allreduce": False}}))
    to_owners = sent(config(deepspeed={"stage": 2, "config": file}), SMALL, WORK, 4)
    assert to_owners.gradients == pytest.approx(2 * 0.75 * 1408 * 4)


def test_adapters_alone_are_reduced() -> None:
    lora = config(2, model={"path": "m", "lora": {"r": 3}})
    assert sent(lora, SMALL, WORK, 4).gradients == pytest.approx(2 * 0.75 * 2 * 768 * 4)


def test_passes_by_hand() -> None:
    # 8 groups in 2 minibatches over 4 ranks: one group, one micro-batch each; two epochs
    several = config(algorithm={"num_problems": 8, "group_size": 4, "epochs": 2, "minibatches": 2, "old_logprobs": "recompute"})
    assert Passes.of(several, WORK, 4) == Passes(updates=4, backward=4, forward_only=2)
    adapters = {"path": "m", "lora": {"r": 3}}
    in_loss = config(model=adapters, algorithm={"num_problems": 8, "group_size": 4, "kl_coef": 0.1})
    assert Passes.of(in_loss, WORK, 4) == Passes(updates=1, backward=2, forward_only=2)
    frozen = config(algorithm={"num_problems": 8, "group_size": 4, "kl_coef": 0.1})
    assert Passes.of(frozen, WORK, 4).forward_only == 0


@pytest.mark.parametrize(
    ("layout", "limit", "groups", "expected"),
    [
        ("shared", 100, 2, 2),
        ("shared", 180, 3, 2),  # two groups of 90 fit
        ("shared", 50, 2, 4),  # a prompt of 10 and two rows of 20: half a group
        ("shared", 5, 1, 4),  # a longer row is one alone
        ("packed", 120, 2, 2),  # four rows of 30
        ("padded", 70, 2, 4),  # two rows of 30
        ("shared", 100, 0.1, 1),
    ],
)
def test_micro_batches_by_hand(layout: str, limit: int, groups: float, expected: int) -> None:
    settings = config(train={"micro_batch_tokens": limit, "layout": layout})
    assert micro_batches(settings, WORK, groups) == expected


def test_rollouts_are_told_once_with_their_tokens() -> None:
    # a rollout 450 and 20 tokens of 16 bytes; a group 600 and a prompt of 10 tokens of 8 bytes
    everything = 8 * (600 + 10 * 8 + 4 * (450 + 20 * 16))
    assert exchanged_bytes(config(), WORK) == everything
    assert sent(config(), SMALL, WORK, 4).rollouts == pytest.approx(0.75 * everything)
    recompute = config(algorithm={"num_problems": 8, "group_size": 4, "old_logprobs": "recompute"})
    assert exchanged_bytes(recompute, WORK) == everything + 8 * 4 * 20 * 4  # a log-probability of each token
