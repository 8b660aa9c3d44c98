"""From groups to the rows of one optimizer step, and from rows to micro-batches for each rank.

Every rank holds the same groups and makes the same plan, so nothing about the cut has to be communicated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rl.config import AlgorithmSettings, LayoutName
from rl.loss import TOKEN_WEIGHTS
from rl.packing import TokenRows, by_prompt, pack, pad
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


def plan_micro_batches(rows: Sequence[Row], world_size: int, max_tokens: int, layout: LayoutName) -> list[list[list[int]]]:
    """Cut rows into micro-batches: plan[rank][i] lists row numbers, every rank has the same number of micro-batches.

    Pieces (rows; with shared prompts as many of a group as fit) are dealt longest first, each to the rank with the fewest
    tokens so far, and gathered into micro-batches of at most `max_tokens` computed tokens (a longer row is one alone). Ranks
    that run out get empty micro-batches, because every rank must take part in each collective of the backward pass.
    """
    pieces = _pieces(rows, world_size, max_tokens) if layout == "shared" else [[number] for number in range(len(rows))]
    shares: list[list[list[int]]] = [[] for _ in range(world_size)]
    loads = [0] * world_size
    for piece in sorted(pieces, key=lambda piece: (-_tokens(rows, piece), piece[0])):
        rank = loads.index(min(loads))
        shares[rank].append(piece)
        loads[rank] += _tokens(rows, piece)
    plan = [_filled(rows, share, max_tokens, layout) for share in shares]
    most = max(len(cuts) for cuts in plan)
    return [cuts + [[] for _ in range(most - len(cuts))] for cuts in plan]


def _tokens(rows: Sequence[Row], piece: Sequence[int]) -> int:
    """Return the tokens of rows that share a prompt, which counts once."""
    return len(rows[piece[0]].prompt_ids) + sum(len(rows[number].completion_ids) for number in piece)


def _pieces(rows: Sequence[Row], world_size: int, max_tokens: int) -> list[list[int]]:
    """Cut groups where they are longer than a micro-batch, or than a rank's share of the tokens."""
    groups = by_prompt(rows)
    share = -(-sum(_tokens(rows, group) for group in groups) // world_size)
    limit = min(max_tokens, share + max(len(row.prompt_ids) for row in rows))  # a cut repeats a prompt
    pieces: list[list[int]] = []
    for group in groups:
        begun = False
        for number in group:
            if begun and _tokens(rows, [*pieces[-1], number]) <= limit:
                pieces[-1].append(number)
            else:
                pieces.append([number])
            begun = True
    return pieces


def _filled(rows: Sequence[Row], pieces: list[list[int]], max_tokens: int, layout: LayoutName) -> list[list[int]]:
    """Gather pieces, which come longest first, into micro-batches."""
    cuts: list[list[int]] = []
    sizes: list[int] = []
    for piece in pieces:
        size = _tokens(rows, piece)
        if layout == "padded":  # the first row of a micro-batch is its longest and sets its width: only the newest may grow
            open_cuts = [len(cuts) - 1] if cuts and rows[cuts[-1][0]].length * (len(cuts[-1]) + 1) <= max_tokens else []
        else:
            open_cuts = [number for number, used in enumerate(sizes) if used + size <= max_tokens]
        if not open_cuts:
            cuts.append([])
            sizes.append(0)
            open_cuts = [len(cuts) - 1]
        cuts[open_cuts[0]] += piece
        sizes[open_cuts[0]] += size
    return cuts


@dataclass(frozen=True, kw_only=True, eq=False)
class MicroBatch:
    """Rows laid out for the decoder, and flat arrays over their N completion tokens."""

    token_rows: TokenRows
    targets: torch.Tensor  # [N]
    rows: torch.Tensor  # [N], number of the row in the micro-batch
    sampling_logprobs: torch.Tensor  # [N]
    advantages: torch.Tensor  # [N]
    weights: torch.Tensor  # [N]


def collate(rows: Sequence[Row], pad_id: int, device: torch.device, layout: LayoutName) -> MicroBatch:
    """Lay `rows` out and flatten their completion tokens."""
    token_rows = pad(rows, pad_id, device) if layout == "padded" else pack(rows, device, share_prompts=layout == "shared")
    lengths = [len(row.completion_ids) for row in rows]

    def flat(parts: Sequence[Any], dtype: torch.dtype) -> torch.Tensor:
        return torch.as_tensor(np.concatenate(parts), dtype=dtype, device=device)

    def repeated(values: Sequence[float], dtype: torch.dtype) -> torch.Tensor:
        return torch.as_tensor(np.repeat(np.asarray(values), lengths), dtype=dtype, device=device)

    return MicroBatch(
        token_rows=token_rows,
        targets=flat([row.completion_ids for row in rows], torch.long),
        rows=repeated(range(len(rows)), torch.long),
        sampling_logprobs=flat([row.sampling_logprobs for row in rows], torch.float32),
        advantages=repeated([row.advantage for row in rows], torch.float32),
        weights=repeated([row.token_weight for row in rows], torch.float32),
    )
