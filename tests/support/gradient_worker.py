"""Run under the deepspeed launcher: for every ZeRO stage, full and LoRA, accumulate the gradient of a fixed batch,
and at ZeRO 2 that of other losses with a mask and a correction.

gradient_worker OUTPUT MODEL    writes OUTPUT/<stage>-<full|lora>.pt and OUTPUT/<loss>.pt
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from support import random_groups

from rl.policy.opening import load_model, load_tokenizer
from rl.runtime import process_group, rank
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig
from rl.train import minibatches
from rl.update.batch import make_batch
from rl.update.engine import Engine
from rl.update.loss import LOSSES
from rl.update.step import accumulate_gradients

DEFAULT_LOSS = LOSSES["dapo"]
# weights apart, the rest are the default
OTHER_LOSSES = [
    name for name, loss in LOSSES.items() if (loss.objective, loss.ratio) != (DEFAULT_LOSS.objective, DEFAULT_LOSS.ratio)
]
LOSS_SETTINGS: dict[str, Any] = {
    "top_entropy_quantile": 0.6,
    "correction": {"sequence_mask": [0.07, 2.0]},  # the ratios of these random tokens lie on both sides of 0.07
}

LAYOUTS = ("shared", "packed", "padded")
MODEL_SETTINGS = {"checkpointing": ["model.gradient_checkpointing=true"], "bf16": ["model.dtype=bf16"]}


def accumulate(
    model_path: str, stage: int, lora: bool = False, more: Sequence[str] = (), part: int = 0, **algorithm: Any
) -> dict[str, object]:
    settings = [
        f"model.path={model_path}",
        "problems=[{domain: chain}]",
        "run.name=unused",
        f"deepspeed.stage={stage}",
        "train.micro_batch_tokens=60",  # some five micro-batches in all, so ranks get different work
        *(["model.lora.r=4", "deepspeed.shard_frozen=true"] if lora else []),
        *more,
        *(f"algorithm.{key}={json.dumps(value)}" for key, value in algorithm.items()),
    ]
    config = load_config(RunConfig, [], settings).config
    torch.manual_seed(5)
    model = load_model(config.model)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # adapters begin at zero, where half of their gradients vanish
            torch.nn.init.normal_(parameter, std=0.02)
    engine = Engine(model, config)
    parts = minibatches(random_groups(vocabulary=100), config.algorithm.minibatches)
    batch = make_batch(parts[part], config.algorithm, 20)
    with engine.overhearing(parts[part]) as heard:
        accumulate_gradients(engine, None, batch, config, load_tokenizer(config.model).pad_token_id)
    gaps = [learned.gaps for learned in heard.learned([batch])]
    from deepspeed.utils import safe_get_full_grad

    found = {n: safe_get_full_grad(p) for n, p in engine.engine.module.named_parameters() if p.requires_grad}
    gradients = {name: gradient.clone() for name, gradient in found.items()}
    return {"gradients": gradients, "norm": engine.step(1e-3), "gaps": [g if g is None else torch.from_numpy(g) for g in gaps]}


def main() -> None:
    output, model_path = [a for a in sys.argv[1:] if not a.startswith("--local_rank")]
    torch.set_num_threads(1)
    for stage in range(4):
        for lora in (False, True):
            found = accumulate(model_path, stage, lora)
            if rank() == 0:
                torch.save(found, Path(output) / f"{stage}-{'lora' if lora else 'full'}.pt")
        for kind, more in MODEL_SETTINGS.items():
            found = accumulate(model_path, stage, more=more)
            if rank() == 0:
                torch.save(found, Path(output) / f"{stage}-{kind}.pt")
    summed = Path(output) / f"summed-{rank()}.json"  # micro-batches added up in float32
    summed.write_text(json.dumps({"data_types": {"grad_accum_dtype": "fp32"}}))
    for stage in (1, 2):
        found = accumulate(model_path, stage, more=["model.dtype=bf16", f"deepspeed.config={summed}"])
        if rank() == 0:
            torch.save(found, Path(output) / f"{stage}-bf16-summed.pt")
    sharded = Path(output) / f"sharded-{rank()}.json"  # without it DeepSpeed keeps weights this small whole
    sharded.write_text(json.dumps({"zero_optimization": {"stage3_param_persistence_threshold": 0}}))
    for layout in LAYOUTS:
        found = accumulate(model_path, 3, more=[f"train.layout={layout}", f"deepspeed.config={sharded}"])
        if rank() == 0:
            torch.save(found, Path(output) / f"sharded-{layout}.pt")
    for part in range(3):
        found = accumulate(model_path, 2, part=part, minibatches=3)
        if rank() == 0:
            torch.save(found, Path(output) / f"part{part}.pt")
    for loss in OTHER_LOSSES:
        found = accumulate(model_path, 2, loss=loss, **LOSS_SETTINGS)
        if rank() == 0:
            torch.save(found, Path(output) / f"{loss}.pt")


if __name__ == "__main__":
    with process_group():
        main()
