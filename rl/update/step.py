"""One optimizer step: forward and backward over this rank's micro-batches, then the update, and what it looked like.

`micro_batch_loss` brings advantages and log-probabilities together; rl/update/loss.py multiplies them, by default in `clipped`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from problems.errors import LabError
from rl.heartbeat import Now
from rl.runtime import device, rank, world_size
from rl.settings.algorithm import AlgorithmSettings, RatioCentre
from rl.settings.schema import RunConfig
from rl.types import Batch, Row
from rl.update.batch import MicroBatch, collate, cut_micro_batches
from rl.update.engine import Engine, Reference, learning_rate
from rl.update.loss import TokenLoss, Tokens, token_loss, total_loss
from rl.update.packing import TokenRows
from rl.update.recompute import Score
from rl.update.tally import Tally, added, effective_sample_size, largest, mean, smallest, sum_of_means

# rows as they are laid out, targets [N] -> log-probabilities [N] in nats and entropies [N] in nats, both with gradient
Policy = Callable[[TokenRows, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
Boundary = Callable[[], None]  # called by all ranks at the same places; may end the run there
_BOUNDARIES = 4  # in an update, at most


def _the_sampler(logprobs: torch.Tensor, micro: MicroBatch) -> torch.Tensor:
    """The policy that the tokens were drawn from, by its own word. PPO (arXiv 1707.06347) where sampler and trainer agree."""
    return micro.sampling_logprobs


def _recomputed(logprobs: torch.Tensor, micro: MicroBatch) -> torch.Tensor:
    """The policy before the first update of the batch, as the trainer computes it (rl/update/recompute.py)."""
    assert micro.old_logprobs is not None, "with_old_logprobs writes them down before the first update"
    return micro.old_logprobs


def _the_policy_itself(logprobs: torch.Tensor, micro: MicroBatch) -> torch.Tensor:
    """With one update a batch the policy is where it started: the ratio is 1, and only its gradient counts."""
    return logprobs.detach()


# what the importance ratio compares the policy with, by AlgorithmSettings.ratio_centre: (logprobs [N], micro-batch) -> [N]
RATIO_CENTRES: dict[RatioCentre, Callable[[torch.Tensor, MicroBatch], torch.Tensor]] = {
    "sampler": _the_sampler,
    "recomputed": _recomputed,
    "policy": _the_policy_itself,
}


@dataclass(frozen=True, kw_only=True)
class MicroBatchLoss:
    """What one micro-batch adds to the loss of the batch, and what it was made of."""

    loss: torch.Tensor  # scalar with gradient
    tokens: Tokens
    parts: TokenLoss


def micro_batch_loss(policy: Policy, reference: Score | None, micro: MicroBatch, settings: AlgorithmSettings) -> MicroBatchLoss:
    """Return the loss of a micro-batch under `policy`; `reference` scores the same tokens where a KL is in the loss."""
    tokens, parts = token_losses(policy, reference, micro, settings)
    micro = micro.to(tokens.logprobs.dtype)
    loss = total_loss(parts, tokens, micro.weights, micro.entropy_weights, settings)
    return MicroBatchLoss(loss=loss, tokens=tokens, parts=parts)


def token_losses(
    policy: Policy, reference: Score | None, micro: MicroBatch, settings: AlgorithmSettings
) -> tuple[Tokens, TokenLoss]:
    """Return what the loss of a micro-batch is made of, token by token, before weights."""
    reference_logprobs = None
    if settings.kl_in_loss:
        assert reference is not None, "a KL in the loss needs a reference"
        # before the policy's own pass: with adapters it is the same engine, and nothing may come between forward and backward
        reference_logprobs = reference(micro.token_rows, micro.targets)  # [N]
    logprobs, entropies = policy(micro.token_rows, micro.targets)  # [N], [N]
    micro = micro.to(logprobs.dtype)
    tokens = Tokens(
        logprobs=logprobs,
        old_logprobs=RATIO_CENTRES[settings.ratio_centre](logprobs, micro),
        sampling_logprobs=micro.sampling_logprobs,
        reference_logprobs=reference_logprobs,
        advantages=micro.advantages,
        entropies=entropies,
        rows=micro.rows,
    )
    return tokens, token_loss(tokens, settings)


def accumulate_gradients(
    engine: Engine, reference: Reference | None, batch: Batch, config: RunConfig, pad_id: int, boundary: Boundary | None = None
) -> Tally:
    """Run this rank's micro-batches forward and backward, so that the engine holds the gradient of the whole batch.

    Returns what this rank saw. All ranks hold the same batch and must call: each runs as many micro-batches as the others, and
    is at `boundary` a few times: where ranks have unequal micro-batches each of these waits for the slowest.
    """
    micro_batches = cut_micro_batches(batch.rows, world_size(), config.train.micro_batch_tokens, engine.layout)[rank()]
    score = None if reference is None else reference.score
    tally: Tally | None = None
    engine.engine.train()
    for number, row_numbers in enumerate(micro_batches):
        if boundary is not None and number % -(-len(micro_batches) // _BOUNDARIES) == 0:
            boundary()
        Now.marks += 1
        rows = [batch.rows[i] for i in row_numbers]
        micro = collate(rows or [idle_row(batch)], pad_id, device(), engine.layout)
        result = micro_batch_loss(engine.logprobs, score, micro, config.algorithm)
        engine.backward(result.loss, last=number == len(micro_batches) - 1)
        if engine.overheard is not None:
            engine.overheard.hear(rows, result.tokens.logprobs)
        observed = observe(micro, result, config.algorithm)
        tally = observed if tally is None else tally.plus(observed)
    assert tally is not None, "a batch has at least one row"
    return tally


def idle_row(batch: Batch) -> Row:
    """Return a row that counts nothing: the work of a rank that has none left, when others must be met in collectives."""
    row = batch.rows[0]
    nothing = np.zeros(len(row.weights))
    return replace(row, weights=nothing, entropy_weights=nothing)


def observe(micro: MicroBatch, result: MicroBatchLoss, settings: AlgorithmSettings) -> Tally:
    """Return what a micro-batch looked like, over the tokens that count, under TRL's names. A new metric is a line here."""
    tokens, parts = result.tokens, result.parts
    counts = micro.counting  # places and not a mask: on a GPU every use of a mask waits for the device
    gap = (tokens.logprobs.detach() - tokens.sampling_logprobs)[counts]  # nats
    ratio = gap.exp()  # of policy to sampler
    low, high = parts.clipped_low[counts], parts.clipped_high[counts]
    quantities = {
        "loss": added(result.loss.detach()),
        "entropy": mean(tokens.entropies.detach()[counts]),
        "sampling/sampling_logp_difference/mean": mean(gap.abs()),
        "sampling/sampling_logp_difference/max": largest(gap.abs()),
        "sampling/kl": mean(ratio - 1 - gap),  # of policy from sampler, k3 (http://joschu.net/blog/kl-approx.html)
        "sampling/importance_sampling_ratio/min": smallest(ratio),
        "sampling/importance_sampling_ratio/mean": mean(ratio),
        "sampling/importance_sampling_ratio/max": largest(ratio),
        "sampling/effective_sample_size": effective_sample_size(ratio),
    }
    if settings.loss == "cispo":  # clips above only, and TRL has a name of its own for it
        quantities["cispo_clip_ratio"] = mean(high)
    else:
        quantities["clip_ratio/low_mean"] = mean(low)
        quantities["clip_ratio/high_mean"] = mean(high)
        quantities["clip_ratio/region_mean"] = sum_of_means(low, high)
    if parts.kl is not None:
        quantities["kl"] = mean(parts.kl.detach()[counts])
    if parts.correction is not None:
        quantities["correction/weight_mean"] = mean(parts.correction[counts])
        quantities["correction/masked_share"] = mean((parts.correction == 0)[counts])
    return Tally(quantities)


class NotFinite(LabError):
    """A number of an update is NaN or infinite, so the update was left out; rl/update/culprit.py finds where it began."""

    def __init__(self, what: str, value: float):
        super().__init__(f"the {what} is {value}: lower optimizer.learning_rate or raise optimizer.warmup_steps")
        self.what, self.value = what, value


# of what `observe` reports, each with its name in words: a loss can stay finite where a log-probability is not (a ratio of 0)
_MUST_BE_FINITE = {"loss": "loss", "sampling/sampling_logp_difference/mean": "mean difference of log-probabilities"}


def update_policy(
    engine: Engine,
    reference: Reference | None,
    batch: Batch,
    config: RunConfig,
    pad_id: int,
    step: int,
    boundary: Boundary | None = None,
) -> dict[str, Any]:
    """Do one optimizer step on `batch`, for step `step` (0-based) of the run; return its metrics.

    All ranks hold the same batch and must call. Raises NotFinite, on all ranks alike, where the loss, a log-probability or
    the gradient is not finite; weights and optimizer state are then what they were, and no gradient is left over. Raises what
    `boundary` raises, too: it is called before each micro-batch.
    """
    metrics = accumulate_gradients(engine, reference, batch, config, pad_id, boundary).over_ranks()
    for name, words in _MUST_BE_FINITE.items():
        value = metrics[name]
        if value is None or not math.isfinite(value):
            engine.drop_gradients()
            raise NotFinite(words, math.nan if value is None else value)
    rate = learning_rate(config, step)
    grad_norm = engine.step(rate)
    if not math.isfinite(grad_norm):
        raise NotFinite("gradient norm", grad_norm)
    return {
        **metrics,
        "grad_norm": grad_norm,
        "learning_rate": rate,
        "batch/loss_tokens": batch.num_loss_tokens,
        "batch/rows": len(batch.rows),
        "batch/skipped_rows": batch.num_skipped_rows,
        "batch/trained_tokens": sum(row.length for row in batch.rows),
    }
