"""Opens the model and its tokenizer, adds adapters, and refuses what could not be trained.

A model is a directory in the Hugging Face layout, or the name of one on the hub (`owner/name`), which is downloaded.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from problems.errors import LabError
from rl.policy.attention import NAME
from rl.policy.interfaces import CausalLM, Tokenizer
from rl.settings.schema import LoraSettings, ModelSettings

if TYPE_CHECKING:
    from peft import LoraConfig  # loads slowly, and only runs with adapters need it

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class PolicyError(LabError):
    """A model or tokenizer that cannot be used; the message says what to do."""


def check_model_path(path: str) -> None:
    """Raise PolicyError for a path that is neither a model directory nor looks like a hub name."""
    directory = Path(path)
    if directory.is_dir():
        if not (directory / "config.json").is_file():
            raise PolicyError(f"{path} is a directory without config.json: not a Hugging Face model directory")
        return
    # a run directory that is not there must not be looked up on the hub, where anyone may own the name
    hub_name = path.strip("/").count("/") == 1 and not path.startswith((".", "/", "runs/"))
    if directory.exists() or not hub_name:
        raise PolicyError(
            f"no model directory at {path}; give a directory with config.json, or a hub name like Qwen/Qwen2.5-0.5B"
        )


def load_tokenizer(settings: ModelSettings) -> Tokenizer:
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
    opened: Tokenizer = tokenizer
    return opened


def load_model(settings: ModelSettings, *, trainable: bool = True) -> CausalLM:
    """Return the causal LM on the CPU, with fresh adapters when `settings.lora` asks for them and it is trainable.

    A model that is not trainable is in evaluation mode and needs no gradient. Raises PolicyError for a path, a precision or
    adapters that do not work.
    """
    check_model_path(settings.path)
    directory = Path(settings.path)
    adapter_only = (directory / "adapter_config.json").is_file() and not (directory / "model.safetensors").is_file()
    if adapter_only:
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
    opened: CausalLM = model if trainable else model.eval().requires_grad_(False)
    if not trainable:
        return opened
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if settings.lora:
            # the embedding is frozen: without this the first checkpointed layer sees no input that needs a gradient
            model.enable_input_require_grads()
    return add_adapters(opened, settings.lora) if settings.lora else opened


def lora_config(lora: LoraSettings) -> "LoraConfig":
    """Return peft's configuration of the adapters."""
    from peft import LoraConfig

    modules = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    return LoraConfig(r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=modules, task_type="CAUSAL_LM")


def add_adapters(model: CausalLM, lora: LoraSettings) -> CausalLM:
    """Freeze `model` and add trainable adapters; raises PolicyError when no layer matches."""
    from peft import get_peft_model

    try:
        adapted: CausalLM = get_peft_model(model, lora_config(lora))
    except ValueError as error:
        raise PolicyError(f"model.lora.target_modules fits no layer of this model: {_first_line(error)}") from None
    return adapted


def save_policy(model: CausalLM, tokenizer: Tokenizer, directory: Path, *, merge: bool) -> None:
    """Write `model` as a plain Hugging Face directory that appears whole; adapters are merged or written as adapters."""
    if merge and hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    temporary = directory.with_name(f".{directory.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    shutil.rmtree(directory, ignore_errors=True)
    temporary.rename(directory)


def stop_token_ids(model: CausalLM, tokenizer: Tokenizer) -> frozenset[int]:
    """Return every token that ends a completion: the tokenizer's end token and those of the model's generation config."""
    generation_config = getattr(model, "generation_config", None)
    listed = getattr(generation_config, "eos_token_id", None)  # one id, several, or None
    if listed is None:
        listed = []
    if not isinstance(listed, list):
        listed = [listed]
    return frozenset([tokenizer.eos_token_id, *listed])


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:300]
