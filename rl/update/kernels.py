"""Attention with its log-sum-exp, and its backward pass from a given output and log-sum-exp: torch's own fused kernels.

`torch.nn.functional.scaled_dot_product_attention` keeps the log-sum-exp to itself; the kernels below it hand it out
(aten/src/ATen/native/native_functions.yaml). Keys and values may have fewer heads, of which h is a multiple.

- `forward` and `backward` take batches, everywhere: tensors [b, h, T, d], normalisers [b, h, T]; grouped-query attention is
  expanded here, a call at a time.
- `flash_forward` and `flash_backward` take stretches of any lengths one behind the other, on a GPU and in half precision:
  tensors [N, h, d], normalisers [h, N].
"""

from dataclasses import dataclass

import torch

_aten = torch.ops.aten
_BLOCK = 32  # the CUDA kernel reads log-sum-exps in blocks of so many (transformers/cuda/mem_eff_attention/kernel_backward.h)
Three = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def normaliser_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the type in which the kernels keep log-sum-exps."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def backward_dtype(states: torch.Tensor) -> torch.dtype:
    """Return the type in which `backward` is best given `states`.

    The trap: in bf16 the CPU's backward kernel takes five to nine times as long as in float32 (torch 2.13; the forward one as
    long), and the shares of a prompt's gradient would be added up in 8 bits.
    """
    return torch.promote_types(states.dtype, torch.float32) if states.device.type == "cpu" else states.dtype


def forward(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    causal: bool,
    scaling: float,
    mask: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return softmax(S) V and the log-sum-exp of S = scaling Q K^T + mask; a mask [b, 1, 1, T] only on the CPU."""
    repeats = query.shape[1] // key.shape[1]
    key, value = _expand(key, repeats), _expand(value, repeats)
    if query.device.type == "cpu":
        output, normaliser = _aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=_typed(mask, query), scale=scaling
        )
    else:
        output, normaliser, *_ = _aten._scaled_dot_product_efficient_attention(
            query, key, value, None, True, 0.0, causal, scale=scaling
        )
        normaliser = normaliser[..., : query.shape[2]]
    return output, normaliser


def backward(
    gradient: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    output: torch.Tensor,
    normaliser: torch.Tensor,
    *,
    causal: bool,
    scaling: float,
    mask: torch.Tensor | None = None,
) -> Three:
    """Return the gradients of query, key and value.

    `output` and `normaliser` may be those of a softmax over more keys than these: then this is the share of these keys.
    """
    repeats = query.shape[1] // key.shape[1]
    states = (query, _expand(key, repeats), _expand(value, repeats), output)
    if query.device.type == "cpu":
        d_query, d_key, d_value = _aten._scaled_dot_product_flash_attention_for_cpu_backward(
            gradient, *states[:3], output, normaliser.contiguous(), 0.0, causal, attn_mask=_typed(mask, query), scale=scaling
        )
    else:
        d_query, d_key, d_value = _cuda_backward(gradient, *states, normaliser, causal, scaling)
    return d_query, _reduce(d_key, repeats), _reduce(d_value, repeats)


def _cuda_backward(
    gradient: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    output: torch.Tensor,
    normaliser: torch.Tensor,
    causal: bool,
    scaling: float,
) -> Three:
    width = -(-query.shape[2] // _BLOCK) * _BLOCK
    padded = torch.nn.functional.pad(normaliser, (0, width - query.shape[2]), value=torch.inf)
    # the trap: a pad by nothing keeps the strides of a transposed [b, T, h], and the kernel wants rows of a multiple of 8
    padded = padded.contiguous()
    no_dropout = torch.zeros((), dtype=torch.long, device=query.device)
    d_query, d_key, d_value, _ = _aten._scaled_dot_product_efficient_attention_backward(
        gradient, query, key, value, None, output, padded, no_dropout, no_dropout, 0.0, (True, True, True, False), causal,
        scale=scaling,
    )  # fmt: skip
    return d_query, d_key, d_value


@dataclass(frozen=True, kw_only=True, eq=False)
class Stretches:
    """How queries and keys are cut: stretch i of the queries sees stretch i of the keys."""

    query_starts: torch.Tensor  # [S + 1], int32, the last is the number of queries
    key_starts: torch.Tensor  # [S + 1], int32
    longest_query: int
    longest_key: int


def flash_forward(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, stretches: Stretches, *, causal: bool, scaling: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return softmax(S) V [N, h, d] and the log-sum-exp [h, N] of S = scaling Q K^T, stretch by stretch."""
    cut = (stretches.query_starts, stretches.key_starts, stretches.longest_query, stretches.longest_key)
    output, normaliser, *_ = _aten._flash_attention_forward(query, key, value, *cut, 0.0, causal, False, scale=scaling)
    return output, normaliser


def flash_backward(
    gradient: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    output: torch.Tensor,
    normaliser: torch.Tensor,
    stretches: Stretches,
    *,
    causal: bool,
    scaling: float,
) -> Three:
    """Return the gradients of query, key and value; as with `backward`, a softmax over more keys gives the share of these."""
    cut = (stretches.query_starts, stretches.key_starts, stretches.longest_query, stretches.longest_key)
    gradient, normaliser = gradient.contiguous(), normaliser.contiguous()
    seed, unused = torch.empty(2, dtype=torch.uint64, device=query.device), torch.empty(0, device=query.device)
    d_query, d_key, d_value = _aten._flash_attention_backward(
        gradient, query, key, value, output, normaliser, *cut, 0.0, causal, seed, unused, scale=scaling
    )
    return d_query, d_key, d_value


def _typed(mask: torch.Tensor | None, query: torch.Tensor) -> torch.Tensor | None:
    return None if mask is None else mask.to(query.dtype)


def _expand(states: torch.Tensor, repeats: int) -> torch.Tensor:
    return states if repeats == 1 else states.repeat_interleave(repeats, dim=1)


def _reduce(gradient: torch.Tensor, repeats: int) -> torch.Tensor:
    return gradient if repeats == 1 else gradient.unflatten(1, (-1, repeats)).sum(2)
