"""Peak memory: how much was used, and whether the longest micro-batch fits before the first step is sampled.

Without the probe a run ends where its first long completion meets a full batch, hours in. The probe covers the update
(weights, gradients, activations, logits); the sampler's cache, which grows with what is sampled, it leaves out.
"""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from problems.errors import LabError
from problems.seeding import derive_seed
from rl.runtime import device, world_size
from rl.settings.schema import RunConfig
from rl.types import Batch, Row
from rl.update.batch import uniform_row
from rl.update.engine import Engine, Reference
from rl.update.step import accumulate_gradients

_SETTINGS = (
    "lower train.micro_batch_tokens (activations) or sampling.max_rows (the sampler's "
    "cache), set model.gradient_checkpointing=true, shard or offload more (deepspeed.stage, "
    "deepspeed.config=configs/deepspeed/zero2-offload.json), or lower sampling.max_completion_tokens"
)
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024  # getrusage(2): Linux counts KiB, macOS bytes


def peak_memory_gb() -> float:
    """Return the most memory a rank has used so far, the largest over ranks, in GB; all ranks must call.

    On a GPU that of torch's allocator, else the resident memory of the process.
    """
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / 1e9
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT_BYTES / 1e9
    if world_size() == 1:
        return peak
    highest = torch.tensor(peak, dtype=torch.float64, device=device())
    torch.distributed.all_reduce(highest, op=torch.distributed.ReduceOp.MAX)
    return float(highest)


@contextmanager
def naming_settings(doing: str) -> Iterator[None]:
    """Turn an allocator's out-of-memory into a LabError that names the settings to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        first_line = str(error).strip().split("\n")[0][:200]
        reason = first_line or type(error).__name__
        raise LabError(f"out of memory while {doing} ({reason}): {_SETTINGS}") from error


def _is_out_of_memory(error: BaseException) -> bool:
    # torch's CPU allocator raises a plain RuntimeError (c10/core/impl/alloc_cpu.cpp)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def longest_rows(config: RunConfig, prompt_tokens: int, vocabulary: int) -> tuple[Row, ...]:
    """Return as many rows of full length as one micro-batch of every rank may hold, of random tokens."""
    completion_tokens = config.sampling.max_completion_tokens
    row_tokens = prompt_tokens + completion_tokens
    rows_a_rank = max(1, config.train.micro_batch_tokens // row_tokens)  # one goes through even where it is over the limit
    count = rows_a_rank * world_size()
    rng = np.random.default_rng(derive_seed("memory probe"))
    tokens = rng.integers(0, vocabulary, (count, row_tokens)).astype(np.int32)  # [B, T_prompt + T]
    logprobs = np.full(completion_tokens, -np.log(vocabulary), dtype=np.float32)  # [T], those of a model that knows nothing
    weight = 1 / (count * completion_tokens)
    rows = []
    for ids in tokens:
        prompt, completion = ids[:prompt_tokens], ids[prompt_tokens:]
        rows.append(uniform_row(prompt, completion, logprobs, advantage=1.0, weight=weight))
    return tuple(rows)


def probe_memory(
    engine: Engine, reference: Reference | None, config: RunConfig, prompt_tokens: int, vocabulary: int, pad_id: int
) -> float:
    """Run the longest micro-batch forward and backward, changing nothing; return the peak in GB. All ranks must call.

    `prompt_tokens` is the longest prompt to be expected. Raises LabError where memory does not suffice.
    """
    rows = longest_rows(config, prompt_tokens, vocabulary)
    batch = Batch(rows=rows, num_loss_tokens=sum(len(row.completion_ids) for row in rows), num_skipped_rows=0)
    doing = (
        f"probing the longest micro-batch, {len(rows) // world_size()} rows of {prompt_tokens} prompt and "
        f"{config.sampling.max_completion_tokens} completion tokens on each rank"
    )
    with naming_settings(doing), engine.without_trace():
        accumulate_gradients(engine, reference, batch, config, pad_id)
        engine.rehearse_step()
    return peak_memory_gb()
