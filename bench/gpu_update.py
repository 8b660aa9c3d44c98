"""The update on one GPU in under two minutes: are the fused kernels right there, and what does each of them gain?

    python -m bench.gpu_update OUT [toy]

Writes OUT/gpu_update.json and OUT/profile_update.txt and prints a summary. Kernels against float64 and their rates first
(bench/gpu_rates.py); then gradients, with kernels and without, against float32; optimizer steps on the same rollouts with the
kernels switched on one after the other; a profile; longer rows; LoRA. Off a GPU everything but the kernels runs at toy size, on
plain torch: that checks the script.
"""

import gc
import json
import math
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.gpu_common import the_work
from bench.gpu_rates import Found, judged, rates
from bench.material import HashPool, make_model, run_config, synthetic_groups
from bench.ours import OurSide
from bench.profile import bandwidth_gigabytes, floor, matmul_gflops
from bench.sides import clock
from bench.work import Work
from rl.judging import compare, judge
from rl.memory import peak_memory_gb
from rl.policy.opening import load_model, load_tokenizer
from rl.runtime import describe_device, device, process_group, quiet_libraries, set_threads
from rl.selfcheck import check_update, text_rows
from rl.types import Batch, Group
from rl.update.batch import collate, cut_micro_batches, make_batch
from rl.update.engine import Engine
from rl.update.fused import KINDS, Fused
from rl.update.logprobs import TokenLogprobs
from rl.update.step import accumulate_gradients, micro_batch_loss

_TIMES = 3  # updates of a variant that count; one before does not
_PROFILE_ROWS = 36
_GAPS = 12
_EXACT_TOKENS = 8192


def on_gpu() -> bool:
    """Whether there is one."""
    return torch.cuda.is_available()


VARIANTS: dict[str, frozenset[str]] = {
    "none": frozenset(),
    "head": frozenset({"head"}),
    "head, norm": frozenset({"head", "norm"}),
    "head, norm, swiglu": frozenset({"head", "norm", "swiglu"}),
    "head, norm, swiglu, rotary": frozenset({"head", "norm", "swiglu", "rotary"}),
    "all": frozenset(KINDS),
}


def switch(engine: Engine, kinds: frozenset[str]) -> None:
    """Have the engine's policy use these kernels, on a GPU."""
    Fused(kinds=kinds if on_gpu() else frozenset()).applied(engine.engine.module)


def timed(side: OurSide, kinds: frozenset[str]) -> Found:
    """Seconds of updates with these kernels, and peak memory."""
    switch(side.engine, kinds)
    seconds = [side.update().seconds]
    if on_gpu():
        torch.cuda.reset_peak_memory_stats()
    seconds += [side.update().seconds for _ in range(_TIMES)]
    return {"first": seconds[0], "seconds": seconds[1:], "best": min(seconds[1:]), "peak_memory_gb": peak_memory_gb()}


def opened(work: Work, path: Path, groups: Sequence[Group], lora: int | None = None) -> OurSide:
    """Return our trainer, ZeRO 1."""
    config = run_config(work, path)
    deepspeed = config.deepspeed.model_copy(update={"stage": 1})
    given = {"path": str(path), "dtype": config.model.dtype, **({"lora": {"r": lora}} if lora else {})}
    model = type(config.model).model_validate(given)
    return OurSide(work, path, HashPool(), groups, config.model_copy(update={"deepspeed": deepspeed, "model": model}))


def rollouts(work: Work, path: Path) -> Sequence[Group]:
    """Return rollouts to learn from."""
    config = run_config(work, path)
    frozen: Any = load_model(config.model, trainable=False).to(device())
    return synthetic_groups(work, frozen, load_tokenizer(config.model), config)


def updates(side: OurSide, say: Callable[[str], None]) -> Found:
    """An update with one kernel after the other, and its share of the matrix rate."""
    parameters = sum(p.numel() for p in side.engine.policy.parameters())
    least = floor(side.engine.policy.config, parameters, side.groups, 2)
    matmul = matmul_gflops(8192 if on_gpu() else 256, 8192, 1024, torch.bfloat16)
    found: Found = {
        "at the start": side.engine.fused.words,
        "tokens": sum(len(r.completion_ids) for g in side.groups for r in g.rollouts),
        "floor": least.update_gflop / matmul,
        "matmul_tflops": matmul / 1e3,
    }
    for name, kinds in (*VARIANTS.items(), *((f"{name}, again", VARIANTS[name]) for name in ("none", "all"))):
        found[name] = timed(side, kinds)
        found[name]["share of the matrix rate"] = found["floor"] / found[name]["best"]
        say(f"{name}: {found[name]['best']:.3f} s")
    return found


def phases(side: OurSide) -> Found:
    """Seconds of an update's parts, with the device waited for in between, and of launching alone."""
    switch(side.engine, VARIANTS["all"])
    started = clock()
    batch = make_batch(side.groups, side.config.algorithm, side.config.sampling.max_completion_tokens)
    made = time.perf_counter()
    tally = accumulate_gradients(side.engine, None, batch, side.config, side.tokenizer.pad_token_id)
    launched = time.perf_counter()
    ran = clock()
    tally.over_ranks()
    told = clock()
    side.engine.step(1e-9)
    stepped = time.perf_counter()
    ended = clock()
    return {
        "make_batch": made - started, "forward and backward launched": launched - made, "forward and backward": ran - made,
        "tally": told - ran, "step launched": stepped - told, "step": ended - told,
    }  # fmt: skip


def gradients_from_float32(side: OurSide) -> Found:
    """How far bf16 gradients are from the float32 gradient of the same rollouts, of its norm: with some kernels, and with none.

    The mean over some sets of two groups. In a deep model of random weights any other rounding gives another gradient; what
    counts is that the kernels' is no farther from float32 than plain torch's.
    """
    settings = side.config.model.model_copy(update={"dtype": "fp32"})
    exact_model: Any = load_model(settings).to(device())
    with torch.no_grad():
        for theirs, mine in zip(exact_model.parameters(), side.engine.policy.parameters(), strict=True):
            theirs.copy_(mine)
    errors: dict[str, list[float]] = {}
    for first in range(0, len(side.groups), 2):
        groups = side.groups[first : first + 2]
        batch = make_batch(groups, side.config.algorithm, side.config.sampling.max_completion_tokens)
        exact = exact_gradient(exact_model, batch, side)
        size = math.sqrt(sum(float(part.double().square().sum()) for part in exact.values()))
        for name, kinds in RIGHT.items():
            found = engine_gradient(side, batch, kinds)
            squares = sum(float((found[part] - exact[part]).double().square().sum()) for part in exact)
            errors.setdefault(name, []).append(math.sqrt(squares) / size)
    means = {name: sum(each) / len(each) for name, each in errors.items()}
    return {name: {"mean": mean, "of plain": mean / means["none"], "sets": errors[name]} for name, mean in means.items()}


# what is held against float32
RIGHT: dict[str, frozenset[str]] = {
    "none": frozenset(), **{kind: frozenset({kind}) for kind in KINDS}, "all": frozenset(KINDS)
}  # fmt: skip


def exact_gradient(model: Any, batch: Batch, side: OurSide) -> dict[str, torch.Tensor]:
    """Return the gradient by name of a plain float32 model, without DeepSpeed."""
    policy = TokenLogprobs(model, side.config.sampling.temperature)
    for row_numbers in cut_micro_batches(batch.rows, 1, _EXACT_TOKENS, "shared")[0]:
        micro = collate([batch.rows[i] for i in row_numbers], 0, device(), "shared")
        micro_batch_loss(policy, None, micro, side.config.algorithm).loss.backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def engine_gradient(side: OurSide, batch: Batch, kinds: frozenset[str]) -> dict[str, torch.Tensor]:
    """Return the engine's gradient by name, in float32, and clear it."""
    switch(side.engine, kinds)
    accumulate_gradients(side.engine, None, batch, side.config, side.tokenizer.pad_token_id)
    found = {name: value.float() for name, value in side.engine.gradients()}
    side.engine.rehearse_step()
    return found


def self_checked(side: OurSide) -> Found:
    """How far the engine's gradient is from plain torch's on the self-check's rows, of its norm, and what the check says."""
    random = np.random.default_rng(0).integers(0, side.engine.policy.config.vocab_size, 4096, np.int32)  # as the weights
    rows = text_rows(random)
    judgement = judge(side.engine, rows, side.config)
    logprobs = (judgement.plain or judgement.truth).logprobs  # the ratios are near 1
    known = [replace(row, sampling_logprobs=of_row) for row, of_row in zip(rows, logprobs, strict=True)]
    batch = Batch(rows=tuple(known), num_loss_tokens=sum(len(row.completion_ids) for row in rows), num_skipped_rows=0)
    found: Found = {}
    for name in ("none", "all"):
        mine = engine_gradient(side, batch, RIGHT[name])
        found[name] = compare(mine.items(), judgement.truth.gradient).distance
    with side.engine.without_trace():
        check_update(side.engine, rows, judgement, side.config, side.tokenizer.pad_token_id)
    return {**found, "check": "passed"}


def profiled(side: OurSide, out: Path) -> Found:
    """Kernels of one update with all of ours, by time on the device, and its longest rests; whole tables go to a file."""
    switch(side.engine, VARIANTS["all"])
    activity = torch.profiler.ProfilerActivity
    started = clock()
    with torch.profiler.profile(activities=[activity.CUDA if on_gpu() else activity.CPU]) as profiler:
        side.update()
        clock()
    wall = clock() - started
    averages = profiler.key_averages()
    on_device = sorted(
        (event for event in averages if event.device_type.name == "CUDA"), key=lambda event: -event.self_device_time_total
    )
    total = sum(event.self_device_time_total for event in on_device)
    lines = [f"{event.self_device_time_total / 1e3:9.2f} ms {event.count:6d}  {event.key[:110]}" for event in on_device]
    with torch.profiler.profile(activities=[activity.CPU]) as host:
        side.update()
        clock()
    table = host.key_averages().table(sort_by="self_cpu_time_total", row_limit=60)
    (out / "profile_update.txt").write_text("\n".join(lines) + "\n\n" + str(table))
    return {
        "device_seconds": total * 1e-6,
        "wall_seconds_while_profiled": wall,
        "launches": sum(event.count for event in on_device),
        **rests(profiler),
        "top": lines[:_PROFILE_ROWS],
    }


def rests(profiler: Any) -> Found:
    """Return the seconds between the first and the last kernel in which none ran, and the longest, with their neighbours."""
    spans = sorted(
        (event.time_range.start, event.time_range.end, event.name)
        for event in profiler.events()
        if event.device_type.name == "CUDA"
    )
    gaps, busy_until, last = [], spans[0][0] if spans else 0, ""
    for start, end, name in spans:
        if start > busy_until:
            gaps.append((start - busy_until, last, name))
        if end > busy_until:
            busy_until, last = end, name
    longest = sorted(gaps, reverse=True)[:_GAPS]
    told = {f"rest {n}": f"{gap / 1e3:.2f} ms after {a[:60]} before {b[:60]}" for n, (gap, a, b) in enumerate(longest)}
    return {"rest_seconds": sum(gap for gap, *_ in gaps) * 1e-6, **told}


def longer(work: Work) -> Work:
    """Return `work` with longer completions, and about as many tokens."""
    if work.max_tokens < 100:
        return work
    return replace(work, num_problems=2, group_size=16, mean_tokens=1000, max_tokens=4096)


class Report:
    """What was found so far; a part that raises does not end the others."""

    def __init__(self, out: Path):
        out.mkdir(parents=True, exist_ok=True)
        self.out, self.found, self.started = out, dict[str, Any](), time.perf_counter()

    def say(self, line: str) -> None:
        """Print it with the time."""
        print(f"{time.perf_counter() - self.started:6.1f} s  {line}", flush=True)

    def part(self, name: str, doing: Callable[[], Found]) -> None:
        """Do one part and keep what it found."""
        try:
            self.found[name] = doing()
        except Exception as error:
            traceback.print_exc()
            self.found[name] = {"raised": f"{type(error).__name__}: {error}"[:500]}
        (self.out / "gpu_update.json").write_text(json.dumps(self.found, indent=1))
        self.say(name)
        for line in _lines(self.found[name]):
            print("         " + line, flush=True)


def _lines(found: Found) -> list[str]:
    lines = []
    for name, value in found.items():
        inner = value if isinstance(value, dict) else {"": value}
        for row in inner.pop("top", []) if isinstance(value, dict) else value if name == "top" else []:
            lines.append(row)
        if name != "top":
            lines.append(f"{name}: " + ", ".join(f"{key} {_short(each)}".strip() for key, each in inner.items()))
    return lines


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def full(report: Report, work: Work, path: Path, groups: Sequence[Group]) -> None:
    """All weights learn."""
    side = opened(work, path, groups)
    # before any update: where the policy has moved, rounding decides which tokens are clipped, and so a fifth of the gradient
    report.part("gradients from float32", lambda: gradients_from_float32(side))
    report.part("self-check", lambda: self_checked(side))
    report.part("updates", lambda: updates(side, report.say))
    report.part("phases", lambda: phases(side))
    report.part("profile", lambda: profiled(side, report.out))
    side.groups = rollouts(longer(work), path)
    report.part("longer rows", lambda: {name: timed(side, VARIANTS[name]) for name in ("none", "all")})
    side.close()


def adapters(report: Report, work: Work, path: Path, groups: Sequence[Group]) -> None:
    """Only adapters learn."""
    side = opened(work, path, groups, lora=32)
    report.part("lora", lambda: {name: timed(side, VARIANTS[name]) for name in ("none", "all")})
    side.close()


def main(out: Path, is_toy: bool) -> None:
    """Do all of it."""
    quiet_libraries()
    set_threads(None)
    work = the_work("d", is_toy)
    report = Report(out)
    report.part("machine", lambda: {"device": describe_device(), "copy_gigabytes_a_second": bandwidth_gigabytes()})
    if on_gpu():
        report.part("judged", judged)
        report.part("rates", rates)
    with process_group(), tempfile.TemporaryDirectory() as scratch:
        path = make_model(work, Path(scratch))
        report.say("model written")
        groups = rollouts(work, path)
        full(report, work, path, groups)
        gc.collect()  # DeepSpeed's engines are cycles
        adapters(report, work, path, groups)
    report.say("done")


if __name__ == "__main__":
    _out, *_toy = sys.argv[1:]
    main(Path(_out), bool(_toy))
