"""The KL to the reference, taken out of the rewards before advantages."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from support import rollout

from rl.groups import group_up
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig
from rl.tracking.metrics import rollout_metrics
from rl.tracking.rollouts import rollout_records
from rl.types import Drawn
from rl.update.batch import uniform_row
from rl.update.recompute import completion_logprobs, reference_kls

SETTINGS = ["model.path=x/y", "problems=[{domain: chain}]", "run.name=unused", "algorithm={kl: k1, kl_coef: 0.1}"]


def negative_target(rows, targets: torch.Tensor) -> torch.Tensor:
    """A scorer that gives token n the log-probability -n."""
    return -targets.float()


@pytest.mark.parametrize("layout", ["shared", "packed", "padded"])
def test_every_row_gets_its_own_tokens_whatever_the_micro_batches(layout):
    tokens = [np.arange(start, start + count, dtype=np.int32) for start, count in ((10, 3), (20, 1), (30, 6), (40, 2))]
    prompts = [np.array([1, 2], np.int32), np.array([1, 2], np.int32), np.array([5], np.int32), np.array([5, 6, 7], np.int32)]
    rows = [uniform_row(prompt, ids, np.zeros(len(ids), np.float32)) for prompt, ids in zip(prompts, tokens, strict=True)]
    for budget in (1, 8, 1000):
        found = completion_logprobs(negative_target, rows, budget, layout, 0)
        assert [values.tolist() for values in found] == [(-ids).tolist() for ids in tokens]


def test_k1_in_the_reward_by_hand():
    # reference log-probabilities -6 -7, and -8; sampled with -1 each: KL -1 + 6 - 1 + 7 = 11 and -1 + 8 = 7
    # rewards 1 - 0.1 * 11 = -0.1 and 0 - 0.1 * 7 = -0.7, mean -0.4: advantages 0.3 and -0.3, where 0.5 and -0.5 were
    mixed = (rollout([5], [6, 7], [-1, -1], 1.0), rollout([5], [8], [-1], 0.0))
    same = (rollout([5], [9], [-1], 1.0), rollout([5], [9], [-1], 1.0))
    config = load_config(RunConfig, [], SETTINGS).config
    kls = partial(reference_kls, reference=negative_target, config=config, layout="padded", pad_id=0)
    plain, charged = (group_up([mixed, same], config.algorithm, given) for given in (None, kls))
    assert plain[0].advantages.tolist() == [0.5, -0.5]
    assert charged[0].advantages.tolist() == pytest.approx([0.3, -0.3])
    assert [member.reference_kl for member in charged[0].rollouts] == pytest.approx([11, 7])
    # a group without contrast is not trained on: a KL that differs does not make it one that is, nor is it computed
    assert not charged[1].is_trained
    assert charged[1].advantages.tolist() == [0, 0]
    drawn = Drawn(groups=tuple(charged), rounds=1, cursor=2, sample_seconds=0, score_seconds=0)
    assert rollout_metrics(drawn)["kl"] == pytest.approx(18 / 3)  # nats a token
    assert [row["reference_kl"] for row in rollout_records(drawn)] == [pytest.approx(11), pytest.approx(7), None, None]
    without = replace(drawn, groups=tuple(plain))
    assert "kl" not in rollout_metrics(without)
    assert "reference_kl" not in rollout_records(without)[0]
