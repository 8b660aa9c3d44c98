"""One decoding step for many rows, with the prompt of a group computed and kept once: the protocol, and which decoder is taken.

Four decoders stand behind it:
- rl/sampling/native.py: Llama-shaped models on a CPU with a C compiler;
- rl/sampling/static.py: Llama-shaped models on a GPU, the whole step recorded, where its cache fits;
- rl/sampling/planned.py: every model whose attention goes through rl/policy/attention.py, on any device, adapters included;
- rl/sampling/cached.py: all others, through transformers' own cache; rows cannot join a running batch there.

Rows are numbered 0 to B - 1. A row joins with its group; when rows leave, the last ones move into their places.
"""

from collections.abc import Sequence
from typing import Protocol

import torch

from rl.policy.attention import can_plan
from rl.policy.interfaces import CausalLM
from rl.sampling.cached import CachedDecoder
from rl.sampling.native import native_decoder
from rl.sampling.planned import PlannedDecoder
from rl.sampling.static import static_decoder
from rl.types import Indices, IntArray


class Decoder(Protocol):
    """Keeps the keys and values of the rows."""

    joins: bool  # whether rows may join others that are under way

    def join(self, groups: Sequence[int], prompts: Sequence[IntArray]) -> torch.Tensor:
        """Append one row for each entry of `groups`; return the last states [n, H] of their prompts.

        `prompts` holds the prompts of all groups; a prompt is computed when the first row of its group joins.
        """

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Give each row its next token, ids [B]; return the last states [B, H], from which the one after is predicted."""

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, V] of states [n, H]; they are the caller's to write to."""

    def move(self, source: Indices, target: Indices, count: int) -> None:
        """Put the rows `source` in the place of the rows `target`, then keep the first `count`."""

    def close(self, group: int) -> None:
        """Forget a group that no row belongs to any more."""


def build_decoder(model: CausalLM, rows: int = 1, tokens: int = 1, *, recorded: bool = True) -> Decoder:
    """Return the fastest decoder for `model` as it now is; its weights must not change while the decoder is used.

    There will be at most `rows` rows at a time, of at most `tokens` tokens, prompts included. `recorded` allows a decoder that
    replays its step.
    """
    if not can_plan(model):
        return CachedDecoder(model)
    static = static_decoder(model, rows, tokens) if recorded else None
    return native_decoder(model, rows) or static or PlannedDecoder(model)
