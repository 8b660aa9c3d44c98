"""Packed rows with shared prompts: every token of a micro-batch is computed once, and none is padding.

A group's prompt stands once, followed by all its completions, and the next group follows: one row of N tokens for everything
that works token by token (embeddings, projections, MLP, norms, LM head). Only attention knows who sees whom: every segment
(a prompt or a completion) is causal within itself, and a completion also sees its whole prompt. The two parts are computed
apart and merged by their log-sum-exp, as ring attention does (arXiv 2310.01889), forward and backward, so keys and values of
a prompt are never copied for its G completions, and their gradient is the sum over all of them.

On a GPU in half precision each part is one call a layer that takes segments of any length; elsewhere segments of similar
length are padded into batches, a call each. In a layer with a window (of a few tokens) the keys that each token sees are
gathered for it.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from rl.policy.attention import takes_flash
from rl.runtime import uploaded
from rl.types import Row
from rl.update import kernels

_BUCKET_FILL = 0.8  # segments whose length is at least this share of the longest are padded to it, in attention only
_FAN_FILL = 0.5  # the same for all completions of a prompt together, and for the prompts


@dataclass(frozen=True, kw_only=True, eq=False)
class Bucket:
    """Segments of similar length, padded to the longest for one causal attention call."""

    tokens: torch.Tensor  # [b, T], place of each token in the packed row; padding repeats a segment's first token
    real: torch.Tensor  # [R], places in the flattened [b * T] that are no padding
    places: torch.Tensor  # [R], where they stand in the packed row


@dataclass(frozen=True, kw_only=True, eq=False)
class Fans:
    """Prompts and, of each, all completions in one stretch: these see the whole prompt. Padded for one attention call."""

    completions: Bucket
    prompts: Bucket
    mask: torch.Tensor | None  # [b, 1, 1, longest prompt], -inf on padding; None without padding


@dataclass(frozen=True, kw_only=True, eq=False)
class Crossing:
    """All completions of each prompt, in one stretch, and the prompt: one call for all of them."""

    queries: torch.Tensor  # [R], places of the completions in the packed row
    keys: torch.Tensor  # [K], places of their prompts
    stretches: kernels.Stretches


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """The tokens that each token of a packed row sees through a window, nearest first."""

    places: torch.Tensor  # [N * W], where they stand in the packed row; any place for what is not there
    missing: torch.Tensor  # [N, W, 1, 1], before the beginning of the text


Segment = tuple[int, int]  # start in the packed row, and length


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Who sees whom in a packed row: an AttentionPlan. Calls are laid out when they are first needed."""

    segments: tuple[Segment, ...]  # every token of the row is in one; in their order
    pairs: tuple[tuple[Segment, Segment], ...]  # prompt, and all its completions in one stretch
    device: torch.device
    fused: bool = False  # whether rl/update/triton_attention.py does what is to be done around the flash kernels
    _neighbours: dict[int, Neighbours] = field(default_factory=dict, init=False, repr=False)  # by window

    @cached_property
    def buckets(self) -> tuple[Bucket, ...]:
        """The segments, padded into batches."""
        return _buckets(self.segments, self.device)

    @cached_property
    def fans(self) -> tuple[Fans, ...]:
        """Completions and their prompts, padded into batches."""
        return _fans(self.pairs, self.device)

    @cached_property
    def within(self) -> kernels.Stretches:
        """The segments as stretches that see themselves."""
        return _stretches(self.segments, self.segments, self.device)

    @cached_property
    def across(self) -> Crossing | None:
        """Completions and their prompts as stretches; None where no completion is read."""
        if not self.pairs:
            return None
        prompts, completions = zip(*self.pairs, strict=True)
        return Crossing(
            queries=uploaded(_places(completions), self.device),
            keys=uploaded(_places(prompts), self.device),
            stretches=_stretches(completions, prompts, self.device),
        )

    def neighbours(self, window: int) -> Neighbours:
        """Return which tokens each token sees through a window of so many tokens, itself included."""
        if window not in self._neighbours:
            self._neighbours[window] = _neighbours(self.segments, self.pairs, window, self.device)
        return self._neighbours[window]

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, window: int | None
    ) -> torch.Tensor:
        """Return [1, N, h, d]; query [1, h, N, d], key and value [1, k, N, d] with h a multiple of k."""
        # not [0], whose gradient would be written into zeros of the size of the states
        queries, keys, values = (states.squeeze(0).transpose(0, 1) for states in (query, key, value))  # [N, h or k, d]
        if window is not None:
            return _attend_nearby(queries, keys, values, self.neighbours(window), scaling)[None]
        function = _FlashAttention if takes_flash(query) else _PackedAttention
        output: torch.Tensor = function.apply(queries, keys, values, self, scaling)
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
    groups: dict[bytes, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(row.prompt_ids.tobytes(), []).append(number)
    return list(groups.values())


def pack(rows: Sequence[Row], device: torch.device, *, share_prompts: bool = True) -> TokenRows:
    """Lay `rows` out in one packed row; the last token of a completion predicts nothing and is left out."""
    groups = by_prompt(rows) if share_prompts else [[number] for number in range(len(rows))]
    ids: list[np.ndarray] = []
    position_ids: list[np.ndarray] = []
    segments: list[Segment] = []
    fans: list[tuple[Segment, Segment]] = []  # prompt, completions
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
            read = rows[number].completion_ids[:-1]  # the last token is predicted and never read
            predicted[number] = np.concatenate([[last], np.arange(end, end + len(read))])
            ids.append(read)
            position_ids.append(np.arange(length, length + len(read)))
            if len(read):
                segments.append((end, len(read)))
            end += len(read)
        if end > first:
            fans.append(((first - length, length), (first, end - first)))

    def flat(parts: list[np.ndarray]) -> torch.Tensor:
        return uploaded(np.concatenate(parts).astype(np.int64), device)

    return TokenRows(
        input_ids=flat(ids)[None],
        positions=flat(predicted),
        position_ids=flat(position_ids)[None],
        layout=Layout(segments=tuple(segments), pairs=tuple(fans), device=device),
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
    return TokenRows(input_ids=uploaded(input_ids, device), positions=uploaded(np.concatenate(predicted), device))


def _places(stretches: Sequence[Segment]) -> np.ndarray:
    """Return the place of every token of `stretches`, one stretch after the other."""
    return np.concatenate([np.arange(start, start + length) for start, length in stretches])


def _stretches(queries: Sequence[Segment], keys: Sequence[Segment], device: torch.device) -> kernels.Stretches:
    starts = np.zeros((2, len(queries) + 1), dtype=np.int32)
    for row, stretches in zip(starts, (queries, keys), strict=True):
        row[1:] = np.cumsum([length for _, length in stretches])
    query_starts, key_starts = uploaded(starts, device)
    longest = [max(length for _, length in stretches) for stretches in (queries, keys)]
    return kernels.Stretches(query_starts=query_starts, key_starts=key_starts, longest_query=longest[0], longest_key=longest[1])


def _buckets(segments: Sequence[Segment], device: torch.device) -> tuple[Bucket, ...]:
    """Put segments of similar length together, longest first."""
    buckets: list[list[Segment]] = []
    for start, length in sorted(segments, key=lambda segment: (-segment[1], segment[0])):
        if not buckets or length < _BUCKET_FILL * buckets[-1][0][1]:
            buckets.append([])
        buckets[-1].append((start, length))
    return tuple(_bucket(members, device) for members in buckets)


def _fans(fans: Sequence[tuple[Segment, Segment]], device: torch.device) -> tuple[Fans, ...]:
    """Put fans of similar size together, largest first; off the CPU only those whose prompts need no padding."""
    fill = _FAN_FILL if device.type == "cpu" else 1.0
    groups: list[list[tuple[Segment, Segment]]] = []
    shortest = longest = 0  # prompt of the newest group
    for fan in sorted(fans, key=lambda fan: (-fan[1][1], fan[0])):
        prompt, completions = fan[0][1], fan[1][1]
        shortest, longest = min(shortest, prompt), max(longest, prompt)
        if not groups or completions < _FAN_FILL * groups[-1][0][1][1] or shortest < fill * longest:
            groups.append([])
            shortest = longest = prompt
        groups[-1].append(fan)
    return tuple(_fan_bucket(group, device) for group in groups)


def _fan_bucket(fans: list[tuple[Segment, Segment]], device: torch.device) -> Fans:
    prompts = _bucket([prompt for prompt, _ in fans], device)
    mask = None
    if len(prompts.real) < prompts.tokens.numel():
        mask = torch.full((prompts.tokens.numel(),), -torch.inf, device=device).index_fill_(0, prompts.real, 0.0)
        mask = mask.view(len(fans), 1, 1, -1)
    return Fans(completions=_bucket([stretch for _, stretch in fans], device), prompts=prompts, mask=mask)


def _bucket(members: list[Segment], device: torch.device) -> Bucket:
    starts = np.array([start for start, _ in members])[:, None]
    lengths = np.array([length for _, length in members])[:, None]
    offsets = np.arange(lengths.max())[None]
    is_real = offsets < lengths  # [b, T]
    tokens = starts + np.where(is_real, offsets, 0)
    return Bucket(
        tokens=uploaded(tokens, device),
        real=uploaded(np.flatnonzero(is_real), device),
        places=uploaded(tokens[is_real], device),
    )


def _neighbours(
    segments: Sequence[Segment], pairs: Sequence[tuple[Segment, Segment]], window: int, device: torch.device
) -> Neighbours:
    back = np.arange(window)
    parts = []  # [T, W] each, of every token of a segment; below 0: not there
    starts = [start for start, _ in segments]  # in their order
    prompt_of = {
        start: prompt
        for prompt, (first, size) in pairs
        for start in starts[bisect_left(starts, first) : bisect_left(starts, first + size)]
    }
    for start, length in segments:
        prompt_start, prompt_length = prompt_of.get(start, (0, 0))
        before = np.arange(length)[:, None] - back  # place within the segment; below 0: in its prompt, counted from its end
        in_prompt = np.where(before >= -prompt_length, prompt_start + prompt_length + before, -1)
        parts.append(np.where(before >= 0, start + before, in_prompt))
    places = np.concatenate(parts)  # [N, W]
    missing = uploaded((places < 0)[..., None, None], device)
    return Neighbours(places=uploaded(np.maximum(places, 0).reshape(-1), device), missing=missing)


def _attend_nearby(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, neighbours: Neighbours, scaling: float
) -> torch.Tensor:
    """Return softmax(Q K^T) V [N, h, d] over the neighbours of each token; query [N, h, d], key and value [N, k, d]."""
    tokens, heads, size = query.shape
    kv_heads, window = key.shape[1], neighbours.missing.shape[1]

    def gathered(states: torch.Tensor) -> torch.Tensor:
        return states.index_select(0, neighbours.places).view(tokens, window, kv_heads, 1, size)

    exact = torch.promote_types(query.dtype, torch.float32)
    query = query.view(tokens, 1, kv_heads, heads // kv_heads, size).to(exact) * scaling
    scores = (query * gathered(key)).sum(-1)  # [N, W, k, h / k]
    weights = scores.masked_fill(neighbours.missing, -torch.inf).softmax(1)
    return (weights[..., None] * gathered(value)).sum(1).view(tokens, heads, size).to(value.dtype)


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
            output[bucket.places] = _flat(own, bucket)
            normaliser[bucket.places] = _flat(total, bucket)
        for fans in layout.fans:
            mine, prompts = fans.completions, fans.prompts
            states = [_batched(query, mine), _batched(key, prompts), _batched(value, prompts)]
            of_prompt, total = kernels.forward(*states, causal=False, scaling=scaling, mask=fans.mask)
            of_prompt, total = _flat(of_prompt, mine), _flat(total, mine)  # [R, h, d], [R, h]
            # two softmaxes become one: each weighs as much as its normaliser has of both (arXiv 2310.01889)
            of_both = torch.logaddexp(normaliser[mine.places], total)
            own_share = (normaliser[mine.places] - of_both).exp_()[..., None]  # [R, h, 1]
            prompt_share = (total - of_both).exp_()[..., None]
            output[mine.places] = (output[mine.places] * own_share).add_(of_prompt * prompt_share).to(output.dtype)
            normaliser[mine.places] = of_both
        ctx.save_for_backward(query, key, value, output, normaliser)
        ctx.layout, ctx.scaling = layout, scaling
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # type: ignore[override]
        *states, normaliser = ctx.saved_tensors
        layout, scaling = ctx.layout, ctx.scaling
        dtype = states[0].dtype
        exact = kernels.backward_dtype(states[0])
        gradient, query, key, value, output = (part.to(exact) for part in (gradient, *states))
        d_query, d_key, d_value = (
            torch.empty_like(part, memory_format=torch.contiguous_format) for part in (query, key, value)
        )
        for bucket in layout.buckets:
            upstream = _batched(gradient, bucket, padding_to_zero=True)
            states = [_batched(part, bucket) for part in (query, key, value, output, normaliser)]
            parts = kernels.backward(upstream, *states, causal=True, scaling=scaling)
            for total, part in zip((d_query, d_key, d_value), parts, strict=True):
                total[bucket.places] = _flat(part, bucket)
        for fans in layout.fans:
            upstream = _batched(gradient, fans.completions, padding_to_zero=True)
            wheres = (fans.completions, fans.prompts, fans.prompts, fans.completions, fans.completions)
            states = [_batched(part, w) for part, w in zip((query, key, value, output, normaliser), wheres, strict=True)]
            parts = kernels.backward(upstream, *states, causal=False, scaling=scaling, mask=fans.mask)
            for total, where, part in zip((d_query, d_key, d_value), wheres[:3], parts, strict=True):
                total.index_add_(0, where.places, _flat(part, where))
        return d_query.to(dtype), d_key.to(dtype), d_value.to(dtype), None, None


class _FlashAttention(torch.autograd.Function):
    """The same in two calls, without padding. All tensors are [N, heads, d]."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, scaling: float
    ) -> torch.Tensor:
        output, normaliser = kernels.flash_forward(query, key, value, layout.within, causal=True, scaling=scaling)
        across = layout.across
        if across is not None:
            mine, prompts = across.queries, across.keys
            of_prompt, total = kernels.flash_forward(
                query.index_select(0, mine), key.index_select(0, prompts), value.index_select(0, prompts), across.stretches,
                causal=False, scaling=scaling,
            )  # fmt: skip
            if layout.fused and all(part.is_contiguous() for part in (output, normaliser, of_prompt, total)):
                from rl.update import triton_attention

                normaliser = triton_attention.merge(output, normaliser, of_prompt, total, mine)
            else:
                normaliser = plain_merge(output, normaliser, of_prompt, total, mine)
        ctx.save_for_backward(query, key, value, output, normaliser)
        ctx.layout, ctx.scaling = layout, scaling
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # type: ignore[override]
        query, key, value, output, normaliser = ctx.saved_tensors
        layout, scaling = ctx.layout, ctx.scaling
        gradients = kernels.flash_backward(
            gradient, query, key, value, output, normaliser, layout.within, causal=True, scaling=scaling
        )
        across = layout.across
        if across is not None:
            mine, prompts = across.queries, across.keys
            parts = kernels.flash_backward(
                gradient.index_select(0, mine), query.index_select(0, mine), key.index_select(0, prompts),
                value.index_select(0, prompts), output.index_select(0, mine), normaliser.index_select(1, mine),
                across.stretches, causal=False, scaling=scaling,
            )  # fmt: skip
            for total, where, part in zip(gradients, (mine, prompts, prompts), parts, strict=True):
                if layout.fused and total.is_contiguous() and part.is_contiguous():
                    from rl.update import triton_attention

                    triton_attention.add_rows(total, where, part)
                else:
                    total.index_add_(0, where, part)
        return *gradients, None, None


def plain_merge(
    output: torch.Tensor, normaliser: torch.Tensor, of_prompt: torch.Tensor, total: torch.Tensor, places: torch.Tensor
) -> torch.Tensor:
    """As rl/update/triton_attention.py:merge; `normaliser` changes in place."""
    own = normaliser[:, places]  # [h, R]
    of_both = torch.logaddexp(own, total)
    own_share = (own - of_both).exp_().T[..., None]  # [R, h, 1]
    prompt_share = (total - of_both).exp_().T[..., None]
    output[places] = (output[places] * own_share).add_(of_prompt * prompt_share).to(output.dtype)
    normaliser[:, places] = of_both
    return normaliser


def _batched(states: torch.Tensor, bucket: Bucket, *, padding_to_zero: bool = False) -> torch.Tensor:
    """[N, h, ...] -> [b, h, T, ...]."""
    if not padding_to_zero:
        return states[bucket.tokens].transpose(1, 2)
    shape = (bucket.tokens.numel(), *states.shape[1:])
    padded = states.new_zeros(shape).index_copy_(0, bucket.real, states[bucket.places])
    return padded.view(*bucket.tokens.shape, *states.shape[1:]).transpose(1, 2)


def _flat(states: torch.Tensor, bucket: Bucket) -> torch.Tensor:
    """[b, h, T, ...] -> [R, h, ...], padding left out."""
    return states.transpose(1, 2).flatten(0, 1)[bucket.real]
