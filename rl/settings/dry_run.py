"""What `--dry-run` prints besides the settings: how the work is cut and what it needs in memory. Imports no torch.

The shape of a model comes from its config.json, or from the table below for the models of configs/, so that a plan can be
made on a machine that has neither the weights nor a network.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from problems.errors import LabError
from rl.settings.schema import LOGIT_BUFFER_ELEMENTS, RunConfig, check_world

GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """The numbers of a decoder that decide its memory."""

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool

    @property
    def parameters(self) -> int:
        """All weights, norms left out."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        mlp = 3 * self.hidden * self.intermediate
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return self.layers * (attention + mlp) + embeddings

    def lora_parameters(self, rank: int) -> int:
        """Weights of adapters of this rank on all linear layers."""
        attention = (self.hidden + self.head_dim * self.heads) * 2 + (self.hidden + self.head_dim * self.kv_heads) * 2
        return self.layers * rank * (attention + 3 * (self.hidden + self.intermediate))

    def cache_bytes(self, tokens: int, width: int) -> int:
        """Keys and values of `tokens` tokens."""
        return 2 * self.layers * self.kv_heads * self.head_dim * width * tokens


def _shape(layers: int, hidden: int, intermediate: int, heads: int, kv_heads: int, tied: bool, vocabulary: int) -> ModelShape:
    return ModelShape(
        layers=layers, hidden=hidden, intermediate=intermediate, vocabulary=vocabulary, heads=heads, kv_heads=kv_heads,
        head_dim=hidden // heads, tied=tied,
    )  # fmt: skip


KNOWN = {
    "Qwen/Qwen2.5-0.5B": _shape(24, 896, 4864, 14, 2, True, 151_936),
    "Qwen/Qwen2.5-1.5B": _shape(28, 1536, 8960, 12, 2, True, 151_936),
    "Qwen/Qwen2.5-7B": _shape(28, 3584, 18_944, 28, 4, False, 152_064),
}


def model_shape(path: str) -> ModelShape | None:
    """Return the shape of a local or known model, or None."""
    file = Path(path) / "config.json"
    if not file.is_file():
        return KNOWN.get(path.removesuffix("-Instruct"))
    try:
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LabError(f"cannot read {file}: {error}") from None
    if not {"num_attention_heads", "num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size"} <= data.keys():
        return None  # another kind of model, with other names
    heads = data["num_attention_heads"]
    return ModelShape(
        layers=data["num_hidden_layers"],
        hidden=data["hidden_size"],
        intermediate=data["intermediate_size"],
        vocabulary=data["vocab_size"],
        heads=heads,
        kv_heads=data.get("num_key_value_heads", heads),
        head_dim=data.get("head_dim") or data["hidden_size"] // heads,
        tied=data.get("tie_word_embeddings", False),
    )


def memory_estimate(config: RunConfig, shape: ModelShape, world_size: int) -> dict[str, float]:
    """Return GiB a rank by purpose; a rule of thumb to choose settings by, not a promise."""
    width = 2 if config.model.dtype == "bf16" else 4
    trained = shape.lora_parameters(config.model.lora.r) if config.model.lora else shape.parameters
    whole = shape.parameters + (trained if config.model.lora else 0)
    stage = config.deepspeed.stage
    tokens = config.train.micro_batch_tokens
    kept_per_token = shape.layers * shape.hidden * width * (2 if config.model.gradient_checkpointing else 17)
    waves = min(config.sampling.max_rows, config.algorithm.num_problems * config.algorithm.group_size // world_size)
    reference = whole if config.algorithm.kl_coef and not config.model.lora else 0
    return {
        "weights": whole * width / (world_size if stage == 3 else 1) / GIB,
        "whole copy for sampling (ZeRO 3)": (whole * width if stage == 3 else 0) / GIB,
        "copy for sampling ahead (one_step_off)": (trained * width if config.train.one_step_off else 0) / GIB,
        "reference policy": reference * width / GIB,
        "gradients": trained * width / (world_size if stage >= 2 else 1) / GIB,
        "optimizer": trained * (12 if width == 2 else 8) / (world_size if stage >= 1 else 1) / GIB,
        "activations of a micro-batch": tokens * kept_per_token / GIB,
        "logits of a buffer": 2 * min(LOGIT_BUFFER_ELEMENTS, tokens * shape.vocabulary) * 4 / GIB,
        "KV cache while sampling, at full length": shape.cache_bytes(waves * config.sampling.max_completion_tokens, width)
        / GIB,
    }


def describe_plan(config: RunConfig) -> str:
    """Return the plan as text; raises LabError where the ranks cannot share the work."""
    ranks = os.environ.get("WORLD_SIZE", "1")
    if not ranks.isdecimal() or int(ranks) < 1:
        raise LabError(f"WORLD_SIZE must be a number of ranks, 1 or more; found {ranks!r}")
    world = int(ranks)
    check_world(config, world)
    problems, group = config.algorithm.num_problems, config.algorithm.group_size
    rounds = config.algorithm.max_sampling_rounds if config.algorithm.dynamic_sampling else 1
    device = f"{world} rank{'s' if world > 1 else ''}"
    lines = [
        "Plan",
        f"  a step: {problems} problems x {group} completions = {problems * group} rollouts over {device}"
        f" ({problems // world} problems, {problems // world * group} rollouts each)",
        f"  a run: {config.train.steps} steps, at least {config.train.steps * problems} problems,"
        f" at most {config.train.steps * rounds * problems}",
        f"  update: micro-batches of up to {config.train.micro_batch_tokens} tokens, one global denominator"
        f" ({config.algorithm.loss}), ZeRO {config.deepspeed.stage}, {config.model.dtype}"
        + (f", LoRA rank {config.model.lora.r}" if config.model.lora else ", all weights")
        + (
            f", {updates} optimizer steps a batch"
            if (updates := config.algorithm.epochs * config.algorithm.minibatches) > 1
            else ""
        ),
    ]
    shape = model_shape(config.model.path)
    if shape is None:
        return "\n".join([*lines, f"  memory: unknown, {config.model.path} has no config.json of a known shape here"])
    parts = memory_estimate(config, shape, world)
    lines.append(
        f"  model: {shape.parameters / 1e9:.3g} B parameters"
        if shape.parameters > 1e8
        else f"  model: {shape.parameters:,} parameters"
    )
    lines.append("  memory a rank, estimated:")
    lines += [f"    {value:9.3f} GiB  {name}" for name, value in parts.items() if value]
    sampling = parts["KV cache while sampling, at full length"]
    training = parts["gradients"] + parts["activations of a micro-batch"] + parts["logits of a buffer"]
    steady = sum(parts.values()) - sampling - training
    lines.append(f"    {steady + max(sampling, training):9.3f} GiB  at the peak (sampling and training do not overlap)")
    lines.append("  to plan for N ranks: WORLD_SIZE=N reasonlab train --dry-run ...")
    return "\n".join(lines)
