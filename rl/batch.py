"""From groups to the rows of one optimizer step, and from rows to padded micro-batches for each rank.

Every rank holds the same groups and makes the same plan, so nothing about the cut has to be communicated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from problems.errors import LabError
from rl.config import AlgorithmSettings
from rl.loss import LOSSES
from rl.types import Batch, Group, Rollout, Row


def make_batch(groups: Sequence[Group], settings: AlgorithmSettings, max_completion_tokens: int) -> Batch:
    """Return the rows of all `groups` with their share in the loss.

    The denominators count every scored completion (unless masked for truncation), also those whose gradient is exactly 0:
    leaving those out of the forward pass saves time and must not change the gradient.
    """
    counted = [
        (rollout, np.float64(advantage))
        for group in groups
        for rollout, advantage in zip(group.rollouts, group.advantages, strict=True)
        if rollout.reward.total is not None and not (settings.mask_truncated and rollout.completion.finish_reason == "length")
    ]
    lengths = [len(rollout.completion_ids) for rollout, _ in counted]
    weights = LOSSES[settings.loss].weights(lengths, max_completion_tokens) if counted else []
    masks = _top_entropy([rollout for rollout, _ in counted], settings.top_entropy_quantile)
    num_active = sum(int(mask.sum()) for mask in masks)
    every = [
        Row(
            prompt_ids=rollout.prompt_ids,
            completion_ids=rollout.completion_ids,
            sampling_logprobs=rollout.sampling_logprobs,
            advantages=advantage * mask,
            weights=np.float64(weight) * (mask | settings.kl_in_loss),
            entropy_weights=mask / num_active if settings.entropy_coef else np.zeros(len(mask)),
        )
        for (rollout, advantage), weight, mask in zip(counted, weights, masks, strict=True)
    ]
    rows = tuple(row for row in every if row.advantages.any() or row.entropy_weights.any() or settings.kl_in_loss)
    return Batch(rows=rows, num_loss_tokens=sum(lengths), num_skipped_rows=len(counted) - len(rows))


def _top_entropy(rollouts: Sequence[Rollout], share: float) -> list[NDArray[np.bool_]]:
    """Return for each token whether it is among the `share` of all tokens with the highest entropy (arXiv 2506.01939)."""
    if share == 1:
        return [np.ones(len(rollout.completion_ids), dtype=np.bool_) for rollout in rollouts]
    entropies = [rollout.sampling_entropies for rollout in rollouts if rollout.sampling_entropies is not None]
    if len(entropies) < len(rollouts):
        raise LabError(
            f"algorithm.top_entropy_quantile = {share:g} needs the entropies of the sampled tokens, and "
            f"{len(rollouts) - len(entropies)} of {len(rollouts)} completions came without; set it to 1, or sample anew"
        )
    threshold = np.quantile(np.concatenate(entropies), 1 - share) if entropies else 0.0
    return [values >= threshold for values in entropies]


def plan_micro_batches(lengths: Sequence[int], world_size: int, max_tokens: int) -> list[list[list[int]]]:
    """Cut rows into micro-batches: plan[rank][i] lists row numbers, every rank has the same number of micro-batches.

    Rows are dealt by length, longest first, each to the rank with the fewest tokens so far. A micro-batch holds rows of
    similar length and at most `max_tokens` padded tokens (a single longer row is one alone). Ranks that run out get empty
    micro-batches, because every rank must take part in each collective of the backward pass.
    """
    shares: list[list[int]] = [[] for _ in range(world_size)]
    loads = [0] * world_size
    for row in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        rank = loads.index(min(loads))
        shares[rank].append(row)
        loads[rank] += lengths[row]
    plan: list[list[list[int]]] = []
    for share in shares:
        cuts: list[list[int]] = []
        for row in share:  # longest first, so the first row of a micro-batch sets its width
            if not cuts or lengths[cuts[-1][0]] * (len(cuts[-1]) + 1) > max_tokens:
                cuts.append([])
            cuts[-1].append(row)
        plan.append(cuts)
    most = max(len(cuts) for cuts in plan)
    return [cuts + [[] for _ in range(most - len(cuts))] for cuts in plan]


@dataclass(frozen=True, kw_only=True, eq=False)
class MicroBatch:
    """Right-padded rows, and flat arrays over their N completion tokens.

    Padding stands right of everything that counts and attention is causal, so no attention mask is needed.
    """

    input_ids: torch.Tensor  # [B, T]
    positions: torch.Tensor  # [N], index into the flattened [B * T] hidden states that predict the token
    targets: torch.Tensor  # [N]
    sampling_logprobs: torch.Tensor  # [N]
    old_logprobs: torch.Tensor  # [N]
    advantages: torch.Tensor  # [N]
    weights: torch.Tensor  # [N]
    entropy_weights: torch.Tensor  # [N]
    rows: torch.Tensor  # [N], number of the token's row


def collate(rows: Sequence[Row], pad_id: int, device: torch.device) -> MicroBatch:
    """Pad `rows` and flatten their completion tokens."""
    width = max(row.length for row in rows)
    input_ids = np.full((len(rows), width), pad_id, dtype=np.int64)  # [B, T]
    positions, targets, numbers = [], [], []
    for number, row in enumerate(rows):
        prompt, tokens = len(row.prompt_ids), len(row.completion_ids)
        input_ids[number, :prompt] = row.prompt_ids
        input_ids[number, prompt : row.length] = row.completion_ids
        positions.append(number * width + prompt - 1 + np.arange(tokens))
        targets.append(row.completion_ids.astype(np.int64))
        numbers.append(np.full(tokens, number))

    def flat(parts: list[np.ndarray], dtype: torch.dtype) -> torch.Tensor:
        return torch.as_tensor(np.concatenate(parts), dtype=dtype, device=device)

    return MicroBatch(
        input_ids=torch.as_tensor(input_ids, device=device),
        positions=flat(positions, torch.long),
        targets=flat(targets, torch.long),
        sampling_logprobs=flat([row.sampling_logprobs for row in rows], torch.float32),
        old_logprobs=flat([r.sampling_logprobs if r.old_logprobs is None else r.old_logprobs for r in rows], torch.float32),
        advantages=flat([row.advantages for row in rows], torch.float32),
        weights=flat([row.weights for row in rows], torch.float32),
        entropy_weights=flat([row.entropy_weights for row in rows], torch.float32),
        rows=flat(numbers, torch.long),
    )
