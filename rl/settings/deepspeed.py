"""The settings of DeepSpeed, and what its JSON file may hold: what follows from other settings is set there only."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from rl.settings.base import Settings

# what a file may set; DeepSpeed ignores a key that it does not know, and a misspelt one would train on without a word
DEEPSPEED_KEYS = frozenset(
    {
        "zero_optimization", "zero_allow_untested_optimizer", "zero_force_ds_cpu_optimizer",
        "communication_data_type", "gradient_predivide_factor",
        "prescale_gradients", "sparse_gradients", "activation_checkpointing", "aio", "comms_logger", "flops_profiler",
        "wall_clock_breakdown", "memory_breakdown", "steps_per_print", "dump_state", "data_types", "seed",
    }
)  # fmt: skip
# what a file may not set, and the settings that it follows from
OWNED_KEYS = {
    "train_batch_size": "algorithm.num_problems * algorithm.group_size",
    "train_micro_batch_size_per_gpu": "train.micro_batch_tokens",
    "gradient_accumulation_steps": "train.micro_batch_tokens",
    "gradient_clipping": "optimizer.max_grad_norm",
    "optimizer": "optimizer",
    "scheduler": "optimizer.schedule",
    "bf16": "model.dtype",
    "fp16": "model.dtype",
}


def check_deepspeed_file(path: Path) -> dict[str, Any]:
    """Read a DeepSpeed JSON file; raises ValueError for what DeepSpeed itself would let pass in silence."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"cannot read the DeepSpeed config {path}: {error}") from None
    if not isinstance(data, dict):
        raise ValueError(f"the DeepSpeed config {path} must hold one object")
    faults = _faults(path, data)
    if faults:
        raise ValueError("; ".join(faults))
    return data


def _faults(path: Path, data: dict[str, Any]) -> list[str]:
    faults = []
    for key in data:
        if key in OWNED_KEYS:
            faults.append(f"{path} sets {key!r}, which follows from {OWNED_KEYS[key]}: remove it")
    if "stage" in data.get("zero_optimization", {}):
        faults.append(f"{path} sets 'zero_optimization.stage', which is deepspeed.stage here: remove it")
    known = ", ".join(sorted(DEEPSPEED_KEYS))
    for key in data:
        if key not in OWNED_KEYS and key not in DEEPSPEED_KEYS:
            faults.append(f"{path} has the unknown key {key!r}; known: {known}")
    # anywhere in the file: DeepSpeed would take the word for a value, and fail far from here
    if '"auto"' in json.dumps(data):
        faults.append(f'{path} uses "auto", which only the Hugging Face Trainer understands: write the value or leave it out')
    return faults


class DeepSpeedSettings(Settings):
    """ZeRO stage, or a whole DeepSpeed JSON file."""

    stage: Literal[0, 1, 2, 3] = 0
    shard_frozen: bool = Field(default=False, description="allow stage 3 with adapters, which costs memory")
    config: Path | None = Field(default=None, description="JSON file with more DeepSpeed settings, e.g. offload")

    @model_validator(mode="after")
    def _readable(self) -> "DeepSpeedSettings":
        if self.config is not None:
            check_deepspeed_file(self.config)
        return self
