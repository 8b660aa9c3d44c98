"""What follows when a number of an update is not finite: the update is left out on all ranks, named, dumped, counted.

Weights, optimizer and learning-rate schedule are as if the update had not been asked for (rl/update/step.py:NotFinite). A run
goes on after up to `train.skip_updates` of them in a row, and one more ends it. Weights that are not finite end it at once.
"""

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from problems.errors import LabError
from rewards.types import NOT_FINITE
from rl.exchange import all_gather
from rl.policy.interfaces import Tokenizer
from rl.policy.logits import logit_shape
from rl.policy.opening import save_policy
from rl.runtime import rank, world_size
from rl.settings.schema import RunConfig
from rl.tracking.dumps import as_record, in_words, write_dump
from rl.tracking.run_directory import JsonDict
from rl.types import Batch, Drawn
from rl.update.batch import cut_micro_batches
from rl.update.culprit import Culprit, find
from rl.update.engine import Engine, Reference
from rl.update.step import Boundary, NotFinite, update_policy


class StoppedNotFinite(LabError):
    """Too many updates in a row met a number that is not finite; the message says what to change."""


@dataclass(kw_only=True)
class Skipping:
    """Does updates, and sees to those that have to be left out."""

    engine: Engine
    reference: Reference | None
    config: RunConfig
    tokenizer: Tokenizer
    run: Path
    say: Callable[[str], None]  # of rank 0
    in_a_row: int = 0
    told: set[str] = field(default_factory=set)  # problems whose reward was no number

    def update(self, batch: Batch, step: int, boundary: Boundary | None = None) -> dict[str, Any]:
        """Do one optimizer step on `batch` for step `step` (0-based), or leave it out; return its metrics.

        All ranks must call. Raises StoppedNotFinite, on all of them, when that was one too many, and what `boundary` raises:
        see `update_policy`.
        """
        pad_id = self.tokenizer.pad_token_id
        try:
            metrics = update_policy(self.engine, self.reference, batch, self.config, pad_id, step, boundary)
        except NotFinite as fault:
            culprit = find(fault, self.engine, self.reference, batch, self.config, pad_id)
            self._left_out(fault, culprit, batch, step)
            return {"skipped_updates": 1}
        self.in_a_row = 0
        return {**metrics, "skipped_updates": 0}

    def _left_out(self, fault: NotFinite, culprit: Culprit, batch: Batch, step: int) -> None:
        self.in_a_row += 1
        dump = self._dump(fault, culprit, batch, step)
        words = f"step {step + 1}: {culprit.words}"
        kept = f"; `reasonlab replay {dump}` repeats it" if dump is not None else ""
        if self.in_a_row > self.config.train.skip_updates or culprit.parameters:
            raise StoppedNotFinite(f"{words}. {self._advice(culprit)}{kept}")
        if rank() == 0:
            self.say(f"{words}. The update is left out ({self.in_a_row} in a row){kept}")

    def _advice(self, culprit: Culprit) -> str:
        if culprit.parameters:
            return (
                "No update can mend that: start a run from an earlier checkpoint, model.path=RUN/checkpoints/step-N/policy, "
                "with a smaller optimizer.learning_rate; if they were so from the start, get the model again"
            )
        return (
            f"{self.in_a_row} updates in a row were left out (train.skip_updates = {self.config.train.skip_updates}), so the "
            "weights of now are those of the last update that was done. Start a run from the newest checkpoint or from the "
            "dump's policy (model.path) with a smaller optimizer.learning_rate, a longer optimizer.warmup_steps, or "
            "model.dtype=fp32"
        )

    def _dump(self, fault: NotFinite, culprit: Culprit, batch: Batch, step: int) -> Path | None:
        """Write a dump, rank 0 alone, and wait for it: whoever ends first would have the others killed."""
        dump = None
        if rank() == 0:
            try:
                found = self._found(fault, culprit, batch, step)
                keep = self.config.train.keep_dumps
                dump = write_dump(self.run, step + 1, batch.rows, found, self._save_weights, keep=keep)
            except (OSError, SafetensorError) as error:  # a full disk is no reason to lose what was found
                self.say(f"no dump of step {step + 1} could be written: {error}")
        return all_gather(dump)[0]

    def _save_weights(self, directory: Path) -> None:
        # under ZeRO 3 the sampling copy is whole on every rank
        save_policy(self.engine.sampling_model, self.tokenizer, directory / "policy", merge=False)
        if self.reference is not None:
            self.reference.save(directory)

    def _found(self, fault: NotFinite, culprit: Culprit, batch: Batch, step: int) -> JsonDict:
        """Return what a dump says in words and how the batch was cut."""
        limit, layout = self.config.train.micro_batch_tokens, self.engine.layout
        return {
            "step": step + 1,
            "met": {"what": fault.what, "value": in_words(fault.value)},
            "words": culprit.words,
            "culprit": as_record(culprit),
            "layout": layout,
            "logit_shape": asdict(logit_shape(self.engine.policy)),
            "pad_id": self.tokenizer.pad_token_id,
            "micro_batches": cut_micro_batches(batch.rows, world_size(), limit, layout),  # of each rank
            "zero_stage": self.engine.stage,
            "torch": torch.__version__,
            "machine": platform.platform(),
        }

    def look_at(self, drawn: Drawn) -> None:
        """Say which rewards of a step are no numbers, once a problem: they are in no mean, and nothing learns from them."""
        for rollout in drawn.rollouts:
            verdict = rollout.reward.verdict
            if verdict.kind == NOT_FINITE and rollout.problem.id not in self.told and rank() == 0:
                self.told.add(rollout.problem.id)
                self.say(
                    f"step {drawn.step + 1}: the reward of a completion of problem {rollout.problem.id} cannot be used: "
                    f"{verdict.detail}"
                )
