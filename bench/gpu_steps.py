"""The steps of `reasonlab gpu-check` that measure; each returns what it found.

    python -m bench.gpu_steps STEP[,STEP ...] SCRATCH [toy]

A step reads and writes models below SCRATCH and writes SCRATCH/STEP.json, and SCRATCH/STEP.txt where it has a table to show.
The first that fails ends the process: after a fault of the GPU nothing else would be true. On a machine without a GPU
everything runs at toy size: that checks the steps, and its numbers mean nothing.
"""

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.gpu_common import PROMPT_TOKENS, decoding_rate, draw, model_of, opened, requests, side_with_rollouts, the_work
from bench.gpu_kernels import check_kernels
from bench.gpu_rates import Found, judged
from bench.gpu_shapes import larger, lora
from bench.material import make_model, pool_of
from bench.ours import OurSide
from bench.profile import bandwidth_gigabytes, floor, matmul_gflops
from bench.sides import Timed, clock
from bench.work import Work
from rl.memory import peak_memory_gb
from rl.policy.interfaces import CausalLM
from rl.policy.opening import load_model
from rl.policy.tiny import make_tiny_model
from rl.runtime import describe_device, device, process_group, quiet_libraries, set_threads
from rl.settings.dry_run import memory_estimate, model_shape
from rl.settings.schema import TinyModelConfig
from rl.tracking.run_directory import write_atomic
from rl.types import Row
from rl.update.batch import uniform_row
from rl.update.engine import Engine
from rl.update.recompute import completion_logprobs

_PACKAGES = ("torch", "transformers", "deepspeed", "peft", "trl", "accelerate", "triton", "numpy")
_UPDATES = 4  # the first is not counted
_TRL_WAYS: dict[
    str, tuple[dict[str, Any], int]
] = {  # settings, and how many steps: where transformers compiles, the second counts
    "TRL": ({}, 1),
    "TRL, static cache": ({"generation_kwargs": {"cache_implementation": "static"}}, 2),
}
_SHARP_BIAS = 8.0  # of queries and keys: scores of some dozens before the softmax, as Qwen2's (transformers#33317)


def machine(work: Work, scratch: Path) -> Found:
    """Versions, and what this device can do: two matrix products and a copy."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "missing"
    return {
        "device": describe_device(),
        "python": sys.version.split()[0],
        "versions": versions,
        "matmul_tflops_8192": matmul_gflops(8192, 8192, 8192, torch.bfloat16) / 1e3 if torch.cuda.is_available() else None,
        "matmul_tflops_896x4864_at_256": matmul_gflops(256, 896, 4864, torch.bfloat16) / 1e3,
        "copy_gigabytes_a_second": bandwidth_gigabytes(),
    }


def group(work: Work, scratch: Path) -> Found:
    """A process group of one rank, as every run makes it, and one collective in it."""
    with process_group():
        ones = torch.ones(4, device=device())
        torch.distributed.all_reduce(ones)
        return {"backend": torch.distributed.get_backend(), "sum": float(ones.sum())}


def kernels(work: Work, scratch: Path) -> Found:
    """Attention with its log-sum-exp, and its backward, and the update's Triton kernels, against float64."""
    return {**check_kernels(toy=work.max_tokens < 100), **({"fused": judged()} if torch.cuda.is_available() else {})}


def models(work: Work, scratch: Path) -> Found:
    """Write the models that the later steps open: a tiny Qwen3 of the demo's size and that of `work`, random weights."""
    started = clock()
    make_tiny_model(TinyModelConfig(), scratch / "tiny" / "model", 0)
    make_model(work, scratch)
    return {"seconds": clock() - started, "parameters": (model_shape(str(model_of(work, scratch))) or _none()).parameters}


def _none() -> Any:
    raise AssertionError("a Qwen2 shape is known")


def decode(work: Work, scratch: Path) -> Found:
    """Tokens a second of decoding at several numbers of rows, recorded and launched one by one, and of prefill."""
    is_toy = work.max_tokens < 100
    _, model = opened(work, scratch)
    model = model.to(device())
    prompt_tokens, tokens = (16, 12) if is_toy else (PROMPT_TOKENS, 256)
    found: Found = {"prompt_tokens": prompt_tokens}
    for rows in (8, 16) if is_toy else (64, 256, 512):
        found[f"{rows} rows"] = decoding_rate(model, rows, prompt_tokens, tokens, cuda_graphs=True)
    rows = 16 if is_toy else 256
    found[f"{rows} rows, not recorded"] = decoding_rate(model, rows, prompt_tokens, tokens // 4, cuda_graphs=False)
    return found


def update(work: Work, scratch: Path) -> Found:
    """Seconds of an optimizer step on given rollouts, its share of the device's matrix rate, peak memory and its plan."""
    with process_group():
        config, side, groups = side_with_rollouts(work, scratch)
        seconds = []
        for number in range(_UPDATES):
            if number == 1 and torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
            seconds.append(side.update().seconds)
        causal = side.engine.policy
        parameters = sum(p.numel() for p in causal.parameters())
        least = floor(causal.config, parameters, groups, 2)
        rate = matmul_gflops(8192 if torch.cuda.is_available() else 256, 8192, 1024, torch.bfloat16)
        shape = model_shape(config.model.path)
        plan = memory_estimate(config, shape, 1, on_gpu=True) if shape is not None else {}
        return {
            "seconds": seconds,
            "tokens": sum(len(rollout.completion_ids) for each in groups for rollout in each.rollouts),
            "floor_seconds_at_matmul_rate": least.update_gflop / rate,
            "share_of_matmul_rate": least.update_gflop / rate / min(seconds[1:]),
            "peak_memory_gib": peak_memory_gb() * 1e9 / 2**30,
            "plan_gib": {**plan, "all without sampling": sum(v for k, v in plan.items() if "while sampling" not in k)},
        }


def gap(work: Work, scratch: Path) -> Found:
    """How far the log-probabilities of sampler, trainer and transformers' own pass are from float32, in nats."""
    return {"as drawn": _gaps(work, scratch, 0.0), "large scores": _gaps(work, scratch, _SHARP_BIAS)}


def _gaps(work: Work, scratch: Path, bias: float) -> Found:
    is_toy = work.max_tokens < 100
    with process_group():
        config, model = opened(work, scratch)
        _sharpen(model, bias)
        engine = Engine(model, config)
        _, samples = draw(engine.sampling_model, 32, *((16, 12) if is_toy else (PROMPT_TOKENS, 192)))
        asked = requests(32, model.config.get_text_config().vocab_size, 16 if is_toy else PROMPT_TOKENS)
        rows = [uniform_row(asked[s.request].prompt_ids, s.token_ids, s.logprobs) for s in samples]
        engine.engine.eval()
        trained = completion_logprobs(engine.score, rows, config.train.micro_batch_tokens, engine.layout, 0)
        plain = _plain_logprobs(engine.policy, rows)
        exact_model: Any = load_model(config.model.model_copy(update={"dtype": "fp32", "attention": "eager"})).to(device())
        with torch.no_grad():
            for theirs, mine in zip(exact_model.parameters(), engine.policy.parameters(), strict=True):
                theirs.copy_(mine)
        exact = _plain_logprobs(exact_model, rows)
        engine.finish()
    sampled = [row.sampling_logprobs for row in rows]
    pairs = {
        "sampler and trainer": (sampled, trained),
        "sampler and float32": (sampled, exact),
        "trainer and float32": (trained, exact),
        "transformers in bf16 and float32": (plain, exact),
    }
    return {name: _apart(*pair) for name, pair in pairs.items()}


@torch.no_grad()
def _sharpen(model: CausalLM, bias: float) -> None:
    """Give queries and keys large biases, as Qwen2 has: large scores that the softmax must still tell apart."""
    if not bias:
        return
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if name.endswith(("q_proj.bias", "k_proj.bias")):
            parameter.copy_(bias * torch.randn(parameter.shape))


@torch.no_grad()
def _plain_logprobs(model: Any, rows: Sequence[Row]) -> list[np.ndarray]:
    found = []
    for row in rows:
        ids = torch.as_tensor(np.concatenate([row.prompt_ids, row.completion_ids]), dtype=torch.long, device=device())
        logits = model(input_ids=ids[None], use_cache=False).logits[0, len(row.prompt_ids) - 1 : -1].float()
        logprobs = torch.log_softmax(logits, -1).gather(-1, ids[len(row.prompt_ids) :, None])[:, 0]
        found.append(logprobs.cpu().numpy())
    return found


def _apart(ours: Sequence[Any], theirs: Sequence[Any]) -> Found:
    differences = np.abs(np.concatenate(ours).astype(np.float64) - np.concatenate(theirs))
    return {"mean": float(differences.mean()), "max": float(differences.max()), "tokens": len(differences)}


def profile(work: Work, scratch: Path) -> Found:
    """Kernels and launches of a few decoded tokens and of one update."""
    is_toy = work.max_tokens < 100
    with process_group():
        _, side, _ = side_with_rollouts(work, scratch)
        model = side.engine.sampling_model
        rows, prompt_tokens, tokens = (8, 16, 6) if is_toy else (256, PROMPT_TOKENS, 17)
        draw(model, rows, prompt_tokens, tokens)
        side.update()
        found, tables = {}, []
        works: dict[str, Callable[[], object]] = {
            f"{tokens} tokens of {rows} rows": lambda: draw(model, rows, prompt_tokens, tokens),
            "an update": side.update,
        }
        for name, doing in works.items():
            found[name], table = _profiled(doing)
            tables.append(f"{name}\n{table}")
    (scratch / "profile.txt").write_text("\n\n".join(tables))
    return found


def _profiled(doing: Callable[[], object]) -> tuple[Found, str]:
    activity = torch.profiler.ProfilerActivity
    activities = [activity.CPU, *([activity.CUDA] if torch.cuda.is_available() else [])]
    started = clock()
    with torch.profiler.profile(activities=activities) as profiler:
        doing()
        clock()
    averages = profiler.key_averages()
    names = ("cudaLaunchKernel", "cuLaunchKernel", "cudaLaunchKernelExC", "cudaMemcpyAsync", "cudaStreamSynchronize")
    found: Found = {event.key: event.count for event in averages if event.key in names}
    on_device = [event for event in averages if event.device_type.name == "CUDA"]
    found["device_seconds"] = sum(event.self_device_time_total for event in on_device) * 1e-6
    found["seconds_while_profiled"] = clock() - started
    sort = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    return found, str(averages.table(sort_by=sort, row_limit=28, max_name_column_width=70))


def trl(work: Work, scratch: Path) -> Found:
    """A whole step, sampling, scoring and update, of ours and of TRL's trainer with each way it samples."""
    from bench.theirs import TrlSide, fastest  # loads TRL, which only this step needs

    found: Found = {}
    with process_group():
        config, _ = opened(work, scratch)
        with pool_of(work, config) as pool:
            side = OurSide(work, model_of(work, scratch), pool, (), config)
            found["ours"] = [_told(side.step()) for _ in range(3)]
            side.close()
        del side
        for name, (extra, times) in _TRL_WAYS.items():
            theirs = None  # the one before holds a model and its optimizer
            gc.collect()
            found[name] = []
            try:
                theirs = TrlSide(work, model_of(work, scratch), (), {**fastest("step", work), **extra})
                for _ in range(times):
                    found[name].append(_told(theirs.step()))
                theirs.close()
            except Exception as error:  # whatever a setting breaks inside TRL is an answer
                found[name].append({"raised": f"{type(error).__name__}: {error}"[:300]})
    seconds = [each["seconds"] for name in _TRL_WAYS for each in found[name] if "seconds" in each]
    found["ratio"] = min(seconds) / min(each["seconds"] for each in found["ours"]) if seconds else None
    return found


def _told(timed: Timed) -> Found:
    tokens = {"tokens": sum(timed.lengths), "longest": max(timed.lengths)}
    return {"seconds": timed.seconds, "sample": timed.sample, "update": timed.update, **tokens}


STEPS: dict[str, Callable[[Work, Path], Found]] = {
    step.__name__: step for step in (machine, group, kernels, models, decode, update, gap, profile, trl, larger, lora)
}


def main(steps: Sequence[str], scratch: Path, is_toy: bool) -> None:
    """Do the steps and write what each found."""
    quiet_libraries()
    set_threads(None)
    for step in steps:
        started = time.perf_counter()
        print(f"----- {step}", flush=True)
        found = STEPS[step](the_work("d", is_toy), scratch)
        found["step_seconds"] = time.perf_counter() - started
        write_atomic(scratch / f"{step}.json", json.dumps(found, indent=1))
        gc.collect()  # DeepSpeed's engines are cycles
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    _steps, _scratch, *_toy = sys.argv[1:]
    main(_steps.split(","), Path(_scratch), bool(_toy))
