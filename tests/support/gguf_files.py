"""A tiny GGUF file, written with the package gguf: a Llama of random weights, byte-level BPE, a chat template.

Run as a program it opens one as a rank does: gguf_files FILE DIRECTORY, where directories of plain models are kept.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HIDDEN, FEED_FORWARD, LAYERS, HEADS, VOCABULARY = 64, 96, 2, 4, 300
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_TEXT = ["How many times does the letter occur in the word? The answer is one, two, three.", "3*7+5*2-4=? \\boxed{8} <think>"]


def byte_level_bpe(vocabulary: int = VOCABULARY) -> Any:
    """Return a tokenizer of the package tokenizers, trained on a few words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    core.train_from_iterator(
        _TEXT,
        trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    return core


def tensors(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    """Return weights by their GGUF names, float32."""

    def drawn(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) * 0.05).astype(np.float32)

    found = {"token_embd.weight": drawn(rows, HIDDEN), "output_norm.weight": np.ones(HIDDEN, np.float32)}
    for layer in range(LAYERS):
        names = {
            "attn_q": (HIDDEN, HIDDEN), "attn_k": (HIDDEN, HIDDEN), "attn_v": (HIDDEN, HIDDEN), "attn_output": (HIDDEN, HIDDEN),
            "ffn_gate": (FEED_FORWARD, HIDDEN), "ffn_up": (FEED_FORWARD, HIDDEN), "ffn_down": (HIDDEN, FEED_FORWARD),
        }  # fmt: skip
        found |= {f"blk.{layer}.{name}.weight": drawn(*shape) for name, shape in names.items()}
        found |= {f"blk.{layer}.{name}.weight": np.ones(HIDDEN, np.float32) for name in ("attn_norm", "ffn_norm")}
    return found


def write_gguf(
    file: Path,
    *,
    architecture: str = "llama",
    template: str = TEMPLATE,
    rows: int | None = None,
    also: Callable[[Any], None] | None = None,
    weights: dict[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Write the model, its matrices as Q8_0, and what `also` adds; return the weights to be found, dequantised."""
    import gguf

    core = byte_level_bpe()
    vocabulary = sorted(core.get_vocab().items(), key=lambda item: item[1])
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_name("tiny")
    for key, value in {
        "context_length": 256, "embedding_length": HIDDEN, "block_count": LAYERS, "feed_forward_length": FEED_FORWARD,
        "attention.head_count": HEADS, "attention.head_count_kv": HEADS, "rope.dimension_count": HIDDEN // HEADS,
    }.items():  # fmt: skip
        writer.add_uint32(f"{architecture}.{key}", value)
    writer.add_float32(f"{architecture}.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_float32(f"{architecture}.rope.freq_base", 10_000.0)
    writer.add_uint32(f"{architecture}.vocab_size", rows or len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([3 if token.startswith("<|") else 1 for token, _ in vocabulary])  # 3: control
    writer.add_token_merges([f"{a} {b}" for a, b in _merges(core)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template(template)
    if also is not None:
        also(writer)
    kept = {}
    for name, values in (weights or tensors(np.random.default_rng(0), rows or len(vocabulary))).items():
        if values.ndim == 1:
            writer.add_tensor(name, values)
            kept[name] = values
            continue
        packed = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        kept[name] = gguf.quants.dequantize(packed, gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return kept


def _merges(core: Any) -> list[list[str]]:
    import json

    merges: list[list[str]] = json.loads(core.to_str())["model"]["merges"]
    return merges


if __name__ == "__main__":
    from rl.policy.opening import load_model, plain_model
    from rl.settings.schema import ModelSettings

    load_model(plain_model(ModelSettings(path=sys.argv[1]), Path(sys.argv[2])))
