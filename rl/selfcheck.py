"""The start-up self-check: before the first step, engine and sampler are compared with plain torch on a small batch.

A gradient that is scaled wrongly, or log-probabilities that do not belong to the weights, train a little worse and say
nothing. So the run's own engine (its ZeRO stage, dtype, ranks, at least two micro-batches on each) goes through two whole
steps in which the optimizer only looks, and the run's sampler draws a few tokens; plain torch computes the same from the
same weights, row by row. Nothing of it stays: weights, optimizer, counters and random state are as before.

Rounding is told from faults by a judge in float32 (rl/judging.py): engine and sampler may be twice as far from it as plain
torch in the run's own precision is. The rows are the run's prompts and what the model answers, cut to size: at text the
gradient of a pretrained model has a direction, at random tokens it is large, cancels, and rounding decides. Every row counts
the same however short it is, nearly all of them with one sign, and the ratio is 1 by construction: with a ratio to another's
rounded log-probabilities tokens at the edge of clipping, which have the largest gradients, would come and go by chance.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import torch

from problems.errors import LabError
from rl.exchange import all_gather
from rl.judging import Apart, Judgement, compare, judge
from rl.runtime import device, world_size
from rl.sampling.how_to_draw import HowToDraw
from rl.sampling.sampler import Sample, Sampler, SampleRequest
from rl.settings.algorithm import AlgorithmSettings
from rl.settings.schema import RunConfig
from rl.types import Batch, FloatArray, IntArray, Row
from rl.update.batch import uniform_row
from rl.update.engine import Engine
from rl.update.recompute import completion_logprobs
from rl.update.step import accumulate_gradients

# of each rank: prompt and completions of some groups. Fused attention works in blocks of 32 and 64 tokens, so there are
# segments at their edges (a completion's last token is not read) and fans of two sizes; in short ones each token counts
_GROUPS = ((3, (5, 8)), (6, (7, 6)), (32, (32, 33, 34, 65)), (33, (301, 97)))
_ADVANTAGES = (1.0, 0.5, 1.0, -0.25)  # of the rows of a group: they differ, so that one of another row would show
_MICRO_BATCH_TOKENS = 340  # takes the longest row, and cuts what a rank has into at least two micro-batches
_HEAD_PART_TOKENS = 100  # the second time the head works in parts of so many
_SAMPLED_PROMPTS = 4
_SAMPLED_TOKENS = 32  # of each completion, at most
_TIMES_PLAIN = 2.0  # how far from the truth we may be, if plain torch in the run's precision is 1
# what may be apart anyway, and all there is where plain torch in the run's precision is itself the truth
_SCALE = {"fp32": 1e-3, "bf16": 0.15}  # relative; the faults that are looked for are factors
_DISTANCE = {"fp32": 2e-3, "bf16": 5e-3}  # |difference| / |true gradient|
# relative, of what is reported and applied to what the engine holds: little is rounded, but a norm of millions of numbers is
# added up in float32 on a CPU, where 28 million lose 0.2 %
_NORM = {"fp32": 5e-3, "bf16": 0.05}
_LOGPROBS = {"fp32": 1e-3, "bf16": 2e-3}  # mean difference in nats
# the same in bf16 without room for float32: both are rounded, and nobody knows how far each is from the truth. Sound decoders
# in bf16 were 0.008 nats apart, 0.05 with scores in the dozens before the softmax (LOG.md, the first run on a GPU); scores
# that are rounded to bf16 make 0.11 of Qwen2-7B (transformers#33317)
_BLIND_DISTANCE, _BLIND_LOGPROBS = 0.3, 0.08


class SelfCheckFailed(LabError):
    """Engine or sampler do not do what plain torch does; the message says where and what to try."""


def self_check(engine: Engine, sampler: Sampler, prompts: Sequence[IntArray], config: RunConfig) -> None:
    """Compare sampler and engine with plain torch; all ranks must call. Raises SelfCheckFailed.

    `prompts` are some of the run's own, the more the better: rows are made of them.
    """
    with engine.without_trace():
        check_weights(engine, sampler)
        sampled = sampled_rows(sampler, prompts[:_SAMPLED_PROMPTS], config)
        text = np.concatenate([*prompts, *(row.completion_ids for row in sampled)])
        rows = text_rows(text, getattr(engine.policy.config.get_text_config(), "max_position_embeddings", None))
        judgement = judge(engine, [*rows, *sampled], config)
        check_sampler(sampled, judgement, config)
        check_update(engine, rows, judgement, config, sampler.pad_id)


def check_update(engine: Engine, rows: Sequence[Row], judgement: Judgement, config: RunConfig, pad_id: int) -> None:
    """Raise SelfCheckFailed unless the engine does with `rows`, which come first among those judged, what it should."""
    scored = check_trainer(engine, rows, judgement, config, pad_id)
    check_gradient(engine, scored, judgement, config, pad_id)


def check_weights(engine: Engine, sampler: Sampler) -> None:
    """Raise SelfCheckFailed unless the sampler's weights are the engine's, bit by bit; all ranks must call."""
    for (name, mine), theirs in zip(engine.policy.named_parameters(), sampler.model.parameters(), strict=True):
        if mine is theirs:
            continue
        with engine.whole_weights([mine]):
            are_equal = torch.equal(mine.to(theirs.dtype), theirs)
        if not are_equal:
            raise SelfCheckFailed(
                f"self-check: the sampler's {name} is not the trainer's: it would draw with old weights; this is ZeRO "
                f"{engine.stage} on {world_size()} ranks; train.self_check=false trains on regardless"
            )


def check_gradient(engine: Engine, rows: Sequence[Row], judgement: Judgement, config: RunConfig, pad_id: int) -> None:
    """Raise SelfCheckFailed unless the gradient, its reported norm and what reaches the optimizer are right.

    `rows` come first among those that were judged, and have old log-probabilities.
    """
    num_tokens = sum(len(row.completion_ids) for row in rows)
    batch = Batch(rows=tuple(rows), num_loss_tokens=num_tokens, num_skipped_rows=0)
    # any loss has this gradient where the ratio is 1; the default one has no reference and no bonus in it
    algorithm = AlgorithmSettings(old_logprobs="recompute")
    small = _with_small_micro_batches(config).model_copy(update={"algorithm": algorithm})
    limit = config.optimizer.max_grad_norm
    for part_tokens in (None, _HEAD_PART_TOKENS):  # twice, because a first gradient that is never cleared would be added to it
        with engine.head_in_parts(part_tokens):
            accumulate_gradients(engine, None, batch, small, pad_id)
        found = compare(engine.gradients(), judgement.truth.gradient)
        reported, applied = engine.rehearse_step()
        _check_direction(config, found, judgement.apart)
        _check_norm(config, "the gradient norm that DeepSpeed reports", reported, found.norm)
        what = "the norm of the clipped gradient that reaches the optimizer"
        _check_norm(config, what, applied, min(found.norm, limit))


def _with_small_micro_batches(config: RunConfig) -> RunConfig:
    """Not all of a rank's rows fit, so there are at least two micro-batches: a lost one would show."""
    return config.model_copy(update={"train": config.train.model_copy(update={"micro_batch_tokens": _MICRO_BATCH_TOKENS})})


def _check_direction(config: RunConfig, found: Apart, plain: Apart | None) -> None:
    dtype = config.model.dtype
    # `not <=`, here and below, because a NaN must fail too
    if not abs(found.scale - 1) <= _SCALE[dtype]:
        raise SelfCheckFailed(
            f"self-check: the engine's gradient is {found.scale:.4g} times plain torch's on the same weights and rows, so "
            f"every update would be scaled by {found.scale:.4g}; {_remedy(config)}"
        )
    if plain is None:
        limit, beside = _DISTANCE[dtype] if dtype == "fp32" else _BLIND_DISTANCE, ""
    else:
        limit = _TIMES_PLAIN * plain.distance + _DISTANCE[dtype]
        beside = f", plain {dtype} torch's is {plain.distance:.2%} away"
    if not found.distance <= limit:
        raise SelfCheckFailed(
            f"self-check: the engine's gradient is not scaled wrongly, but is {found.distance:.2%} of its length away from the "
            f"true one (expected at most {limit:.2%}){beside}: tokens or rows are lost, count wrongly or see what they should "
            f"not, or a kernel is wrong; {_remedy(config)}"
        )


def _check_norm(config: RunConfig, what: str, engines: float, expected: float) -> None:
    if not abs(engines - expected) <= _NORM[config.model.dtype] * expected:
        factor = engines / expected if expected else math.inf
        raise SelfCheckFailed(
            f"self-check: {what} is {engines:.6g}; the gradient that the engine holds, which is right, has {expected:.6g}, so "
            f"every update would be scaled by {factor:.4g}; {_remedy(config)}"
        )


def _remedy(config: RunConfig) -> str:
    return (
        f"this is DeepSpeed {version('deepspeed')}, ZeRO {config.deepspeed.stage}, {config.model.dtype}, {world_size()} ranks, "
        f"deepspeed.config={config.deepspeed.config}. Known faults of this kind: DeepSpeed#7718 (ZeRO 2 loses micro-batches), "
        "DeepSpeed#7837 (bf16 with ZeRO 0 divides by 65536 and never clears gradients). Take another deepspeed.stage, remove "
        "prescale_gradients and gradient_predivide_factor from deepspeed.config, or install deepspeed 0.19.8; "
        "train.self_check=false trains on regardless"
    )


def text_rows(text: IntArray, max_positions: int | None = None) -> list[Row]:
    """Return the rows of _GROUPS for each rank, cut out of `text` [N] one after another, from its beginning where it ends.

    None is longer than `max_positions`, of which a prompt takes half at most. They lack log-probabilities.
    """
    at = 0

    def cut(tokens: int) -> IntArray:
        nonlocal at
        at += tokens
        return np.take(text, range(at - tokens, at), mode="wrap").astype(np.int32)

    count = world_size() * sum(len(lengths) for _, lengths in _GROUPS)
    rows = []
    for prompt_tokens, lengths in _GROUPS * world_size():
        prompt = cut(prompt_tokens if max_positions is None else min(prompt_tokens, max_positions // 2))
        for number, length in enumerate(lengths):
            fitting = length if max_positions is None else min(length, max_positions - len(prompt))
            unknown = np.zeros(fitting, np.float32)  # [T]
            advantage, weight = _ADVANTAGES[number % len(_ADVANTAGES)], 1 / (count * fitting)
            rows.append(uniform_row(prompt, cut(fitting), unknown, advantage=advantage, weight=weight))
    return rows


def check_sampler(sampled: Sequence[Row], judgement: Judgement, config: RunConfig) -> None:
    """Raise SelfCheckFailed unless the sampler gave the tokens it drew, judged last, their true log-probabilities."""
    ours = [row.sampling_logprobs for row in sampled]
    remedy = "model.attention=eager switches its attention off"
    _compare_logprobs(config, "the sampler's", ours, judgement, slice(-len(sampled), None), remedy)


def check_trainer(engine: Engine, rows: Sequence[Row], judgement: Judgement, config: RunConfig, pad_id: int) -> tuple[Row, ...]:
    """Return `rows` with the engine's log-probabilities; raise SelfCheckFailed unless they are the true ones."""
    small = _with_small_micro_batches(config)
    engine.engine.eval()
    ours = completion_logprobs(engine.score, rows, small.train.micro_batch_tokens, engine.layout, pad_id)
    remedy = "train.layout=padded switches its attention off, model.attention=eager all of it"
    _compare_logprobs(config, "the trainer's", ours, judgement, slice(len(rows)), remedy)
    return tuple(replace(row, sampling_logprobs=own, old_logprobs=own) for row, own in zip(rows, ours, strict=True))


def _compare_logprobs(
    config: RunConfig, whose: str, ours: Sequence[FloatArray], judgement: Judgement, which: slice, remedy: str
) -> None:
    dtype, beside = config.model.dtype, ""
    gap = _mean_gap(ours, judgement.truth.logprobs[which])
    if judgement.plain is None:
        limit = _LOGPROBS[dtype] if dtype == "fp32" else _BLIND_LOGPROBS
    else:
        own = _mean_gap(judgement.plain.logprobs[which], judgement.truth.logprobs[which])
        limit = _TIMES_PLAIN * own + _LOGPROBS[dtype]
        beside = f"; plain {dtype} torch's are {own:.3g} away"
    if not gap <= limit:
        raise SelfCheckFailed(
            f"self-check: {whose} log-probabilities of {sum(map(len, ours))} tokens are {gap:.3g} nats away from plain torch's "
            f"on the same weights (expected at most {limit:.2g} for {dtype}{beside}), on {device()} with "
            f"model.attention={config.model.attention}; {remedy}, train.self_check=false trains on regardless"
        )


def _mean_gap(ours: Sequence[FloatArray], theirs: Sequence[FloatArray]) -> float:
    return float(np.abs(np.concatenate(ours) - np.concatenate(theirs)).mean())


def sampled_rows(sampler: Sampler, prompts: Sequence[IntArray], config: RunConfig) -> list[Row]:
    """Return two short completions of each prompt, as rows."""
    requests = []
    for i, ids in enumerate(prompts):
        streams = (("self-check", i, 0), ("self-check", i, 1))
        requests.append(SampleRequest(prompt_ids=ids, streams=streams))
    samples: list[Sample] = []
    max_tokens = min(_SAMPLED_TOKENS, config.sampling.max_completion_tokens)
    sampler.sample(requests, HowToDraw(temperature=config.sampling.temperature, max_tokens=max_tokens), samples.append)
    # samples come in the order in which they end
    ordered = sorted(samples, key=lambda sample: (sample.request, sample.number))
    mine = [uniform_row(prompts[sample.request], sample.token_ids, sample.logprobs) for sample in ordered]
    return all_gather(mine)[0]  # on other devices others might have been drawn, and all must judge the same
