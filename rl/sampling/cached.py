"""Decoding with transformers' own cache and left padding, for models that cannot be planned (wide windows, soft caps).

A batch runs to its end before the next one starts, and every row has the prompt of its group for itself.
Dimension letters: P prompts, B rows, T tokens so far, padding included, H hidden size, V vocabulary.
"""

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from rl.policy.interfaces import CausalLM, base_causal_lm
from rl.sampling.products import Logits
from rl.types import Indices, IntArray


class CachedDecoder:
    """See Decoder in rl/sampling/decoding.py."""

    joins = False
    words = "a batch at a time, padded on the left, through transformers' cache"

    def __init__(self, model: CausalLM):
        self.config = model.config
        self.causal_lm, self.head = base_causal_lm(model), Logits(model)
        self.device = next(model.parameters()).device

    def join(self, groups: Sequence[int], prompts: Sequence[IntArray]) -> torch.Tensor:
        """Begin a batch: one row for each entry of `groups`; return the last states [B, H] of their prompts."""
        present = list(dict.fromkeys(groups))
        width = max(len(prompts[group]) for group in present)
        ids = torch.zeros((len(present), width), dtype=torch.long)  # [P, T]
        mask = torch.zeros_like(ids)  # [P, T], 0 on the padding
        for place, group in enumerate(present):
            padding = width - len(prompts[group])
            ids[place, padding:] = torch.as_tensor(prompts[group])
            mask[place, padding:] = 1
        self.cache, self.mask = DynamicCache(config=self.config), mask.to(self.device)
        positions = (self.mask.cumsum(-1) - 1).clamp_min(0)  # [P, T]
        states = self._forward(ids.to(self.device), positions)  # [P, H]
        # from here on a row each, in the place of a prompt each
        place_of_row = torch.tensor([present.index(group) for group in groups], device=self.device)  # [B]
        self.cache.reorder_cache(place_of_row)
        self.mask = self.mask[place_of_row]  # [B, T]
        self.position = self.mask.sum(-1)  # [B], of the next token
        return states[place_of_row]

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Give each row its next token, ids [B]; return the last states [B, H]."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(ids), 1)], 1)
        states = self._forward(ids[:, None].to(self.device), self.position[:, None])
        self.position = self.position + 1
        return states

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, V] of states [n, H]."""
        return self.head(states)

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Run tokens [B, T']; return the state [B, H] of the last one of each row."""
        output = self.causal_lm.get_decoder()(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
        )
        return output.last_hidden_state[:, -1]

    def move(self, source: Indices, target: Indices, count: int) -> None:
        """Put the rows `source` in the place of the rows `target`, then keep the first `count`."""
        rows = torch.arange(len(self.position))
        rows[target] = torch.as_tensor(source)
        staying = rows[:count].to(self.device)  # [B']
        self.cache.reorder_cache(staying)
        self.mask, self.position = self.mask[staying], self.position[staying]

    def close(self, group: int) -> None:
        """Nothing is kept of a group."""
