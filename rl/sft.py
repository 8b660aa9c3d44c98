"""The cold start: imitation of worked solutions with TRL's SFTTrainer.

Examples are written by the problem sources, rendered with the same prompt code as sampling, and packed into rows in the
order they were drawn: lengths stay mixed in every batch. (Batches sorted by length, and so by style, learn nothing.)
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from problems.catalog import build_source, solve
from problems.seeding import derive_rng, derive_seed
from problems.types import STYLES, ProblemError
from rl.policy.interfaces import CausalLM, Tokenizer
from rl.policy.opening import load_model, load_tokenizer, lora_config, plain_model, save_policy
from rl.policy.paths import check_model_path
from rl.policy.prompts import render
from rl.policy.tiny import make_tiny_model
from rl.runtime import process_group, quiet_libraries, rank, set_threads
from rl.settings.arguments import clearly, imitation_arguments
from rl.settings.loading import Loaded, describe
from rl.settings.schema import ModelSettings, SftConfig
from rl.tracking.run_directory import JsonDict, RunDirectory
from rl.tracking.tracker import Tracker
from rl.tracking.view import StepView

IGNORED = -100  # label of tokens outside the loss
Example = tuple[list[int], list[int]]  # prompt ids, completion ids
Show = Callable[[int, Mapping[str, float]], None]  # from a step and what was logged of it


def examples(config: SftConfig, tokenizer: Tokenizer) -> Iterator[Example]:
    """Yield worked examples without end; the n-th is the same in every process."""
    source = build_source(config.problems, derive_seed("sft", config.run.seed))
    index = 0
    while True:
        problem = source.get("train", index)
        rng = derive_rng("style", config.run.seed, index)
        style = rng.choices(STYLES, config.styles.shares())[0]
        solution = tokenizer(solve(problem, style), add_special_tokens=False).input_ids
        prompt = render(problem, config.prompt, tokenizer).tolist()
        yield prompt, [*solution, tokenizer.eos_token_id]
        index += 1


def packed_rows(stream: Iterator[Example], row_tokens: int, packing: bool) -> Iterator[list[Example]]:
    """Yield rows; with `packing` each is filled until the next example does not fit.

    Raises ProblemError for an example longer than a row.
    """
    row: list[Example] = []
    room = row_tokens
    for prompt, completion in stream:
        length = len(prompt) + len(completion)
        if length > row_tokens:
            raise ProblemError(
                f"a worked example has {length} tokens and sft.row_tokens is {row_tokens}: raise it, or leave such problems out"
            )
        is_full = length > room or not packing
        if row and is_full:
            yield row
            row, room = [], row_tokens
        row.append((prompt, completion))
        room -= length


def row_columns(row: list[Example]) -> dict[str, list[int]]:
    """Return input_ids, labels and position_ids of one row; positions start again with each example.

    transformers builds a block-diagonal mask from such positions, so examples of one row do not see each other.
    """
    columns: dict[str, list[int]] = {"input_ids": [], "labels": [], "position_ids": []}
    for prompt, completion in row:
        columns["input_ids"] += prompt + completion
        columns["labels"] += [IGNORED] * len(prompt) + completion
        columns["position_ids"] += range(len(prompt) + len(completion))
    return columns


def collate(rows: Sequence[dict[str, list[int]]], pad_id: int) -> dict[str, torch.Tensor]:
    """Right-pad rows to the longest; all results are [rows, T]. Padding is a sequence of its own that nothing sees."""
    width = max(len(row["input_ids"]) for row in rows)
    padded: dict[str, list[list[int]]] = {"input_ids": [], "labels": [], "position_ids": []}
    for row in rows:
        missing = width - len(row["input_ids"])
        padded["input_ids"].append(row["input_ids"] + [pad_id] * missing)
        padded["labels"].append(row["labels"] + [IGNORED] * missing)
        # positions from 0 make a new sequence, see row_columns
        padded["position_ids"].append(row["position_ids"] + list(range(missing)))
    return {name: torch.tensor(columns) for name, columns in padded.items()}  # [rows, T], int64


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
        shared = model.model_dump(include={"revision", "pad_token", "dtype", "attention"})
        settings = ModelSettings(path=path, **shared)
        opened = plain_model(settings, config.run.dir)
        return load_model(opened), load_tokenizer(opened)


def trl_config(config: SftConfig, output_dir: str) -> Any:
    """Return our settings in the words of TRL; it writes, logs and prints nothing by itself."""
    from trl import SFTConfig as TrlConfig

    settings = config.sft
    return TrlConfig(
        output_dir=output_dir,
        max_steps=settings.steps,
        per_device_train_batch_size=settings.rows,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_steps,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        seed=config.run.seed,
        bf16=config.model.dtype == "bf16",
        use_cpu=not torch.cuda.is_available(),
        # the rows come ready, with tokens, labels and positions: TRL may neither cut nor tokenise them, nor drop a column
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        gradient_checkpointing=False,
        logging_steps=max(1, settings.steps // 100),
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )


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
    from trl import SFTTrainer

    tracker = None
    if rank() == 0:
        tracker = Tracker(run, config.tracking, job_type="sft", config=config.model_dump(mode="json"))

    def columns() -> Iterator[dict[str, list[int]]]:
        for row in packed_rows(examples(config, tokenizer), config.sft.row_tokens, config.sft.packing):
            yield row_columns(row)

    with tempfile.TemporaryDirectory() as scratch:
        trainer = SFTTrainer(
            model=model,
            args=trl_config(config, scratch),
            data_collator=partial(collate, pad_id=tokenizer.pad_token_id),
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
    if rank() == 0:
        save_policy(trainer.model, tokenizer, output, merge=True)
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
            accuracy = metrics.get("mean_token_accuracy", 0.0)
            gradient_norm = metrics.get("grad_norm", 0.0)
            view.update(step, f"loss {loss:.3f}  token accuracy {accuracy:.3f}  gradient {gradient_norm:.2f}")

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
