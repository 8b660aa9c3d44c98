"""A tiny language model made from nothing: a character-level tokenizer and a Qwen3-style decoder, or one with local layers.

    "<think>3*7=21" -> <think> 3 * 7 = 2 1, seven tokens; a character outside of printable ASCII becomes <|unk|>

Both are saved as an ordinary Hugging Face directory, so that everything after treats them like any downloaded model.

With `local_layers` the first layers see a few tokens only, and where these stand; the others see all tokens and not where they
stand, but for what the first ones have told each token of those just before it. Such a model finds things by what stands beside
them and has little to count by, so it does the same at lengths that it has never seen (`LOG.md`). Windows with rotary positions
beside layers without any are the layout of Cohere's Command R7B; hard-ALiBi (arXiv 2402.01032) makes heads of both kinds. The
class is SmolLM3's, which has all of it and Llama's shape.
"""

import string
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, SmolLM3Config, SmolLM3ForCausalLM

from rl.settings.schema import TinyModelConfig

PAD, END, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"
WORDS = ("<think>", "</think>", "\\boxed{")
# `generation` marks what the model writes itself, for trainers that mask everything else (assistant_only_loss of TRL)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'assistant' %}<|assistant|>{% generation %}{{ message.content }}<|end|>{% endgeneration %}"
    "{% else %}<|user|>{{ message.content }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def character_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token a printable ASCII character, plus the marks of reasoning and answer."""
    characters = string.digits + string.ascii_letters + string.punctuation + " \n"
    vocabulary = {token: i for i, token in enumerate((PAD, END, USER, ASSISTANT, "<|unk|>", *WORDS, *characters))}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<|unk|>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    core.decoder = decoders.Fuse()
    core.add_special_tokens([PAD, END, USER, ASSISTANT, "<|unk|>"])
    core.add_tokens(list(WORDS))
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        unk_token="<|unk|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def make_tiny_model(config: TinyModelConfig, directory: Path, seed: int) -> None:
    """Write a randomly initialised model and its tokenizer to `directory`."""
    tokenizer = character_tokenizer()
    torch.manual_seed(seed)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.heads,
        "head_dim": config.hidden_size // config.heads,
        "max_position_embeddings": config.max_positions,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "tie_word_embeddings": True,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
    }
    model = _with_local_layers(config, shape) if config.local_layers else Qwen3ForCausalLM(Qwen3Config(**shape))
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _with_local_layers(config: TinyModelConfig, shape: dict[str, Any]) -> SmolLM3ForCausalLM:
    whole = config.layers - config.local_layers
    layers = SmolLM3Config(
        **shape,
        use_sliding_window=True,
        sliding_window=config.window,
        layer_types=["sliding_attention"] * config.local_layers + ["full_attention"] * whole,
        no_rope_layers=[1] * config.local_layers + [0] * whole,  # 1: with rotary positions, whatever the name says
    )
    return SmolLM3ForCausalLM(layers)
