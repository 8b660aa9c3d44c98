"""A GGUF file of ours, opened by transformers, is the model that was written: same logits, same tokens."""

import json
import os
from pathlib import Path

import pytest
import torch
from gguf_files import TEMPLATE, byte_level_bpe

from problems.errors import LabError
from rl.policy.gguf_writing import write_gguf
from rl.policy.paths import PolicyError
from rl.settings.model_files import TensorType
from rl.tracking.export import export_gguf

pytest.importorskip("gguf")
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

TEXT = "How many times does 3*7 occur? <|im_start|> é \\boxed{8}"
SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 310}
POSITIONS = {"max_position_embeddings": 256, "rope_parameters": {"rope_type": "default", "rope_theta": 5_000.0}}
CONFIGS = {
    # keys and values of two heads: the order of rotated pairs goes by heads, and these have fewer
    "llama": lambda tied: LlamaConfig(**SMALL, **POSITIONS, num_key_value_heads=2, tie_word_embeddings=tied),
    "qwen2": lambda tied: Qwen2Config(**SMALL, **POSITIONS, num_key_value_heads=2, tie_word_embeddings=tied),
    # transformers (5.23) takes 128 for every Qwen3's head_dim, whatever the file says; all published ones have it
    "qwen3": lambda tied: Qwen3Config(**SMALL, **POSITIONS, num_key_value_heads=2, head_dim=128, tie_word_embeddings=tied),
}


def directory_of(config, path: Path, seed: int = 0) -> Path:
    """Write a model of random weights, biases included, with a byte-level tokenizer of 300 tokens."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    for name, weights in model.named_parameters():
        if weights.ndim == 1:  # norms of one and biases of zero would not show whether they were written
            torch.nn.init.normal_(weights, mean=float(name.endswith("norm.weight")), std=0.1)
    model.save_pretrained(path)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_level_bpe(), eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=TEMPLATE
    )
    tokenizer.save_pretrained(path)
    return path


def logits(model, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(ids).logits


@pytest.mark.parametrize("tied", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["tied", "untied"])
@pytest.mark.parametrize("family", CONFIGS)
def test_transformers_opens_it_with_the_same_logits(family: str, tied: bool, tmp_path: Path) -> None:
    directory = directory_of(CONFIGS[family](tied), tmp_path / "model")
    write_gguf(directory, tmp_path / "model.gguf")
    ids = torch.tensor([[5, 80, 299, 7, 120, 3, 44, 260, 9, 1]])
    before = logits(AutoModelForCausalLM.from_pretrained(directory), ids)
    after = logits(AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype="float32"), ids)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["model.gguf"]


def test_the_tokenizer_reads_and_writes_the_same(tmp_path: Path) -> None:
    directory = directory_of(CONFIGS["llama"](True), tmp_path / "model")
    write_gguf(directory, tmp_path / "model.gguf")
    ours = AutoTokenizer.from_pretrained(directory)
    theirs = AutoTokenizer.from_pretrained(tmp_path, gguf_file="model.gguf")
    assert theirs(TEXT).input_ids == ours(TEXT).input_ids
    assert theirs.chat_template == TEMPLATE
    assert (theirs.eos_token, theirs.pad_token) == ("<|im_end|>", "<|endoftext|>")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "tolerance"), [("f16", 2e-3), ("bf16", 2e-2), ("q8_0", 5e-2)])
def test_smaller_types_are_near(kind: TensorType, tolerance: float, tmp_path: Path) -> None:
    directory = directory_of(CONFIGS["qwen2"](True), tmp_path / "model")
    write_gguf(directory, tmp_path / "small.gguf", kind)
    write_gguf(directory, tmp_path / "exact.gguf")
    assert (tmp_path / "small.gguf").stat().st_size < 0.7 * (tmp_path / "exact.gguf").stat().st_size
    ids = torch.tensor([[5, 80, 299, 7]])
    before = logits(AutoModelForCausalLM.from_pretrained(directory), ids)
    after = logits(AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="small.gguf", dtype="float32"), ids)
    assert 0 < (after - before).abs().max() < tolerance * before.abs().max()


@pytest.mark.slow
def test_export_merges_adapters_into_the_file(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    base = directory_of(CONFIGS["llama"](True), tmp_path / "base")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=2, target_modules="all-linear"))
    for name, weights in model.named_parameters():
        if "lora_B" in name:  # zero at first, so that adapters do nothing
            torch.nn.init.normal_(weights, std=0.1)
    adapter = tmp_path / "adapter"
    model.save_pretrained(adapter)
    AutoTokenizer.from_pretrained(base).save_pretrained(adapter)
    written = export_gguf(adapter, tmp_path / "out" / "merged.gguf")
    ids = torch.tensor([[5, 80, 299, 7]])
    after = logits(AutoModelForCausalLM.from_pretrained(written.parent, gguf_file=written.name, dtype="float32"), ids)
    torch.testing.assert_close(after, logits(model, ids), rtol=0, atol=1e-4)
    assert [path.name for path in written.parent.iterdir()] == ["merged.gguf"]
    with pytest.raises(LabError, match="exists already"):
        export_gguf(adapter, written)
    with pytest.raises(LabError, match="GGUF file already"):
        export_gguf(written, tmp_path / "again.gguf")


def test_what_llama_cpp_would_read_otherwise_is_refused(tmp_path: Path) -> None:
    stretched = {"rope_type": "linear", "factor": 2.0, "rope_theta": 5_000.0}
    config = LlamaConfig(**SMALL, max_position_embeddings=256, rope_parameters=stretched, tie_word_embeddings=True)
    directory = directory_of(config, tmp_path / "stretched")
    with pytest.raises(PolicyError, match="stretches its positions"):
        write_gguf(directory, tmp_path / "a.gguf")
    directory = directory_of(CONFIGS["llama"](True), tmp_path / "characters")
    core = json.loads((directory / "tokenizer.json").read_text())
    core["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False}
    (directory / "tokenizer.json").write_text(json.dumps(core))
    with pytest.raises(PolicyError, match="no byte-level BPE"):
        write_gguf(directory, tmp_path / "a.gguf")
    assert not [path for path in tmp_path.iterdir() if path.is_file()]  # nothing half-written either


def test_other_families_are_left_to_llama_cpp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import GPT2Config

    directory = directory_of(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=310, n_positions=32), tmp_path / "gpt2")
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(PolicyError, match=r"a gpt2 model as GGUF takes llama.cpp's convert_hf_to_gguf.py \(llama, qwen2"):
        write_gguf(directory, tmp_path / "a.gguf")
    # a program in the converter's place: it gets the converter's arguments and writes what it got
    script = tmp_path / "llama.cpp" / "convert_hf_to_gguf.py"
    script.parent.mkdir()
    script.write_text("import sys\nopen(sys.argv[3], 'w').write(' '.join(sys.argv[1:]))\n")
    monkeypatch.setenv("LLAMA_CPP", str(script.parent))
    write_gguf(directory, tmp_path / "a.gguf", "q8_0")
    assert (tmp_path / "a.gguf").read_text() == f"{directory} --outfile {tmp_path / '.a.gguf.tmp'} --outtype q8_0"
    script.write_text("import sys\nsys.exit('no such architecture')\n")
    with pytest.raises(PolicyError, match="no such architecture"):
        write_gguf(directory, tmp_path / "b.gguf")
    assert not (tmp_path / "b.gguf").exists()
