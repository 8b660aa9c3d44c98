"""Opens the model and its tokenizer, adds adapters, and refuses what could not be trained."""

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from problems.errors import LabError
from rl.policy.attention import NAME
from rl.settings.schema import LoraSettings, ModelSettings

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class PolicyError(LabError):
    """A model or tokenizer that cannot be used; the message says what to do."""


def check_model_path(path: str) -> None:
    """Raise PolicyError for a path that is neither a model directory nor looks like a hub name."""
    directory = Path(path)
    if directory.is_dir():
        if not (directory / "config.json").is_file():
            raise PolicyError(f"{path} is a directory without config.json: not a Hugging Face model directory")
    elif directory.exists() or path.strip("/").count("/") != 1 or path.startswith((".", "/", "runs/")):
        raise PolicyError(
            f"no model directory at {path}; give a directory with config.json, or a hub name like Qwen/Qwen2.5-0.5B"
        )


def load_tokenizer(settings: ModelSettings) -> Any:
    """Return the tokenizer; raises PolicyError when it is missing or has no pad or end token."""
    check_model_path(settings.path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(settings.path, revision=settings.revision, padding_side="left")
    except (OSError, ValueError) as error:
        raise PolicyError(f"cannot open the tokenizer of {settings.path}: {_first_line(error)}") from None
    if settings.pad_token is not None:
        if settings.pad_token not in tokenizer.get_vocab():
            raise PolicyError(f"model.pad_token {settings.pad_token!r} is not in the vocabulary of {settings.path}")
        tokenizer.pad_token = settings.pad_token
    if tokenizer.pad_token_id is None:
        hint = tokenizer.eos_token or next(iter(tokenizer.get_added_vocab()), "TOKEN")
        raise PolicyError(
            f"the tokenizer of {settings.path} has no pad token; name a token of its vocabulary to pad with, for instance "
            f"model.pad_token='{hint}' (padding is masked by position, so the end token will do)"
        )
    if tokenizer.eos_token_id is None:
        raise PolicyError(f"the tokenizer of {settings.path} has no end token: completions could never stop")
    return tokenizer


def load_model(settings: ModelSettings, *, trainable: bool = True) -> Any:
    """Return the causal LM on the CPU, with fresh adapters when `settings.lora` asks for them and it is trainable."""
    check_model_path(settings.path)
    directory = Path(settings.path)
    adapter = (directory / "adapter_config.json").is_file() and not (directory / "model.safetensors").is_file()
    if adapter:
        raise PolicyError(
            f"{settings.path} holds an adapter only; make a whole model of it with `reasonlab export` without --adapter"
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(
            settings.path,
            revision=settings.revision,
            dtype=DTYPES[settings.dtype],
            attn_implementation=NAME if settings.attention == "sdpa" else settings.attention,
        )
    except (OSError, ValueError, ImportError) as error:
        raise PolicyError(f"cannot open the model {settings.path}: {_first_line(error)}") from None
    if not trainable:
        return model.eval().requires_grad_(False)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if settings.lora:
            model.enable_input_require_grads()
    return add_adapters(model, settings.lora) if settings.lora else model


def lora_config(lora: LoraSettings) -> Any:
    """Return peft's configuration of the adapters."""
    from peft import LoraConfig

    modules = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    return LoraConfig(r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=modules, task_type="CAUSAL_LM")


def add_adapters(model: Any, lora: LoraSettings) -> Any:
    """Freeze `model` and add trainable adapters; raises PolicyError when no layer matches."""
    from peft import get_peft_model

    try:
        return get_peft_model(model, lora_config(lora))
    except ValueError as error:
        raise PolicyError(f"model.lora.target_modules fits no layer of this model: {_first_line(error)}") from None


def save_policy(model: Any, tokenizer: Any, directory: Path, *, merge: bool) -> None:
    """Write `model` as a plain Hugging Face directory that appears whole; adapters are merged or written as adapters."""
    if merge and hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    temporary = directory.with_name(f".{directory.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    shutil.rmtree(directory, ignore_errors=True)
    temporary.rename(directory)


def stop_token_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return every token that ends a completion: the tokenizer's and the model's own list."""
    own = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    listed = own if isinstance(own, list) else [] if own is None else [own]
    return frozenset([tokenizer.eos_token_id, *listed])


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:300]
