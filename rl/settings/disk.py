"""How much disk a run takes: a checkpoint, how many there are at one time, the completions of a step.

Checkpoints are counted from what DeepSpeed 0.19.8 writes, to a few percent; what completions take depends on their length and
on how alike they are, so that is a rule of thumb. W&B's own files and logs are left out: they are small. Imports no torch.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rl.settings.schema import RunConfig, SftConfig  # which load every domain; messages about a disk need none

_MOMENTS_BYTES = 8  # of Adam, two in float32
_MASTER_BYTES = 4  # the weights in float32, which ZeRO's optimizer holds whatever model.dtype is
# of completions of 4 letters a token, packed by gzip (LOG.md): text, tokens with their two values, the rest of a record
_TEXT_BYTES, _TOKEN_BYTES, _RECORD_BYTES = 2, 6, 110
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How many numbers a model has."""

    whole: int  # adapters included
    trained: int


def checkpoint_bytes(config: "RunConfig", weights: Weights) -> int:
    """Return the bytes of a checkpoint of `reasonlab train`, the files of all ranks together."""
    number = 4 if config.model.dtype == "fp32" else 2
    stage = config.deepspeed.stage
    is_plain = stage == 0 and config.model.dtype == "fp32"
    optimizer = weights.trained * (_MOMENTS_BYTES + (0 if is_plain else _MASTER_BYTES))
    engine = 0 if stage == 3 else weights.trained * number  # there the optimizer's copy is the only one
    policy = (weights.whole if config.model.lora is None else weights.trained) * number
    reference = weights.whole * number if config.algorithm.kl_coef and config.algorithm.reference_reset_steps else 0
    return optimizer + engine + policy + reference


def imitation_checkpoint_bytes(weights: Weights) -> int:
    """Return the bytes of a checkpoint of `reasonlab sft`: what is trained is in float32 there."""
    return weights.trained * (_MASTER_BYTES + _MOMENTS_BYTES)


@dataclass(frozen=True, kw_only=True)
class AtOnce:
    """How many checkpoints of a run are on the disk at one time."""

    most: int  # those that stay, and the next one until it is whole
    least: int  # where there is no room for that, an old one may go before it is (rl/tracking/checkpoint.py, make_room)


def checkpoints_at_once(config: "RunConfig") -> AtOnce:
    """Return how many checkpoints of `reasonlab train` there are at one time."""
    saves = -(-config.train.steps // config.checkpoint.every_steps)  # after the last step too
    return _at_once(config.checkpoint.keep_last, saves, best=1 if config.evaluation.every_steps else 0)


def imitation_checkpoints_at_once(config: "SftConfig") -> AtOnce:
    """Return how many checkpoints of `reasonlab sft` there are at one time; after the last step it writes the model itself."""
    return _at_once(config.checkpoint.keep_last, (config.sft.steps - 1) // config.checkpoint.every_steps, best=0)


def _at_once(keep_last: int, saves: int, best: int) -> AtOnce:
    stay = min(keep_last, saves) + best  # the best is saved and kept besides
    most = stay + 1 if saves > keep_last or best else stay
    return AtOnce(most=most, least=max(stay, min(2, most)))


@dataclass(frozen=True, kw_only=True)
class Completions:
    """About how many bytes a step's files of completions take, all of full length."""

    without_replacements: int
    most: int  # with all rounds of dynamic sampling


def completions_bytes(config: "RunConfig") -> Completions:
    """Return what a step writes to `rollouts/`."""
    algorithm, train = config.algorithm, config.train
    if not train.save_rollouts:
        return Completions(without_replacements=0, most=0)
    length = config.sampling.max_completion_tokens
    groups = algorithm.num_problems
    rounds = algorithm.max_sampling_rounds if algorithm.dynamic_sampling else 1

    def of(drawn: int) -> int:
        text = drawn * (_RECORD_BYTES + _TEXT_BYTES * length)
        return algorithm.group_size * (text + min(drawn, train.save_token_groups) * _TOKEN_BYTES * length)

    return Completions(without_replacements=of(groups), most=of(groups * rounds))


def size_in_words(count: float) -> str:
    """Return a number of bytes for people."""
    unit = 0
    while abs(count) >= 1000 and unit + 1 < len(_UNITS):
        count, unit = count / 1024, unit + 1
    return f"{count:.3g} {_UNITS[unit]}"
