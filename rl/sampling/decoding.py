"""One decoding step for many rows, with the prompt of a group computed and kept once.

Three decoders behind one protocol; `build_decoder` takes the fastest that fits the model:
- rl/sampling/native.py: Llama-shaped float32 models on a CPU with a C compiler;
- `PlannedDecoder`: every model whose attention goes through rl/policy/attention.py, on any device, adapters included;
- `CachedDecoder`: all others, through transformers' own cache; rows cannot join a running batch there.

Rows are numbered 0 to B - 1. A row joins with its group; when rows leave, the last ones move into their places.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import DynamicCache

from rl.policy.attention import can_plan, with_plan
from rl.types import IntArray
from rl.update.logprobs import base_causal_lm

_PREFILL_TOKENS = 16_384  # padded prompt tokens of one forward pass
_BLOCK = 64  # tokens by which the room for completions grows
Indices = np.ndarray[Any, np.dtype[np.int64]]


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


def build_decoder(model: Any) -> Decoder:
    """Return the fastest decoder for `model` as it now is; its weights must not change while the decoder is used."""
    from rl.sampling.native import native_decoder

    if not can_plan(model):
        return CachedDecoder(model)
    return native_decoder(model) or PlannedDecoder(model)


class _Recorder:
    """Attention of a prefill: causal, and every layer's keys and values are kept."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
        self.kept[layer] = (key, value)
        output = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=True)
        return output.transpose(1, 2)


def prefill(model: Any, prompts: Sequence[IntArray]) -> tuple[torch.Tensor, list[tuple[torch.Tensor, torch.Tensor]]]:
    """Run the prompts, padded on the right; return last states [P, H] and keys and values [P, k, T, d] of every layer."""
    device = next(model.parameters()).device
    ids = np.zeros((len(prompts), max(map(len, prompts))), dtype=np.int64)
    for row, prompt in zip(ids, prompts, strict=True):
        row[: len(prompt)] = prompt
    recorder, decoder = _Recorder(), base_causal_lm(model).get_decoder()
    positions = torch.arange(ids.shape[1], device=device)[None]
    hidden = decoder(input_ids=torch.from_numpy(ids).to(device), position_ids=positions, **with_plan(recorder, device))
    last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=device)
    states = hidden.last_hidden_state[torch.arange(len(prompts), device=device), last]
    return states, [recorder.kept[layer] for layer in sorted(recorder.kept)]


def prefill_batches(groups: Sequence[int], prompts: Sequence[IntArray]) -> list[list[int]]:
    """Cut `groups`, ordered by prompt length, so that few padded tokens go through the model at one time."""
    batches: list[list[int]] = []
    for group in sorted(groups, key=lambda group: len(prompts[group])):
        if not batches or (len(batches[-1]) + 1) * len(prompts[group]) > _PREFILL_TOKENS:
            batches.append([])
        batches[-1].append(group)
    return batches


class PlannedDecoder:
    """Decodes with the model's own forward pass; attention reads the prompt once a group and each row's own tokens."""

    joins = True

    def __init__(self, model: Any):
        self.model = model
        self.device = next(model.parameters()).device
        self.prompts: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}  # by group and layer, [k, T, d]
        self.first_states: dict[int, torch.Tensor] = {}
        self.groups = np.zeros(0, dtype=np.int64)  # [B]
        self.own = np.zeros(0, dtype=np.int64)  # [B], tokens since the prompt
        self.arena: list[tuple[torch.Tensor, torch.Tensor]] = []  # by layer, [rows, k, T, d]
        self.present: list[int] = []  # groups in `shared`: their prompts, padded to one length
        self.stale = True  # whether rows have come, gone or moved since the last step

    def join(self, groups: Sequence[int], prompts: Sequence[IntArray]) -> torch.Tensor:
        """Append rows; prompts that are new are computed."""
        for batch in prefill_batches([group for group in dict.fromkeys(groups) if group not in self.prompts], prompts):
            states, layers = prefill(self.model, [prompts[group] for group in batch])
            for place, group in enumerate(batch):
                size = len(prompts[group])
                self.prompts[group] = [(key[place, :, :size], value[place, :, :size]) for key, value in layers]
                self.first_states[group] = states[place]
        self.groups = np.concatenate([self.groups, np.asarray(groups, dtype=np.int64)])
        self.own = np.concatenate([self.own, np.zeros(len(groups), dtype=np.int64)])
        self.stale = True
        return torch.stack([self.first_states[group] for group in groups])

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Give each row its next token."""
        self.own = self.own + 1
        if self.stale:
            self._arrange()
        self._grow()
        sizes = np.asarray([self.prompts[group][0][0].shape[1] for group in self.groups.tolist()])
        self.place = torch.from_numpy(self.own - 1).to(self.device)
        width = int(self.own.max())
        self.own_mask = (torch.arange(width, device=self.device) > self.place[:, None])[:, None, None]  # [B, 1, 1, T]
        positions = torch.from_numpy(sizes + self.own - 1).to(self.device)[:, None]
        body = base_causal_lm(self.model).get_decoder()
        output = body(input_ids=ids[:, None].to(self.device), position_ids=positions, **with_plan(self, self.device))
        return output.last_hidden_state[:, 0]  # type: ignore[no-any-return]

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, V] of states [n, H]."""
        return base_causal_lm(self.model).get_output_embeddings()(states)  # type: ignore[no-any-return]

    def _arrange(self) -> None:
        """Lay the rows out by group, [P, G]: `seats` says which row sits where (row 0 on empty seats), `seat` the reverse."""
        present, group_of_row = np.unique(self.groups, return_inverse=True)
        order = np.argsort(group_of_row, kind="stable")
        counts = np.bincount(group_of_row)
        number = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        seats = np.zeros((len(present), counts.max()), dtype=np.int64)
        seats[group_of_row[order], number] = order
        seat = np.empty(len(order), dtype=np.int64)
        seat[order] = group_of_row[order] * counts.max() + number
        self.seats, self.seat = torch.from_numpy(seats).to(self.device), torch.from_numpy(seat).to(self.device)
        sizes = [self.prompts[group][0][0].shape[1] for group in present.tolist()]
        if present.tolist() != self.present:
            self.present = present.tolist()
            self.shared = [
                tuple(_padded([self.prompts[group][layer][part] for group in self.present], max(sizes)) for part in (0, 1))
                for layer in range(len(self.prompts[self.present[0]]))
            ]
        spread = torch.arange(max(sizes)) >= torch.tensor(sizes)[:, None]
        self.prompt_mask = spread[torch.from_numpy(group_of_row)].to(self.device)[:, None, None]  # [B, 1, 1, Tp]
        self.stale = False

    def _grow(self) -> None:
        """Make room for every row and one more token."""
        rows, tokens = len(self.own), int(self.own.max())
        if self.arena and rows <= self.arena[0][0].shape[0] and tokens <= self.arena[0][0].shape[2]:
            return
        layers = next(iter(self.prompts.values()))
        old = self.arena or [(key.new_empty(0, key.shape[0], 0, key.shape[2]),) * 2 for key, _ in layers]
        room = max(rows, old[0][0].shape[0]), -(-max(tokens, old[0][0].shape[2]) // _BLOCK) * _BLOCK
        self.arena = [(_enlarged(key, *room), _enlarged(value, *room)) for key, value in old]

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
        """Attention of one new token a row: query [B, h, 1, d], key and value [B, k, 1, d] -> [B, 1, h, d]."""
        rows, heads, _, size = query.shape
        kv_heads = key.shape[1]
        keys, values = self.arena[layer]
        every = torch.arange(rows, device=query.device)
        keys[every, :, self.place], values[every, :, self.place] = key[:, :, 0], value[:, :, 0]
        width = self.own_mask.shape[-1]
        query = query.view(rows, kv_heads, heads // kv_heads, size) * scaling
        own = query @ keys[:rows, :, :width].mT  # [B, k, h / k, T]
        prompt_keys, prompt_values = self.shared[layer]
        prompt = self._by_row(self._by_group(query) @ prompt_keys.mT, rows, heads // kv_heads)  # [B, k, h / k, Tp]
        scores = torch.cat([prompt.masked_fill(self.prompt_mask, -torch.inf), own.masked_fill(self.own_mask, -torch.inf)], -1)
        weights = torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype)
        prompt_weights, own_weights = weights.split([prompt.shape[-1], width], -1)
        output = own_weights @ values[:rows, :, :width]
        output += self._by_row(self._by_group(prompt_weights) @ prompt_values, rows, heads // kv_heads)
        return output.reshape(rows, 1, heads, size)  # type: ignore[no-any-return]

    def _by_group(self, rows: torch.Tensor) -> torch.Tensor:
        """[B, k, r, n] -> [P, k, G * r, n]."""
        return rows[self.seats].transpose(1, 2).flatten(2, 3)

    def _by_row(self, groups: torch.Tensor, rows: int, repeats: int) -> torch.Tensor:
        """[P, k, G * r, n] -> [B, k, r, n]."""
        return groups.unflatten(2, (-1, repeats)).transpose(1, 2).flatten(0, 1)[self.seat]  # type: ignore[no-any-return]

    def move(self, source: Indices, target: Indices, count: int) -> None:
        """Put rows in the place of others, then keep the first `count`."""
        if len(source):
            here, there = torch.from_numpy(source).to(self.device), torch.from_numpy(target).to(self.device)
            for tensor in (tensor for layer in self.arena for tensor in layer):
                tensor[there] = tensor[here]
            self.groups[target], self.own[target] = self.groups[source], self.own[source]
        self.groups, self.own, self.stale = self.groups[:count], self.own[:count], True

    def close(self, group: int) -> None:
        """Forget the prompt of a group."""
        del self.prompts[group], self.first_states[group]


def _padded(parts: Sequence[torch.Tensor], size: int) -> torch.Tensor:
    """Stack [k, T, d] with zeros behind the shorter ones."""
    return torch.stack([torch.nn.functional.pad(part, (0, 0, 0, size - part.shape[1])) for part in parts])


def _enlarged(old: torch.Tensor, rows: int, tokens: int) -> torch.Tensor:
    larger = old.new_zeros(rows, old.shape[1], tokens, old.shape[3])
    larger[: old.shape[0], :, : old.shape[2]] = old
    return larger


class CachedDecoder:
    """Decodes with transformers' own cache and left padding; a batch runs to its end before the next one starts."""

    joins = False

    def __init__(self, model: Any):
        self.model = model
        self.device = next(model.parameters()).device

    def join(self, groups: Sequence[int], prompts: Sequence[IntArray]) -> torch.Tensor:
        """Append rows; prompts that are new are computed."""
        present = list(dict.fromkeys(groups))
        width = max(len(prompts[group]) for group in present)
        ids = torch.zeros((len(present), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, group in enumerate(present):
            ids[row, width - len(prompts[group]) :] = torch.as_tensor(prompts[group])
            mask[row, width - len(prompts[group]) :] = 1
        rows = torch.tensor([present.index(group) for group in groups], device=self.device)
        self.cache, self.mask = DynamicCache(config=self.model.config), mask.to(self.device)
        positions = (self.mask.cumsum(-1) - 1).clamp_min(0)
        states = self._forward(ids.to(self.device), positions)[rows]
        self.cache.batch_select_indices(rows)
        self.mask, self.position = self.mask[rows], self.mask.sum(-1)[rows]
        return states

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Give each row its next token."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(ids), 1)], 1)
        states = self._forward(ids[:, None].to(self.device), self.position[:, None])
        self.position = self.position + 1
        return states

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, V] of states [n, H]."""
        return base_causal_lm(self.model).get_output_embeddings()(states)  # type: ignore[no-any-return]

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        body = base_causal_lm(self.model).get_decoder()
        arguments = {"position_ids": positions, "past_key_values": self.cache, "use_cache": True}
        return body(input_ids=ids, attention_mask=self.mask, **arguments).last_hidden_state[:, -1]  # type: ignore[no-any-return]

    def move(self, source: Indices, target: Indices, count: int) -> None:
        """Put rows in the place of others, then keep the first `count`."""
        rows = torch.arange(len(self.position))
        rows[target] = torch.as_tensor(source)
        keep = rows[:count].to(self.device)
        self.cache.batch_select_indices(keep)
        self.mask, self.position = self.mask[keep], self.position[keep]

    def close(self, group: int) -> None:
        """Nothing is kept of a group."""
