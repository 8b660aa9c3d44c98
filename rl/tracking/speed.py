"""How fast a step was: tokens a second, how much of the processor's peak the update used, and what the time went into.

That use is the MFU of PaLM (arXiv 2204.02311, appendix B): two operations a weight and token forwards, two backwards through
the weight, and two more for the weight's own gradient, unless it is frozen below adapters. It is a lower bound: attention's own
products and recomputation (gradient checkpointing) are left out, and a prompt counts once for its group, as it is computed
where the layout allows it. The peak is what the maker states for dense products in bf16; of other cards, of float32 (which may
or may not be TF32) and of mixtures of experts (which use part of their weights) nothing is said.
"""

from collections.abc import Sequence
from typing import Any

import torch

from rl.runtime import device, world_size
from rl.settings.schema import RunConfig
from rl.tracking.metrics import num_tokens
from rl.types import Batch, Drawn

# operations a second of one card, from NVIDIA's data sheets, by a part of its name; the first that fits counts
_BF16_PEAKS = {
    "B200": 2250e12,
    "H200 NVL": 835e12,
    "H200": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
}
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


def peak_operations(card: str) -> float | None:
    """Return the operations a second in bf16 of a card by its name, None where nobody has written them down."""
    words = card.replace("-", " ").split()
    for name, peak in _BF16_PEAKS.items():
        if all(part in words for part in name.split()):
            return peak
    return None


def multiplied_weights(model: Any) -> int | None:
    """Return the number of weights that a token is multiplied with: all but an embedding that is no head as well.

    None for a mixture of experts.
    """
    if any(getattr(model.config.get_text_config(), name, None) for name in _EXPERTS):
        return None
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    is_looked_up = embedding is not None and head is not None and embedding.weight is not head.weight
    weights: int = sum(parameter.numel() for parameter in model.parameters())
    return weights - int(embedding.weight.numel()) if is_looked_up else weights


def mfu(config: RunConfig, weights: int | None, peak: float, tokens: int, seconds: float) -> float | None:
    """Return the share of the peak of all ranks that `seconds` of update on `tokens` used; None where that is not known."""
    if weights is None or config.model.dtype != "bf16" or seconds <= 0:
        return None
    operations = 6 if config.model.lora is None else 4
    return operations * weights * tokens / (seconds * peak * world_size())


def speeds(config: RunConfig, model: Any, drawn: Drawn, batches: Sequence[Batch], timing: dict[str, float]) -> dict[str, float]:
    """Return what `perf/` shows of a step; `timing` holds the seconds of `sample`, `score`, `train` and `step_time`.

    Trained are the rows of `batches`: those without a gradient are in no forward pass. Left out is what cannot be said, as
    shares of a step, and the rate of sampling, where sampling goes on beside the update.
    """
    sampled = sum(len(rollout.completion_ids) for rollout in drawn.rollouts)
    found: dict[str, float | None] = {
        "tokens_per_second": num_tokens(drawn.rollouts) / timing["step_time"],
    }
    rows = [row for batch in batches for row in batch.rows]
    if rows:
        epochs = config.algorithm.epochs
        tokens = epochs * sum(len(row.completion_ids) for row in rows)
        prompts = epochs * sum(map(len, {row.prompt_ids.tobytes(): row.prompt_ids for row in rows}.values()))
        found["trained_tokens_per_second"] = tokens / timing["train"]
        if device().type == "cuda" and (peak := peak_operations(torch.cuda.get_device_name())) is not None:
            found["mfu"] = mfu(config, multiplied_weights(model), peak, tokens + prompts, timing["train"])
    if not config.train.one_step_off:
        found["sampled_tokens_per_second"] = sampled / timing["sample"] if timing["sample"] > 0 else None
        parts = {name: timing[name] / timing["step_time"] for name in ("sample", "score", "train")}
        found |= {f"time_share/{name}": share for name, share in {**parts, "rest": 1 - sum(parts.values())}.items()}
    return {f"perf/{name}": value for name, value in found.items() if value is not None}
