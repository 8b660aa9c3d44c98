"""Updates with one number in them that is not finite, for tests; run as a program, on several ranks.

planted_numbers OUTPUT MODEL    writes OUTPUT/rank-N.json and, for each plant, OUTPUT/<plant>/dumps/
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from support import random_groups

from problems.errors import LabError
from rl.policy.opening import load_model, load_tokenizer
from rl.runtime import process_group, rank
from rl.settings.loading import describe, load_config
from rl.settings.schema import RunConfig
from rl.skipping import Skipping
from rl.types import Batch
from rl.update.batch import make_batch
from rl.update.engine import Engine, Reference
from rl.update.fingerprint import check_fingerprints

ROW = 7  # where a number is planted in a row
TOKEN = 1
UNUSED = 5  # a token of the vocabulary that no row has
WEIGHT = "model.layers.1.mlp.up_proj.weight"


def open_skipping(run: Path, model: Path | str, *settings: str) -> tuple[Skipping, list[str]]:
    """Return what does updates of a fresh engine, and the list of what it says."""
    config = [f"model.path={model}", "problems=[{domain: chain}]", f"run={{dir: {run.parent}, name: {run.name}}}"]
    loaded = load_config(RunConfig, [], [*config, "train.micro_batch_tokens=60", "optimizer.warmup_steps=0", *settings])
    run.mkdir(exist_ok=True)
    if rank() == 0:
        (run / "config.yaml").write_text(describe(loaded))
    opened, tokenizer, said = load_model(loaded.config.model), load_tokenizer(loaded.config.model), list[str]()
    engine = Engine(opened, loaded.config)
    needs_copy = loaded.config.algorithm.kl_coef and not loaded.config.model.lora
    frozen = load_model(loaded.config.model, trainable=False) if needs_copy else None
    reference = Reference(engine, frozen) if loaded.config.algorithm.kl_coef else None
    return Skipping(
        engine=engine, reference=reference, config=loaded.config, tokenizer=tokenizer, run=run, say=said.append
    ), said


def sound_batch(skipping: Skipping) -> Batch:
    """Return a batch in which every number is finite; row N is of the problem whose id is its `problem_id`."""
    return make_batch(random_groups(vocabulary=100), skipping.config.algorithm, 20)


def with_row(batch: Batch, **values: Any) -> Batch:
    """Return the batch with other values in row ROW."""
    rows = list(batch.rows)
    rows[ROW] = replace(rows[ROW], **values)
    return replace(batch, rows=tuple(rows))


def nan_in_sampling_logprobs(skipping: Skipping, batch: Batch) -> Batch:
    """What the sampler said of one token is NaN."""
    values = batch.rows[ROW].sampling_logprobs.copy()
    values[TOKEN] = np.nan
    return with_row(batch, sampling_logprobs=values)


def gradient_without_end(skipping: Skipping, batch: Batch) -> Batch:
    """The advantages of one row are finite, and its gradient is too large for float32 to square."""
    return with_row(batch, advantages=np.full(len(batch.rows[ROW].advantages), 1e30))


@torch.no_grad()
def nan_in_a_weight(skipping: Skipping, batch: Batch) -> Batch:
    """One number of the weights is NaN."""
    weights = dict(skipping.engine.policy.named_parameters())[WEIGHT]
    weights[3, 2] = np.nan
    return batch


@torch.no_grad()
def logits_overflow(skipping: Skipping, batch: Batch) -> Batch:
    """The weights are finite, and at some tokens a logit is not: that of a token which no row has."""
    skipping.engine.policy.get_output_embeddings().weight[UNUSED, 0] = 3e38
    return batch


PLANTS: dict[str, Callable[[Skipping, Batch], Batch]] = {
    "sampling": nan_in_sampling_logprobs,
    "gradient": gradient_without_end,
    "weight": nan_in_a_weight,
    "logits": logits_overflow,
}


def whole_state(engine: Engine) -> list[torch.Tensor]:
    """Return copies of the weights, and of what this rank's optimizer remembers."""
    moments = [values for state in engine._adamw.state.values() for values in state.values()]
    return [values.detach().clone() for values in (*engine.policy.parameters(), *moments) if isinstance(values, torch.Tensor)]


def same(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    """Whether all are equal bit by bit."""
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


def met_on_ranks(output: Path, model: str, plant: str, *settings: str) -> dict[str, Any]:
    """Do a sound update, a spoilt one and a sound one; return what was said and whether the spoilt one left a trace."""
    skipping, said = open_skipping(output / plant, model, *settings)
    batch = sound_batch(skipping)
    skipping.update(batch, 0)
    spoilt, error = PLANTS[plant](skipping, batch), None
    before = whole_state(skipping.engine)
    metrics: dict[str, Any] = {}
    try:
        metrics = skipping.update(spoilt, 1)
    except LabError as fault:
        error = str(fault)
    is_untouched = plant == "weight" or same(before, whole_state(skipping.engine))
    if plant in ("sampling", "gradient"):
        metrics["after"] = skipping.update(batch, 2)
    skipping.engine.finish()
    return {"said": said, "error": error, "is_untouched": is_untouched, "metrics": metrics}


def disagreements(output: Path, model: str) -> dict[str, Any]:
    """Return what the fingerprints say of sound weights, of a bit that differs on rank 1, and of a copy that is old."""
    said: dict[str, Any] = {}

    def ask(name: str, skipping: Skipping) -> None:
        try:
            check_fingerprints(skipping.engine, skipping.engine.sampling_model)
            said[name] = None
        except LabError as error:
            said[name] = str(error)

    for stage in (2, 3):
        skipping, _ = open_skipping(output / f"stage{stage}", model, f"deepspeed.stage={stage}")
        ask(f"{stage} sound", skipping)
        skipping.update(sound_batch(skipping), 0)
        ask(f"{stage} after an update", skipping)
        copied = dict(skipping.engine.sampling_model.named_parameters())[WEIGHT]
        if rank() == 1:
            with torch.no_grad():
                copied.view(-1).view(torch.int32)[17] ^= 1  # the last bit of one number
        ask(f"{stage} one bit", skipping)
        skipping.engine.finish()
    return said


def main() -> None:
    output, model = [argument for argument in sys.argv[1:] if not argument.startswith("--local_rank")]
    torch.set_num_threads(1)
    with process_group():
        found: dict[str, Any] = {
            plant: met_on_ranks(Path(output), model, plant, "deepspeed.stage=2", "model.dtype=bf16") for plant in PLANTS
        }
        found["fingerprints"] = disagreements(Path(output), model)
        (Path(output) / f"rank-{rank()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
