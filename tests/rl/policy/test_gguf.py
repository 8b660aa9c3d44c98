"""A GGUF file becomes an ordinary model directory, once and whole; one that cannot is refused before anything is written."""

import re
import shutil

import numpy as np
import pytest
import torch
from support import fork, problem

pytest.importorskip("gguf")

from gguf_files import FEED_FORWARD, HIDDEN, LAYERS, write_gguf

from rl.policy.opening import load_model, load_tokenizer, plain_model, stop_token_ids
from rl.policy.paths import PolicyError
from rl.policy.prompts import render
from rl.settings.schema import ModelSettings, PromptSettings
from rl.tracking.export import export


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A GGUF file and the weights in it."""
    file = tmp_path_factory.mktemp("gguf") / "tiny.Q8_0.gguf"
    return file, write_gguf(file)


def test_the_weights_in_the_directory_are_the_dequantised_ones(written, tmp_path):
    file, weights = written
    plain = plain_model(ModelSettings(path=str(file)), tmp_path)
    assert re.fullmatch(r"tiny\.Q8_0-fp32-[0-9a-f]{8}", plain.path.rpartition("/")[2])
    model = load_model(plain)
    found = {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}
    assert len(found) == 2 + 9 * LAYERS  # the head is the embedding
    np.testing.assert_array_equal(found["model.embed_tokens.weight"], weights["token_embd.weight"])
    for layer in range(LAYERS):
        for theirs, ours, shape in (
            ("ffn_down", "mlp.down_proj", (HIDDEN, FEED_FORWARD)),
            ("attn_v", "self_attn.v_proj", None),
        ):
            expected = weights[f"blk.{layer}.{theirs}.weight"]
            assert shape in (None, expected.shape)
            np.testing.assert_array_equal(found[f"model.layers.{layer}.{ours}.weight"], expected)


def test_the_directory_answers_as_the_file_does(written, tmp_path):
    settings = ModelSettings(path=str(written[0]))
    ids = torch.arange(3, 40)[None]
    plain = plain_model(settings, tmp_path)
    with torch.no_grad():
        direct, opened = (load_model(each)(input_ids=ids, use_cache=False).logits for each in (settings, plain))
    assert torch.equal(direct, opened)


def test_the_tokenizer_is_the_same_by_either_way(written, tmp_path):
    settings = ModelSettings(path=str(written[0]))
    direct, opened = load_tokenizer(settings), load_tokenizer(plain_model(settings, tmp_path))
    for text in ("How many letters?", "<|im_start|>user\n3*7=?<|im_end|>", "caf\u00e9 \U0001f642\n\n  x"):
        assert direct(text).input_ids == opened(text).input_ids
        assert opened.decode(opened(text).input_ids, skip_special_tokens=False) == text
    assert direct.chat_template == opened.chat_template
    assert (opened.pad_token_id, opened.eos_token_id) == (2, 2)
    asked = render(problem(), PromptSettings(), opened)
    assert opened.decode(asked, skip_special_tokens=False) == "<|im_start|>user\n1+1=?<|im_end|>\n<|im_start|>assistant\n"


def test_it_is_written_once_for_each_precision_and_content(written, tmp_path, capsys):
    settings = ModelSettings(path=str(written[0]))
    first = plain_model(settings, tmp_path)
    said = capsys.readouterr().err
    assert said.count("was dequantised once, as fp32, to") == 1
    assert plain_model(settings, tmp_path) == first
    assert capsys.readouterr().err == ""
    half = plain_model(settings.model_copy(update={"dtype": "bf16"}), tmp_path)
    assert half.path != first.path
    assert next(load_model(half).parameters()).dtype == torch.bfloat16
    elsewhere = tmp_path / "copy" / written[0].name
    elsewhere.parent.mkdir()
    shutil.copy(written[0], elsewhere)
    assert plain_model(ModelSettings(path=str(elsewhere)), tmp_path).path == first.path  # the content names it
    write_gguf(elsewhere, template="{{ messages[0].content }}")
    assert plain_model(ModelSettings(path=str(elsewhere)), tmp_path).path != first.path


def test_the_config_tells_nothing_of_quantisation_and_stop_tokens_are_found(written, tmp_path):
    plain = plain_model(ModelSettings(path=str(written[0])), tmp_path)
    model = load_model(plain)
    assert not hasattr(model.config, "quantization_config")
    assert stop_token_ids(model, load_tokenizer(plain)) == {2}


def test_export_writes_a_model_directory(written, tmp_path):
    output = export(written[0], tmp_path / "out")
    assert next(load_model(ModelSettings(path=str(output))).parameters()).dtype == torch.float32
    assert load_tokenizer(ModelSettings(path=str(output))).chat_template


def refused(file, home) -> str:
    with pytest.raises(PolicyError) as caught:
        plain_model(ModelSettings(path=str(file)), home / "runs")
    assert not (home / "runs").exists()
    with pytest.raises(PolicyError):
        export(file, home / "out")
    assert not (home / "out").exists()
    return str(caught.value)


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.1, 0.5, 0.99999])
def test_a_file_that_ends_too_early_is_refused(written, tmp_path, share):
    cut = tmp_path / "cut.gguf"
    content = written[0].read_bytes()
    cut.write_bytes(content[: int(len(content) * share)])
    assert "download it again" in refused(cut, tmp_path)


def test_what_no_model_can_be_made_of_is_refused_with_the_reason(tmp_path):
    write_gguf(tmp_path / "odd.gguf", architecture="mystery")
    said = refused(tmp_path / "odd.gguf", tmp_path)
    assert "architecture 'mystery'" in said
    assert "Hugging Face layout" in said
    write_gguf(tmp_path / "small.gguf", rows=280)
    assert "a tokenizer of 300 tokens and a model of 280" in refused(tmp_path / "small.gguf", tmp_path)
    (tmp_path / "page.gguf").write_text("<html>404 Not Found</html>")
    assert "is no GGUF file" in refused(tmp_path / "page.gguf", tmp_path)
    assert "no GGUF file at" in refused(tmp_path / "missing.gguf", tmp_path)


def test_without_the_package_the_message_names_it(written, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'reasonlab[gguf]'" in refused(written[0], tmp_path)


@pytest.mark.slow
def test_ranks_that_start_together_write_it_once(written, tmp_path):
    ranks = [fork("gguf_files", written[0], tmp_path, cwd=tmp_path) for _ in range(3)]
    said = [rank.completed().stderr for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0, 0], said
    assert sum("was dequantised once" in text for text in said) == 1
