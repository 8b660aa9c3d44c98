"""One optimizer step: forward and backward over this rank's micro-batches, then the update, and what it looked like."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from problems.errors import LabError
from rl.runtime import device, rank, world_size
from rl.settings.schema import RunConfig
from rl.types import Batch
from rl.update.batch import MicroBatch, collate, plan_micro_batches
from rl.update.engine import Engine, Reference, learning_rate
from rl.update.loss import TokenLoss, Tokens, token_loss, total_loss

_SUMS = (
    "loss",
    "tokens",
    "entropy",
    "kl",
    "low",
    "high",
    "gap",
    "ratio",
    "ratio_squared",
    "divergence",
    "correction",
    "masked",
)


class NotFinite(LabError):
    """The loss became NaN or infinite."""


def _observe(micro: MicroBatch, tokens: Tokens, result: TokenLoss, loss: torch.Tensor) -> torch.Tensor:
    """Return the sums of _SUMS over tokens that count, then max gap, min ratio and max ratio of policy to sampler."""
    real = (micro.weights != 0) | (micro.entropy_weights != 0)
    gap = (tokens.logprobs.detach() - tokens.sampling_logprobs)[real]
    ratio = gap.exp()

    def total(values: torch.Tensor | None) -> torch.Tensor:
        return gap.new_zeros(()) if values is None else values.detach()[real].sum()

    masked = None if result.correction is None else result.correction == 0
    sums = [loss.detach(), real.sum(), total(tokens.entropies), total(result.kl)]
    sums += [total(result.clipped_low), total(result.clipped_high), gap.abs().sum(), ratio.sum(), ratio.square().sum()]
    sums += [(ratio - 1 - gap).sum()]
    sums += [total(result.correction), total(masked)]
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
    plan = plan_micro_batches(batch.rows, world_size(), config.train.micro_batch_tokens, engine.layout)[rank()]
    nothing = np.zeros(len(batch.rows[0].weights))
    idle = replace(batch.rows[0], weights=nothing, entropy_weights=nothing)  # a rank's work when only others have some left
    seen: torch.Tensor | None = None
    engine.engine.train()
    for number, cut in enumerate(plan):
        micro = collate([batch.rows[i] for i in cut] or [idle], pad_id, device(), engine.layout)
        places = (micro.token_rows, micro.targets)
        reference_logprobs = reference.logprobs(*places) if reference and settings.kl_in_loss else None
        logprobs, entropies = engine.logprobs(*places)
        tokens = Tokens(
            logprobs=logprobs,
            # corrected and never written down: one update a batch, so the policy is where it started
            old_logprobs=None if settings.correction and batch.rows[0].old_logprobs is None else micro.old_logprobs,
            sampling_logprobs=micro.sampling_logprobs,
            reference_logprobs=reference_logprobs,
            advantages=micro.advantages,
            entropies=entropies,
            rows=micro.rows,
        )
        result = token_loss(tokens, settings)
        loss = total_loss(result, tokens, micro.weights, micro.entropy_weights, settings)
        engine.backward(loss, last=number == len(plan) - 1)
        now = _observe(micro, tokens, result, loss)
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
    low, high = sums["low"] / tokens, sums["high"] / tokens
    metrics = {
        "loss": sums["loss"],
        "entropy": sums["entropy"] / tokens,
        "sampling/sampling_logp_difference/mean": sums["gap"] / tokens,
        "sampling/sampling_logp_difference/max": max_gap,
        "sampling/kl": sums["divergence"] / tokens,  # of policy from sampler, k3 (http://joschu.net/blog/kl-approx.html)
        "sampling/importance_sampling_ratio/min": -minus_min_ratio,
        "sampling/importance_sampling_ratio/mean": sums["ratio"] / tokens,
        "sampling/importance_sampling_ratio/max": max_ratio,
        # Kish's effective sample size of the sampler's tokens for the policy, as a share of them
        "sampling/effective_sample_size": sums["ratio"] ** 2 / (tokens * sums["ratio_squared"]) if sums["ratio"] else None,
    }
    if config.algorithm.loss == "cispo":
        metrics["cispo_clip_ratio"] = high
    else:
        metrics |= {"clip_ratio/low_mean": low, "clip_ratio/high_mean": high, "clip_ratio/region_mean": low + high}
    if config.algorithm.kl_in_loss:
        metrics["kl"] = sums["kl"] / tokens
    if config.algorithm.correction:
        metrics["correction/weight_mean"] = sums["correction"] / tokens
        metrics["correction/masked_share"] = sums["masked"] / tokens
    return metrics
