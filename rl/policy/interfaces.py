"""What the lab asks of a tokenizer and of a causal language model: these calls, and no others.

transformers and peft are not type-checked here; what comes from them is named by one of these two on the way in
(`load_tokenizer` and `load_model` in rl/policy/opening.py), and from there on the type checker holds it.

Dimension letters: B rows, T tokens, H hidden size, V vocabulary.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self, overload

import numpy as np
import torch
from torch import nn

from rl.types import IntArray

TokenIds = Sequence[int] | IntArray


class Encoded(Protocol):
    """One text as tokens."""

    input_ids: list[int]


class EncodedTexts(Protocol):
    """Several texts as tokens, one list each."""

    input_ids: list[list[int]]


class Tokenizer(Protocol):
    """Text to token ids and back. `load_tokenizer` makes sure that there are a pad and an end token."""

    pad_token_id: int
    eos_token_id: int
    unk_token_id: int | None  # what it makes of a text that it has no token for
    chat_template: str | None  # Jinja; None for a model that was never taught to chat
    added_tokens_decoder: Mapping[int, Any]  # tokenizers' AddedToken by id: its text is str() of it, `special` if it is a mark

    @overload
    def __call__(self, text: str, *, add_special_tokens: bool = True) -> Encoded: ...

    @overload
    def __call__(self, text: list[str], *, add_special_tokens: bool = True) -> EncodedTexts: ...

    def get_vocab(self) -> dict[str, int]:
        """Return every token with its id."""

    def get_added_vocab(self) -> dict[str, int]:
        """Return the tokens that were added to those of the tokenizer's own training, with their ids."""

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, add_generation_prompt: bool, return_dict: bool
    ) -> list[int]:
        """Return the conversation as token ids (with `return_dict` false)."""

    def decode(self, token_ids: TokenIds, *, skip_special_tokens: bool) -> str:
        """Return the text of the tokens."""

    def batch_decode(self, sequences: Sequence[TokenIds], *, skip_special_tokens: bool) -> list[str]:
        """Return the texts of several token sequences."""

    def save_pretrained(self, save_directory: Path) -> object:
        """Write the tokenizer's files."""


class DecoderOutput(Protocol):
    """What the layers below the LM head return."""

    last_hidden_state: torch.Tensor  # [B, T, H]


class DecoderBody(Protocol):
    """The layers below the LM head, embedding included."""

    def __call__(self, *, input_ids: torch.Tensor, position_ids: torch.Tensor | None, **kwargs: object) -> DecoderOutput:
        """Run rows [B, T], by default at positions 0 to T - 1.

        `kwargs` are transformers' own (`use_cache`, `attention_mask`) and those of `with_plan`.
        """


class CausalLMOutput(Protocol):
    """What the whole model returns."""

    logits: torch.Tensor  # [B, T, V]


class CausalLM(Protocol):
    """A causal language model of transformers, or one wrapped by peft (see `base_causal_lm`)."""

    config: Any  # PretrainedConfig of transformers: its fields differ with the architecture
    training: bool

    def __call__(self, *, input_ids: torch.Tensor, use_cache: bool) -> CausalLMOutput:
        """Run rows [B, T]."""

    def get_decoder(self) -> DecoderBody:
        """Return the layers below the LM head."""

    def get_output_embeddings(self) -> nn.Linear:
        """Return the LM head, hidden states [.., H] to logits [.., V]."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield all weights."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield all weights with their names."""

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the model and every module in it, with their names."""

    def requires_grad_(self, requires_grad: bool) -> Self:
        """Freeze all weights, or let them learn."""

    def modules(self) -> Iterator[nn.Module]:
        """Yield the model and every module in it."""

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on, or off."""

    def eval(self) -> Self:
        """Switch dropout off."""

    def to(self, device: torch.device) -> Self:
        """Move the weights."""

    def save_pretrained(self, save_directory: Path) -> object:
        """Write weights and configuration."""


def base_causal_lm(model: CausalLM) -> CausalLM:
    """Return the causal LM below an adapter wrapper of peft, or the model itself."""
    unwrap = getattr(model, "get_base_model", None)
    if unwrap is None:
        return model
    base: CausalLM = unwrap()
    return base


def trial_tokens(model: CausalLM, count: int, first: int = 1) -> IntArray:
    """Return `count` token ids to try a model with, spread over its vocabulary; another `first`, other ones.

    The trap: the first ids of many vocabularies are marks that no text holds. A trained model's states for a row of them are
    so large that in bf16 a third of the logits is rounding (SmolLM2), and every comparison fails or says nothing.
    """
    spread = 7919 * np.arange(
        first, first + count, dtype=np.int64
    )  # a prime, so that neighbours differ in a small vocabulary too
    vocabulary: int = model.config.get_text_config().vocab_size
    return (spread % vocabulary).astype(np.int32)


@contextmanager
def evaluating(model: CausalLM) -> Iterator[None]:
    """Have dropout off inside; afterwards every module is in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
