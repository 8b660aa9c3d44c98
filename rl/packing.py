"""Packed rows with shared prompts: every token of a micro-batch is computed once, and none is padding.

A group's prompt stands once, followed by all its completions, and the next group follows: one row of N tokens for everything
that works token by token (embeddings, projections, MLP, norms, LM head). Only attention knows who sees whom: every segment
(a prompt or a completion) is causal within itself, and a completion also sees its whole prompt. The two parts are computed
apart and merged by their log-sum-exp, as ring attention does (arXiv 2310.01889), forward and backward, so keys and values of
a prompt are never copied for its G completions, and their gradient is the sum over all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rl import kernels
from rl.types import Row

_BUCKET_FILL = 0.8  # segments whose length is at least this share of the longest are padded to it, in attention only


@dataclass(frozen=True, kw_only=True, eq=False)
class Bucket:
    """Segments of similar length, padded to the longest for one causal attention call."""

    tokens: torch.Tensor  # [b, T], place of each token in the packed row; padding repeats a segment's first token
    real: torch.Tensor  # [R], places in the flattened [b * T] that are no padding
    places: torch.Tensor  # [R], where they stand in the packed row


@dataclass(frozen=True, kw_only=True)
class Fan:
    """The completions of one prompt: `completions` see all of `prompt`. Both are stretches of the packed row."""

    prompt: slice
    completions: slice


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Who sees whom in a packed row: an AttentionPlan."""

    buckets: tuple[Bucket, ...]
    fans: tuple[Fan, ...]

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
        """Return [1, N, h, d]; query [1, h, N, d], key and value [1, k, N, d] with h a multiple of k."""
        parts = [states[0].transpose(0, 1) for states in (query, key, value)]  # [N, h or k, d]
        output: torch.Tensor = _PackedAttention.apply(*parts, self, scaling)
        return output[None]


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenRows:
    """What goes through the decoder, and where each of the N completion tokens is predicted."""

    input_ids: torch.Tensor  # [B, T]; packed: [1, T]
    positions: torch.Tensor  # [N], index into the flattened [B * T] states, completions in the order of the rows
    position_ids: torch.Tensor | None = None  # as input_ids; None: from the left end of each row
    layout: Layout | None = None  # None: every row is causal within itself


def by_prompt(rows: Sequence[Row]) -> list[list[int]]:
    """Return the numbers of the rows that share a prompt, in order of first appearance."""
    found: dict[bytes, list[int]] = {}
    for number, row in enumerate(rows):
        found.setdefault(row.prompt_ids.tobytes(), []).append(number)
    return list(found.values())


def pack(rows: Sequence[Row], device: torch.device, *, share_prompts: bool = True) -> TokenRows:
    """Lay `rows` out in one packed row; the last token of a completion predicts nothing and is left out."""
    groups = by_prompt(rows) if share_prompts else [[number] for number in range(len(rows))]
    ids: list[np.ndarray] = []
    position_ids: list[np.ndarray] = []
    segments: list[tuple[int, int]] = []  # start and length
    fans: list[Fan] = []
    predicted: list[np.ndarray] = [np.empty(0, np.int64)] * len(rows)
    end = 0
    for group in groups:
        prompt = rows[group[0]].prompt_ids
        length = len(prompt)
        ids.append(prompt)
        position_ids.append(np.arange(length))
        segments.append((end, length))
        last, end = end + length - 1, end + length
        first = end
        for number in group:
            seen = rows[number].completion_ids[:-1]
            predicted[number] = np.concatenate([[last], np.arange(end, end + len(seen))])
            ids.append(seen)
            position_ids.append(np.arange(length, length + len(seen)))
            segments.append((end, len(seen)))
            end += len(seen)
        if end > first:
            fans.append(Fan(prompt=slice(last + 1 - length, last + 1), completions=slice(first, end)))

    def flat(parts: list[np.ndarray]) -> torch.Tensor:
        return torch.as_tensor(np.concatenate(parts).astype(np.int64), device=device)

    return TokenRows(
        input_ids=flat(ids)[None],
        positions=flat(predicted),
        position_ids=flat(position_ids)[None],
        layout=Layout(buckets=_buckets(segments, device), fans=tuple(fans)),
    )


def pad(rows: Sequence[Row], pad_id: int, device: torch.device) -> TokenRows:
    """Lay `rows` out one below the other, for models whose attention cannot be planned.

    Padding stands right of everything that counts and attention is causal, so no attention mask is needed.
    """
    width = max(row.length for row in rows)
    input_ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    predicted = []
    for number, row in enumerate(rows):
        prompt = len(row.prompt_ids)
        input_ids[number, :prompt] = row.prompt_ids
        input_ids[number, prompt : row.length] = row.completion_ids
        predicted.append(number * width + np.arange(prompt - 1, row.length - 1))
    return TokenRows(
        input_ids=torch.as_tensor(input_ids, device=device), positions=torch.as_tensor(np.concatenate(predicted), device=device)
    )


def _buckets(segments: list[tuple[int, int]], device: torch.device) -> tuple[Bucket, ...]:
    """Put segments of similar length together, longest first."""
    buckets: list[list[tuple[int, int]]] = []
    for start, length in sorted(segments, key=lambda segment: (-segment[1], segment[0])):
        if length == 0:
            continue
        if not buckets or length < _BUCKET_FILL * buckets[-1][0][1]:
            buckets.append([])
        buckets[-1].append((start, length))
    return tuple(_bucket(members, device) for members in buckets)


def _bucket(members: list[tuple[int, int]], device: torch.device) -> Bucket:
    starts = np.array([start for start, _ in members])[:, None]
    lengths = np.array([length for _, length in members])[:, None]
    offsets = np.arange(members[0][1])[None]
    is_real = offsets < lengths  # [b, T]
    tokens = starts + np.where(is_real, offsets, 0)
    return Bucket(
        tokens=torch.as_tensor(tokens, device=device),
        real=torch.as_tensor(np.flatnonzero(is_real), device=device),
        places=torch.as_tensor(tokens[is_real], device=device),
    )


class _PackedAttention(torch.autograd.Function):
    """softmax(Q K^T) V by layout. All tensors are [N, heads, d]."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, scaling: float
    ) -> torch.Tensor:
        output = torch.empty_like(query, memory_format=torch.contiguous_format)
        normaliser = query.new_empty(query.shape[:2], dtype=kernels.normaliser_dtype(query.dtype))  # [N, h]
        for bucket in layout.buckets:
            states = [_batched(part, bucket) for part in (query, key, value)]
            own, total = kernels.forward(*states, causal=True, scaling=scaling)  # [b, h, T, d], [b, h, T]
            output[bucket.places] = own.transpose(1, 2).flatten(0, 1)[bucket.real]
            normaliser[bucket.places] = total.transpose(1, 2).flatten(0, 1)[bucket.real]
        for fan in layout.fans:
            states = [_stretch(query, fan.completions), _stretch(key, fan.prompt), _stretch(value, fan.prompt)]
            seen, total = kernels.forward(*states, causal=False, scaling=scaling)
            _merge(output[fan.completions], normaliser[fan.completions], seen[0].transpose(0, 1), total[0].transpose(0, 1))
        ctx.save_for_backward(query, key, value, output, normaliser)
        ctx.layout, ctx.scaling = layout, scaling
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # type: ignore[override]
        query, key, value, output, normaliser = ctx.saved_tensors
        layout, scaling = ctx.layout, ctx.scaling
        d_query, d_key, d_value = (
            torch.empty_like(part, memory_format=torch.contiguous_format) for part in (query, key, value)
        )
        for bucket in layout.buckets:
            upstream = _batched(gradient, bucket, padding_to_zero=True)
            states = [_batched(part, bucket) for part in (query, key, value, output, normaliser)]
            found = kernels.backward(upstream, *states, causal=True, scaling=scaling)
            for total, part in zip((d_query, d_key, d_value), found, strict=True):
                total[bucket.places] = part.transpose(1, 2).flatten(0, 1)[bucket.real]
        for fan in layout.fans:
            upstream = _stretch(gradient, fan.completions)
            wheres = (fan.completions, fan.prompt, fan.prompt, fan.completions, fan.completions)
            states = [_stretch(part, w) for part, w in zip((query, key, value, output, normaliser), wheres, strict=True)]
            found = kernels.backward(upstream, *states, causal=False, scaling=scaling)
            for total, stretch, part in zip(
                (d_query, d_key, d_value), (fan.completions, fan.prompt, fan.prompt), found, strict=True
            ):
                total[stretch] += part[0].transpose(0, 1)
        return d_query, d_key, d_value, None, None


def _batched(states: torch.Tensor, bucket: Bucket, *, padding_to_zero: bool = False) -> torch.Tensor:
    """[N, h, ...] -> [b, h, T, ...]."""
    if not padding_to_zero:
        return states[bucket.tokens].transpose(1, 2)
    shape = (bucket.tokens.numel(), *states.shape[1:])
    padded = states.new_zeros(shape).index_copy_(0, bucket.real, states[bucket.places])
    return padded.view(*bucket.tokens.shape, *states.shape[1:]).transpose(1, 2)


def _stretch(states: torch.Tensor, where: slice) -> torch.Tensor:
    """[N, h, ...] -> [1, h, T, ...]."""
    return states[where].transpose(0, 1)[None]


def _merge(output: torch.Tensor, normaliser: torch.Tensor, other: torch.Tensor, other_normaliser: torch.Tensor) -> None:
    """Add the attention over further keys to `output` [T, h, d] and `normaliser` [T, h], in place."""
    total = torch.logaddexp(normaliser, other_normaliser)
    output.mul_((normaliser - total).exp()[..., None]).add_(other * (other_normaliser - total).exp()[..., None])
    normaliser.copy_(total)
