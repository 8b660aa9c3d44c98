"""The Triton kernels of the update on a GPU, each alone: how far from float64, how fast beside what it takes the place of."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from rl.runtime import device

Found = dict[str, Any]
_RUNS = 5


def judged() -> Found:
    """Errors of all kernels at several models' sizes: the worst of each quantity, and what is beyond the tolerance."""
    from rl.update import judge

    sizes: list[tuple[str, Callable[..., judge.Errors], tuple[int, ...]]] = []
    sizes += [("head", judge.errors_of_head, (n, v)) for n, v in ((1, 78), (33, 151_936), (3, 50_257))]
    sizes += [("norm", judge.errors_of_norm, (n, h)) for n, h in ((1, 24), (333, 896), (4_099, 896), (517, 3_584))]
    sizes += [("swiglu", judge.errors_of_swiglu, (n, h)) for n, h in ((1, 256), (333, 4_864), (129, 18_944))]
    sizes += [("rotary", judge.errors_of_rotary, each) for each in ((1, 4, 4, 24), (333, 14, 2, 64), (129, 28, 4, 128))]
    sizes += [("attention", judge.errors_of_attention, each) for each in ((7, 4, 24), (1_000, 14, 64), (333, 28, 128))]
    worst: dict[str, tuple[float, float]] = {}
    wrong = []
    for name, check, size in sizes:
        for dtype in (torch.float32, torch.bfloat16):
            for quantity, error in check(*size, dtype, device()).items():
                key = f"{name}, {quantity}, {dtype}"
                worst[key] = max(worst.get(key, (0.0, 0.0)), (error.kernel, error.plain))
                if not error.is_sound:
                    wrong.append(f"{name} {size}: {quantity} is {error.kernel:.2g} off in {dtype}, plain {error.plain:.2g}")
    return {"cases": 2 * len(sizes), "wrong": wrong, "worst, and plain torch there": worst}


def rate(work: Callable[[], object], num_bytes: float) -> Found:
    """Return milliseconds of `work` on the device, the mean of some, and the GB/s that `num_bytes` make of it.

    By the kernels' own times: between two events a small kernel is hidden by its launch.
    """
    work()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        for _ in range(_RUNS):
            work()
        torch.cuda.synchronize()
    milliseconds = sum(event.self_device_time_total for event in profiler.key_averages()) * 1e-3 / _RUNS
    return {"ms": milliseconds, "gigabytes_a_second": num_bytes * 1e-6 / milliseconds}


def rates() -> Found:
    """Milliseconds and GB/s of every kernel and of what it takes the place of, at 0.5 B's sizes in bf16."""
    return {**head_rates(1766, 151_936), **layer_rates(16_384, 896, 4_864)}


def head_rates(tokens: int, vocabulary: int) -> Found:
    """Return the rates of the head's elementwise work, and of ways to add up the weight's gradient."""
    from rl.update import logprobs, triton_head

    where = device()
    logits = torch.randn(tokens, vocabulary, device=where)
    targets = torch.randint(vocabulary, (tokens,), device=where)
    found = tuple(torch.empty(tokens, device=where) for _ in range(3))
    upstream, rounded, room = (
        torch.randn(tokens, device=where),
        torch.empty_like(logits, dtype=torch.bfloat16),
        torch.empty_like(logits),
    )
    size = logits.nbytes
    result = {
        "look": rate(lambda: triton_head.look(logits, targets, 1.0, found), size),
        "look, plain": rate(lambda: logprobs.plain_look(room, logits, targets, 1.0, found), size),
        "gradient": rate(
            lambda: triton_head.gradient(logits, targets, found[2], found[1], upstream, None, 1.0, rounded), 1.5 * size
        ),
        "gradient, plain": rate(
            lambda: logprobs.plain_gradient(room, logits, targets, found[2], found[1], upstream, None, 1.0, rounded), 1.5 * size
        ),
    }
    hidden, total = torch.randn(tokens, 896, device=where).bfloat16(), torch.zeros(vocabulary, 896, device=where)
    weight = torch.randn(vocabulary, 896, device=where).bfloat16()
    rounded = torch.randn(tokens, vocabulary, device=where).bfloat16()
    result["logits in float32"] = rate(lambda: torch.mm(hidden, weight.T, out_dtype=torch.float32, out=logits), size)
    result["d hidden"] = rate(lambda: rounded @ weight, size / 2)
    result["d weight, added up"] = rate(lambda: logprobs._add_product(total, rounded.T, hidden), size / 2)
    return result


def layer_rates(rows: int, hidden: int, inner: int) -> Found:
    """Return the rates of the layers' kernels forward and backward."""
    from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm, apply_rotary_pos_emb

    from rl.update import triton_layers

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device()).bfloat16().requires_grad_(True)

    result: Found = {}

    def both(name: str, function: Callable[..., Any], inputs: Sequence[torch.Tensor], forward: float, backward: float) -> None:
        outputs = function(*inputs)
        outputs = (outputs,) if isinstance(outputs, torch.Tensor) else outputs
        upstream = [torch.randn_like(part) for part in outputs]
        result[f"{name}, forward"] = rate(lambda: function(*inputs), forward)
        result[f"{name}, backward"] = rate(
            lambda: torch.autograd.grad(outputs, inputs, upstream, retain_graph=True), backward
        )  # fmt: skip

    x, weight = drawn(1, rows, hidden), drawn(hidden)
    plain_norm = Qwen2RMSNorm(hidden).to(device()).bfloat16()
    both("norm", lambda a, b: triton_layers.norm(a, b, 1e-6), (x, weight), 2 * x.nbytes, 3 * x.nbytes)
    both(
        "norm of torch", lambda a, b: torch.nn.functional.rms_norm(a, b.shape, b, 1e-6), (x, weight), 2 * x.nbytes, 3 * x.nbytes
    )
    both("norm of transformers", plain_norm, (x,), 2 * x.nbytes, 3 * x.nbytes)
    gate, up = drawn(1, rows, inner), drawn(1, rows, inner)
    both("swiglu", triton_layers.swiglu, (gate, up), 3 * gate.nbytes, 5 * gate.nbytes)
    both("swiglu, plain", lambda a, b: torch.nn.functional.silu(a) * b, (gate, up), 3 * gate.nbytes, 5 * gate.nbytes)
    query, key = drawn(1, rows, 14, 64), drawn(1, rows, 2, 64)
    cosine, sine = drawn(1, rows, 64).detach(), drawn(1, rows, 64).detach()
    moved = 2 * (query.nbytes + key.nbytes)
    both("rotary", lambda a, b: triton_layers.rotary(a, b, cosine, sine), (query, key), moved, moved)

    def plain(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, ...]:
        turned: tuple[torch.Tensor, ...] = apply_rotary_pos_emb(a.transpose(1, 2), b.transpose(1, 2), cosine, sine)
        return turned

    both("rotary, plain", plain, (query, key), moved, moved)
    return result
