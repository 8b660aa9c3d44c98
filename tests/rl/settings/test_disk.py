"""What a run takes of its disk, by hand; what an engine really writes: tests/rl/tracking/test_checkpoint_size.py."""

from typing import Any

import pytest

from rl.settings.disk import (
    AtOnce,
    Completions,
    Weights,
    checkpoint_bytes,
    checkpoints_at_once,
    completions_bytes,
    imitation_checkpoint_bytes,
    imitation_checkpoints_at_once,
    size_in_words,
)
from rl.settings.dry_run import describe_work
from rl.settings.schema import RunConfig, SftConfig

FULL, ADAPTERS = Weights(whole=1000, trained=1000), Weights(whole=1100, trained=100)


def config(**sections: Any) -> RunConfig:
    data = {"run": {"name": "a"}, "model": {"path": "m"}, "problems": [{"domain": "chain"}]}
    return RunConfig.model_validate({**data, **sections})


@pytest.mark.parametrize(
    ("dtype", "stage", "bytes_a_number"),
    [
        ("fp32", 0, 4 + 8 + 4),  # weights, two moments; and the policy as a directory of its own
        ("fp32", 1, 4 + 4 + 8 + 4),  # ZeRO's optimizer holds the weights once more
        ("fp32", 3, 4 + 8 + 4),  # and under stage 3 nobody else does
        ("bf16", 0, 2 + 4 + 8 + 2),
        ("bf16", 2, 2 + 4 + 8 + 2),
        ("bf16", 3, 4 + 8 + 2),
    ],
)
def test_a_checkpoint_by_hand(dtype: str, stage: int, bytes_a_number: int) -> None:
    chosen = config(model={"path": "m", "dtype": dtype}, deepspeed={"stage": stage})
    assert checkpoint_bytes(chosen, FULL) == 1000 * bytes_a_number


def test_of_adapters_nothing_else_is_saved_and_a_reference_that_was_reset_is() -> None:
    adapters = config(model={"path": "m", "lora": {"r": 2}}, deepspeed={"stage": 1})
    assert checkpoint_bytes(adapters, ADAPTERS) == 100 * (4 + 4 + 8 + 4)
    reset = config(algorithm={"kl_coef": 0.1, "reference_reset_steps": 5}, deepspeed={"stage": 1})
    assert checkpoint_bytes(reset, FULL) == 1000 * (4 + 4 + 8 + 4 + 4)
    assert imitation_checkpoint_bytes(ADAPTERS) == 100 * (4 + 8)


@pytest.mark.parametrize(
    ("steps", "every", "keep_last", "evaluates", "most", "least"),
    [
        (100, 10, 2, 0, 3, 2),  # the third is whole before the first goes, or the first goes early
        (100, 10, 1, 0, 2, 2),  # the only one may not go early
        (100, 10, 2, 5, 4, 3),  # and the best
        (100, 60, 2, 0, 2, 2),  # after steps 60 and 100
        (100, 200, 2, 0, 1, 1),  # after the last step alone
        (100, 200, 2, 5, 3, 2),
    ],
)
def test_how_many_checkpoints_there_are_at_one_time(
    steps: int, every: int, keep_last: int, evaluates: int, most: int, least: int
) -> None:
    checkpoint = {"every_steps": every, "keep_last": keep_last}
    chosen = config(train={"steps": steps}, checkpoint=checkpoint, evaluation={"every_steps": evaluates})
    assert checkpoints_at_once(chosen) == AtOnce(most=most, least=least)


def test_a_cold_start_saves_none_after_its_last_step() -> None:
    data = {"run": {"name": "a"}, "model": {"path": "m"}, "problems": [{"domain": "chain"}]}

    def at_once(steps: int) -> AtOnce:
        sections = {"sft": {"steps": steps}, "checkpoint": {"every_steps": 10, "keep_last": 2}}
        return imitation_checkpoints_at_once(SftConfig.model_validate({**data, **sections}))

    assert at_once(10) == AtOnce(most=0, least=0)
    assert at_once(11) == AtOnce(most=1, least=1)
    assert at_once(100) == AtOnce(most=3, least=2)


def test_completions_by_hand() -> None:
    algorithm = {"num_problems": 4, "group_size": 8, "max_sampling_rounds": 3}
    chosen = config(algorithm=algorithm, sampling={"max_completion_tokens": 100}, train={"save_token_groups": 2})
    # a completion: 110 bytes and 2 for each of 100 tokens; of 2 groups of 8 the tokens, 6 bytes each
    once = 4 * 8 * (110 + 200) + 2 * 8 * 600
    assert completions_bytes(chosen) == Completions(without_replacements=once, most=once + 2 * 4 * 8 * (110 + 200))
    assert completions_bytes(config(train={"save_rollouts": False})) == Completions(without_replacements=0, most=0)


def test_sizes_are_said_in_units_for_people() -> None:
    assert [size_in_words(n) for n in (0, 999, 1000, 2**20, 3.5 * 2**30)] == ["0 B", "999 B", "0.977 KiB", "1 MiB", "3.5 GiB"]


def test_a_dry_run_says_what_the_disk_must_hold() -> None:
    sections = {"train": {"steps": 100}, "checkpoint": {"every_steps": 10}, "evaluation": {"every_steps": 10}}
    model = {"path": "Qwen/Qwen2.5-0.5B", "dtype": "bf16"}
    text = describe_work(config(model=model, **sections))
    # 493,961,216 weights without norms and biases, 16 bytes each
    assert (
        "disk: 7.36 GiB a checkpoint, up to 4 at one time (keep_last 2, the best, the next until it is whole): 29.4 GiB" in text
    )
    assert "completions on disk, all of full length: about" in text
    limited = describe_work(config(**{**sections, "train": {"steps": 100, "rollouts_megabytes": 50}}))
    assert "a step, 50 MB stay (train.rollouts_megabytes)" in limited
    assert "completions on disk" not in describe_work(config(train={"save_rollouts": False}))
