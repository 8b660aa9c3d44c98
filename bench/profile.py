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

from bench.material import pool_of, run_config
from bench.ours import OurSide
from bench.sides import clock, row_lengths, stopwatch
from bench.work import Work
from rl.runtime import device
from rl.tracking.run_directory import JsonDict
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


def stages(side: OurSide) -> tuple[dict[str, float], Sequence[Group]]:
    """Return the seconds of each stage of one step, in order, and the groups it drew."""
    started = clock()
    drawn = side.draw()
    scored = clock()
    spent: dict[str, list[float]] = {"forward": [], "backward": [], "optimizer": []}
    for stage, method in zip(spent, ("logprobs", "backward", "step"), strict=True):
        setattr(side.engine, method, stopwatch(getattr(side.engine, method), spent[stage]))
    side.learn(drawn.trained)
    update = clock() - scored
    short = side.worker.sampling.model_copy(update={"max_completion_tokens": 1})
    whole, side.worker = side.worker, replace(side.worker, sampling=short)
    prefill = side.draw().sample_seconds
    side.worker = whole
    parts = {stage: sum(seconds) for stage, seconds in spent.items()}
    return {
        "prefill": prefill,
        "decode": drawn.sample_seconds - prefill,
        "scoring": scored - started - drawn.sample_seconds,
        **parts,
        "rest of the update": update - sum(parts.values()),
    }, drawn.groups


def profile(work: Work, model: Path) -> JsonDict:
    """Return the profile of one step of ours; rates in GFLOP/s and GB/s, the rest in seconds."""
    with pool_of(work, run_config(work, model)) as pool:
        side = OurSide(work, model, pool)
        side.step()
        spent, groups = stages(side)
        causal = side.engine.policy
        vocabulary = causal.config.vocab_size
        by_kind = {"sampling": kinds(side.draw, vocabulary), "update": kinds(lambda: side.learn(groups), vocabulary)}
    dtype = next(causal.parameters()).dtype
    hidden, inner = causal.config.hidden_size, causal.config.intermediate_size
    decode_rate, update_rate = (matmul_gflops(rows, hidden, inner, dtype) for rows in (work.rows, 4096))
    bandwidth = bandwidth_gigabytes()
    least = floor(causal.config, sum(p.numel() for p in causal.parameters()), groups, dtype.itemsize)
    sampling = max(least.sample_gflop / decode_rate, least.sample_gigabytes / bandwidth)
    return {
        "work": work.name,
        "rows": work.rows,
        "threads": torch.get_num_threads(),
        "dtype": str(dtype),
        "matmul_gflops": decode_rate,
        "matmul_gflops_4096_rows": update_rate,
        "memory_gigabytes": bandwidth,
        "stages": spent,
        "floors": {"prefill and decode": sampling, "forward and backward": least.update_gflop / update_rate},
        "operations": by_kind,
    }


def profile_table(found: JsonDict) -> str:
    """Return a profile as Markdown."""
    lines = [
        f"Work {found['work']}, {found['threads']} threads, {found['dtype']}. Matmul {found['matmul_gflops']:.0f} GFLOP/s at "
        f"{found['rows']} rows, {found['matmul_gflops_4096_rows']:.0f} at 4096; memory {found['memory_gigabytes']:.1f} GB/s.",
        "",
        "| stage | seconds |",
        "|---|---|",
        *(f"| {stage} | {seconds:.2f} |" for stage, seconds in found["stages"].items()),
        *(f"| floor of {stages} | {seconds:.2f} |" for stages, seconds in found["floors"].items()),
        "",
        *(f"Operations of the {part}, seconds: {_list(kinds)}." for part, kinds in found["operations"].items()),
    ]
    return "\n".join(lines)


def _list(seconds: dict[str, float]) -> str:
    ordered = sorted(seconds.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {value:.2f}" for name, value in ordered)
