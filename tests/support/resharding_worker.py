"""Run as each of one or two ranks: engines of every kind save after two steps, and go on from what others saved.

resharding_worker save HOME MODEL    writes HOME/RANKS-STAGE-KIND/ and what it should hold, HOME/RANKS-STAGE-KIND.pt, and then
                                     goes on from every checkpoint of that kind that is there
resharding_worker load HOME MODEL    only the second

Both write HOME/TASK-RANKS.json: by pair, what does not hold.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from support import random_groups

from rl.exchange import all_gather
from rl.policy.opening import load_model
from rl.runtime import process_group, rank, world_size
from rl.settings.loading import load_config
from rl.settings.schema import RunConfig
from rl.update.batch import make_batch
from rl.update.engine import Engine
from rl.update.step import accumulate_gradients

STAGES = (0, 1, 2, 3)
LORA = ("model.lora.r=4", "deepspeed.shard_frozen=true")
KINDS: dict[str, tuple[str, ...]] = {
    "fp32": (),
    "bf16": ("model.dtype=bf16",),
    "fp32-lora": LORA,
    "bf16-lora": (*LORA, "model.dtype=bf16"),
}
# of how far a step moves the weights. What Adam divides by is as small as the gradient, so rounding counts in full there, and
# weights of bf16 round once more; a weight that is not wired to its state is off by all of its step
TOLERANCE = {"fp32": 1e-2, "bf16": 0.5}
MOMENTS = ("exp_avg", "exp_avg_sq")
State = dict[str, dict[str, torch.Tensor]]  # by weight: itself in float32, its moments, and how often it was moved


def build(home: Path, model_path: str, stage: int, kind: str, seed: int) -> Engine:
    """Return an engine whose weights are its own, so that one which was not restored shows."""
    sharded = home / f"sharded-{rank()}.json"  # without it DeepSpeed keeps weights this small whole
    sharded.write_text(json.dumps({"zero_optimization": {"stage3_param_persistence_threshold": 40}}))
    settings = [
        f"model.path={model_path}",
        "problems=[{domain: chain}]",
        "run.name=unused",
        f"deepspeed={{stage: {stage}, config: {sharded}}}",
        *KINDS[kind],
    ]
    config = load_config(RunConfig, [], settings).config
    model: Any = load_model(config.model)
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.requires_grad:
                weights.add_((0.02 * torch.randn(weights.shape, generator=noise)).to(weights.dtype))
    return Engine(model, config)


def learn(engine: Engine) -> None:
    """Do an optimizer step on a fixed batch."""
    batch = make_batch(random_groups(vocabulary=100), engine.config.algorithm, 20)
    accumulate_gradients(engine, None, batch, engine.config, 0)
    engine.step(1e-3)


def state_of(engine: Engine) -> State:
    """Return what the engine holds of every trained weight, whole, by DeepSpeed's own means; all ranks must call."""
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    trained = [(name, weights) for name, weights in engine.engine.module.named_parameters() if weights.requires_grad]
    adamw, optimizer = engine._adamw, engine.engine.optimizer
    if engine.stage == 0:
        kept = adamw.param_groups[0]["params"]
        found = {name: {"weights": held.detach(), **adamw.state[held]} for (name, _), held in zip(trained, kept, strict=True)}
    else:
        if engine.stage < 3:  # it would look for the state at the next step
            optimizer._link_all_hp_params()
            optimizer._hp_optimizer_states_linked = False
            optimizer._lazy_init_hp_params_optimizer_state()
        (step,) = {float(state["step"]) for state in adamw.state.values() if state}
        found = {}
        for name, weights in trained:
            moments = {key: safe_get_full_optimizer_state(weights, key) for key in MOMENTS}
            found[name] = {"weights": safe_get_full_fp32_param(weights), "step": torch.tensor(step), **moments}
    return {name: {key: value.clone().float().cpu() for key, value in held.items()} for name, held in found.items()}


def computing(engine: Engine) -> dict[str, torch.Tensor]:
    """Return the trained weights as the model computes with them, whole; all ranks must call."""
    trained = [(name, weights) for name, weights in engine.policy.named_parameters() if weights.requires_grad]
    with engine.whole_weights([weights for _, weights in trained]):
        return {name: weights.detach().clone() for name, weights in trained}


def save(engine: Engine, place: Path) -> None:
    """Write a checkpoint of an engine that has done two steps, and what is in it and comes next."""
    for _ in range(2):
        learn(engine)
    engine.save(place)
    saved, used = state_of(engine), computing(engine)
    learn(engine)
    after = computing(engine)
    if rank() == 0:
        torch.save({"saved": saved, "used": used, "next": after}, f"{place}.pt")
    if world_size() > 1:
        torch.distributed.barrier()


def faults(engine: Engine, expected: dict[str, Any], kind: str, *, steps: bool) -> Iterator[str]:
    """Yield what an engine that has loaded a checkpoint holds otherwise than that which saved it; maybe after a step, too."""
    found = state_of(engine)
    if found.keys() != expected["saved"].keys():
        yield "other weights are trained"
    for name, held in expected["saved"].items():
        yield from (f"{key} of {name}" for key, value in held.items() if not torch.equal(found[name][key], value))
    used = computing(engine)
    yield from (f"{name} in use" for name, value in expected["used"].items() if not torch.equal(used[name], value))
    if not steps:
        return
    learn(engine)
    after = computing(engine)
    moved, off = (
        torch.cat([(expected["next"][name] - other[name]).double().flatten() for name in used]).norm()
        for other in (used, after)
    )
    if not 0 <= off <= TOLERANCE[kind[:4]] * moved or not moved:
        yield f"the next step is off by {off / moved:.2g} of itself"


def work(task: str, home: Path, model_path: str) -> dict[str, list[str]]:
    """Return what each engine on this number of ranks found wrong with each checkpoint of its kind, on any of them."""
    found: dict[str, list[str]] = {}
    for number, kind in enumerate(KINDS):
        for stage in STAGES:
            engine = build(home, model_path, stage, kind, seed=100 * number + 10 * stage + world_size())
            own = home / f"{world_size()}-{stage}-{kind}"
            if task == "save":
                save(engine, own)
            # a new engine begins with its own, which DeepSpeed loads by itself; one that is used would refuse that
            others = sorted(place for place in home.glob(f"*-{kind}") if place != own)
            for place in others if task == "save" else [own, *others]:
                engine.load(place)
                pair = f"{place.name} to {own.name}"
                mine = list(faults(engine, torch.load(f"{place}.pt"), kind, steps=place == others[-1]))
                found[pair] = [fault for of_rank in all_gather(mine) for fault in of_rank]
            engine.finish()
    return found


def main() -> None:
    task, home, model_path = [a for a in sys.argv[1:] if not a.startswith("--local_rank")]
    torch.set_num_threads(1)
    with process_group():
        found = work(task, Path(home), model_path)
        if rank() == 0:
            (Path(home) / f"{task}-{world_size()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
