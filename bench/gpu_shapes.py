"""Whole steps of larger models on one GPU, for `reasonlab gpu-check`: 1.5 B with all weights, 7 B with adapters.

Shapes, checkpointing and adapters are those of configs/gsm8k-qwen2.5-*.yaml (the head tied in both), all other settings
those of work d; weights are random.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bench.gpu_common import PROMPT_TOKENS, decoding_rate
from bench.gpu_rates import Found
from bench.material import HashPool, make_model, run_config, synthetic_groups
from bench.ours import OurSide
from bench.profile import floor, matmul_gflops
from bench.sides import clock
from bench.work import QWEN_VOCABULARY, Shape, Work
from rl.memory import peak_memory_gb
from rl.runtime import process_group
from rl.settings.dry_run import memory_estimate, model_shape, peak_gib
from rl.settings.schema import RunConfig

_STEPS = 10  # at most
_SECONDS = 40  # no further step is begun later
_UPDATES = 3  # the first is not counted
_ROWS = 256


@dataclass(frozen=True, kw_only=True)
class Larger:
    """A shape, and how it is trained."""

    name: str
    shape: Shape
    lora: int | None  # rank; None: all weights


LARGER = Larger(
    name="larger", lora=None,
    shape=Shape(family="qwen2", hidden=1536, intermediate=8960, layers=28, heads=12, kv_heads=2, vocabulary=QWEN_VOCABULARY),
)  # fmt: skip
LORA = Larger(
    name="lora", lora=32,
    shape=Shape(family="qwen2", hidden=3584, intermediate=18_944, layers=28, heads=28, kv_heads=4, vocabulary=QWEN_VOCABULARY),
)  # fmt: skip


def larger(work: Work, scratch: Path) -> Found:
    """Whole steps of a 1.5 B model, all weights."""
    return whole_steps(LARGER, work, scratch)


def lora(work: Work, scratch: Path) -> Found:
    """Whole steps of a 7 B model, adapters of rank 32."""
    return whole_steps(LORA, work, scratch)


def whole_steps(what: Larger, given: Work, scratch: Path) -> Found:
    """Up to ten steps of the lengths of work d, the rate of decoding, an update's share of the matrix rate, memory."""
    is_toy = given.max_tokens < 100
    work = replace(given, name=what.name, shape=given.shape if is_toy else what.shape)
    started = clock()
    path = make_model(work, scratch)
    found: Found = {"seconds of writing it": clock() - started}
    with process_group():
        config = settings(what, work, path)
        side = OurSide(work, path, HashPool(), (), config)
        shape = model_shape(str(path))
        plan = memory_estimate(config, shape, 1, on_gpu=True) if shape is not None else {}
        shutil.rmtree(path)  # it may be 14 GB
        found |= {"seconds until it is open": clock() - started, "parameters": shape.parameters if shape else None}
        found["steps"] = steps(side)
        found["peak_memory_gb"] = peak_memory_gb()
        found["plan_gib"] = {**plan, "at the peak": peak_gib(plan) if plan else None}
        rows, tokens = (8, 12) if is_toy else (_ROWS, 128)
        found[f"{rows} rows"] = decoding_rate(
            side.engine.sampling_model, rows, 16 if is_toy else PROMPT_TOKENS, tokens, cuda_graphs=True
        )
        found["update"] = update(side, work, what)
        side.close()
    return found


def settings(what: Larger, work: Work, path: Path) -> RunConfig:
    """Return our settings: ZeRO 1, gradient checkpointing, and adapters where there are some."""
    config = run_config(work, path)
    chosen = {"path": str(path), "dtype": config.model.dtype, "gradient_checkpointing": True}
    adapters = {"lora": {"r": what.lora, "alpha": what.lora}} if what.lora else {}
    model = type(config.model).model_validate({**chosen, **adapters})
    deepspeed = config.deepspeed.model_copy(update={"stage": 1})
    return config.model_copy(update={"model": model, "deepspeed": deepspeed})


def steps(side: OurSide) -> list[Found]:
    """Return what each step took: sampling, scoring and the update."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    started, done = clock(), list[Found]()
    while len(done) < _STEPS and clock() - started < _SECONDS:
        step = side.step()
        done.append({"seconds": step.seconds, "sample": step.sample, "update": step.update, "tokens": sum(step.lengths)})
    return done


def update(side: OurSide, work: Work, what: Larger) -> Found:
    """Return the seconds of updates on given rollouts and the best one's share of the matrix rate."""
    side.groups = synthetic_groups(work, side.engine.policy, side.tokenizer, side.config)
    seconds = [side.update().seconds for _ in range(_UPDATES)]
    causal = side.engine.policy
    least = floor(causal.config, sum(p.numel() for p in causal.parameters()), side.groups, 2)
    rate = matmul_gflops(8192 if torch.cuda.is_available() else 256, 8192, 1024, torch.bfloat16)
    # frozen weights need no gradient: two products of each instead of three
    gflop = least.update_gflop * (2 / 3 if what.lora else 1)
    return {
        "seconds": seconds,
        "tokens": sum(len(rollout.completion_ids) for group in side.groups for rollout in group.rollouts),
        "share_of_matmul_rate": gflop / rate / min(seconds[1:]),
    }
