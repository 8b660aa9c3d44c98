"""What stands behind the head is found by trying; a model that looks ahead or has other logits is refused in words."""

import pytest
import torch
from architectures import FAMILIES, make
from transformers import AutoConfig, AutoModelForCausalLM

from rl.policy.logits import LogitShape, logit_shape
from rl.policy.opening import load_model
from rl.policy.paths import PolicyError
from rl.settings.schema import ModelSettings


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("llama", LogitShape()),
        ("granite", LogitShape(scale=1 / 4)),  # divides by logits_scaling = 4
        ("cohere", LogitShape(scale=0.3)),
        ("falcon-h1", LogitShape(scale=0.7)),
        ("gemma-2", LogitShape(cap=3.0)),
    ],
)
def test_scale_and_cap_are_found(name, shape, tmp_path):
    assert logit_shape(load_model(ModelSettings(path=str(make(FAMILIES[name], tmp_path / name))))) == shape


def test_a_cap_of_scaled_outputs_by_hand():
    # 3 tanh(0.5 * 2 / 3) = 3 * 0.3215127 = 0.964538
    assert LogitShape(scale=0.5, cap=3.0).applied(torch.tensor([2.0])).item() == pytest.approx(0.964538, abs=1e-5)


def test_logits_that_the_config_does_not_explain_are_refused(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(make(FAMILIES["cohere"], tmp_path / "cohere"))
    model.logit_scale = 0.2  # the config says 0.3
    with pytest.raises(PolicyError, match="not its head's output, nor that scaled or soft-capped as its config says"):
        logit_shape(model)


def test_a_model_that_looks_ahead_is_refused():
    sizes = {"vocab_size": 90, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("bert", **sizes))
    with pytest.raises(PolicyError, match="bert looks ahead"):
        logit_shape(model)


def test_weights_that_are_not_finite_are_named(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(make(FAMILIES["llama"], tmp_path / "llama"))
    with torch.no_grad():
        model.lm_head.weight[3, 0] = torch.nan
    with pytest.raises(PolicyError, match="not finite"):
        logit_shape(model)
