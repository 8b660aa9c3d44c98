"""Log-probabilities of whole completions, forward only: the old policy's before an update, the reference's before advantages.

Rows are shared out over the ranks as in the update, and every rank ends up with all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from rl.advantages import ADVANTAGES, less_kl
from rl.rollout import Drawn
from rl.runtime import all_gather, device, rank, world_size
from rl.settings.schema import LayoutName, RunConfig
from rl.types import Batch, FloatArray, IntArray, Row
from rl.update.batch import collate, plan_micro_batches
from rl.update.engine import Engine
from rl.update.packing import TokenRows

Score = Callable[[TokenRows, torch.Tensor], torch.Tensor]  # rows as they are laid out, targets [N] -> [N]


def made_row(prompt: IntArray, tokens: IntArray, logprobs: FloatArray, advantage: float = 0.0, weight: float = 0.0) -> Row:
    """Return a row whose tokens all have this advantage and weight."""
    ones = np.ones(len(tokens))
    return Row(
        prompt_ids=prompt,
        completion_ids=tokens,
        sampling_logprobs=logprobs,
        advantages=advantage * ones,
        weights=weight * ones,
        entropy_weights=0 * ones,
    )


@torch.no_grad()
def completion_logprobs(
    score: Score, rows: Sequence[Row], micro_batch_tokens: int, layout: LayoutName, pad_id: int
) -> list[FloatArray]:
    """Return the log-probabilities [T] in nats of each row's completion under `score`; all ranks must call."""
    mine: dict[int, FloatArray] = {}
    for cut in plan_micro_batches(rows, world_size(), micro_batch_tokens, layout)[rank()]:
        micro = collate([rows[i] for i in cut] or [rows[0]], pad_id, device(), layout)  # a rank without work left does some too
        flat = score(micro.token_rows, micro.targets).float().cpu().numpy()
        ends = np.cumsum([len(rows[i].completion_ids) for i in cut])
        mine |= {i: flat[end - len(rows[i].completion_ids) : end] for i, end in zip(cut, ends, strict=True)}
    found = {i: logprobs for share in all_gather(mine) for i, logprobs in share.items()}
    return [found[i] for i in range(len(rows))]


def with_old_logprobs(batch: Batch, engine: Engine, config: RunConfig, pad_id: int) -> Batch:
    """Return the batch with the trainer's own log-probabilities as the ratio's denominator; all ranks must call."""
    engine.engine.eval()
    tokens = config.train.micro_batch_tokens
    found = completion_logprobs(lambda *at: engine.logprobs(*at)[0], batch.rows, tokens, engine.layout, pad_id)
    return replace(batch, rows=tuple(replace(row, old_logprobs=old) for row, old in zip(batch.rows, found, strict=True)))


def charge_kl(drawn: Drawn, reference: Score, config: RunConfig, layout: LayoutName, pad_id: int) -> Drawn:
    """Take the KL to the reference out of the rewards of what was kept, and compute advantages again; all ranks must call.

    Which groups are kept was decided by the verifier's rewards alone.
    """
    rollouts = [rollout for group in drawn.groups for rollout in group.rollouts]
    if not rollouts:
        return drawn
    rows = [made_row(r.prompt_ids, r.completion_ids, r.sampling_logprobs) for r in rollouts]
    found = completion_logprobs(reference, rows, config.train.micro_batch_tokens, layout, pad_id)
    kls = iter([float((r.sampling_logprobs - theirs).sum()) for r, theirs in zip(rollouts, found, strict=True)])
    by_group = [[next(kls) for _ in group.rollouts] for group in drawn.groups]
    rewards = less_kl([[r.reward.total for r in g.rollouts] for g in drawn.groups], by_group, config.algorithm.kl_coef)
    advantages = ADVANTAGES[config.algorithm.advantage](rewards)
    groups = [replace(g, advantages=row.astype("float32")) for g, row in zip(drawn.groups, advantages, strict=True)]
    kl = sum(map(sum, by_group)) / sum(len(r.completion_ids) for r in rollouts)
    return replace(drawn, groups=tuple(groups), kl=kl)
