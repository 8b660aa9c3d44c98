"""A GGUF file becomes an ordinary model directory, once and whole; one that cannot is refused before anything is written."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import fork, problem

pytest.importorskip("gguf")

from gguf import RopeScalingType
from gguf_files import FEED_FORWARD, HEADS, HIDDEN, LAYERS, VOCABULARY, tensors, write_gguf

from launch.problems import problems_command
from launch.train import train_command
from rl.policy.gguf import check_gguf
from rl.policy.gguf_writing import named_splitting
from rl.policy.opening import load_model, load_tokenizer, plain_model, stop_token_ids
from rl.policy.paths import PolicyError
from rl.policy.prompts import render
from rl.policy.showing import show_prompt
from rl.settings.schema import ModelSettings, PromptSettings, RunConfig
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
    odd = (tmp_path / "odd.gguf").read_bytes()
    (tmp_path / "damaged.gguf").write_bytes(odd.replace(b"mystery", b"\xff" * len(b"mystery")))  # no text in UTF-8
    assert "is damaged" in refused(tmp_path / "damaged.gguf", tmp_path)
    assert "no GGUF file at" in refused(tmp_path / "missing.gguf", tmp_path)


@pytest.mark.parametrize(
    ("architecture", "also", "expected"),
    [
        ("llama", lambda w: (w.add_rope_scaling_type(RopeScalingType.YARN), w.add_rope_scaling_factor(4.0)), "yarn, factor 4"),
        ("gemma3", lambda w: w.add_rope_scaling_factor(8.0), "linear, factor 8"),  # the type is linear where none is said
        ("gpt-oss", lambda w: w.add_rope_scaling_type(RopeScalingType.YARN), "yarn"),  # which transformers reads, wrongly
        ("llama", lambda w: w.add_tensor("rope_freqs.weight", np.full(8, 8, np.float32)), "tensor rope_freqs.weight"),
        ("phi3", lambda w: w.add_tensor("rope_factors_long.weight", np.ones(8, np.float32)), "tensor rope_factors_long.weight"),
    ],
)  # fmt: skip
def test_stretched_positions_are_refused_since_they_would_be_lost(tmp_path, architecture, also, expected):
    write_gguf(tmp_path / "long.gguf", architecture=architecture, also=also)
    said = refused(tmp_path / "long.gguf", tmp_path)
    assert "stretches the positions" in said
    assert expected in said
    assert "Hugging Face layout" in said


def test_positions_that_are_said_not_to_be_stretched_open(tmp_path):
    write_gguf(tmp_path / "a.gguf", also=lambda writer: writer.add_rope_scaling_type(RopeScalingType.NONE))
    write_gguf(tmp_path / "b.gguf", also=lambda writer: writer.add_rope_scaling_factor(1.0))
    for name in "ab":
        check_gguf(tmp_path / f"{name}.gguf")


def test_completions_stop_at_the_end_of_a_turn_that_the_file_names(tmp_path):
    def also(writer):
        writer.add_eot_token_id(1)
        writer.add_eom_token_id(2**32 - 1)  # no token at all

    write_gguf(tmp_path / "turns.gguf", also=also)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [2, 7]}')  # of another model: no run reads it
    settings = ModelSettings(path=str(tmp_path / "turns.gguf"))
    plain = plain_model(settings, tmp_path)
    assert stop_token_ids(load_model(plain), load_tokenizer(plain)) == {1, 2}
    picture = show_prompt(
        RunConfig.model_validate({"model": settings, "problems": [{"domain": "chain"}], "run": {"name": "x"}})
    )
    assert "it ends with <|im_start|> (1) or <|im_end|> (2); pad" in picture


def test_text_is_split_as_the_file_names_it(tmp_path, capsys):
    write_gguf(tmp_path / "digits.gguf", also=lambda writer: writer.add_tokenizer_pre("smollm"))
    settings = ModelSettings(path=str(tmp_path / "digits.gguf"))
    plain = plain_model(settings, tmp_path)
    direct, opened = load_tokenizer(settings), load_tokenizer(plain)
    assert named_splitting(json.loads((Path(plain.path) / "tokenizer.json").read_text(encoding="utf-8"))) == "smollm"
    # SmolLM2's own tokenizer.json says the same; GPT-2's way takes one line end to the digit
    expected = [("\n\n", (0, 2)), ("1", (2, 3)), ("2", (3, 4)), (")", (4, 5)), (" a", (5, 7))]
    tokenizers: list[Any] = [direct, opened]
    for one in tokenizers:
        found = one.backend_tokenizer.pre_tokenizer.pre_tokenize_str("\n\n12) a")
        assert [span for _, span in found] == [span for _, span in expected]
        assert one.decode(one("\n\n12) a").input_ids) == "\n\n12) a"
    assert "way of splitting" not in capsys.readouterr().err
    write_gguf(tmp_path / "odd.gguf", also=lambda writer: writer.add_tokenizer_pre("a-new-one"))
    load_tokenizer(ModelSettings(path=str(tmp_path / "odd.gguf")))
    assert capsys.readouterr().err.count("way of splitting text that transformers does not know ('a-new-one')") == 1


def test_a_family_of_transformers_newer_reader_is_opened_and_dequantised(tmp_path):
    def also(writer):  # Qwen3.5 with full attention in every layer
        for key, value in {
            "attention.key_length": HIDDEN // HEADS, "full_attention_interval": 1, "ssm.conv_kernel": 4, "ssm.state_size": 16,
            "ssm.group_count": 2, "ssm.time_step_rank": 2, "ssm.inner_size": 32,
        }.items():  # fmt: skip
            writer.add_uint32(f"qwen35.{key}", value)
        writer.add_array("qwen35.rope.dimension_sections", [3, 3, 2, 0])  # halves of the rotated numbers of a head

    weights = tensors(np.random.default_rng(0), VOCABULARY)
    for layer in range(LAYERS):
        weights[f"blk.{layer}.post_attention_norm.weight"] = weights.pop(f"blk.{layer}.ffn_norm.weight")
        weights |= {f"blk.{layer}.attn_{name}_norm.weight": np.ones(HIDDEN // HEADS, np.float32) for name in "qk"}
        query = weights[f"blk.{layer}.attn_q.weight"]
        weights[f"blk.{layer}.attn_q.weight"] = np.concatenate([query, -query])  # with the gate of the attention's output
    found = write_gguf(tmp_path / "new.gguf", architecture="qwen35", also=also, weights=weights)
    plain = plain_model(ModelSettings(path=str(tmp_path / "new.gguf")), tmp_path)
    parameters = dict(load_model(plain).named_parameters())
    np.testing.assert_array_equal(
        parameters["model.layers.1.self_attn.q_proj.weight"].detach().numpy(), found["blk.1.attn_q.weight"]
    )
    assert not parameters["model.norm.weight"].any()  # kept as w + 1 in the file


@pytest.mark.parametrize("share", [0.01, 0.99999])
def test_a_cut_file_is_refused_where_only_the_tokenizer_is_asked_for(written, tmp_path, capsys, share):
    cut = tmp_path / "cut.gguf"
    content = written[0].read_bytes()
    cut.write_bytes(content[: int(len(content) * share)])
    run = ["problems=[{domain: chain}]", "run.name=x", f"model.path={cut}"]
    for command, arguments in (
        (train_command, ["--show-prompt", *run]),
        (train_command, ["--dry-run", *run]),
        (problems_command, ["check", "chain", "--model", str(cut)]),
    ):
        assert command(arguments) == 2
        said = capsys.readouterr().err
        assert "download it again" in said
        assert "Traceback" not in said


def test_without_the_package_the_message_names_it(written, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'reasonlab[gguf]'" in refused(written[0], tmp_path)


@pytest.mark.slow
def test_ranks_that_start_together_write_it_once(written, tmp_path):
    ranks = [fork("gguf_files", written[0], tmp_path, cwd=tmp_path) for _ in range(3)]
    said = [rank.completed().stderr for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0, 0], said
    assert sum("was dequantised once" in text for text in said) == 1
