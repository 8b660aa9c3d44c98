"""Where our own step's time goes, next to the floor: what this machine's matmul rate and memory bandwidth allow at best.

Stages are wall time of the public calls (prefill is sampling with a limit of one token); kinds of operation are torch's
profiler's own time. The floor counts each prompt once and assumes that nothing but matmuls and reads costs time.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rl.bench.material import pool_of, run_config
from rl.bench.ours import OurSide
from rl.bench.sides import clock, row_lengths, stopwatch
from rl.bench.work import Work
from rl.runtime import device
from rl.types import Group

_TRIES = 7
_BANDWIDTH_MIB = 256
_MATMULS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::linear", "aten::matmul")


def fastest(function: Callable[[], Any]) -> float:
    """Return the shortest of several runs, in seconds."""
    times = []
    for _ in range(_TRIES):
        started = clock()
        function()
        times.append(clock() - started)
    return min(times)


def matmul_gflops(rows: int, inner: int, outer: int, dtype: torch.dtype) -> float:
    """Return the rate of [rows, inner] @ [inner, outer] in GFLOP/s."""
    left = torch.randn(rows, inner, device=device()).to(dtype)
    right = torch.randn(outer, inner, device=device()).to(dtype)
    return 2e-9 * rows * inner * outer / fastest(lambda: left @ right.T)


def bandwidth_gigabytes() -> float:
    """Return what a copy that no cache holds reads and writes in a second, in GB/s."""
    source = torch.ones(_BANDWIDTH_MIB * 2**18, device=device())
    target = torch.empty_like(source)
    return 2e-9 * source.nbytes / fastest(lambda: target.copy_(source))


@dataclass(frozen=True, kw_only=True)
class Floor:
    """Operations (1e9) and bytes (1e9) that no implementation can avoid, for sampling and for the update."""

    sample_gflop: float
    sample_gigabytes: float
    update_gflop: float


def floor(config: Any, parameters: int, groups: Sequence[Group], bytes_a_number: int) -> Floor:
    """Return the floor of one step on `groups`: weights and KV cache read once a decoding step and token, prompts once."""
    head = config.vocab_size * config.hidden_size
    body = parameters - head
    lengths = row_lengths(groups)
    prompts = sum(len(group.rollouts[0].prompt_ids) for group in groups)
    tokens = sum(lengths)
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cached = 2 * config.num_hidden_layers * config.num_key_value_heads * head_size * bytes_a_number  # bytes a token
    positions = sum(
        len(r.prompt_ids) * len(r.completion_ids) + len(r.completion_ids) ** 2 / 2 for group in groups for r in group.rollouts
    )
    forward = 2e-9 * (body * (prompts + tokens) + head * tokens)
    return Floor(
        sample_gflop=forward,
        sample_gigabytes=1e-9 * (parameters * bytes_a_number * max(lengths) + cached * positions),
        update_gflop=3 * forward,
    )


def kinds(work: Callable[[], Any], vocabulary: int) -> dict[str, float]:
    """Return the seconds `work` spends in each kind of operation."""
    activity = torch.profiler.ProfilerActivity
    activities = [activity.CPU, *([activity.CUDA] if torch.cuda.is_available() else [])]
    with torch.profiler.profile(activities=activities, record_shapes=True) as profiler:
        work()
    spent: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages(group_by_input_shape=True):
        time = event.self_device_time_total if torch.cuda.is_available() else event.self_cpu_time_total
        spent[_kind(event.key, event.input_shapes, vocabulary)] += time * 1e-6
    return dict(spent)


def _kind(name: str, shapes: Any, vocabulary: int) -> str:
    if name in _MATMULS:
        return "LM head" if any(vocabulary in shape for shape in shapes or []) else "other matmuls"
    if "attention" in name:
        return "attention"
    if "adam" in name.lower() or "foreach" in name:
        return "optimizer"
    if name in ("aten::copy_", "aten::cat", "aten::index", "aten::index_select", "aten::clone", "aten::fill_"):
        return "copying"
    return "elementwise and picking"


def profile(work: Work, model: Path) -> str:
    """Return the profile of one step of ours as Markdown."""
    with pool_of(work, run_config(work, model)) as pool:
        side = OurSide(work, model, pool)
        side.step()
        engine = side.engine
        stages: dict[str, list[float]] = {"forward": [], "backward": [], "optimizer": []}
        started = clock()
        drawn = side.draw()
        sampling = drawn.sample_seconds
        middle = clock()
        watched = {"forward": "logprobs", "backward": "backward", "optimizer": "step"}
        for stage, method in watched.items():
            setattr(engine, method, stopwatch(getattr(engine, method), stages[stage]))
        side.learn(drawn.groups)
        ended = clock()
        sample_kinds = kinds(side.draw, engine.policy.config.vocab_size)
        update_kinds = kinds(lambda: side.learn(drawn.groups), engine.policy.config.vocab_size)
        side.worker = replace(side.worker, sampling=side.worker.sampling.model_copy(update={"max_completion_tokens": 1}))
        prefill = side.draw().sample_seconds
    causal, dtype = engine.policy, next(engine.policy.parameters()).dtype
    parameters = sum(p.numel() for p in causal.parameters())
    least = floor(causal.config, parameters, drawn.sampled, dtype.itemsize)
    hidden, inner = causal.config.hidden_size, causal.config.intermediate_size
    decode_rate = matmul_gflops(work.rows, hidden, inner, dtype)
    update_rate = matmul_gflops(4096, hidden, inner, dtype)
    bandwidth = bandwidth_gigabytes()
    least_sample = max(least.sample_gflop / decode_rate, least.sample_gigabytes / bandwidth)
    least_update = least.update_gflop / update_rate
    update = ended - middle
    known = {stage: sum(seconds) for stage, seconds in stages.items()}
    lines = [
        f"Work {work.name}, {torch.get_num_threads()} threads, {dtype}: one step {ended - started:.2f} s.",
        f"Matmul {decode_rate:.0f} GFLOP/s at {work.rows} rows, {update_rate:.0f} at 4096; memory {bandwidth:.1f} GB/s.",
        "",
        "| part | seconds | at least | of which |",
        "|---|---|---|---|",
        f"| sampling | {sampling:.2f} | {least_sample:.2f} | prefill {prefill:.2f}, decode {sampling - prefill:.2f} |",
        f"| scoring, waiting | {middle - started - sampling:.2f} | | |",
        f"| update | {update:.2f} | {least_update:.2f} | {_list(known | {'rest': update - sum(known.values())})} |",
        "",
        f"Operations while sampling: {_list(sample_kinds)}; while updating: {_list(update_kinds)} (seconds of the threads).",
    ]
    return "\n".join(lines)


def _list(seconds: dict[str, float]) -> str:
    ordered = sorted(seconds.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {value:.2f}" for name, value in ordered)
