"""A Hugging Face directory as one GGUF file, for llama.cpp, Ollama and LM Studio: Llama, Qwen2 and Qwen3 by the package `gguf`.

    reasonlab export runs/smollm2-letters my-model.gguf --type q8_0

Names and headers come from the package's own tables. What is known here besides is what llama.cpp's converter knows of these
three families (https://github.com/ggml-org/llama.cpp, convert_hf_to_gguf.py): Llama's queries and keys are stored with the two
halves of a rotated pair beside each other, tied heads and padding rows are not written twice, and a tokenizer is byte-level BPE
whose way of splitting text has a name. Everything else is refused in words, or left to that converter where it is installed: in
the folder that LLAMA_CPP names, or on the PATH.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from problems.progress import followed
from rl.policy.paths import PolicyError, check_model_path, first_line
from rl.settings.model_files import TensorType

FAMILIES = {"llama": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3"}  # model_type -> the package's name
_CONVERTER = "convert_hf_to_gguf.py"
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5  # kinds of tokens
# how text is split before merging: a mark of the tokenizer's regular expressions -> llama.cpp's name for it
_LLAMA3_DIGITS, _QWEN2_LETTERS = r"\p{N}{1,3}", r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"


def write_gguf(directory: Path, file: Path, tensor_type: TensorType | None = None) -> None:
    """Write the model in a Hugging Face directory to `file`, which appears whole.

    Matrices are of `tensor_type`, by default as they are (float32 or bfloat16); vectors are always float32. Raises PolicyError
    for a model that cannot be written.
    """
    check_model_path(str(directory))
    config = AutoConfig.from_pretrained(directory)
    temporary = file.with_name(f".{file.name}.tmp")
    try:
        if config.model_type in FAMILIES and importlib.util.find_spec("gguf") is not None:
            _write(directory, config, temporary, tensor_type)
        else:
            _convert(directory, config.model_type, temporary, tensor_type)
        temporary.rename(file)
    finally:
        temporary.unlink(missing_ok=True)


def _convert(directory: Path, model_type: str, file: Path, tensor_type: TensorType | None) -> None:
    """Have llama.cpp's own converter write the file."""
    script = _converter()
    if script is None:
        known = model_type in FAMILIES
        need = "the package gguf: pip install 'reasonlab[gguf]'" if known else f"llama.cpp's {_CONVERTER}"
        ours = "" if known else f" ({', '.join(FAMILIES)} are written without it)"
        raise PolicyError(
            f"a {model_type} model as GGUF takes {need}{ours}. Set LLAMA_CPP to a checkout of "
            "https://github.com/ggml-org/llama.cpp, or export a directory and convert that elsewhere"
        )
    command = [sys.executable, str(script), str(directory), "--outfile", str(file), "--outtype", tensor_type or "auto"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not file.is_file():
        said = (done.stderr or done.stdout).strip().splitlines()
        raise PolicyError(f"{script} could not convert {directory}: {said[-1] if said else 'it said nothing'}")


def _converter() -> Path | None:
    home = os.environ.get("LLAMA_CPP")
    if home and (Path(home) / _CONVERTER).is_file():
        return Path(home) / _CONVERTER
    found = shutil.which(_CONVERTER)
    return Path(found) if found else None


def _write(directory: Path, config: Any, file: Path, tensor_type: TensorType | None) -> None:
    import gguf

    _check_rotation(config)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    writer = gguf.GGUFWriter(file, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH[FAMILIES[config.model_type]]], use_temp_file=True)
    try:
        try:
            model = AutoModelForCausalLM.from_pretrained(directory, dtype="auto")
        except (OSError, ValueError, RuntimeError) as error:
            raise PolicyError(f"cannot open the model of {directory}: {first_line(error)}") from None
        if tensor_type is None:
            tensor_type = "bf16" if model.dtype == torch.bfloat16 else "f32"
        _add_shape(writer, config, directory.resolve().name, tensor_type)
        _add_tokenizer(writer, tokenizer, directory, config.vocab_size)
        for name, weights in followed(_tensors(model), f"writing {file.name}", len(model.state_dict())):
            kind = gguf.GGMLQuantizationType["F32" if weights.ndim == 1 else tensor_type.upper()]
            if kind == gguf.GGMLQuantizationType.Q8_0 and weights.shape[-1] % 32:
                kind = gguf.GGMLQuantizationType.F16  # blocks are of 32 numbers
            writer.add_tensor(name, gguf.quants.quantize(weights, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _check_rotation(config: Any) -> None:
    """Raise PolicyError for positions that are stretched or attention that slides: llama.cpp wants more to be said of these."""
    kind = (config.rope_parameters or {}).get("rope_type", "default")
    odd = f"stretches its positions ({kind})" if kind != "default" else ""
    if getattr(config, "use_sliding_window", False):
        odd = "has attention that slides"
    if odd:
        raise PolicyError(
            f"this {config.model_type} {odd}, which is not written here: use llama.cpp's {_CONVERTER} on an exported directory"
        )


def _add_shape(writer: Any, config: Any, name: str, tensor_type: TensorType) -> None:
    """Add the numbers that say what is computed."""
    import gguf

    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer.add_name(name)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_dimension_count(head_size)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    kinds = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}
    writer.add_file_type(gguf.LlamaFileType[kinds[tensor_type]])


def _tensors(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the weights as float32 under their GGUF names, those of a tied head once."""
    import gguf

    config = model.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[FAMILIES[config.model_type]], config.num_hidden_layers)
    rotated = {".q_proj.": config.num_attention_heads, ".k_proj.": config.num_key_value_heads}
    for ours, weights in model.state_dict().items():
        if ours == "lm_head.weight" and config.tie_word_embeddings:
            continue
        theirs = names.get_name(ours, try_suffixes=(".weight", ".bias"))
        if theirs is None:
            raise PolicyError(f"GGUF has no name for {ours} of a {config.model_type} model")
        values = weights.float().numpy()
        if config.model_type == "llama":
            for part, heads in rotated.items():
                values = _halves_together(values, heads) if part in ours else values
        yield theirs, values


def _halves_together(weights: np.ndarray, heads: int) -> np.ndarray:
    """Return a projection [heads * 2 * half, ...] with rows i and i + half of each head as neighbours 2i and 2i + 1."""
    half = weights.shape[0] // heads // 2
    return np.ascontiguousarray(weights.reshape(heads, 2, half, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape))


def _add_tokenizer(writer: Any, tokenizer: Any, directory: Path, rows: int) -> None:
    """Add vocabulary, merges, special tokens and template; raises PolicyError for a tokenizer that is no byte-level BPE."""
    file = directory / "tokenizer.json"
    core = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    splitting = named_splitting(core)
    if core.get("model", {}).get("type") != "BPE" or splitting is None:
        raise PolicyError(
            f"the tokenizer of {directory} is no byte-level BPE that splits text as GPT-2, SmolLM, Llama 3 or Qwen2 do, so "
            "llama.cpp would read prompts otherwise than the model has learned to: this one cannot be written as GGUF here"
        )
    by_id = {number: token for token, number in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    tokens, kinds = [], []
    for number in range(rows):
        tokens.append(by_id.get(number, f"[PAD{number}]"))
        special = added.get(number)
        kinds.append(_NORMAL if special is None else _CONTROL if special.special else _USER_DEFINED)
        if number not in by_id:
            kinds[-1] = _UNUSED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splitting)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in core["model"]["merges"]])
    for name in ("bos", "eos", "pad", "unk"):
        if (number := getattr(tokenizer, f"{name}_token_id")) is not None:
            getattr(writer, f"add_{name}_token_id")(number)
    begins = tokenizer.bos_token_id is not None and tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]
    writer.add_add_bos_token(begins)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def named_splitting(core: dict[str, Any]) -> str | None:
    """Return llama.cpp's name for how a tokenizer splits text before it merges, None for another way."""
    first = core.get("pre_tokenizer") or {}
    parts = first.get("pretokenizers", [first])
    kinds = [part.get("type") for part in parts]
    if not kinds or kinds[-1] != "ByteLevel" or parts[-1].get("add_prefix_space"):
        return None
    if kinds == ["ByteLevel"]:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits"):
        return "smollm"
    pattern = str((parts[0].get("pattern") or {}).get("Regex", "")) if kinds == ["Split", "ByteLevel"] else ""
    if _LLAMA3_DIGITS in pattern:
        return "llama-bpe"
    return "qwen2" if _QWEN2_LETTERS in pattern else None
