"""What must not change the update: recomputed activations, merged adapters, how a step is cut into optimizer steps."""

import copy
from typing import Any

import pytest
import torch
from support import batch_loss, double_model, random_groups

from rl.settings.algorithm import AlgorithmSettings
from rl.settings.schema import LoraSettings, ModelSettings
from rl.tracking.metrics import over_updates
from rl.train import minibatches
from rl.update.batch import make_batch
from rl.update.logprobs import TokenLogprobs

SETTINGS = AlgorithmSettings()


def gradients(model, batch, cuts=None) -> dict[str, torch.Tensor]:
    """Return gradients by name, of the whole batch or of `cuts` of its rows."""
    model.zero_grad()
    for part in batch_loss(TokenLogprobs(model, 1.0), batch, cuts or [range(len(batch.rows))], SETTINGS):
        part.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.fixture(scope="module")
def batch():
    return make_batch(random_groups(vocabulary=100), SETTINGS, 20)


@pytest.mark.parametrize("lora", [None, LoraSettings(r=4)], ids=["full", "lora"])
def test_gradient_checkpointing_changes_nothing(random_model, batch, lora):
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = double_model(ModelSettings(path=str(random_model), lora=lora, gradient_checkpointing=checkpointing))
        model.train()
        assert any(getattr(module, "gradient_checkpointing", False) for module in model.modules()) is checkpointing
        found.append(gradients(model, batch))
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        assert torch.equal(gradient, found[1][name]), name  # the same operations on the same numbers


@pytest.fixture
def adapted(random_model):
    """A float64 model with adapters that do something."""
    torch.manual_seed(0)
    model = double_model(ModelSettings(path=str(random_model), lora=LoraSettings(r=4, alpha=12)))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return model.train()


def test_adapters_and_merged_weights_give_the_same_loss(adapted, batch):
    merged = copy.deepcopy(adapted).merge_and_unload()
    losses = [batch_loss(TokenLogprobs(m, 1.0), batch, [range(len(batch.rows))], SETTINGS)[0] for m in (adapted, merged)]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-6)
    assert abs(losses[0].item()) > 1e-3


def test_adapter_gradients_follow_from_those_of_the_merged_weights(adapted, batch):
    # W = W0 + s B A with s = alpha / r = 3, so dL/dA = s B^T dL/dW and dL/dB = s dL/dW A^T
    merged = copy.deepcopy(adapted).merge_and_unload().requires_grad_(True)
    of_adapters, of_weights = gradients(adapted, batch), gradients(merged, batch)
    weights = dict(adapted.named_parameters())
    checked = 0
    for name, gradient in of_adapters.items():
        if "lora_A" not in name:
            continue
        a, b = weights[name], weights[name.replace("lora_A", "lora_B")]
        whole = of_weights[name.removeprefix("base_model.model.").replace(".lora_A.default", "")]
        # 1e-5: transformers computes rotary angles and norms in float32 even in a float64 model
        assert torch.allclose(gradient, 3 * b.T @ whole, rtol=1e-5, atol=1e-9), name
        assert torch.allclose(of_adapters[name.replace("lora_A", "lora_B")], 3 * whole @ a.T, rtol=1e-5, atol=1e-9), name
        checked += 1
    assert checked == 14  # seven linear layers in each of two blocks


def test_minibatches_hold_every_group_once_in_order():
    cut: Any = minibatches  # letters stand for groups
    assert cut("abcdefg", 3) == ["ab", "cd", "efg"]
    assert cut("abcdefg", 1) == ["abcdefg"]
    assert cut("ab", 3) == ["a", "b"]
    assert cut("", 2) == []


def test_a_minibatch_has_its_own_denominator_however_it_is_cut(random_model):
    model = double_model(ModelSettings(path=str(random_model)))
    groups = random_groups(vocabulary=100)
    parts = [make_batch(part, SETTINGS, 20) for part in minibatches(groups, 2)]
    assert [part.num_loss_tokens for part in parts] == [
        sum(len(r.completion_ids) for g in some for r in g.rollouts) for some in (groups[:2], groups[2:])
    ]
    for part in parts:
        assert sum(row.weights.sum() for row in part.rows) <= 1
        whole, single = gradients(model, part), gradients(model, part, [[i] for i in range(len(part.rows))])
        for name, gradient in whole.items():
            assert torch.allclose(gradient, single[name], rtol=1e-6, atol=1e-9), name


def test_a_row_of_several_updates_by_hand():
    first = {"loss": 1.0, "grad_norm": 2.0, "batch/rows": 3, "sampling/kl": 0.0, "skipped_updates": 0, "cispo": None}
    second = {"loss": 2.0, "grad_norm": 4.0, "batch/rows": 5, "sampling/kl": 0.7, "skipped_updates": 0, "cispo": None}
    left_out = {"skipped_updates": 1}
    assert over_updates([left_out, first, left_out, second]) == {
        "loss": 1.5,
        "grad_norm": 3.0,
        "batch/rows": 8,
        "sampling/kl": 0.0,
        "skipped_updates": 2,
        "cispo": None,
        "batch/updates": 2,
    }
    assert over_updates([]) == {}
    assert over_updates([left_out]) == {"skipped_updates": 1, "batch/updates": 0}
