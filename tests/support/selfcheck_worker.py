"""Run under the deepspeed launcher: the start-up checks at every ZeRO stage and dtype, with sound engines and spoilt ones.

selfcheck_worker OUTPUT MODEL    writes OUTPUT/found.json: for each "STAGE-DTYPE", what the checks said and left behind
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from faults import SAMPLER_FAULTS
from support import REPOSITORY, random_groups

from problems.errors import LabError
from rl.memory import probe_memory
from rl.policy.opening import load_model
from rl.runtime import process_group, rank
from rl.sampling.sampler import Sampler
from rl.selfcheck import self_check
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig
from rl.update.batch import make_batch
from rl.update.engine import Engine
from rl.update.step import accumulate_gradients

PROMPTS = [np.array([5, 6, 7], np.int32), np.array([9, 9, 9, 9, 12], np.int32)]


class Doubled(Engine):
    """A loss that is scaled wrongly."""

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        super().backward(2 * loss, last=last)


class Forgetful(Engine):
    """Every micro-batch is said to be the last, so that ZeRO 1 and 2 lose those before it (DeepSpeed#7718)."""

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        super().backward(loss, last=True)


class Sharpened(Engine):
    """The trainer forgets the temperature."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.engine.module.temperature = 0.5


class Divided(Engine):
    """What reaches the optimizer is divided by the loss scale of half precision (DeepSpeed#7837)."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.engine.optimizer.loss_scale_config.cur_scale = 65536


def prepare(
    kind: type[Engine], path: str, stage: int, dtype: str, file: Path | None = None
) -> tuple[Engine, Sampler, RunConfig]:
    settings = [f"model.path={path}", "problems=[{domain: chain}]", "run.name=unused", f"model.dtype={dtype}"]
    settings += [f"deepspeed.stage={stage}", "train.micro_batch_tokens=60", "sampling.max_completion_tokens=24"]
    settings += [f"deepspeed.config={file}"] if file else []
    config = load_config(RunConfig, [], settings).config
    engine = kind(load_model(config.model), config)
    return engine, Sampler(model=engine.sampling_model, pad_id=0, stop_ids=frozenset([1]), max_rows=8), config


def said(kind: type[Engine], path: str, stage: int, dtype: str, file: Path | None = None) -> str | None:
    engine, sampler, config = prepare(kind, path, stage, dtype, file)
    try:
        self_check(engine, sampler, PROMPTS, config)
    except LabError as error:
        return str(error)
    return None


def said_of_another_sampler(path: str, stage: int, fault: str) -> str | None:
    engine, sampler, config = prepare(Engine, path, stage, "fp32")
    try:
        self_check(engine, SAMPLER_FAULTS[fault](sampler, engine), PROMPTS, config)
    except LabError as error:
        return str(error)
    return None


def trained(path: str, stage: int, dtype: str, checked: bool) -> list[Any]:
    """Return gradient norms, the weights' hash, DeepSpeed's counters and a random number after two steps."""
    torch.manual_seed(3)
    engine, sampler, config = prepare(Engine, path, stage, dtype)
    if checked:
        self_check(engine, sampler, PROMPTS, config)
        probe_memory(engine, None, config, 12, 90, 0)
    batch = make_batch(random_groups(vocabulary=100), config.algorithm, 20)
    norms = []
    for _ in range(2):
        accumulate_gradients(engine, None, batch, config, 0)
        norms.append(engine.step(1e-3))
    weights = b"".join(p.detach().float().numpy().tobytes() for p in engine.sampling_model.parameters())
    counters = [
        engine.engine.global_steps,
        engine.engine.global_samples,
        engine.engine.micro_steps,
        engine.engine.skipped_steps,
    ]
    modes = sum(module.training for module in engine.engine.modules())
    return [norms, hashlib.sha256(weights).hexdigest(), counters, modes, float(torch.rand(()))]


def main() -> None:
    output, path = [a for a in sys.argv[1:] if not a.startswith("--local_rank")]
    torch.set_num_threads(1)
    found = {}
    for dtype in ("fp32", "bf16"):
        for stage in range(4):
            found[f"{stage}-{dtype}"] = {
                "sound": said(Engine, path, stage, dtype),
                "doubled": said(Doubled, path, stage, dtype),
                "checked": trained(path, stage, dtype, True),
                "unchecked": trained(path, stage, dtype, False),
            }
    for file in sorted((REPOSITORY / "configs" / "deepspeed").glob("*.json")):
        found[file.name] = {"sound": said(Engine, path, int(file.name.removeprefix("zero")[0]), "fp32", file)}
    for stage in (0, 3):
        found[f"{stage}-fp32"]["sampler"] = said_of_another_sampler(path, stage, "sampler's temperature")
        found[f"{stage}-fp32"]["old"] = said_of_another_sampler(path, stage, "sampler's weights old")
        found[f"{stage}-fp32"]["trainer"] = said(Sharpened, path, stage, "fp32")
    for stage in (1, 2):
        found[f"{stage}-fp32"]["forgetful"] = said(Forgetful, path, stage, "fp32")
    found["0-bf16"]["divided"] = said(Divided, path, 0, "bf16")
    if rank() == 0:
        (Path(output) / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    with process_group():
        main()
