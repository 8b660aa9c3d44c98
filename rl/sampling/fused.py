"""A Llama-shaped model's weights as the native decoder reads them: fewer, larger matrices, LoRA adapters merged in.

Query, key and value are one matrix, gate and up another. They are copies: they belong to the weights of now.
Dimension letters: H hidden size, I intermediate size, h query heads, k key-value heads, d components of a head, V vocabulary.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from rl.policy.interfaces import CausalLM

_MODEL_TYPES = frozenset({"llama", "qwen2", "qwen3", "smollm3"})
_FIXED_ROTARY = frozenset({"default", "linear", "llama3", "yarn"})  # kinds whose frequencies do not depend on the length
Linear = tuple[torch.Tensor, torch.Tensor | None]  # weight [out, in] and bias [out]


class Unfit(Exception):
    """A model with a layer that the native decoder cannot compute."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FusedLayer:
    """The weights of one layer."""

    input_norm: torch.Tensor  # [H]
    qkv: Linear  # [(h + 2 k) d, H]
    q_norm: torch.Tensor | None  # [d]
    k_norm: torch.Tensor | None  # [d]
    output: Linear  # [H, h d]
    mlp_norm: torch.Tensor  # [H]
    gate_up: Linear  # [2 I, H]
    down: Linear  # [H, I]
    has_positions: bool  # whether queries and keys are rotated
    window: int | None  # tokens that a token sees, itself included; None: all before it


@dataclass(frozen=True, kw_only=True, eq=False)
class FusedWeights:
    """The weights of a whole model, and the numbers that belong to them."""

    embedding: torch.Tensor  # [V, H]
    layers: list[FusedLayer]
    norm: torch.Tensor  # [H]
    head: Linear  # [V, H]
    eps: float  # of every RMSNorm
    scaling: float  # of a query
    head_dim: int  # d
    rotary: nn.Module  # (any states, positions [1, T]) -> cosines and sines [1, T, d], both halves of d alike


def is_llama_shaped(config: Any) -> bool:
    """Whether a model with this config may have layers as FusedLayer says."""
    return (
        config.model_type in _MODEL_TYPES
        and config.hidden_act == "silu"
        and config.rope_parameters["rope_type"] in _FIXED_ROTARY
    )


def logits_of(states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return the logits [n, V] of states [n, H]; on a GPU those of bf16 are float32, so nothing is rounded on the way."""
    if states.dtype.itemsize >= 4 or states.device.type == "cpu":
        return nn.functional.linear(states, weight, bias)
    logits: torch.Tensor = torch.mm(states, weight.T, out_dtype=torch.float32)
    return logits if bias is None else logits.add_(bias)


def fuse(causal_lm: CausalLM) -> FusedWeights:
    """Return the weights of `causal_lm`, which is no adapter wrapper. Raises Unfit for a layer of another kind."""
    body: Any = causal_lm.get_decoder()  # from here on what transformers and peft made of the model
    if type(body.embed_tokens) is not nn.Embedding:
        raise Unfit
    attention = body.layers[0].self_attn
    return FusedWeights(
        embedding=body.embed_tokens.weight,
        layers=[_fused_layer(layer) for layer in body.layers],
        norm=_scale(body.norm),
        head=_linear(causal_lm.get_output_embeddings()),
        eps=body.norm.variance_epsilon,
        scaling=attention.scaling,
        head_dim=attention.head_dim,
        rotary=body.rotary_emb,
    )


def _fused_layer(layer: Any) -> FusedLayer:
    attention, mlp = layer.self_attn, layer.mlp
    q_norm, k_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
    return FusedLayer(
        input_norm=_scale(layer.input_layernorm),
        qkv=_stacked(attention.q_proj, attention.k_proj, attention.v_proj),
        q_norm=None if q_norm is None else _scale(q_norm),
        k_norm=None if k_norm is None else _scale(k_norm),
        output=_linear(attention.o_proj),
        mlp_norm=_scale(layer.post_attention_layernorm),
        gate_up=_stacked(mlp.gate_proj, mlp.up_proj),
        down=_linear(mlp.down_proj),
        has_positions=bool(getattr(attention, "use_rope", True)),
        window=getattr(attention, "sliding_window", None),
    )


def _linear(layer: Any) -> Linear:
    """Return weight and bias of a linear layer, its LoRA adapters merged in."""
    if type(layer) is nn.Linear:  # not isinstance: a wrapper may compute something else
        return layer.weight, layer.bias
    from peft.tuners.lora import Linear as LoraLinear

    if type(layer) is not LoraLinear or layer.lora_variant:
        raise Unfit
    weight, bias = _linear(layer.base_layer)
    if not layer.merged and not layer.disable_adapters:
        for name in layer.active_adapters:
            if name in layer.lora_A:
                weight = (weight + layer.get_delta_weight(name)).to(weight.dtype)
    return weight, bias


def _scale(norm: Any) -> torch.Tensor:
    """Return the weight of an RMSNorm; a wrapper of peft is none."""
    if not type(norm).__name__.endswith("RMSNorm"):
        raise Unfit
    weight: torch.Tensor = norm.weight
    return weight


def _stacked(*layers: Any) -> Linear:
    """Return several linear layers of the same input as one."""
    weights, biases = zip(*map(_linear, layers), strict=True)
    missing = [bias is None for bias in biases]
    if any(missing) and not all(missing):
        raise Unfit
    return torch.cat(weights), None if all(missing) else torch.cat(biases)
