"""Opens the model and its tokenizer, adds adapters, and refuses what could not be trained.

A model is a directory in the Hugging Face layout, the name of one on the hub (`owner/name`), which is downloaded, or a GGUF
file, which is written out as such a directory first (`plain_model`).
"""

import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from problems.progress import Progress
from problems.types import thinking
from rl.policy.attention import NAME
from rl.policy.gguf import OTHER_LAYOUT, dequantised, header_of, in_plain_layout, split_as_named
from rl.policy.interfaces import CausalLM, Tokenizer, base_causal_lm
from rl.policy.logits import LogitShape, logit_shape, set_logit_shape
from rl.policy.paths import PolicyError, check_model_path, first_line, place
from rl.policy.rounding import fit_products
from rl.settings.model_files import is_gguf
from rl.settings.schema import LoraSettings, ModelSettings

if TYPE_CHECKING:
    from peft import LoraConfig  # loads slowly, and only runs with adapters need it

# peft (0.21, tuners/tuners_utils.py) refuses adapters on these layers of such models, whose kernels read the weights past them
_FUSED_MAMBAS = frozenset({"mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h"})
_READ_BY_KERNELS = ("out_proj", "conv1d")
_READ_PAST_ADAPTERS = "dt_proj"  # of Mamba and Jamba: transformers itself multiplies with its weight (5.23), adapter or not
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def plain_model(settings: ModelSettings, home: Path) -> ModelSettings:
    """Return settings whose path is a directory or a hub name; a GGUF file is written out below `home` (the runs), once.

    To be called before the ranks join. Raises PolicyError for a path that cannot be opened.
    """
    check_model_path(settings.path)
    return in_plain_layout(settings, home, write_plain)


def write_plain(settings: ModelSettings, directory: Path) -> None:
    """Write the model and tokenizer of any path that can be opened as a Hugging Face directory, which appears whole."""
    model = load_model(settings, trainable=False)
    tokenizer = load_tokenizer(settings)
    save_policy(model, tokenizer, directory, merge=False)


def load_tokenizer(settings: ModelSettings) -> Tokenizer:
    """Return the tokenizer; raises PolicyError when it is missing, has no pad or end token, or belongs to another model."""
    check_model_path(settings.path, needs_weights=False)  # for a dry run; whoever trains opens the model too
    where, arguments = place(settings, "tokenizer")
    header = header_of(Path(settings.path)) if is_gguf(settings.path) else None  # refuses a file that is cut off
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, padding_side="left", **arguments)
    except (OSError, ValueError, KeyError, ImportError, StrictDataclassError) as error:
        raise PolicyError(f"cannot open the tokenizer of {settings.path}: {first_line(error)}") from None
    if header is not None:
        split_as_named(tokenizer, header.splitting, settings.path)
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
    if header is None:  # else reading that takes seconds, and header_of has looked
        try:
            model = AutoConfig.from_pretrained(where, **arguments)
        except (OSError, ValueError, KeyError, StrictDataclassError) as error:
            raise PolicyError(f"cannot open the configuration of {settings.path}: {first_line(error)}") from None
        check_vocabulary(model.get_text_config().vocab_size, opened, settings.path)
    return opened


def check_vocabulary(rows: int, tokenizer: Tokenizer, path: str) -> None:
    """Raise PolicyError where the tokenizer makes ids that a model of `rows` tokens has no embedding for.

    Some models ship a mark that they have no row for and never see (Gemma 3's `<image_soft_token>`): special tokens are let
    pass, unless prompts and completions need them: as pad or end token, in the chat template, or around a thought.
    """
    unseen = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    written = f"{tokenizer.chat_template or ''}{thinking('', '')}"
    needed = {tokenizer.pad_token_id, tokenizer.eos_token_id}
    beyond = {
        token: number
        for token, number in tokenizer.get_vocab().items()
        if number >= rows and (token not in unseen or number in needed or token in written)
    }
    if beyond:
        shown = ", ".join(f"{token!r} = {number}" for token, number in sorted(beyond.items(), key=lambda item: item[1])[:3])
        raise PolicyError(
            f"the model of {path} knows {rows:,} tokens, and its tokenizer makes {len(beyond):,} more ({shown}): the tokenizer "
            "belongs to another model, or tokens were added without model.resize_token_embeddings(len(tokenizer)). Put the "
            "model's own tokenizer there, or resize the model and save it again"
        )


def load_model(settings: ModelSettings, *, trainable: bool = True, shape: LogitShape | None = None) -> CausalLM:
    """Return the causal LM on the CPU, with fresh adapters when `settings.lora` asks for them and it is trainable.

    A model that is not trainable is in evaluation mode and needs no gradient. `shape` is what stands behind its head, where
    that is known: weights that are broken pass then. Raises PolicyError for a path, a precision or
    adapters that do not work.
    """
    check_model_path(settings.path)
    model = _open_whole(settings)
    opened: CausalLM = model if trainable else model.eval().requires_grad_(False)
    if shape is not None:
        set_logit_shape(opened, shape)
    logit_shape(opened)  # refuses what is no causal language model, or none that can be trained here
    if not trainable:
        return opened
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if settings.lora:
            # the embedding is frozen: without this the first checkpointed layer sees no input that needs a gradient
            model.enable_input_require_grads()
    return add_adapters(opened, settings.lora) if settings.lora else opened


def _open_whole(settings: ModelSettings) -> Any:
    """Return the model with all its weights: transformers by itself draws at random what a file lacks, and only warns."""
    where, arguments = place(settings, "weights")
    file = Path(settings.path) if is_gguf(settings.path) else None
    if file is not None:
        header_of(file)  # refuses what would open as another model
        arguments |= dequantised()
    attention = NAME if settings.attention == "sdpa" else settings.attention
    fit_products(settings.dtype)
    arguments |= {"dtype": DTYPES[settings.dtype], "attn_implementation": attention, "output_loading_info": True}
    arguments["ignore_mismatched_sizes"] = True  # _check_loaded looks; transformers' own message names no tensor
    try:
        with nullcontext() if file is None else _followed_gguf(file):
            model, loading = AutoModelForCausalLM.from_pretrained(where, **arguments)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        raise PolicyError(f"cannot open the model of {settings.path}: {first_line(error)}") from None
    if attention == NAME and not model._supports_sdpa:
        # an attention of its own (Gemma 2's soft cap, ALiBi), which counts on the mask that it gets with this name;
        # set_attn_implementation would refuse the older ones of these models
        model.config._attn_implementation = "eager"
    _check_loaded(loading, settings.path)
    if file is not None:
        # what opened is not quantised any more; with these left, save_pretrained takes it for quantised and refuses
        model.hf_quantizer, model.is_quantized = None, False
        vars(model.config).pop("quantization_config", None)
        model.generation_config = generation_of_gguf(file, model.config)
    return model


def _check_loaded(loading: dict[str, Any], path: str) -> None:
    """Raise PolicyError for weights that transformers has drawn at random: of another shape than the model's, or not there."""
    if other := sorted((name, tuple(found), tuple(wanted)) for name, found, wanted in loading["mismatched_keys"]):
        name, found, wanted = other[0]
        more = f", and {len(other) - 1} more tensors do not fit" if len(other) > 1 else ""
        remedy = (
            "Put the config.json there that was saved with these weights (where only the number of tokens differs, its "
            "vocab_size may be out of date), or copy or download the model again, all its files"
        )
        raise PolicyError(
            f"the weights of {path} are not those of its configuration: {name} has the shape {list(found)}, and "
            f"{'its header' if is_gguf(path) else 'config.json'} asks for {list(wanted)}{more}. "
            f"{OTHER_LAYOUT if is_gguf(path) else remedy}"
        )
    if missing := sorted(loading["missing_keys"]):
        raise PolicyError(
            f"the weights of {path} lack {len(missing)} of the model's tensors ({', '.join(missing[:3])}): they would "
            "be drawn at random. Copy or download the model again, all of its files"
        )


@contextmanager
def _followed_gguf(file: Path) -> Iterator[None]:
    """Show how far transformers is with dequantising a file, in place of the bar that it draws whatever it was told of bars."""
    progress = Progress(f"dequantising {file.name}", None, unit="tensors")

    class Heard(io.StringIO):
        """Reads "12/272" off a bar of tqdm's."""

        def write(self, text: str) -> int:
            if found := re.search(r"(\d+)/(\d+) ", text):
                progress.total_is(int(found[2]))
                progress.update(int(found[1]))
            return len(text)

    with progress, redirect_stderr(Heard()):
        yield


def lora_config(lora: LoraSettings, model: CausalLM) -> "LoraConfig":
    """Return peft's configuration of the adapters; `all-linear` leaves out layers of `model` where they would do nothing."""
    from peft import LoraConfig

    modules = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    without: list[str] = []
    if modules == "all-linear":
        without += _READ_BY_KERNELS if model.config.model_type in _FUSED_MAMBAS else ()
        without += [_READ_PAST_ADAPTERS] if any(n.endswith(f".{_READ_PAST_ADAPTERS}") for n, _ in model.named_modules()) else []
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=modules,
        exclude_modules=without or None,
        task_type="CAUSAL_LM",
    )


def add_adapters(model: CausalLM, lora: LoraSettings) -> CausalLM:
    """Freeze `model` and add trainable adapters; raises PolicyError where no layer matches, or one would be read past them."""
    from peft import get_peft_model

    try:
        adapted: CausalLM = get_peft_model(model, lora_config(lora, model))
    except ValueError as error:
        raise PolicyError(f"model.lora.target_modules does not fit the layers of this model: {first_line(error)}") from None
    if any(f".{_READ_PAST_ADAPTERS}.lora_" in name for name, _ in adapted.named_parameters()):
        raise PolicyError(
            f"model.lora.target_modules puts adapters on {_READ_PAST_ADAPTERS}, whose weight {model.config.model_type} in "
            "transformers reads past any adapter: it would be trained on nothing and merged all the same. Leave it out"
        )
    base: Any = base_causal_lm(adapted)
    head, embedding = base.get_output_embeddings(), base.get_input_embeddings()
    if _is_adapted(head):
        raise PolicyError(
            "model.lora.target_modules puts adapters on the head of the model, whose weight the update reads past any adapter "
            "(rl/update/logprobs.py): they would be trained on nothing. Leave it out"
        )
    if _is_adapted(embedding) and embedding.weight is head.weight:
        raise PolicyError(
            "model.lora.target_modules puts adapters on the embedding of a model whose head has the same weight "
            "(tie_word_embeddings): merging them would change the head too, into a model that was not trained. Leave it out"
        )
    return adapted


def _is_adapted(module: Any) -> bool:
    return any("lora_" in name for name, _ in module.named_parameters())


def save_policy(model: CausalLM, tokenizer: Tokenizer, directory: Path, *, merge: bool) -> None:
    """Write `model` as a plain Hugging Face directory that appears whole; adapters are merged or written as adapters."""
    if merge and hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    temporary = directory.with_name(f".{directory.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    for path in (*temporary.rglob("*"), temporary):
        _sync(path)  # after a power cut a name may be there before what it stands for
    shutil.rmtree(directory, ignore_errors=True)
    temporary.rename(directory)
    _sync(directory.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def stop_token_ids(model: CausalLM, tokenizer: Tokenizer) -> frozenset[int]:
    """Return every token that ends a completion: the tokenizer's end token and those of the model's generation config."""
    return listed_stop_tokens(getattr(model, "generation_config", None), tokenizer)


def listed_stop_tokens(generation_config: Any, tokenizer: Tokenizer) -> frozenset[int]:
    """Return the tokenizer's end token and those of a generation config, None where a model has none."""
    return frozenset([tokenizer.eos_token_id, *_ends(generation_config)])


def generation_of_gguf(file: Path, config: Any) -> GenerationConfig:
    """Return how the model of a GGUF file generates: as its configuration says, and ended by the file's turn ends as well."""
    generation = GenerationConfig.from_model_config(config)
    if ends := {*_ends(generation), *header_of(file).turn_ends}:
        generation.eos_token_id = sorted(ends)
    return generation


def _ends(generation_config: Any) -> list[int]:
    listed = getattr(generation_config, "eos_token_id", None)  # one id, several, or None
    return listed if isinstance(listed, list) else [] if listed is None else [listed]
