"""The forward pass over prompts: what every layer's attention will read of them later, and where each completion begins.

Dimension letters: P prompts, k key-value heads, T tokens (padded to the longest prompt), d components of a head, H hidden size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

from rl.policy.attention import in_window, with_plan
from rl.policy.interfaces import CausalLM, base_causal_lm
from rl.types import IntArray

_PREFILL_TOKENS = 16_384  # padded prompt tokens of one forward pass
KeyValues = tuple[torch.Tensor, torch.Tensor]  # keys and values of one layer


class _Recorder:
    """Attention of a prefill: causal, and every layer's keys and values are kept."""

    def __init__(self) -> None:
        self.layers: dict[int, KeyValues] = {}

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, window: int | None
    ) -> torch.Tensor:
        """See AttentionPlan."""
        self.layers[layer] = (key, value)
        visible = None if window is None else in_window(query.shape[2], window, query.device)
        output = scaled_dot_product_attention(
            query, key, value, attn_mask=visible, is_causal=window is None, scale=scaling, enable_gqa=True
        )  # [P, h, T, d]
        return output.transpose(1, 2)


def prefill(model: CausalLM, prompts: Sequence[IntArray]) -> tuple[torch.Tensor, list[KeyValues]]:
    """Run the prompts, padded on the right; return last states [P, H] and keys and values [P, k, T, d] of every layer."""
    device = next(model.parameters()).device
    longest = max(len(prompt) for prompt in prompts)
    ids = np.zeros((len(prompts), longest), dtype=np.int64)  # [P, T]; causal attention never looks at the padding behind
    for row, prompt in zip(ids, prompts, strict=True):
        row[: len(prompt)] = prompt
    recorder = _Recorder()
    body = base_causal_lm(model).get_decoder()
    output = body(
        input_ids=torch.from_numpy(ids).to(device),
        position_ids=torch.arange(longest, device=device)[None],
        **with_plan(recorder, device),
    )
    last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=device)  # [P]
    states = output.last_hidden_state[torch.arange(len(prompts), device=device), last]  # [P, H]
    return states, [recorder.layers[layer] for layer in sorted(recorder.layers)]


def prefill_batches(groups: Sequence[int], prompts: Sequence[IntArray]) -> list[list[int]]:
    """Cut `groups`, ordered by prompt length, so that few padded tokens go through the model at one time."""
    batches: list[list[int]] = []
    for group in sorted(groups, key=lambda group: len(prompts[group])):
        # the newest is the longest so far: all of its batch are padded to it
        if not batches or (len(batches[-1]) + 1) * len(prompts[group]) > _PREFILL_TOKENS:
            batches.append([])
        batches[-1].append(group)
    return batches
