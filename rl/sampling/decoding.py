"""One decoding step for many rows, with the prompt of a group computed and kept once: the protocol, and which decoder is taken.

Six decoders stand behind it:
- rl/sampling/native.py: Llama-shaped models on a CPU with a C compiler;
- rl/sampling/static.py: Llama-shaped models on a GPU with positions in every layer and no windows, the whole step recorded,
  where its cache fits;
- rl/sampling/planned.py: every model whose attention goes through rl/policy/attention.py, on any device, adapters included;
- rl/sampling/cached.py: other models of attention alone, through transformers' own cache, padded; no row joins a running batch;
- rl/sampling/unpadded.py: models with states that padding would run through (Mamba, hybrids); there also the last resort,
  which keeps nothing and computes every row anew.

Which of the last three a model gets is tried, not known by its name: the first one that gives the model's own logits.

Rows are numbered 0 to B - 1. A row joins with its group; when rows leave, the last ones move into their places.
"""

from collections.abc import Sequence
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch

from rl.policy.attention import can_plan, keeps_states
from rl.policy.interfaces import CausalLM, base_causal_lm, evaluating, trial_tokens
from rl.sampling.cached import CachedDecoder
from rl.sampling.native import native_decoder
from rl.sampling.planned import PlannedDecoder
from rl.sampling.static import static_decoder
from rl.sampling.unpadded import RecomputingDecoder, UnpaddedDecoder
from rl.types import Indices, IntArray

# |difference| / |logits| of a trial. Sound: 1e-6 and 0.01; a fault is of order 1
_TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 0.06, torch.float16: 0.02}
FallbackKind = type[CachedDecoder] | type[UnpaddedDecoder] | type[RecomputingDecoder]
_fallbacks: WeakKeyDictionary[CausalLM, FallbackKind] = WeakKeyDictionary()  # what a trial has found


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
        return fallback(model)(model)
    static = static_decoder(model, rows, tokens) if recorded else None
    return native_decoder(model, rows) or static or PlannedDecoder(model)


def slower_words(model: CausalLM, *, trains: bool = True) -> str:
    """Return how a model is trained and sampled from whose attention cannot be planned, for people; empty for all others."""
    if can_plan(model):
        return ""
    config = model.config.get_text_config()
    is_eager = config._attn_implementation == "eager" and not keeps_states(model)
    attention = ", its attention eager" if is_eager else ""
    return (
        f"{config.model_type} cannot share prompts (docs/architectures.md){attention}: "
        f"{'the update pads its rows on the right, and ' * trains}sampling takes {fallback(model).words}"
    )


def fallback(model: CausalLM) -> FallbackKind:
    """Return the decoder for a model whose attention cannot be planned; tried once a model."""
    base = base_causal_lm(model)
    if base not in _fallbacks:
        kinds: tuple[FallbackKind, ...] = (UnpaddedDecoder,) if keeps_states(base) else (CachedDecoder, UnpaddedDecoder)
        _fallbacks[base] = next((kind for kind in kinds if _agrees(base, kind)), RecomputingDecoder)
    return _fallbacks[base]


@torch.no_grad()
def _agrees(model: CausalLM, kind: FallbackKind) -> bool:
    """Whether a few short rows, of which one leaves and one moves, get the logits of the model's own forward pass."""
    prompts = [trial_tokens(model, length, first) for length, first in ((4, 3), (9, 7), (9, 5))]
    texts = [prompts[0].tolist(), prompts[1].tolist(), prompts[1].tolist(), prompts[2].tolist()]
    with evaluating(model):
        try:
            decoder = kind(model)
            states = decoder.join([0, 1, 1, 2], prompts)
            for number in range(4):
                if number == 2:  # row 1 leaves, and the last one takes its place
                    decoder.move(np.array([3]), np.array([1]), 3)
                    texts = [texts[0], texts[3], texts[2]]
                ids = trial_tokens(model, len(texts), 11 + 5 * number).tolist()
                texts = [[*text, token] for text, token in zip(texts, ids, strict=True)]
                states = decoder.step(torch.tensor(ids))
            ours = decoder.logits(states).float()  # [B, V]
        except Exception:  # whatever an architecture raises that was not made for this cache, another decoder is asked
            return False
        whole = [model(input_ids=torch.tensor([text], device=ours.device), use_cache=False).logits[0, -1] for text in texts]
    expected = torch.stack(whole).float()
    tolerance = _TOLERANCES.get(next(iter(model.parameters())).dtype, 0.0)
    return bool(torch.linalg.vector_norm(ours - expected) <= tolerance * torch.linalg.vector_norm(expected))
