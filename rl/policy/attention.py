"""Attention by plan: one name for transformers' attention interface, behind which the trainer and the sampler put their own.

A forward pass that is handed a `plan` runs the whole model as usual (any architecture of transformers that goes through its
attention interface, adapters included), only each layer's attention is done by `plan.attend`. Without a plan it is SDPA.

Dimension letters: B rows, T tokens, h query heads, k key-value heads, d components of a head.
"""

from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.cache_utils import LinearAttentionCacheLayerMixin
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from rl.policy.interfaces import CausalLM, base_causal_lm, evaluating, trial_tokens

NAME = "reasonlab"
WIDEST_WINDOW = 16  # tokens that a plan takes as a window: their keys are gathered for every token, in rl/update/packing.py
_TRIED = (WIDEST_WINDOW + 5, WIDEST_WINDOW + 7)  # tokens of the two texts of a trial: more than a window
# |difference| / |states|. Sound: 1e-6 and 0.02; with a layer that mixes what attention keeps apart 0.1 to 1
_TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 0.06, torch.float16: 0.02}
_planned: WeakKeyDictionary[CausalLM, bool] = WeakKeyDictionary()  # what a trial has found


class AttentionPlan(Protocol):
    """What takes the place of ordinary attention in one forward pass."""

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, window: int | None
    ) -> torch.Tensor:
        """Return the output [B, T, h, d] of layer number `layer`; query [B, h, T, d], key and value [B, k, T, d], rotated.

        Where there is a `window` (at most WIDEST_WINDOW), a token sees itself and the `window` - 1 tokens before it.
        """


class _AttentionLayer(Protocol):
    """An attention module of transformers."""

    layer_idx: int


def attention(
    module: _AttentionLayer,
    query: torch.Tensor,  # [B, h, T, d]
    key: torch.Tensor,  # [B, k, T, d]
    value: torch.Tensor,  # [B, k, T, d]
    attention_mask: torch.Tensor | None,
    plan: AttentionPlan | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it (transformers/integrations/sdpa_attention.py); the output is [B, T, h, d]."""
    if plan is None:
        output: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, sliding_window=sliding_window, **kwargs
        )
        return output
    scaling = scaling or query.shape[-1] ** -0.5
    return plan.attend(module.layer_idx, query, key, value, scaling, sliding_window), None


def with_plan(plan: AttentionPlan, device: torch.device) -> dict[str, object]:
    """Return the arguments that make a decoder run by `plan`."""
    # transformers would build a causal mask of its own; one of four dimensions it hands through untouched
    untouched = torch.ones((1, 1, 1, 1), dtype=torch.bool, device=device)
    return {"plan": plan, "attention_mask": untouched, "use_cache": False}


def can_plan(model: CausalLM) -> bool:
    """Whether every layer of `model` is plain attention through this interface: no wide windows, recurrence or dropout."""
    config = model.config.get_text_config()
    layers = getattr(config, "layer_types", None) or []
    window = (getattr(config, "sliding_window", None) or 0) if getattr(config, "use_sliding_window", True) else 0
    dropout = getattr(config, "attention_dropout", 0.0) or getattr(config, "attn_pdrop", 0.0)
    known = set(layers) <= {"full_attention", "sliding_attention"}
    if config._attn_implementation != NAME or not known or window > WIDEST_WINDOW or dropout:
        return False
    base = base_causal_lm(model)
    if keeps_states(base):
        return False
    if base not in _planned:
        _planned[base] = _keeps_apart(base)
    return _planned[base]


def keeps_states(model: CausalLM) -> bool:
    """Whether a layer of `model` keeps a state instead of, or beside, keys and values (Mamba, hybrids).

    Such a state runs through every token, those of other texts and padding included. A mask may hold it off, which depends on
    the architecture and the kernel; a trial in bf16 could not tell a small leak from rounding.
    """
    try:
        layers = DynamicCache(config=model.config).layers
    except Exception:  # a config that transformers' cache was not made for
        return True
    return any(isinstance(layer, LinearAttentionCacheLayerMixin) for layer in layers)


def in_window(tokens: int, window: int, device: torch.device) -> torch.Tensor:
    """Return which tokens a token sees [T, T]: itself and those of the `window` - 1 before it."""
    visible = torch.ones(tokens, tokens, dtype=torch.bool, device=device)
    return visible.tril().triu(1 - window)


class _Apart:
    """An AttentionPlan: texts of these lengths in one row, each of which sees itself alone."""

    def __init__(self, lengths: tuple[int, ...], device: torch.device):
        blocks = [torch.ones(length, length, dtype=torch.bool, device=device).tril() for length in lengths]
        self.mask = torch.block_diag(*blocks)  # [T, T]

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, window: int | None
    ) -> torch.Tensor:
        """See AttentionPlan."""
        mask = self.mask if window is None else self.mask & in_window(len(self.mask), window, query.device)
        output = scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling, enable_gqa=True)
        return output.transpose(1, 2)


@torch.no_grad()
def _keeps_apart(model: CausalLM) -> bool:
    """Whether two texts in one row, kept apart by a plan, have the states that each has by itself."""
    parameter = next(iter(model.parameters()))
    device, body = parameter.device, model.get_decoder()
    if device.type == "meta":  # shapes without values: nothing to try
        return True
    ids = torch.from_numpy(trial_tokens(model, sum(_TRIED))).long().to(device)
    positions = torch.cat([torch.arange(length, device=device) for length in _TRIED])
    with evaluating(model):
        alone = [body(input_ids=text[None], position_ids=None, use_cache=False) for text in ids.split(_TRIED)]
        plain = torch.cat([output.last_hidden_state[0] for output in alone]).float()  # [T, H]
        try:
            planned = body(input_ids=ids[None], position_ids=positions[None], **with_plan(_Apart(_TRIED, device), device))
        except Exception:  # whatever an architecture raises that was not made for this, it cannot be planned
            return False
    gap = torch.linalg.vector_norm(planned.last_hidden_state[0].float() - plain) / torch.linalg.vector_norm(plain)
    return bool(gap <= _TOLERANCES.get(parameter.dtype, 0.0))


def takes_flash(states: torch.Tensor) -> bool:
    """Whether torch's flash kernels do heads like these [.., d], forward and backward (flash_attn/flash_api.cpp)."""
    device, size = states.device, states.shape[-1]
    if device.type == "cpu" or states.dtype.itemsize != 2 or size % 8 or size > 192:
        return False
    return device.type != "cuda" or torch.cuda.get_device_capability(device) >= (8, 0)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
