"""Attention by plan: one name for transformers' attention interface, behind which the trainer and the sampler put their own.

A forward pass that is handed a `plan` runs the whole model as usual (any architecture of transformers that goes through its
attention interface, adapters included), only each layer's attention is done by `plan.attend`. Without a plan it is SDPA.

Dimension letters: B rows, T tokens, h query heads, k key-value heads, d components of a head.
"""

from typing import Protocol

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from rl.policy.interfaces import CausalLM

NAME = "reasonlab"


class AttentionPlan(Protocol):
    """What takes the place of ordinary attention in one forward pass."""

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
        """Return the output [B, T, h, d] of layer number `layer`; query [B, h, T, d], key and value [B, k, T, d], rotated."""


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
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it (transformers/integrations/sdpa_attention.py); the output is [B, T, h, d]."""
    if plan is None:
        output: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return output
    scaling = scaling or query.shape[-1] ** -0.5
    return plan.attend(module.layer_idx, query, key, value, scaling), None


def with_plan(plan: AttentionPlan, device: torch.device) -> dict[str, object]:
    """Return the arguments that make a decoder run by `plan`."""
    # transformers would build a causal mask of its own; one of four dimensions it hands through untouched
    untouched = torch.ones((1, 1, 1, 1), dtype=torch.bool, device=device)
    return {"plan": plan, "attention_mask": untouched, "use_cache": False}


def can_plan(model: CausalLM) -> bool:
    """Whether every layer of `model` is plain full attention through this interface: no windows, recurrence or dropout."""
    config = model.config
    layers = getattr(config, "layer_types", None) or []
    windows = getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)
    dropout = getattr(config, "attention_dropout", 0.0) or getattr(config, "attn_pdrop", 0.0)
    return config._attn_implementation == NAME and set(layers) <= {"full_attention"} and not windows and not dropout


def takes_flash(states: torch.Tensor) -> bool:
    """Whether torch's flash kernels do heads like these [.., d], forward and backward (flash_attn/flash_api.cpp)."""
    device, size = states.device, states.shape[-1]
    if device.type == "cpu" or states.dtype.itemsize != 2 or size % 8 or size > 192:
        return False
    return device.type != "cuda" or torch.cuda.get_device_capability(device) >= (8, 0)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
