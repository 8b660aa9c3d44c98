"""What each rank sends to the others in a step of training, in bytes: gradients, gathered weights, rollouts. Imports no torch.

Collectives are counted as done in a ring, which sends least: a rank's part of an all-reduce of S bytes over N ranks is
2 (N - 1) / N of S, of a reduce-scatter or an all-gather (N - 1) / N (Patarasuk and Yuan 2009, doi:10.1016/j.jpdc.2008.09.002).
What is reduced and gathered is what DeepSpeed 0.19.8 does as rl/update/engine.py sets it up; tests/rl/settings/test_traffic.py
holds it against what real runs hand to torch:

    ZeRO 0   gradients: all-reduce, once an optimizer step
    ZeRO 1   the same, then the weights: all-gather
    ZeRO 2   as 1, but the gradients of every micro-batch (an all-reduce too: use_multi_rank_bucket_allreduce)
    ZeRO 3   gradients of every micro-batch: reduce-scatter. Weights: all-gather for every forward pass, again for the backward
             pass where they were let go (max_reuse_distance), and once an optimizer step for the copy that samples. Small ones
             (param_persistence_threshold) are gathered twice an optimizer step only: after it, and after they were copied

Left out: what is no more than a few numbers (norms, counts, metrics), checkpoints, evaluations, DeepSpeed's quantized and
hierarchical collectives. Micro-batches are counted as if all completions had the mean length.
"""

import math
from dataclasses import dataclass
from typing import Any

from problems.errors import LabError
from rl.settings.deepspeed import check_deepspeed_file
from rl.settings.model_files import ModelShape
from rl.settings.schema import RunConfig

_NUMBER_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}

# of DeepSpeed's zero/config.py, in numbers
_KEPT_WHOLE, _REUSED_SOON = 100_000, 1_000_000_000
# of what rl/exchange.py sends: a token with its id, its log-probability and its entropy, and its text of four letters (as
# rl/settings/disk.py has it); the rest of a rollout, and of a group: problem, prompt text (test_traffic.py measures both)
_TOKEN_BYTES, _PROMPT_TOKEN_BYTES, _ROLLOUT_BYTES, _GROUP_BYTES = 16, 8, 450, 600


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a step does over all ranks; numbers of groups may be means of many steps."""

    groups: float  # sampled
    trained_groups: float  # learned from, whole ones
    group_size: int
    prompt_tokens: float  # mean
    completion_tokens: float  # mean

    @property
    def rollouts(self) -> float:
        """Completions that are sampled."""
        return self.groups * self.group_size

    @property
    def sampled_tokens(self) -> float:
        """Tokens of these completions."""
        return self.rollouts * self.completion_tokens

    @property
    def trained_tokens(self) -> float:
        """Tokens of the rows that are learned from, prompts included."""
        return self.trained_groups * self.group_size * (self.prompt_tokens + self.completion_tokens)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """Bytes that each rank sends in a step."""

    gradients: float
    weights: float
    rollouts: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.gradients + self.weights + self.rollouts


def sent(config: RunConfig, shape: ModelShape, work: Work, ranks: int) -> Sent:
    """Return what each of `ranks` sends in a step."""
    if ranks == 1:
        return Sent(gradients=0, weights=0, rollouts=0)
    zero = _Zero.of(config)
    passes = Passes.of(config, work, ranks)
    sizes = _Sizes.of(config, shape, zero.kept_whole)
    in_ring = (ranks - 1) / ranks  # of a reduce-scatter or all-gather; an all-reduce is one of each
    reductions = passes.backward if zero.stage >= 2 else passes.updates
    halves = 1 if zero.stage == 3 or (zero.stage and not zero.all_reduces) else 2
    gradients = reductions * sizes.trained * zero.gradient_bytes * halves
    return Sent(
        gradients=in_ring * gradients,
        weights=in_ring * _gathered(zero, passes, sizes) * _NUMBER_BYTES[config.model.dtype],
        rollouts=in_ring * exchanged_bytes(config, work),
    )


def exchanged_bytes(config: RunConfig, work: Work) -> float:
    """Return the bytes of what all ranks together tell each other of a step's rollouts."""
    a_rollout = _ROLLOUT_BYTES + _TOKEN_BYTES * work.completion_tokens
    of_groups = work.groups * (_GROUP_BYTES + _PROMPT_TOKEN_BYTES * work.prompt_tokens + work.group_size * a_rollout)
    scored = (config.algorithm.old_logprobs == "recompute") + config.algorithm.kl_in_reward
    return of_groups + scored * 4 * work.trained_groups * work.group_size * work.completion_tokens


@dataclass(frozen=True, kw_only=True)
class Passes:
    """How often a rank does what, in a step."""

    updates: int  # optimizer steps
    backward: int  # micro-batches learned from, each with a forward pass before
    forward_only: int  # further passes through the engine: old log-probabilities, adapters' reference

    @classmethod
    def of(cls, config: RunConfig, work: Work, ranks: int) -> "Passes":
        """Return what the settings ask for."""
        algorithm = config.algorithm
        each = micro_batches(config, work, work.trained_groups / algorithm.minibatches / ranks)
        once = each * algorithm.minibatches
        backward = once * algorithm.epochs
        reference = 0  # a frozen model of its own sends nothing
        if config.model.lora is not None:
            reference = backward * algorithm.kl_in_loss + once * algorithm.kl_in_reward
        return cls(
            updates=algorithm.epochs * algorithm.minibatches,
            backward=backward,
            forward_only=once * (algorithm.old_logprobs == "recompute") + reference,
        )


def micro_batches(config: RunConfig, work: Work, groups: float) -> int:
    """Return the micro-batches of a rank with so many groups of rows of mean length (rl/update/batch.py:cut_micro_batches)."""
    limit = config.train.micro_batch_tokens
    is_shared = config.train.layout in (None, "shared")  # the default, where the model allows it
    prompt = work.prompt_tokens if is_shared else 0.0  # once for all rows of a piece
    row = work.completion_tokens + (0.0 if is_shared else work.prompt_tokens)
    together = int((limit - prompt) // row) if row else work.group_size  # rows with their prompt, in one micro-batch
    if together >= work.group_size and is_shared:  # whole groups, as many as fit
        fit = int(limit // (prompt + work.group_size * row)) * work.group_size
    else:
        fit = max(1, together)
    return max(1, math.ceil(groups * work.group_size / fit - 1e-6))


def _gathered(zero: "_Zero", passes: Passes, sizes: "_Sizes") -> float:
    """Return the numbers that are gathered of weights in a step."""
    if zero.stage == 0:
        return 0.0
    if zero.stage < 3:
        return passes.updates * sizes.trained
    let_go = max(0.0, sizes.large - zero.reused_soon / 2)  # in both directions through the model: twice as far
    by_pass = (passes.backward + passes.forward_only) * sizes.large + passes.backward * let_go
    # small ones are let go with all others after an optimizer step and gathered at once; copying lets them go again
    return by_pass + passes.updates * (sizes.large_trained + sizes.small + sizes.small_trained)


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """Numbers of a model's weights: what is trained; the large ones, which ZeRO 3 keeps in parts, and the small ones."""

    trained: int
    large: int
    large_trained: int
    small: int
    small_trained: int

    @classmethod
    def of(cls, config: RunConfig, shape: ModelShape, kept_whole: int) -> "_Sizes":
        lora = config.model.lora
        frozen, trained = ([], shape.matrices) if lora is None else (shape.matrices, shape.lora_matrices(lora.r))

        def large(matrices: list[int]) -> int:
            return sum(size for size in matrices if size > kept_whole)

        all_of_them = [*frozen, *trained]
        return cls(
            trained=sum(trained),
            large=large(all_of_them),
            large_trained=large(trained),
            small=sum(all_of_them) - large(all_of_them),
            small_trained=sum(trained) - large(trained),
        )


@dataclass(frozen=True, kw_only=True)
class _Zero:
    """What DeepSpeed's settings say of collectives."""

    stage: int
    gradient_bytes: int
    all_reduces: bool
    kept_whole: int
    reused_soon: int

    @classmethod
    def of(cls, config: RunConfig) -> "_Zero":
        file: dict[str, Any] = check_deepspeed_file(config.deepspeed.config) if config.deepspeed.config else {}
        zero = file.get("zero_optimization", {})
        return cls(
            stage=config.deepspeed.stage,
            gradient_bytes=_number_bytes(file.get("communication_data_type") or config.model.dtype),
            all_reduces=zero.get("use_multi_rank_bucket_allreduce", True) or not zero.get("reduce_scatter", True),
            kept_whole=int(zero.get("stage3_param_persistence_threshold", _KEPT_WHOLE)),
            reused_soon=int(zero.get("stage3_max_reuse_distance", _REUSED_SOON)),
        )


def _number_bytes(name: str) -> int:
    found = _NUMBER_BYTES.get(name.lower())
    if found is None:
        raise LabError(f"deepspeed.config: communication_data_type is {name!r}; expected one of {', '.join(_NUMBER_BYTES)}")
    return found
