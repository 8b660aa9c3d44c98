"""Log-probabilities of whole completions, forward only: the old policy's before an update, the reference's before advantages.

Rows are shared out over the ranks as in the update, and every rank ends up with all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from rl.exchange import all_gather
from rl.runtime import device, rank, world_size
from rl.settings.schema import LayoutName, RunConfig
from rl.types import Batch, FloatArray, Rollout, Row
from rl.update.batch import collate, cut_micro_batches, uniform_row
from rl.update.engine import Engine
from rl.update.packing import TokenRows

Score = Callable[[TokenRows, torch.Tensor], torch.Tensor]  # rows as they are laid out, targets [N] -> [N]


@torch.no_grad()
def completion_logprobs(
    score: Score, rows: Sequence[Row], micro_batch_tokens: int, layout: LayoutName, pad_id: int
) -> list[FloatArray]:
    """Return the log-probabilities [T] in nats of each row's completion under `score`; all ranks must call."""
    mine: dict[int, FloatArray] = {}  # by number of the row
    for cut in cut_micro_batches(rows, world_size(), micro_batch_tokens, layout)[rank()]:
        # a rank without work left takes part in the collectives of the forward pass with any row, and keeps nothing of it
        micro = collate([rows[number] for number in cut] or [rows[0]], pad_id, device(), layout)
        logprobs = score(micro.token_rows, micro.targets).float().cpu().numpy()  # [N], row after row
        start = 0
        for number in cut:
            end = start + len(rows[number].completion_ids)
            mine[number] = logprobs[start:end]
            start = end
    of_all_ranks: dict[int, FloatArray] = {}
    for share in all_gather(mine):
        of_all_ranks |= share
    return [of_all_ranks[number] for number in range(len(rows))]


def with_old_logprobs(batch: Batch, engine: Engine, config: RunConfig, pad_id: int) -> Batch:
    """Return the batch with the log-probabilities of the policy that its updates start from; all ranks must call."""
    engine.engine.eval()
    old = completion_logprobs(engine.score, batch.rows, config.train.micro_batch_tokens, engine.layout, pad_id)
    rows = [replace(row, old_logprobs=logprobs) for row, logprobs in zip(batch.rows, old, strict=True)]
    return replace(batch, rows=tuple(rows))


def reference_kls(
    rollouts: Sequence[Rollout], reference: Score, config: RunConfig, layout: LayoutName, pad_id: int
) -> list[float]:
    """Return for each rollout the sum over its tokens of sampling minus reference log-probability, in nats (k1).

    All ranks must call.
    """
    if not rollouts:
        return []
    rows = [uniform_row(r.prompt_ids, r.completion_ids, r.sampling_logprobs) for r in rollouts]
    theirs = completion_logprobs(reference, rows, config.train.micro_batch_tokens, layout, pad_id)
    return [float((r.sampling_logprobs - logprobs).sum()) for r, logprobs in zip(rollouts, theirs, strict=True)]
