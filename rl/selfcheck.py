"""The start-up self-check: before the first step, engine and sampler are compared with plain torch on a tiny batch.

A gradient that is scaled wrongly, or log-probabilities that do not belong to the weights, train a little worse and say
nothing. So the run's own engine (its ZeRO stage, dtype, ranks, at least two micro-batches on each) goes through two whole
steps in which the optimizer only looks, and the run's sampler draws a few tokens; plain torch computes the same from the
same weights, row by row. Nothing of it stays: weights, optimizer, counters and random state are as before.

Assumes that whole weights and their gradient fit on every rank, once, for a moment.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import torch
from torch import nn

from problems.errors import LabError
from problems.seeding import derive_seed
from rl.exchange import all_gather
from rl.policy.interfaces import CausalLM
from rl.runtime import device, rank, world_size
from rl.sampling.how_to_draw import HowToDraw
from rl.sampling.sampler import Sample, Sampler, SampleRequest
from rl.settings.algorithm import AlgorithmSettings
from rl.settings.schema import RunConfig
from rl.types import Batch, FloatArray, IntArray, Row
from rl.update import fused
from rl.update.batch import uniform_row
from rl.update.engine import Engine
from rl.update.recompute import completion_logprobs
from rl.update.step import accumulate_gradients

_ROWS_A_RANK = 4  # short ones
_LONGEST_ROW_TOKENS = 14
# of each rank besides: prompt and completions of two groups. Fused attention works in blocks of 32 and 64 tokens, so there are
# segments at their edges (a completion's last token is not read) and fans of two sizes
_WIDE_GROUPS = ((32, (32, 33, 34, 65)), (33, (301, 97)))
_MICRO_BATCH_TOKENS = 340  # takes the longest row, and cuts what a rank has into at least two micro-batches
_HEAD_PART_TOKENS = 100  # the second time the head works in parts of so many
_SAMPLED_TOKENS = 32  # of each completion, at most
_NORM_TOLERANCE = {"fp32": 1e-3, "bf16": 0.05}  # relative; the faults that are looked for are factors
_GRADIENT_TOLERANCE = {"fp32": 1e-2, "bf16": 0.2}  # |difference| / |plain gradient|
# mean difference in nats. Sound decoders in bf16 were 0.008 apart, 0.05 with scores in the dozens before the softmax (LOG.md,
# the first run on a GPU); scores that are rounded to bf16 make 0.11 of Qwen2-7B (transformers#33317)
_LOGPROB_TOLERANCE = {"fp32": 1e-2, "bf16": 0.08}


class SelfCheckFailed(LabError):
    """Engine or sampler do not do what plain torch does; the message says where and what to try."""


def self_check(engine: Engine, sampler: Sampler, prompts: Sequence[IntArray], config: RunConfig) -> None:
    """Compare sampler and engine with plain torch; all ranks must call. Raises SelfCheckFailed."""
    with engine.without_trace():
        check_logprobs(engine, sampler, prompts, config)
        check_gradient(engine, config, sampler.pad_id)


def check_gradient(engine: Engine, config: RunConfig, pad_id: int) -> None:
    """Raise SelfCheckFailed unless the gradient, its reported norm and what reaches the optimizer are plain torch's."""
    text_config = engine.policy.config.get_text_config()
    wanted = random_rows(text_config.vocab_size, getattr(text_config, "max_position_embeddings", None))
    rows, expected = plain_gradient(engine, wanted, config)
    num_tokens = sum(len(row.completion_ids) for row in rows)
    batch = Batch(rows=rows, num_loss_tokens=num_tokens, num_skipped_rows=0)
    # not all of a rank's rows fit, so there are at least two micro-batches: a lost one would show
    train = config.train.model_copy(update={"micro_batch_tokens": _MICRO_BATCH_TOKENS})
    # any loss has this gradient where policy and sampler agree; the default one has no reference and no bonus in it
    small = config.model_copy(update={"train": train, "algorithm": AlgorithmSettings()})
    norm = _norm(expected.values())
    limit = config.optimizer.max_grad_norm
    for part_tokens in (None, _HEAD_PART_TOKENS):  # twice, because a first gradient that is never cleared would be added to it
        with engine.head_in_parts(part_tokens):
            accumulate_gradients(engine, None, batch, small, pad_id)
        differences = (expected[name] - gradient.to(expected[name].dtype) for name, gradient in engine.gradients())
        gap = _norm(differences)
        reported, applied = engine.rehearse_step()
        _compare(config, "the gradient norm that DeepSpeed reports", reported, norm)
        _compare(config, "the norm of the clipped gradient that reaches the optimizer", applied, min(norm, limit))
        # `not <=`, here and below, because a NaN must fail too
        if not gap <= _GRADIENT_TOLERANCE[config.model.dtype] * norm:
            raise SelfCheckFailed(
                f"self-check: DeepSpeed's gradient has the right norm, {norm:.4g}, but is {gap / norm:.1%} away from plain "
                f"torch's; {_remedy(config)}"
            )


def _compare(config: RunConfig, what: str, engines: float, expected: float) -> None:
    if not abs(engines - expected) <= _NORM_TOLERANCE[config.model.dtype] * expected:
        factor = engines / expected if expected else float("inf")
        raise SelfCheckFailed(
            f"self-check: {what} is {engines:.6g}; plain torch on the same weights and rows gives {expected:.6g}, so every "
            f"update would be scaled by {factor:.4g}; {_remedy(config)}"
        )


def _remedy(config: RunConfig) -> str:
    return (
        f"this is DeepSpeed {version('deepspeed')}, ZeRO {config.deepspeed.stage}, {config.model.dtype}, {world_size()} ranks, "
        f"deepspeed.config={config.deepspeed.config}. Known faults of this kind: DeepSpeed#7718 (ZeRO 2 loses micro-batches), "
        "DeepSpeed#7837 (bf16 with ZeRO 0 divides by 65536 and never clears gradients). Take another deepspeed.stage, remove "
        "prescale_gradients and gradient_predivide_factor from deepspeed.config, or install deepspeed 0.19.8; "
        "train.self_check=false trains on regardless"
    )


def random_rows(vocabulary: int, max_positions: int | None = None) -> list[Row]:
    """Return rows of random tokens, good and bad in turn: short ones, two to a prompt, then those of _WIDE_GROUPS.

    None is longer than `max_positions`.
    """
    rng = np.random.default_rng(derive_seed("self-check"))
    count = _ROWS_A_RANK * world_size()
    rows = []
    wide_tokens = world_size() * sum(sum(lengths) for _, lengths in _WIDE_GROUPS)
    weight = 1 / (count * _LONGEST_ROW_TOKENS + wide_tokens)
    for number in range(0, count, 2):
        prompt = rng.integers(0, vocabulary, 3 + number % 4, dtype=np.int32)  # [T_prompt]
        for advantage in (1.0, -1.0):
            count_here = rng.integers(5, _LONGEST_ROW_TOKENS - 5)
            completion = rng.integers(0, vocabulary, count_here, dtype=np.int32)  # [T]
            unknown = np.zeros(count_here, np.float32)  # [T], until plain torch says them
            rows.append(uniform_row(prompt, completion, unknown, advantage=advantage, weight=weight))
    for prompt_tokens, lengths in _WIDE_GROUPS * world_size():
        prompt = rng.integers(0, vocabulary, prompt_tokens, dtype=np.int32)  # [T_prompt]
        for number, length in enumerate(lengths):
            fitting = length if max_positions is None else min(length, max_positions - prompt_tokens)
            completion = rng.integers(0, vocabulary, fitting, dtype=np.int32)  # [T]
            unknown = np.zeros(fitting, np.float32)  # [T]
            rows.append(uniform_row(prompt, completion, unknown, advantage=(-1.0) ** number, weight=weight))
    return rows


@dataclass(frozen=True)
class _Plain:
    """The model by itself, without DeepSpeed and without anything of ours in it."""

    model: CausalLM
    temperature: float

    def logprobs(self, row: Row) -> torch.Tensor:
        """Return the log-probabilities [T] of the row's completion, with gradient."""
        both = np.concatenate([row.prompt_ids, row.completion_ids])
        ids = torch.as_tensor(both, dtype=torch.long, device=device())  # [T_prompt + T]
        logits = self.model(input_ids=ids[None], use_cache=False).logits[0]  # [T_prompt + T, V]
        scaled = logits.float() / self.temperature
        start = len(row.prompt_ids)
        # the logits at a token are about the next one, so those of the completion begin at the prompt's last token
        logprobs = torch.log_softmax(scaled[start - 1 : -1], -1)  # [T, V]
        return logprobs.gather(-1, ids[start:, None])[:, 0]


@contextmanager
def _plain(engine: Engine, config: RunConfig) -> Iterator[_Plain]:
    """Have the run's whole weights as a plain model in evaluation mode, with no kernel of ours."""
    model = engine.sampling_model
    training = model.training
    model.eval()
    fused.use(model, frozenset())
    try:
        yield _Plain(model, config.sampling.temperature)
    finally:
        model.train(training)
        fused.use(model, engine.fused.kinds)


def plain_gradient(engine: Engine, rows: Sequence[Row], config: RunConfig) -> tuple[tuple[Row, ...], dict[str, torch.Tensor]]:
    """Return `rows` with the model's own log-probabilities, and the gradient of their loss by name; each rank does its share.

    At equal log-probabilities the ratio is 1, and the gradient of a token is -weight * advantage * that of its logprob.
    """
    pairs = zip(engine.policy.named_parameters(), engine.sampling_model.parameters(), strict=True)
    whole = {name: theirs for (name, mine), theirs in pairs if mine.requires_grad}  # ZeRO 3 shards `mine`, `theirs` is whole
    with _plain(engine, config) as plain, _requiring_grad(list(whole.values())):
        mine = rows[rank() :: world_size()]
        logprobs = [plain.logprobs(row) for row in mine]  # [T] each
        losses = []
        for row, of_row in zip(mine, logprobs, strict=True):
            scale = -row.weights[0] * row.advantages[0]
            losses.append(scale * of_row.sum())
        gradients = torch.autograd.grad(torch.stack(losses).sum(), list(whole.values()))
    if world_size() > 1:
        for gradient in gradients:
            torch.distributed.all_reduce(gradient)
    shares = all_gather([of_row.detach().cpu().numpy() for of_row in logprobs])
    with_logprobs = []
    for i, row in enumerate(rows):
        share = shares[i % world_size()]
        with_logprobs.append(replace(row, sampling_logprobs=share[i // world_size()]))
    return tuple(with_logprobs), dict(zip(whole, gradients, strict=True))


@contextmanager
def _requiring_grad(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Let autograd see the parameters of a model that otherwise only samples."""
    before = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter, needed in zip(parameters, before, strict=True):
            parameter.requires_grad_(needed)


def _norm(tensors: Iterable[torch.Tensor]) -> float:
    return math.sqrt(sum(float(torch.linalg.vector_norm(tensor)) ** 2 for tensor in tensors))


def check_logprobs(engine: Engine, sampler: Sampler, prompts: Sequence[IntArray], config: RunConfig) -> None:
    """Raise SelfCheckFailed unless sampler, engine and plain torch give a few sampled tokens the same log-probabilities."""
    rows = sampled_rows(sampler, prompts, config)
    engine.engine.eval()
    trained = completion_logprobs(engine.score, rows, config.train.micro_batch_tokens, engine.layout, sampler.pad_id)
    with torch.no_grad(), _plain(engine, config) as plain:
        expected = [plain.logprobs(row).cpu().numpy() for row in rows]
    sampled = [row.sampling_logprobs for row in rows]
    remedy = "model.attention=eager switches its attention off"
    _compare_logprobs(config, "the sampler's", sampled, expected, remedy)
    remedy = "train.layout=padded switches its attention off, model.attention=eager all of it"
    _compare_logprobs(config, "the trainer's", trained, expected, remedy)


def _compare_logprobs(
    config: RunConfig, whose: str, ours: Sequence[FloatArray], expected: Sequence[FloatArray], remedy: str
) -> None:
    differences = np.abs(np.concatenate(ours) - np.concatenate(expected))  # [N], nats
    gap = float(differences.mean())
    limit = _LOGPROB_TOLERANCE[config.model.dtype]
    if not gap <= limit:
        raise SelfCheckFailed(
            f"self-check: {whose} log-probabilities of {len(differences)} sampled tokens are {gap:.3g} nats away from "
            f"plain torch's on the same weights (expected at most {limit:g} for {config.model.dtype}), on {device()} with "
            f"model.attention={config.model.attention}; {remedy}, train.self_check=false trains on regardless"
        )


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
    return [uniform_row(prompts[sample.request], sample.token_ids, sample.logprobs) for sample in ordered]
