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

from problems.errors import LabError
from problems.seeding import derive_seed
from rl.policy.interfaces import CausalLM
from rl.runtime import all_gather, device, rank, world_size
from rl.sampling.how_to_draw import HowToDraw
from rl.sampling.sampler import Sample, Sampler, SampleRequest
from rl.settings.algorithm import AlgorithmSettings
from rl.settings.schema import RunConfig
from rl.types import Batch, IntArray, Row
from rl.update.batch import uniform_row
from rl.update.engine import Engine
from rl.update.recompute import completion_logprobs
from rl.update.step import accumulate_gradients

_ROWS_A_RANK = 4
_LONGEST = 14
_TOKENS = 8  # sampled for each completion
_NORM_TOLERANCE = {"fp32": 1e-3, "bf16": 0.05}  # relative; the faults that are looked for are factors
_GRADIENT_TOLERANCE = {"fp32": 1e-2, "bf16": 0.2}  # |difference| / |plain gradient|
_LOGPROB_TOLERANCE = {"fp32": 1e-2, "bf16": 0.15}  # mean difference in nats


class SelfCheckFailed(LabError):
    """Engine or sampler do not do what plain torch does; the message says where and what to try."""


def self_check(engine: Engine, sampler: Sampler, prompts: Sequence[IntArray], config: RunConfig) -> None:
    """Compare sampler and engine with plain torch; all ranks must call. Raises SelfCheckFailed."""
    with engine.without_trace():
        check_logprobs(engine, sampler, prompts, config)
        check_gradient(engine, config, sampler.pad_id)


def check_gradient(engine: Engine, config: RunConfig, pad_id: int) -> None:
    """Raise SelfCheckFailed unless the gradient, its reported norm and what reaches the optimizer are plain torch's."""
    rows, expected = plain_gradient(engine, random_rows(engine.policy.config.get_text_config().vocab_size), config)
    batch = Batch(rows=rows, num_loss_tokens=sum(len(row.completion_ids) for row in rows), num_skipped_rows=0)
    train = config.train.model_copy(update={"micro_batch_tokens": _ROWS_A_RANK // 2 * _LONGEST})
    # any loss has this gradient where policy and sampler agree; the default one has no reference and no bonus in it
    small = config.model_copy(update={"train": train, "algorithm": AlgorithmSettings()})
    norm = _norm(expected.values())
    limit = config.optimizer.max_grad_norm
    for _ in range(2):  # a second time, because a first gradient that is never cleared would be added to it
        accumulate_gradients(engine, None, batch, small, pad_id)
        gap = _norm(expected[name] - gradient.to(expected[name].dtype) for name, gradient in engine.gradients())
        reported, applied = engine.rehearse_step()
        _compare(config, "the gradient norm that DeepSpeed reports", reported, norm)
        _compare(config, "the norm of the clipped gradient that reaches the optimizer", applied, min(norm, limit))
        if not gap <= _GRADIENT_TOLERANCE[config.model.dtype] * norm:
            raise SelfCheckFailed(
                f"self-check: DeepSpeed's gradient has the right norm, {norm:.4g}, but is {gap / norm:.1%} away from plain "
                f"torch's; {_remedy(config)}"
            )


def _compare(config: RunConfig, what: str, found: float, expected: float) -> None:
    if not abs(found - expected) <= _NORM_TOLERANCE[config.model.dtype] * expected:
        factor = found / expected if expected else float("inf")
        raise SelfCheckFailed(
            f"self-check: {what} is {found:.6g}; plain torch on the same weights and rows gives {expected:.6g}, so every "
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


def random_rows(vocabulary: int) -> list[Row]:
    """Return short rows of random tokens of several lengths, two to a prompt, one of them good and one bad."""
    rng = np.random.default_rng(derive_seed("self-check"))
    count = _ROWS_A_RANK * world_size()
    rows = []
    for number in range(count):
        if number % 2 == 0:
            prompt = rng.integers(0, vocabulary, 3 + number % 4, dtype=np.int32)
        tokens = rng.integers(0, vocabulary, rng.integers(5, _LONGEST - 5), dtype=np.int32)
        nothing = np.zeros(len(tokens), np.float32)
        rows.append(uniform_row(prompt, tokens, nothing, advantage=1.0 - 2 * (number % 2), weight=1 / (count * _LONGEST)))
    return rows


@dataclass(frozen=True)
class _Plain:
    """The model by itself, without DeepSpeed and without anything of ours in it."""

    model: CausalLM
    temperature: float

    def logprobs(self, row: Row) -> torch.Tensor:
        """Return the log-probabilities [T] of the row's completion, with gradient."""
        ids = torch.as_tensor(np.concatenate([row.prompt_ids, row.completion_ids]), dtype=torch.long, device=device())
        logits = self.model(input_ids=ids[None], use_cache=False).logits[0].float() / self.temperature  # [T, V]
        prompt = len(row.prompt_ids)
        return torch.log_softmax(logits[prompt - 1 : -1], -1).gather(-1, ids[prompt:, None])[:, 0]


@contextmanager
def _plain(engine: Engine, config: RunConfig) -> Iterator[_Plain]:
    """Have the run's whole weights as a plain model in evaluation mode."""
    model = engine.sampling_model
    training = model.training
    model.eval()
    try:
        yield _Plain(model, config.sampling.temperature)
    finally:
        model.train(training)


def plain_gradient(engine: Engine, rows: Sequence[Row], config: RunConfig) -> tuple[tuple[Row, ...], dict[str, torch.Tensor]]:
    """Return `rows` with the model's own log-probabilities, and the gradient of their loss by name; each rank does its share.

    At equal log-probabilities the ratio is 1, and the gradient of a token is -weight * advantage * that of its logprob.
    """
    pairs = zip(engine.policy.named_parameters(), engine.sampling_model.parameters(), strict=True)
    whole = {name: theirs for (name, mine), theirs in pairs if mine.requires_grad}
    needed = [parameter.requires_grad for parameter in whole.values()]
    for parameter in whole.values():
        parameter.requires_grad_(True)
    with _plain(engine, config) as plain:
        logprobs = [plain.logprobs(row) for row in rows[rank() :: world_size()]]
        scales = [-row.weights[0] * row.advantages[0] for row in rows[rank() :: world_size()]]
        loss = torch.stack([scale * found.sum() for scale, found in zip(scales, logprobs, strict=True)]).sum()
        gradients = torch.autograd.grad(loss, list(whole.values()))
    for parameter, before in zip(whole.values(), needed, strict=True):
        parameter.requires_grad_(before)
    if world_size() > 1:
        for gradient in gradients:
            torch.distributed.all_reduce(gradient)
    shares = all_gather([found.detach().cpu().numpy() for found in logprobs])
    known = (shares[i % world_size()][i // world_size()] for i in range(len(rows)))
    return tuple(replace(row, sampling_logprobs=found) for row, found in zip(rows, known, strict=True)), dict(
        zip(whole, gradients, strict=True)
    )


def _norm(tensors: Iterable[torch.Tensor]) -> float:
    return math.sqrt(sum(float(torch.linalg.vector_norm(tensor)) ** 2 for tensor in tensors))


def check_logprobs(engine: Engine, sampler: Sampler, prompts: Sequence[IntArray], config: RunConfig) -> None:
    """Raise SelfCheckFailed unless sampler, engine and plain torch give a few sampled tokens the same log-probabilities."""
    rows = sample_rows(sampler, prompts, config)
    engine.engine.eval()
    tokens, layout = config.train.micro_batch_tokens, engine.layout
    trained = completion_logprobs(engine.score, rows, tokens, layout, sampler.pad_id)
    with torch.no_grad(), _plain(engine, config) as plain:
        expected = [plain.logprobs(row).cpu().numpy() for row in rows]
    for what, found, remedy in (
        ("the sampler's", [row.sampling_logprobs for row in rows], "model.attention=eager switches its attention off"),
        ("the trainer's", trained, "train.layout=padded switches its attention off, model.attention=eager all of it"),
    ):
        gap = float(np.abs(np.concatenate(found) - np.concatenate(expected)).mean())
        if not gap <= _LOGPROB_TOLERANCE[config.model.dtype]:
            raise SelfCheckFailed(
                f"self-check: {what} log-probabilities of {sum(map(len, found))} sampled tokens are {gap:.3g} nats away from "
                f"plain torch's on the same weights (expected at most {_LOGPROB_TOLERANCE[config.model.dtype]:g} for "
                f"{config.model.dtype}), on {device()} with model.attention={config.model.attention}; {remedy}, "
                "train.self_check=false trains on regardless"
            )


def sample_rows(sampler: Sampler, prompts: Sequence[IntArray], config: RunConfig) -> list[Row]:
    """Return two short completions of each prompt, as rows."""
    samples: list[Sample] = []
    requests = [
        SampleRequest(prompt_ids=ids, streams=tuple(("self-check", i, k) for k in range(2))) for i, ids in enumerate(prompts)
    ]
    max_tokens = min(_TOKENS, config.sampling.max_completion_tokens)
    sampler.sample(requests, HowToDraw(temperature=config.sampling.temperature, max_tokens=max_tokens), samples.append)
    ordered = sorted(samples, key=lambda sample: (sample.request, sample.number))
    return [uniform_row(prompts[sample.request], sample.token_ids, sample.logprobs) for sample in ordered]
