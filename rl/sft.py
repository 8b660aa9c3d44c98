"""The cold start: imitation of worked solutions with TRL's SFTTrainer, from the settings to the saved model.

rl/imitation/ has what is imitated (`examples.py`) and how a step learns from it (`trainer.py`).
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from problems.catalog import build_source
from problems.seeding import derive_seed
from rl.imitation.examples import Example, collate, examples, packed_rows
from rl.policy.interfaces import CausalLM, Tokenizer
from rl.policy.opening import DTYPES, load_model, load_tokenizer, lora_config, plain_model, save_policy
from rl.policy.paths import check_model_path
from rl.policy.tiny import make_tiny_model
from rl.runtime import process_group, quiet_libraries, rank, set_threads
from rl.settings.arguments import clearly, imitation_arguments
from rl.settings.loading import Loaded, describe
from rl.settings.schema import ModelSettings, SftConfig
from rl.tracking.run_directory import JsonDict, RunDirectory
from rl.tracking.tracker import Tracker
from rl.tracking.view import StepView

Show = Callable[[int, Mapping[str, float]], None]  # from a step and what was logged of it


def load_start(config: SftConfig) -> tuple[CausalLM, Tokenizer]:
    """Return (model, tokenizer) to train: made from nothing, or opened.

    To be called before the ranks join: once they have, transformers writes files on rank 0 alone, and the others would
    not find the model that each makes for itself.
    """
    model = config.model
    with tempfile.TemporaryDirectory() as scratch:
        if model.tiny is None:
            path = str(model.path)
        else:
            make_tiny_model(model.tiny, Path(scratch), derive_seed("tiny", config.run.seed) % 2**31)
            path = scratch
        shared = model.model_dump(include={"revision", "pad_token", "attention"})
        # without adapters the weights are kept in float32, see rl/imitation/trainer.py
        settings = ModelSettings(path=path, dtype=model.dtype if model.lora else "fp32", **shared)
        opened = plain_model(settings, config.run.dir)
        return load_model(opened), load_tokenizer(opened)


class _Report(TrainerCallback):  # type: ignore[misc]
    """Hands on what the trainer logs of a step."""

    def __init__(self, show: Show, tracker: Tracker):
        self.show = show
        self.tracker = tracker

    def on_log(self, args: Any, state: Any, control: Any, logs: JsonDict | None = None, **kwargs: Any) -> None:
        if not logs or "loss" not in logs:
            return  # the summary at the end of the training
        metrics = {name: value for name, value in logs.items() if isinstance(value, float | int)}
        self.tracker.log(state.global_step, metrics)
        self.show(state.global_step, metrics)


def train_sft(config: SftConfig, run: RunDirectory, model: CausalLM, tokenizer: Tokenizer, show: Show) -> Path:
    """Imitate worked solutions; return the directory of the finished model. `show` is called after each logged step."""
    from datasets import IterableDataset

    from rl.imitation.trainer import ImitationTrainer, trl_config

    tracker = None
    if rank() == 0:
        tracker = Tracker(run, config.tracking, job_type="sft", config=config.model_dump(mode="json"))

    def columns() -> Iterator[dict[str, list[Example]]]:
        for row in packed_rows(examples(config, tokenizer), config.sft.row_tokens, config.sft.packing):
            yield {"examples": row}

    with tempfile.TemporaryDirectory() as scratch:
        trainer = ImitationTrainer(
            config=config,
            dtype=DTYPES[config.model.dtype],
            model=model,
            args=trl_config(config, scratch),
            data_collator=collate,
            train_dataset=IterableDataset.from_generator(columns),
            processing_class=tokenizer,
            peft_config=lora_config(config.model.lora) if config.model.lora else None,
            callbacks=[_Report(show, tracker)] if tracker is not None else [],
        )
        # without a progress bar transformers prints every logged step instead; ours is shown by `show`
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        trainer.train()
    output = run.path / "model"
    trainer.learner.refresh()
    if rank() == 0:
        save_policy(trainer.learner.computing, tokenizer, output, merge=True)
    if tracker is not None:
        tracker.finish()
    return output


def run_sft(loaded: Loaded[SftConfig]) -> Path:
    """Do a whole cold start, from checks to the saved model; return the model directory."""
    config = loaded.config
    if config.model.path is not None:
        check_model_path(config.model.path)
    build_source(config.problems, 0).get("train", 0)
    quiet_libraries()
    set_threads(config.sft.threads)
    model, tokenizer = load_start(config)
    next(examples(config, tokenizer))  # a template or a problem that makes no example says so before anything is written
    run = RunDirectory.create(config.run.path, describe(loaded)) if rank() == 0 else RunDirectory(config.run.path)
    view = StepView(total=config.sft.steps, name=config.run.name) if rank() == 0 else None

    def show(step: int, metrics: Mapping[str, float]) -> None:
        if view is not None:
            loss = metrics["loss"]
            entropy = metrics["entropy"]
            gradient_norm = metrics.get("grad_norm", 0.0)
            view.update(step, f"loss {loss:.3f}  entropy {entropy:.3f}  gradient {gradient_norm:.2f}")

    try:
        with process_group(even_alone=False, on_failure=run.set_failure):
            output = train_sft(config, run, model, tokenizer, show)
    finally:
        if view is not None:
            view.close()
    if rank() == 0:
        run.set_status("finished", step=config.sft.steps)
    return output


@clearly
def main(argv: Sequence[str]) -> int:
    """The command line of `python -m rl.sft`."""
    loaded = imitation_arguments(argv)
    if loaded is not None:
        print(f"model: {run_sft(loaded)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
