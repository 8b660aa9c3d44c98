"""What cannot be trained is refused before anything is loaded, in words that say what to do."""

import shutil

import pytest

from rl.policy.interfaces import base_causal_lm
from rl.policy.opening import add_adapters, load_model, load_tokenizer, stop_token_ids
from rl.policy.paths import PolicyError, check_model_path
from rl.settings.schema import LoraSettings, ModelSettings


def test_a_path_is_a_model_directory_or_a_name_on_the_hub(tmp_path, random_model):
    check_model_path(str(random_model))
    check_model_path("Qwen/Qwen2.5-0.5B")
    with pytest.raises(PolicyError, match=r"is a directory without config\.json"):
        check_model_path(str(tmp_path))
    # a run that is not there must not be taken for a name on the hub
    for path in ("runs/model", "./model", "/no/model", "model", "a/b/c"):
        with pytest.raises(PolicyError, match="no model directory at"):
            check_model_path(path)


def test_an_adapter_alone_is_no_model(tmp_path, random_model):
    directory = tmp_path / "adapter"
    shutil.copytree(random_model, directory)
    (directory / "model.safetensors").unlink()
    (directory / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(PolicyError, match="holds an adapter only"):
        load_model(ModelSettings(path=str(directory)))


def test_adapters_that_fit_no_layer_are_refused_and_others_wrap_the_model(random_model):
    model = load_model(ModelSettings(path=str(random_model)))
    assert base_causal_lm(model) is model
    with pytest.raises(PolicyError, match="fits no layer"):
        add_adapters(model, LoraSettings(target_modules=("nothing",)))
    adapted = add_adapters(model, LoraSettings(r=2))
    assert adapted is not model
    assert base_causal_lm(adapted) is model
    assert all(("lora" in name) == parameter.requires_grad for name, parameter in adapted.named_parameters())


def test_a_model_that_is_not_trained_needs_no_gradient(random_model):
    model = load_model(ModelSettings(path=str(random_model)), trainable=False)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(("listed", "expected"), [(None, {1}), (7, {1, 7}), ([7, 8], {1, 7, 8})])
def test_completions_end_with_the_end_token_and_those_the_model_lists(random_model, listed, expected):
    settings = ModelSettings(path=str(random_model))
    model, tokenizer = load_model(settings), load_tokenizer(settings)
    vars(model)["generation_config"].eos_token_id = listed
    assert stop_token_ids(model, tokenizer) == expected


def test_a_pad_token_must_be_in_the_vocabulary(random_model):
    with pytest.raises(PolicyError, match=r"'<none>' is not in the vocabulary"):
        load_tokenizer(ModelSettings(path=str(random_model), pad_token="<none>"))
