"""What cannot be trained is refused before anything is loaded, in words that say what to do."""

import json
import shutil
import time

import pytest
from architectures import FAMILIES, make
from safetensors.torch import load, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from rl.policy.interfaces import base_causal_lm
from rl.policy.opening import add_adapters, load_model, load_tokenizer, stop_token_ids
from rl.policy.paths import PolicyError, check_model_path, snapshot_of
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
    with pytest.raises(PolicyError, match="does not fit the layers"):
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


@pytest.fixture
def copied(tmp_path, random_model):
    """A copy of a model directory, to be spoilt."""
    directory = tmp_path / "model"
    shutil.copytree(random_model, directory)
    return directory


def test_a_directory_without_weights_or_without_a_tokenizer_says_which(copied):
    (copied / "model.safetensors").rename(copied / "elsewhere")
    with pytest.raises(PolicyError, match=r"has no weights \(model\.safetensors"):
        check_model_path(str(copied))
    (copied / "elsewhere").rename(copied / "model.safetensors")
    check_model_path(str(copied))
    for file in copied.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(PolicyError, match="has weights and no tokenizer"):
        check_model_path(str(copied))


def test_a_directory_with_a_gguf_file_in_it_points_at_the_file(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(PolicyError, match=r"give the GGUF file in it by its own path: .*model\.gguf"):
        check_model_path(str(tmp_path))


def test_weights_of_another_shape_than_the_configuration_are_named_with_both_shapes(copied):
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    rows, width = config["vocab_size"], config["hidden_size"]
    (copied / "config.json").write_text(json.dumps(config | {"vocab_size": rows + 8}), encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        load_model(ModelSettings(path=str(copied)))
    said = str(caught.value)
    assert f"has the shape [{rows}, {width}], and config.json asks for [{rows + 8}, {width}]" in said
    assert "embed" in said
    assert "ignore_mismatched_sizes" not in said
    (copied / "config.json").write_text(json.dumps(config | {"num_hidden_layers": "two"}), encoding="utf-8")
    for opened in (load_model, load_tokenizer):
        with pytest.raises(PolicyError, match=r"'num_hidden_layers' expected int, got str \(value: 'two'\)"):
            opened(ModelSettings(path=str(copied)))


def test_weights_that_are_cut_off_or_lack_a_tensor_are_never_made_up(copied):
    file = copied / "model.safetensors"
    whole = file.read_bytes()
    tensors = load(whole)  # not load_file, which maps the file that is cut below
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PolicyError, match="cannot open the model"):
        load_model(ModelSettings(path=str(copied)))
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(PolicyError, match=r"lack 1 of the model's tensors \(model\.layers\.1\.mlp\.up_proj\.weight\)"):
        load_model(ModelSettings(path=str(copied)))


def with_added_tokens(directory, tokens, *, special):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokenizer.add_tokens(tokens, special_tokens=special)
    tokenizer.save_pretrained(directory)
    return tokenizer


def test_a_tokenizer_with_more_tokens_than_the_model_has_rows_is_refused(copied):
    settings = ModelSettings(path=str(copied))
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"vocab_size": config["vocab_size"] - 3}))
    with pytest.raises(PolicyError, match=r"3 more .* = 101.*resize_token_embeddings"):  # of 104: 8 marks, 96 characters
        load_tokenizer(settings)


def test_added_tokens_need_a_row_only_where_prompts_and_completions_use_them(copied):
    settings = ModelSettings(path=str(copied))
    rows = json.loads((copied / "config.json").read_text())["vocab_size"]
    tokenizer = with_added_tokens(copied, ["<image_soft_token>"], special=True)
    assert tokenizer.convert_tokens_to_ids("<image_soft_token>") == rows
    assert len(load_tokenizer(settings).get_vocab()) == rows + 1  # as Gemma 3 has one: nothing ever writes it
    tokenizer.chat_template += "<image_soft_token>"
    tokenizer.save_pretrained(copied)
    with pytest.raises(PolicyError, match=r"1 more .*image_soft_token"):
        load_tokenizer(settings)
    model = AutoModelForCausalLM.from_pretrained(copied)
    model.resize_token_embeddings(rows + 1)
    model.save_pretrained(copied)
    assert load_model(settings).config.vocab_size == len(load_tokenizer(settings).get_vocab())


def test_an_added_word_needs_a_row_since_any_text_may_have_it(copied):
    with_added_tokens(copied, ["<tool>"], special=False)
    with pytest.raises(PolicyError, match=r"1 more .*<tool>"):
        load_tokenizer(ModelSettings(path=str(copied)))


def test_a_pad_token_without_a_row_is_refused(copied):
    with_added_tokens(copied, ["<pad>"], special=True)
    with pytest.raises(PolicyError, match="'<pad>'"):
        load_tokenizer(ModelSettings(path=str(copied), pad_token="<pad>"))


@pytest.mark.parametrize("load", [load_tokenizer, load_model])
def test_a_hub_name_without_a_network_is_refused_at_once_and_says_what_to_do(no_network, load, monkeypatch):
    waited, sleep = [0.0], time.sleep

    def noted(seconds):
        waited.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", noted)
    with pytest.raises(PolicyError, match=r"127\.0\.0\.1:9\) does not answer.*hf download nobody/has-this.*reasonlab fetch"):
        load(ModelSettings(path="nobody/has-this"))
    assert max(waited) < 1  # transformers by itself waits 1, 2, 4 and 8 s for a file; see hub_answers


def test_a_hub_model_in_the_cache_opens_without_a_network(hub_name):
    settings = ModelSettings(path=hub_name)
    assert load_tokenizer(settings).pad_token_id == 0
    assert load_model(settings).config.vocab_size == 104
    snapshot = snapshot_of(settings)
    assert snapshot is not None
    assert load_model(settings.model_copy(update={"revision": snapshot.name})).config.vocab_size == 104


def test_what_the_cache_holds_only_a_part_of_is_to_be_downloaded(hub_name, tmp_path, monkeypatch):
    settings = ModelSettings(path=hub_name)
    snapshot = snapshot_of(settings)
    assert snapshot is not None
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(
        PolicyError, match=r"does not answer.*only a part of it, without all its weights.*hf download owner/name"
    ):
        load_model(settings)
    assert load_tokenizer(settings).pad_token_id == 0  # which needs no weights
    (snapshot / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1-of-2.safetensors"}}')
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(PolicyError, match=r"not asked, since HF_HUB_OFFLINE.*without all its weights"):
        load_model(settings)
    for file in snapshot.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(PolicyError, match="only a part of it, without a tokenizer"):
        load_tokenizer(settings)


def test_adapters_that_would_do_nothing_are_refused(tmp_path):
    path = str(make(FAMILIES["mamba"], tmp_path / "mamba"))
    with pytest.raises(PolicyError, match="dt_proj, whose weight mamba in transformers reads past any adapter"):
        load_model(ModelSettings(path=path, lora=LoraSettings(target_modules=("in_proj", "dt_proj"))))
    with pytest.raises(PolicyError, match="'out_proj' is incompatible"):
        load_model(ModelSettings(path=path, lora=LoraSettings(target_modules=("out_proj",))))
