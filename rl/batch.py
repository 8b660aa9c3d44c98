"""From groups to the rows of one optimizer step, and from rows to padded micro-batches for each rank.

Every rank holds the same groups and makes the same plan, so nothing about the cut has to be communicated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rl.config import AlgorithmSettings
from rl.loss import TOKEN_WEIGHTS
from rl.types import Batch, Group, Row


def make_batch(groups: Sequence[Group], settings: AlgorithmSettings, max_completion_tokens: int) -> Batch:
    """Return the rows of all `groups` with their share in the loss.

    The denominator counts every scored completion (unless masked for truncation), also those whose advantage is 0: leaving
    those out of the forward pass saves time and must not change the gradient.
    """
    counted = [
        (rollout, float(advantage))
        for group in groups
        for rollout, advantage in zip(group.rollouts, group.advantages, strict=True)
        if rollout.reward.total is not None and not (settings.mask_truncated and rollout.completion.finish_reason == "length")
    ]
    lengths = [len(rollout.completion_ids) for rollout, _ in counted]
    weights = TOKEN_WEIGHTS[settings.loss](lengths, max_completion_tokens) if counted else []
    rows = tuple(
        Row(
            prompt_ids=rollout.prompt_ids,
            completion_ids=rollout.completion_ids,
            sampling_logprobs=rollout.sampling_logprobs,
            advantage=advantage,
            token_weight=weight,
        )
        for (rollout, advantage), weight in zip(counted, weights, strict=True)
        if advantage != 0 or settings.kl_coef
    )
    return Batch(rows=rows, num_loss_tokens=sum(lengths), num_skipped_rows=len(counted) - len(rows))


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


def collate(rows: Sequence[Row], pad_id: int, device: torch.device) -> MicroBatch:
    """Pad `rows` and flatten their completion tokens."""
    width = max(row.length for row in rows)
    input_ids = np.full((len(rows), width), pad_id, dtype=np.int64)  # [B, T]
    positions, targets, logprobs, advantages, weights = [], [], [], [], []
    for number, row in enumerate(rows):
        prompt, tokens = len(row.prompt_ids), len(row.completion_ids)
        input_ids[number, :prompt] = row.prompt_ids
        input_ids[number, prompt : row.length] = row.completion_ids
        positions.append(number * width + prompt - 1 + np.arange(tokens))
        targets.append(row.completion_ids.astype(np.int64))
        logprobs.append(row.sampling_logprobs)
        advantages.append(np.full(tokens, row.advantage))
        weights.append(np.full(tokens, row.token_weight))

    def flat(parts: list[np.ndarray], dtype: torch.dtype) -> torch.Tensor:
        return torch.as_tensor(np.concatenate(parts), dtype=dtype, device=device)

    return MicroBatch(
        input_ids=torch.as_tensor(input_ids, device=device),
        positions=flat(positions, torch.long),
        targets=flat(targets, torch.long),
        sampling_logprobs=flat(logprobs, torch.float32),
        old_logprobs=flat([r.sampling_logprobs if r.old_logprobs is None else r.old_logprobs for r in rows], torch.float32),
        advantages=flat(advantages, torch.float32),
        weights=flat(weights, torch.float64).float(),
    )
