"""What plain torch says of a few rows: the truth in float32, and how far from it plain torch in the run's own precision is.

A sound engine in bf16 is not plain torch in bf16: both are rounded, each in its own way, and only float32 tells who is
nearer. So the weights, as they are, are computed with in float32 once (the truth) and once as they are (the yardstick): an
engine may be about twice as far from the truth as plain torch is. Nothing of DeepSpeed or of ours takes part.

Memory on each rank, for a moment: the whole weights in float32, and a gradient in float32 of what is trained (8 bytes a
trained parameter, 4 a frozen one), beside the engine; the gradient stays until the check is over. On a GPU without the room
for that the truth is plain torch in the run's own precision; its own error is then unknown, and the limits are fixed and wider.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.func import functional_call

from rl.exchange import all_gather, gather_shares, share
from rl.policy.interfaces import CausalLM
from rl.policy.opening import DTYPES
from rl.runtime import device, world_size
from rl.settings.schema import RunConfig
from rl.types import FloatArray, Row
from rl.update import fused
from rl.update.engine import Engine

Gradient = dict[str, torch.Tensor]  # by name of the weight
_ROOM = 1.2  # of the memory that the judge's weights and gradient take: activations of one row come to it
_BATCH_TOKENS = 512  # of the judge's own passes
_PART = 2**20  # numbers that are added up in float32 at a time


@dataclass(frozen=True, kw_only=True)
class Apart:
    """How a gradient g lies to the true one f."""

    scale: float  # <g, f> / <f, f>: rounding leaves it near 1, where it makes |g| larger
    distance: float  # |g - f| / |f|
    norm: float  # |g|


@dataclass(frozen=True, kw_only=True, eq=False)
class Plain:
    """What plain torch computes of rows."""

    logprobs: list[FloatArray]  # [T] of each row, nats
    gradient: Gradient


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """The truth, and how far plain torch in the run's precision is from it; None where that is the best truth there is."""

    truth: Plain
    plain: Plain | None  # without its gradient, of which `apart` remains
    apart: Apart | None


def judge(engine: Engine, rows: Sequence[Row], config: RunConfig) -> Judgement:
    """Return what is true of `rows` under the engine's weights; all ranks must call, and each does its share.

    The gradient is that of the rows whose weights are not 0.
    """
    precision = DTYPES[config.model.dtype]
    if precision == torch.float32 or not _has_room(engine):
        return Judgement(truth=plain_torch(engine, rows, config, precision), plain=None, apart=None)
    truth = plain_torch(engine, rows, config, torch.float32)
    plain = plain_torch(engine, rows, config, precision)
    apart = compare(plain.gradient.items(), truth.gradient)
    return Judgement(truth=truth, plain=Plain(logprobs=plain.logprobs, gradient={}), apart=apart)


def _has_room(engine: Engine) -> bool:
    """Whether the judge fits beside the engine on every rank; a CPU's memory is not asked."""
    if device().type == "cpu":
        return True
    pairs = zip(engine.policy.parameters(), engine.sampling_model.parameters(), strict=True)
    needed = sum(theirs.numel() * (8 if mine.requires_grad else 4) for mine, theirs in pairs)
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device())
    return all(all_gather(free > _ROOM * needed))


def plain_torch(engine: Engine, rows: Sequence[Row], config: RunConfig, dtype: torch.dtype) -> Plain:
    """Return log-probabilities and gradient of `rows`, computed in `dtype`; all ranks must call.

    At equal log-probabilities the ratio is 1, and the gradient of a token is -weight * advantage * that of its logprob.
    """
    model: Any = engine.sampling_model  # under ZeRO 3 the engine's own weights are shards, these are whole
    trained = {name for name, parameter in engine.policy.named_parameters() if parameter.requires_grad}
    weights = {}
    for name, parameter in model.named_parameters():
        weights[name] = parameter.detach().to(dtype).requires_grad_(name in trained)
    mine = share(rows)
    found: list[FloatArray] = [np.empty(0, np.float32)] * len(mine)
    with _by_itself(engine, model):
        for numbers in _batches(mine):
            batch = [mine[number] for number in numbers]
            with torch.set_grad_enabled(_counts(batch[0])):
                logprobs = _logprobs(model, weights, batch, config.sampling.temperature)  # [N], row after row
            if _counts(batch[0]):
                scale = np.concatenate([-row.weights * row.advantages for row in batch])  # [N]
                (torch.as_tensor(scale, dtype=logprobs.dtype, device=device()) @ logprobs).backward()  # type: ignore[no-untyped-call]
            ends = np.cumsum([len(row.completion_ids) for row in batch])[:-1]
            for number, of_row in zip(numbers, np.split(logprobs.detach().cpu().numpy(), ends), strict=True):
                found[number] = of_row
    gradient = {name: _gradient_of(weights[name]) for name in weights if name in trained}
    if world_size() > 1:
        for part in gradient.values():
            torch.distributed.all_reduce(part)
    return Plain(logprobs=gather_shares(found), gradient=gradient)


def _gradient_of(weight: torch.Tensor) -> torch.Tensor:
    """Return a weight's gradient; zeros where this rank had no row that reaches it (an expert that nobody asked)."""
    return torch.zeros_like(weight) if weight.grad is None else weight.grad


def _counts(row: Row) -> bool:
    return bool(np.any(row.weights * row.advantages))


def _batches(rows: Sequence[Row]) -> list[list[int]]:
    """Gather rows of similar length: each pass writes a gradient of all weights, whose memory costs more than short rows do."""
    batches: list[list[int]] = []
    for number in sorted(range(len(rows)), key=lambda number: (_counts(rows[number]), rows[number].length)):
        row = rows[number]
        fits = bool(batches) and (len(batches[-1]) + 1) * row.length <= _BATCH_TOKENS
        if fits and _counts(rows[batches[-1][0]]) == _counts(row):
            batches[-1].append(number)
        else:
            batches.append([number])
    return batches


def _logprobs(model: Any, weights: Gradient, rows: Sequence[Row], temperature: float) -> torch.Tensor:
    """Return the log-probabilities [N] of the rows' completions, one after the other, in float32.

    What fills rows up stands on their right, where causal attention does not see it.
    """
    width = max(row.length for row in rows)
    ids = np.zeros((len(rows), width), np.int64)  # [B, T]
    places = []
    for number, row in enumerate(rows):
        ids[number, : row.length] = np.concatenate([row.prompt_ids, row.completion_ids])
        # the logits at a token are about the next one, so those of the completion begin at the prompt's last token
        places.append(number * width + np.arange(len(row.prompt_ids) - 1, row.length - 1))
    inputs = torch.as_tensor(ids, device=device())
    chosen = torch.as_tensor(np.concatenate(places), device=device())  # [N]
    logits = functional_call(model, weights, kwargs={"input_ids": inputs, "use_cache": False}).logits  # [B, T, V]
    scaled = logits.flatten(0, 1)[chosen].float() / temperature  # [N, V]
    return torch.log_softmax(scaled, -1).gather(-1, inputs.flatten()[chosen + 1, None])[:, 0]


@contextmanager
def _by_itself(engine: Engine, model: CausalLM) -> Iterator[None]:
    """Have the model in evaluation mode and with no kernel of ours inside."""
    training = model.training
    model.eval()
    fused.use(model, frozenset())
    try:
        yield
    finally:
        model.train(training)
        fused.use(model, engine.fused.kinds)


def compare(gradient: Iterable[tuple[str, torch.Tensor]], truth: Gradient) -> Apart:
    """Return how `gradient`, which may come one by one, lies to `truth`."""
    products = squares = differences = lengths = 0.0
    for name, found in gradient:
        for g, f in zip(found.flatten().split(_PART), truth[name].flatten().split(_PART), strict=True):
            mine, true = g.to(f.device).float(), f.float()
            products += float(mine @ true)
            squares += float(true @ true)
            lengths += float(mine @ mine)
            differences += float((mine - true).square().sum())
    if squares == 0:
        return Apart(scale=math.nan, distance=math.nan, norm=lengths**0.5)
    return Apart(scale=products / squares, distance=(differences / squares) ** 0.5, norm=lengths**0.5)
