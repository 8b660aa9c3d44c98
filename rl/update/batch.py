"""From groups to the rows of one optimizer step, and from rows to micro-batches for each rank.

Every rank holds the same groups and makes the same plan, so nothing about the cut has to be communicated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from problems.errors import LabError
from rl.runtime import uploaded
from rl.settings.algorithm import AlgorithmSettings
from rl.settings.schema import LayoutName
from rl.types import Batch, FloatArray, Group, IntArray, Rollout, Row
from rl.update.loss import LOSSES
from rl.update.packing import TokenRows, by_prompt, pack, pad


def make_batch(groups: Sequence[Group], settings: AlgorithmSettings, max_completion_tokens: int) -> Batch:
    """Return the rows of all `groups` with their share in the loss.

    The denominators count every scored completion (unless masked for truncation), also those whose gradient is exactly 0:
    leaving those out of the forward pass saves time and must not change the gradient. Raises LabError for rollouts with
    tokens that were not drawn from the policy.
    """
    _refuse_forced(groups)
    counted: list[tuple[Rollout, np.float64]] = []
    for group in groups:
        for rollout, advantage in zip(group.rollouts, group.advantages, strict=True):
            if _counts(rollout, settings):
                counted.append((rollout, np.float64(advantage)))
    lengths = [len(rollout.completion_ids) for rollout, _ in counted]
    weights = LOSSES[settings.loss].weights(lengths, max_completion_tokens) if counted else []
    masks = _top_entropy([rollout for rollout, _ in counted], settings.top_entropy_quantile)
    num_active = sum(int(mask.sum()) for mask in masks)
    rows = []
    for (rollout, advantage), weight, mask in zip(counted, weights, masks, strict=True):
        row = Row(
            prompt_ids=rollout.prompt_ids,
            completion_ids=rollout.completion_ids,
            sampling_logprobs=rollout.sampling_logprobs,
            advantages=advantage * mask,  # [T]
            weights=np.float64(weight) * (mask | settings.kl_in_loss),  # [T]; a KL in the loss acts on every token
            entropy_weights=mask / num_active if settings.entropy_coef else np.zeros(len(mask)),  # [T]
            problem_id=rollout.problem.id,
        )
        has_gradient = row.advantages.any() or row.entropy_weights.any() or settings.kl_in_loss
        if has_gradient:
            rows.append(row)
    return Batch(rows=tuple(rows), num_loss_tokens=sum(lengths), num_skipped_rows=len(counted) - len(rows))


def _refuse_forced(groups: Sequence[Group]) -> None:
    """Raise LabError where budget forcing has put tokens in: they have no log-probability under the policy."""
    counts = [int(rollout.forced.sum()) for group in groups for rollout in group.rollouts if rollout.forced is not None]
    if any(counts):
        raise LabError(
            f"{sum(counts)} tokens of {sum(map(bool, counts))} completions were put in by budget forcing, and the policy can "
            "learn only from what it drew itself; sample without sampling.thinking"
        )


def _counts(rollout: Rollout, settings: AlgorithmSettings) -> bool:
    """Return whether a completion is in the denominators: scored, and not left out for its length."""
    is_truncated = rollout.completion.finish_reason == "length"
    return rollout.reward.total is not None and not (settings.mask_truncated and is_truncated)


def uniform_row(
    prompt_ids: IntArray,  # [T_prompt]
    completion_ids: IntArray,  # [T]
    sampling_logprobs: FloatArray,  # [T], nats
    advantage: float = 0.0,
    weight: float = 0.0,
) -> Row:
    """Return a row whose tokens all have this advantage and weight."""
    ones = np.ones(len(completion_ids))
    return Row(
        prompt_ids=prompt_ids,
        completion_ids=completion_ids,
        sampling_logprobs=sampling_logprobs,
        advantages=advantage * ones,
        weights=weight * ones,
        entropy_weights=0 * ones,
    )


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


def cut_micro_batches(rows: Sequence[Row], world_size: int, max_tokens: int, layout: LayoutName) -> list[list[list[int]]]:
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
    old_logprobs: torch.Tensor | None  # [N], where they were recomputed before the updates
    advantages: torch.Tensor  # [N]
    weights: torch.Tensor  # [N]
    entropy_weights: torch.Tensor  # [N]
    counting: torch.Tensor  # [M], places of the tokens that count in the loss or the bonus

    def to(self, dtype: torch.dtype) -> "MicroBatch":
        """Return it with its real numbers in `dtype`."""
        return replace(
            self,
            sampling_logprobs=self.sampling_logprobs.to(dtype),
            old_logprobs=None if self.old_logprobs is None else self.old_logprobs.to(dtype),
            advantages=self.advantages.to(dtype),
            weights=self.weights.to(dtype),
            entropy_weights=self.entropy_weights.to(dtype),
        )


def collate(rows: Sequence[Row], pad_id: int, device: torch.device, layout: LayoutName) -> MicroBatch:
    """Lay `rows` out and flatten their completion tokens."""
    token_rows = pad(rows, pad_id, device) if layout == "padded" else pack(rows, device, share_prompts=layout == "shared")
    lengths = [len(row.completion_ids) for row in rows]

    def flat(parts: Sequence[Any], dtype: type) -> torch.Tensor:
        return uploaded(np.concatenate(parts).astype(dtype), device)

    weights, entropy_weights = ([getattr(row, name) for row in rows] for name in ("weights", "entropy_weights"))
    counting = np.flatnonzero((np.concatenate(weights) != 0) | (np.concatenate(entropy_weights) != 0))
    return MicroBatch(
        token_rows=token_rows,
        targets=flat([row.completion_ids for row in rows], np.int64),
        rows=uploaded(np.repeat(np.arange(len(rows)), lengths), device),
        sampling_logprobs=flat([row.sampling_logprobs for row in rows], np.float32),
        old_logprobs=None if rows[0].old_logprobs is None else flat([row.old_logprobs for row in rows], np.float32),
        advantages=flat([row.advantages for row in rows], np.float32),
        weights=flat(weights, np.float32),
        entropy_weights=flat(entropy_weights, np.float32),
        counting=uploaded(counting, device),
    )
