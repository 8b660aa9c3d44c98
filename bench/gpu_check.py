"""`reasonlab gpu-check`: does the lab do on this GPU what it does on a CPU, how fast, and in how much memory?

Steps are processes with time limits, so that one that crashes or hangs does not end the others. What they
found becomes one page and one JSON file to send to someone; logs.txt holds what the steps said, profile.txt their tables.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.material import ROOT
from problems.progress import Progress
from rl.tracking.run_directory import write_atomic

Say = Callable[[str], None]
_LOG_CHARACTERS = 6000  # of each step, from the end
_TOY_SECONDS = 1800.0  # toys are not measured, and may run on a busy machine: only what hangs takes so long
_METRICS = (
    "step_time", "sample", "train", "grad_norm", "loss", "sampling/sampling_logp_difference/mean",
    "sampling/sampling_logp_difference/max", "perf/peak_memory_gb", "completions/mean_length",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Step:
    """One process: what is run, for how long at most, and where it leaves what it found."""

    names: tuple[str, ...]  # several: steps of bench/gpu_steps.py, one after the other, to load the libraries once
    arguments: tuple[str, ...]  # of python
    limit_seconds: float
    run: Path | None = None  # run directory


def measuring(names: Sequence[str], limit: float, scratch: Path, toy: bool) -> Step:
    """Return a step that is some of bench/gpu_steps.py."""
    arguments = ("-m", "bench.gpu_steps", ",".join(names), str(scratch), *(("toy",) if toy else ()))
    return Step(names=tuple(names), arguments=arguments, limit_seconds=limit)


def training(name: str, model: str, limit: float, scratch: Path, toy: bool, *settings: str) -> Step:
    """Return a step that is `reasonlab train`, a few steps long, on a model with random weights.

    It cannot answer anything, so the length of its completions is what is rewarded: every group has contrast.
    """
    tokens, problems = (24, 4) if toy else (256, 16)
    common = [
        f"model.path={scratch / model / 'model'}", f"run.dir={scratch / 'runs'}", f"run.name={name}",
        "train.steps=4", "tracking.wandb=disabled", "evaluation.every_steps=0", "checkpoint.every_steps=100",
        "optimizer.warmup_steps=0", "optimizer.learning_rate=1e-6",
        f"algorithm.num_problems={problems}", "algorithm.group_size=16",
        f"sampling.max_completion_tokens={tokens}", f"reward.overlong_buffer_tokens={tokens}", "reward.overlong_weight=1",
    ]  # fmt: skip
    arguments = ("-m", "launch.cli", "train", "--config", str(ROOT / "configs" / "demo.yaml"), *common, *settings)
    return Step(names=(name,), arguments=arguments, limit_seconds=limit, run=scratch / "runs" / name)


def plan(scratch: Path, toy: bool) -> list[Step]:
    """Return the steps in their order: what everything else stands on comes first."""
    bf16 = ("model.dtype=bf16", "deepspeed.stage=1")
    steps = [
        measuring(("machine", "group", "models", "kernels"), 150, scratch, toy),
        training("train-half-billion", "d", 150, scratch, toy, *bf16),
        measuring(("decode", "update", "profile", "gap"), 240, scratch, toy),
        measuring(("trl",), 300, scratch, toy),
        measuring(("larger",), 150, scratch, toy),
        measuring(("lora",), 200, scratch, toy),
        training("train-half-billion-lora", "d", 120, scratch, toy, *bf16, "model.lora.r=32"),
        training("train-tiny", "tiny", 90, scratch, toy, "model.dtype=fp32"),
        training("train-tiny-bf16", "tiny", 90, scratch, toy, *bf16, "deepspeed.stage=2"),
    ]
    return [replace(step, limit_seconds=_TOY_SECONDS) for step in steps] if toy else steps


def run_step(step: Step, scratch: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """Run one process; return what each of its steps found and the end of what it said."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, *step.arguments], env=environment, cwd=scratch, timeout=step.limit_seconds, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        status, said = f"exit {done.returncode}" if done.returncode else "ok", done.stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        status, said = "timeout", output.decode(errors="replace") if isinstance(output, bytes) else output
    seconds = round(time.perf_counter() - started, 1)
    if step.run is not None:
        numbers = [_lines(step.run / file) for file in ("timing.jsonl", "metrics.jsonl")]
        steps = [{**a, **b} for a, b in zip(*numbers, strict=False)]
        return {step.names[0]: {"status": status, "wall_seconds": seconds, "steps": steps}}, said[-_LOG_CHARACTERS:]
    return {name: _measured(scratch / f"{name}.json", status, seconds) for name in step.names}, said[-_LOG_CHARACTERS:]


def _not_begun(step: Step) -> dict[str, dict[str, Any]]:
    return {name: {"status": "not begun: no time was left", "wall_seconds": 0} for name in step.names}


def _measured(result: Path, status: str, seconds: float) -> dict[str, Any]:
    if not result.exists():
        return {"status": status, "wall_seconds": seconds}
    found: dict[str, Any] = json.loads(result.read_text())
    return {"status": "ok", "wall_seconds": round(found["step_seconds"], 1), **found}


def _lines(file: Path) -> list[dict[str, Any]]:
    """Return the numbers that a page has room for, of each step of a run."""
    if not file.exists():
        return []
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [{name: line[name] for name in _METRICS if name in line} for line in lines]


def page(found: dict[str, dict[str, Any]]) -> str:
    """Return what was found as Markdown."""
    lines = ["# gpu-check", ""]
    for name, values in found.items():
        lines += [f"## {name}: {values['status']}, {values['wall_seconds']} s", ""]
        lines += [f"- {line}" for line in _flat({k: v for k, v in values.items() if k not in ("status", "wall_seconds")})]
        lines.append("")
    return "\n".join(lines)


def _flat(values: dict[str, Any]) -> list[str]:
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines.append(f"{name}: " + ", ".join(f"{key} {_short(inner)}" for key, inner in value.items()))
        elif isinstance(value, list):
            lines.append(f"{name}:" + "".join(f"\n  - {_short(each)}" for each in value))
        else:
            lines.append(f"{name}: {_short(value)}")
    return lines


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(each)}" for name, each in value.items())
    return str(value)


def check(out: Path, scratch: Path, *, toy: bool, only: Sequence[str], seconds: float, say: Say) -> int:
    """Run the steps within `seconds`, write page, JSON and logs to `out`; return the number of steps that failed."""
    out.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, Any]] = {}
    logs = []
    ends = time.perf_counter() + seconds
    waiting = [step for step in plan(scratch, toy) if not only or set(only) & set(step.names)]
    with Progress("steps", sum(len(step.names) for step in waiting)) as progress:
        while waiting:
            step = waiting.pop(0)
            begun = time.perf_counter() < ends
            results, said = run_step(step, scratch) if begun else (_not_begun(step), "")
            failed = [name for name in step.names if results[name]["status"] != "ok"]
            if begun and len(failed) > 1:  # those after the first that failed have not been tried
                waiting.insert(0, measuring(failed[1:], step.limit_seconds, scratch, toy))
                results = {name: values for name, values in results.items() if name not in failed[1:]}
            found |= results
            logs.append(f"===== {', '.join(step.names)}\n{said}")
            for name, values in results.items():
                say(f"{name}: {values['status']}, {values['wall_seconds']} s")
            progress.advance(len(results))
            # after every step, so that what was found survives whatever ends this process
            write_atomic(out / "gpu-check.json", json.dumps(found, indent=1))
            write_atomic(out / "gpu-check.md", page(found))
            write_atomic(out / "logs.txt", "\n".join(logs))
            if (scratch / "profile.txt").exists():
                write_atomic(out / "profile.txt", (scratch / "profile.txt").read_text())
    return sum(values["status"] != "ok" for values in found.values())
