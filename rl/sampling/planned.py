"""Decoding with the model's own forward pass, in which attention reads the prompt once a group and each row's own tokens.

The queries of all rows of a group meet the prompt's keys in one product: rows are laid out by group on a grid of seats.

Dimension letters: B rows, P groups that are present, G seats of a group (rows of the largest), h query heads, k key-value
heads, r = h / k query heads of one key-value head, d components of a head, T own tokens, Tp prompt tokens, H hidden size.
"""

from collections.abc import Sequence

import numpy as np
import torch

from rl.policy.attention import with_plan
from rl.policy.interfaces import CausalLM, base_causal_lm
from rl.sampling.prefill import KeyValues, prefill, prefill_batches
from rl.sampling.products import Logits
from rl.types import Indices, IntArray

_BLOCK = 64  # tokens by which the room for completions grows


class PlannedDecoder:
    """See Decoder in rl/sampling/decoding.py; an AttentionPlan for the steps."""

    joins = True

    def __init__(self, model: CausalLM):
        self.model, self.causal_lm, self.head = model, base_causal_lm(model), Logits(model)
        self.device = next(model.parameters()).device
        self.prompt_sizes: dict[int, int] = {}  # by group, tokens
        self.first_states: dict[int, torch.Tensor] = {}  # by group, [H]
        self.groups = np.zeros(0, dtype=np.int64)  # [B]
        self.own = np.zeros(0, dtype=np.int64)  # [B], tokens since the prompt
        self.arena: list[KeyValues] = []  # own tokens by layer, [rows, k, T, d]; made by the first join
        self.shared: list[KeyValues] = []  # prompts by layer, [places, k, Tp, d]; what lies behind a prompt is never looked at
        self.places: list[int] = []  # the groups in `shared`, in its order: its first P places are in use
        self.stale = True  # whether rows have come, gone or moved since the last step

    def join(self, groups: Sequence[int], prompts: Sequence[IntArray]) -> torch.Tensor:
        """Append one row for each entry of `groups`; return the last states [n, H] of their prompts."""
        new = [group for group in dict.fromkeys(groups) if group not in self.prompt_sizes]
        for batch in prefill_batches(new, prompts):
            states, layers = prefill(self.model, [prompts[group] for group in batch])
            self.prompt_sizes.update((group, len(prompts[group])) for group in batch)
            self.first_states.update(zip(batch, states, strict=True))
            self._file(batch, layers)
        self.groups = np.concatenate([self.groups, np.asarray(groups, dtype=np.int64)])
        self.own = np.concatenate([self.own, np.zeros(len(groups), dtype=np.int64)])
        self.stale = True
        return torch.stack([self.first_states[group] for group in groups])

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Give each row its next token, ids [B]; return the last states [B, H]."""
        self.own = self.own + 1
        if self.stale:
            self._arrange()
        width = int(self.own.max())
        _enlarge(self.arena, len(self.own), -(-width // _BLOCK) * _BLOCK)
        prompt_sizes = np.asarray([self.prompt_sizes[group] for group in self.groups.tolist()])  # [B]
        positions = torch.from_numpy(prompt_sizes + self.own - 1).to(self.device)[:, None]  # [B, 1]
        self.place = torch.from_numpy(self.own - 1).to(self.device)  # [B], of the new token among the row's own
        self.own_mask = (torch.arange(width, device=self.device) > self.place[:, None])[:, None, None]  # [B, 1, 1, T]
        self.stands = positions[:, 0], self.place  # [B] each, of the new token: in the whole row, and among the row's own
        output = self.causal_lm.get_decoder()(
            input_ids=ids[:, None].to(self.device), position_ids=positions, **with_plan(self, self.device)
        )
        return output.last_hidden_state[:, 0]

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, V] of states [n, H]."""
        return self.head(states)

    def _file(self, groups: Sequence[int], layers: Sequence[KeyValues]) -> None:
        """Put the keys and values of prompts [n, k, T, d] behind those that are there."""
        if not self.arena:
            nothing = [key.new_empty(0, key.shape[1], 0, key.shape[3]) for key, _ in layers]
            self.arena, self.shared = ([(empty, empty) for empty in nothing] for _ in range(2))
        used, tokens = len(self.places), layers[0][0].shape[2]
        self.places += groups
        _enlarge(self.shared, len(self.places), tokens)
        for prompts, both in zip(self.shared, layers, strict=True):
            for tensor, states in zip(prompts, both, strict=True):
                tensor[used : len(self.places), :, :tokens] = states

    def _arrange(self) -> None:
        """Lay the rows out by group, [P, G]: `seats` says which row sits where (row 0 on empty seats), `seat` the reverse."""
        place_of_group = {group: place for place, group in enumerate(self.places)}
        group_of_row = np.asarray([place_of_group[group] for group in self.groups.tolist()])  # [B], 0 .. P - 1
        order = np.argsort(group_of_row, kind="stable")  # [B], rows group by group
        counts = np.bincount(group_of_row, minlength=len(self.places))  # [P]
        firsts = np.cumsum(counts) - counts  # [P], where each group begins in `order`
        number = np.arange(len(order)) - np.repeat(firsts, counts)  # [B], of a row within its group
        seats = np.zeros((len(self.places), counts.max()), dtype=np.int64)
        seats[group_of_row[order], number] = order
        seat = np.empty(len(order), dtype=np.int64)
        seat[order] = group_of_row[order] * counts.max() + number
        self.seats = torch.from_numpy(seats).to(self.device)  # [P, G]
        self.seat = torch.from_numpy(seat).to(self.device)  # [B], in 0 .. P * G - 1

        sizes = [self.prompt_sizes[group] for group in self.places]
        padding = torch.arange(max(sizes)) >= torch.tensor(sizes)[:, None]  # [P, Tp]
        self.prompt_mask = padding[torch.from_numpy(group_of_row)].to(self.device)[:, None, None]  # [B, 1, 1, Tp]
        self.stale = False

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, window: int | None
    ) -> torch.Tensor:
        """Attention of one new token a row: query [B, h, 1, d], key and value [B, k, 1, d] -> [B, 1, h, d]."""
        rows, heads, _, size = query.shape
        kv_heads = key.shape[1]
        repeats = heads // kv_heads
        keys, values = self.arena[layer]
        every = torch.arange(rows, device=query.device)
        keys[every, :, self.place] = key[:, :, 0]
        values[every, :, self.place] = value[:, :, 0]

        query = query.view(rows, kv_heads, repeats, size)  # [B, k, r, d]
        width = self.own_mask.shape[-1]
        own_scores = _scores(query, keys[:rows, :, :width], scaling)  # [B, k, r, T]
        prompt_width = self.prompt_mask.shape[-1]
        prompt_keys, prompt_values = (states[: len(self.places), :, :prompt_width] for states in self.shared[layer])
        prompt_scores = self._by_row(_scores(self._by_group(query), prompt_keys, scaling), repeats)  # [B, k, r, Tp]
        hidden = [self.prompt_mask, self.own_mask]
        if window is not None:
            hidden = [
                mask | self._behind(window, mask.shape[-1], place) for mask, place in zip(hidden, self.stands, strict=True)
            ]
        scores = torch.cat(
            [part.masked_fill(mask, -torch.inf) for part, mask in zip((prompt_scores, own_scores), hidden, strict=True)], -1
        )
        weights = torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype)  # [B, k, r, Tp + T]
        prompt_weights, own_weights = weights.split([prompt_width, width], -1)
        output = own_weights @ values[:rows, :, :width]  # [B, k, r, d]
        output += self._by_row(self._by_group(prompt_weights) @ prompt_values, repeats)
        attended: torch.Tensor = output.reshape(rows, 1, heads, size)
        return attended

    def _behind(self, window: int, tokens: int, place: torch.Tensor) -> torch.Tensor:
        """Return which of `tokens` tokens lie too far behind the places [B] to be seen, [B, 1, 1, tokens]."""
        return (torch.arange(tokens, device=self.device) <= place[:, None] - window)[:, None, None]

    def _by_group(self, rows: torch.Tensor) -> torch.Tensor:
        """[B, k, r, n] -> [P, k, G * r, n]."""
        return rows[self.seats].transpose(1, 2).flatten(2, 3)

    def _by_row(self, groups: torch.Tensor, repeats: int) -> torch.Tensor:
        """[P, k, G * r, n] -> [B, k, r, n]."""
        seats = groups.unflatten(2, (-1, repeats)).transpose(1, 2).flatten(0, 1)  # [P * G, k, r, n]
        by_row: torch.Tensor = seats[self.seat]
        return by_row

    def move(self, source: Indices, target: Indices, count: int) -> None:
        """Put the rows `source` in the place of the rows `target`, then keep the first `count`."""
        if len(source):
            has_tokens = source < len(self.arena[0][0])  # a row that has joined since the last step has no place there yet
            here = torch.from_numpy(source[has_tokens]).to(self.device)
            there = torch.from_numpy(target[has_tokens]).to(self.device)
            for layer in self.arena:
                for tensor in layer:
                    tensor[there] = tensor[here]
            self.groups[target], self.own[target] = self.groups[source], self.own[source]
        self.groups, self.own, self.stale = self.groups[:count], self.own[:count], True

    def close(self, group: int) -> None:
        """Forget the prompt of a group; the last one moves into its place."""
        place, last = self.places.index(group), len(self.places) - 1
        self.places[place] = self.places[last]
        self.places.pop()
        for layer in self.shared if place < last else ():
            for tensor in layer:
                tensor[place] = tensor[last]
        del self.prompt_sizes[group], self.first_states[group]


def _scores(query: torch.Tensor, key: torch.Tensor, scaling: float) -> torch.Tensor:
    """Return scaling Q K^T [b, k, m, n] of query [b, k, m, d] and key [b, k, n, d], in float32 at least.

    The trap: a product in bf16 keeps 8 bits of a score, and Qwen2's scores are in the hundreds (transformers#33317).
    """
    if query.dtype.itemsize >= 4:
        return (query * scaling) @ key.mT
    if query.device.type == "cpu":
        return (query.float() @ key.float().mT).mul_(scaling)
    flat = torch.bmm(query.flatten(0, 1), key.flatten(0, 1).mT, out_dtype=torch.float32)
    scores: torch.Tensor = flat.unflatten(0, query.shape[:2]).mul_(scaling)
    return scores


def _enlarge(layers: list[KeyValues], rows: int, tokens: int) -> None:
    """Make every tensor [rows, k, tokens, d] at least; one layer after another, so that no more than one stands twice."""
    for number, both in enumerate(layers):
        old_rows, heads, old_tokens, size = both[0].shape
        if rows <= old_rows and tokens <= old_tokens:
            return
        larger = [old.new_zeros(max(rows, old_rows), heads, max(tokens, old_tokens), size) for old in both]
        for new, old in zip(larger, both, strict=True):
            new[:old_rows, :, :old_tokens] = old
        layers[number] = (larger[0], larger[1])
