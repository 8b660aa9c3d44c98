"""Decoders for models that padding would disturb: state-space and hybrid ones, whose states run through every token.

`UnpaddedDecoder` keeps rows of equal length together, each lot with a cache of transformers' own and no padding in it: one
forward pass a step for each length of prompt. `RecomputingDecoder` keeps nothing but the tokens and runs every row from its
beginning at each step, padded on the right, where nothing looks; it is right for every causal model, and the slowest.

Dimension letters: B rows, n rows of one lot, P prompts, T tokens, H hidden size, V vocabulary.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import DynamicCache

from rl.policy.interfaces import CausalLM, base_causal_lm
from rl.sampling.products import Logits
from rl.types import Indices, IntArray


def cache_argument(body: object) -> str:
    """Return the name under which the layers below the head take a cache: Mamba's would ignore `past_key_values` in silence."""
    names = inspect.signature(body.forward).parameters  # type: ignore[attr-defined]
    return "cache_params" if "cache_params" in names else "past_key_values"


@dataclass(kw_only=True, eq=False)
class _Lot:
    """Rows that have equally many tokens."""

    rows: Indices  # [n], their numbers
    cache: DynamicCache
    length: int = 0  # tokens of each in the cache


class UnpaddedDecoder:
    """See Decoder in rl/sampling/decoding.py."""

    joins = False
    words = "rows of equal length together, without padding, since a state would run through it"

    def __init__(self, model: CausalLM):
        self.config = model.config
        self.causal_lm, self.head = base_causal_lm(model), Logits(model)
        self.body = self.causal_lm.get_decoder()
        self.cache_name = cache_argument(self.body)
        self.device = next(iter(model.parameters())).device
        self.lots: list[_Lot] = []

    def join(self, groups: Sequence[int], prompts: Sequence[IntArray]) -> torch.Tensor:
        """Begin a batch: one row for each entry of `groups`; return the last states [B, H] of their prompts."""
        self.lots, parts = [], []
        numbers = np.asarray(groups)  # [B]
        for length in sorted({len(prompts[group]) for group in groups}):
            rows = np.flatnonzero([len(prompts[group]) == length for group in groups])  # [n]
            present, place = np.unique(numbers[rows], return_inverse=True)  # [P], [n]
            ids = torch.from_numpy(np.stack([prompts[group] for group in present.tolist()]).astype(np.int64))  # [P, T]
            lot = _Lot(rows=rows, cache=DynamicCache(config=self.config))
            states = self._forward(lot, ids)  # [P, H]
            # from here on a row each, in the place of a prompt each
            places = torch.from_numpy(place).to(self.device)
            lot.cache.reorder_cache(places)
            self.lots.append(lot)
            parts.append(states[places])
        return self._in_order(parts)

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Give each row its next token, ids [B]; return the last states [B, H]."""
        return self._in_order([self._forward(lot, ids[torch.from_numpy(lot.rows)][:, None]) for lot in self.lots])

    def _forward(self, lot: _Lot, ids: torch.Tensor) -> torch.Tensor:
        """Run tokens [n, T]; return the state [n, H] of the last one of each row."""
        start, lot.length = lot.length, lot.length + ids.shape[1]
        # Bamba (transformers 5.23) takes every step for the first token where it is not told its position
        positions = torch.arange(start, lot.length, device=self.device).expand(ids.shape)
        cache = {self.cache_name: lot.cache}
        output = self.body(input_ids=ids.to(self.device), position_ids=positions, use_cache=True, **cache)
        return output.last_hidden_state[:, -1]

    def _in_order(self, parts: list[torch.Tensor]) -> torch.Tensor:
        """Return the states of all lots as [B, H], by row."""
        order = np.argsort(np.concatenate([lot.rows for lot in self.lots]))
        return torch.cat(parts)[torch.from_numpy(order).to(self.device)]

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, V] of states [n, H]."""
        return self.head(states)

    def move(self, source: Indices, target: Indices, count: int) -> None:
        """Put the rows `source` in the place of the rows `target`, then keep the first `count`."""
        staying = np.arange(sum(len(lot.rows) for lot in self.lots))
        staying[target] = source
        staying = staying[:count]  # [B'], the former number of each row
        for lot in self.lots:
            place = {int(row): i for i, row in enumerate(lot.rows)}
            rows = [row for row, former in enumerate(staying.tolist()) if former in place]
            places = [place[int(staying[row])] for row in rows]
            if places:
                lot.cache.reorder_cache(torch.tensor(places, device=self.device))
            lot.rows = np.asarray(rows, dtype=np.int64)
        self.lots = [lot for lot in self.lots if len(lot.rows)]

    def close(self, group: int) -> None:
        """Nothing is kept of a group."""


class RecomputingDecoder:
    """See Decoder in rl/sampling/decoding.py."""

    joins = True
    words = "every row from its beginning at each step, since no cache of transformers' fits"

    def __init__(self, model: CausalLM):
        self.causal_lm, self.head = base_causal_lm(model), Logits(model)
        self.device = next(iter(model.parameters())).device
        self.rows: list[list[int]] = []  # tokens of each row so far

    def join(self, groups: Sequence[int], prompts: Sequence[IntArray]) -> torch.Tensor:
        """Append one row for each entry of `groups`; return the last states [n, H] of their prompts."""
        present = list(dict.fromkeys(groups))
        states = self._forward([prompts[group].tolist() for group in present])  # [P, H]
        self.rows += [prompts[group].tolist() for group in groups]
        return states[torch.tensor([present.index(group) for group in groups], device=self.device)]

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Give each row its next token, ids [B]; return the last states [B, H]."""
        for row, token in zip(self.rows, ids.tolist(), strict=True):
            row.append(token)
        return self._forward(self.rows)

    def _forward(self, rows: list[list[int]]) -> torch.Tensor:
        """Return the last state [B, H] of each row of tokens."""
        lengths = [len(row) for row in rows]
        ids = torch.zeros(len(rows), max(lengths), dtype=torch.long)  # [B, T]
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
        output = self.causal_lm.get_decoder()(input_ids=ids.to(self.device), position_ids=None, use_cache=False)
        return output.last_hidden_state[torch.arange(len(rows)), torch.tensor(lengths) - 1]

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, V] of states [n, H]."""
        return self.head(states)

    def move(self, source: Indices, target: Indices, count: int) -> None:
        """Put the rows `source` in the place of the rows `target`, then keep the first `count`."""
        for here, there in zip(source.tolist(), target.tolist(), strict=True):
            self.rows[there] = list(self.rows[here])
        self.rows = self.rows[:count]

    def close(self, group: int) -> None:
        """Nothing is kept of a group."""
