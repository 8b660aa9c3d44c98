"""One optimizer step: forward and backward over this rank's micro-batches, then the update, and what it looked like."""

from dataclasses import replace
from typing import Any

import torch

from problems.errors import LabError
from rl.batch import MicroBatch, collate, plan_micro_batches
from rl.config import RunConfig
from rl.engine import Engine, Reference, learning_rate
from rl.loss import TokenLoss, token_loss
from rl.runtime import device, rank, world_size
from rl.types import Batch

_SUMS = ("loss", "tokens", "entropy", "kl", "low", "high", "gap", "ratio")


class NotFinite(LabError):
    """The loss became NaN or infinite."""


def _observe(micro: MicroBatch, logprobs: torch.Tensor, entropy: torch.Tensor, result: TokenLoss) -> torch.Tensor:
    """Return the sums of _SUMS over real tokens, then max gap, min ratio and max ratio."""
    real = micro.weights != 0
    gap = (logprobs.detach() - micro.sampling_logprobs)[real]
    ratio = gap.exp()
    kl = result.kl.detach()[real].sum() if result.kl is not None else torch.zeros((), device=gap.device)
    loss = (result.loss.detach() * micro.weights).sum()
    sums = [loss, real.sum(), entropy[real].sum(), kl, result.clipped_low[real].sum(), result.clipped_high[real].sum()]
    sums += [gap.abs().sum(), ratio.sum()]
    extremes = [gap.abs().max(), -ratio.min(), ratio.max()] if len(gap) else [gap.new_full((), -torch.inf)] * 3
    return torch.stack([value.double() for value in (*sums, *extremes)])


def _reduced(seen: torch.Tensor) -> torch.Tensor:
    """Combine what all ranks saw: sums are added, extremes compared."""
    if world_size() > 1:
        sums, extremes = seen[: len(_SUMS)].clone(), seen[len(_SUMS) :].clone()
        torch.distributed.all_reduce(sums)
        torch.distributed.all_reduce(extremes, op=torch.distributed.ReduceOp.MAX)
        seen = torch.cat([sums, extremes])
    return seen.cpu()


def accumulate_gradients(
    engine: Engine, reference: Reference | None, batch: Batch, config: RunConfig, pad_id: int
) -> torch.Tensor:
    """Run this rank's micro-batches forward and backward; return what all ranks saw (see `_observe`).

    All ranks hold the same batch and must call.
    """
    settings = config.algorithm
    plan = plan_micro_batches([row.length for row in batch.rows], world_size(), config.train.micro_batch_tokens)[rank()]
    idle = replace(batch.rows[0], token_weight=0.0)  # what a rank computes when only others have work left
    seen: torch.Tensor | None = None
    engine.engine.train()
    for number, cut in enumerate(plan):
        micro = collate([batch.rows[i] for i in cut] or [idle], pad_id, device())
        tokens = (micro.input_ids, micro.positions, micro.targets)
        reference_logprobs = reference.logprobs(*tokens) if reference else None
        logprobs, entropy = engine.logprobs(*tokens)
        result = token_loss(
            logprobs,
            micro.old_logprobs,
            micro.advantages,
            clip_low=settings.clip_low,
            clip_high=settings.clip_high,
            reference_logprobs=reference_logprobs,
            kl_coef=settings.kl_coef,
        )
        engine.backward((result.loss * micro.weights).sum(), last=number == len(plan) - 1)
        now = _observe(micro, logprobs, entropy, result)
        seen = now if seen is None else torch.cat([(seen + now)[: len(_SUMS)], torch.maximum(seen, now)[len(_SUMS) :]])
    assert seen is not None, "a batch has at least one row"
    return _reduced(seen)


def update_policy(
    engine: Engine, reference: Reference | None, batch: Batch, config: RunConfig, pad_id: int, step: int
) -> dict[str, Any]:
    """Do optimizer step `step` (0-based) on `batch`; return its metrics. All ranks hold the same batch and must call.

    Raises NotFinite before the weights are touched when the loss is NaN or infinite.
    """
    total = accumulate_gradients(engine, reference, batch, config, pad_id)
    if not torch.isfinite(total[0]):
        raise NotFinite(
            f"the loss of step {step + 1} is {total[0].item()}; lower optimizer.learning_rate or raise warmup_steps"
        )
    rate = learning_rate(config, step)
    grad_norm = engine.step(rate)
    return _metrics(dict(zip(_SUMS, total.tolist(), strict=False)), total[len(_SUMS) :].tolist(), config) | {
        "grad_norm": grad_norm,
        "learning_rate": rate,
        "batch/loss_tokens": batch.num_loss_tokens,
        "batch/rows": len(batch.rows),
        "batch/skipped_rows": batch.num_skipped_rows,
        "skipped_steps": engine.skipped_steps,
    }


def _metrics(sums: dict[str, float], extremes: list[float], config: RunConfig) -> dict[str, Any]:
    tokens = max(1.0, sums["tokens"])
    max_gap, minus_min_ratio, max_ratio = extremes
    metrics = {
        "loss": sums["loss"],
        "entropy": sums["entropy"] / tokens,
        "clip_ratio/low_mean": sums["low"] / tokens,
        "clip_ratio/high_mean": sums["high"] / tokens,
        "clip_ratio/region_mean": (sums["low"] + sums["high"]) / tokens,
        "sampling/sampling_logp_difference/mean": sums["gap"] / tokens,
        "sampling/sampling_logp_difference/max": max_gap,
        "sampling/importance_sampling_ratio/min": -minus_min_ratio,
        "sampling/importance_sampling_ratio/mean": sums["ratio"] / tokens,
        "sampling/importance_sampling_ratio/max": max_ratio,
    }
    return metrics | ({"kl": sums["kl"] / tokens} if config.algorithm.kl_coef else {})
