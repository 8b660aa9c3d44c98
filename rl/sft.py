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
from transformers import PrinterCallback, ProgressCallback

from problems.catalog import build_source, solve
from problems.seeding import derive_rng, derive_seed
from problems.types import STYLES, ProblemError
from rl.policy.interfaces import CausalLM, Tokenizer
from rl.policy.opening import check_model_path, load_model, load_tokenizer, lora_config, save_policy
from rl.policy.prompts import render
from rl.policy.tiny import make_tiny_model
from rl.runtime import process_group, quiet_libraries, rank, set_threads
from rl.settings.arguments import clearly, imitation_arguments
from rl.settings.loading import Loaded, describe
from rl.settings.schema import ModelSettings, SftConfig
from rl.tracking.run_directory import RunDirectory
from rl.tracking.tracker import Tracker
from rl.tracking.view import StepView

IGNORED = -100  # label of tokens outside the loss
Example = tuple[list[int], list[int]]  # prompt ids, completion ids


def examples(config: SftConfig, tokenizer: Tokenizer) -> Iterator[Example]:
    """Yield worked examples without end; the n-th is the same in every process."""
    source = build_source(config.problems, derive_seed("sft", config.run.seed))
    index = 0
    while True:
        problem = source.get("train", index)
        style = derive_rng("style", config.run.seed, index).choices(STYLES, config.styles.shares())[0]
        text = solve(problem, style)
        prompt = render(problem, config.prompt, tokenizer).tolist()
        yield prompt, [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
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
        if row and (length > room or not packing):
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
    fill = {"input_ids": lambda n: [pad_id] * n, "labels": lambda n: [IGNORED] * n, "position_ids": lambda n: list(range(n))}
    return {name: torch.tensor([row[name] + padding(width - len(row[name])) for row in rows]) for name, padding in fill.items()}


def load_start(config: SftConfig, scratch: Path) -> tuple[CausalLM, Tokenizer]:
    """Return (model, tokenizer) to train: made from nothing, or opened."""
    model = config.model
    if model.tiny is not None:
        make_tiny_model(model.tiny, scratch, derive_seed("tiny", config.run.seed) % 2**31)
    path = str(scratch) if model.tiny is not None else str(model.path)
    settings = ModelSettings(path=path, revision=model.revision, dtype=model.dtype, attention=model.attention)
    return load_model(settings), load_tokenizer(settings)


def train_sft(config: SftConfig, run: RunDirectory, show: Callable[[int, Mapping[str, float]], None]) -> Path:
    """Imitate worked solutions; return the directory of the finished model. `show` is called after each logged step."""
    from datasets import IterableDataset
    from transformers import TrainerCallback
    from trl import SFTConfig as TrlConfig
    from trl import SFTTrainer

    quiet_libraries()
    set_threads(config.sft.threads)
    settings, output = config.sft, run.path / "model"
    with tempfile.TemporaryDirectory() as scratch:
        model, tokenizer = load_start(config, Path(scratch))
    tracker = Tracker(run, config.tracking, job_type="sft", config=config.model_dump(mode="json")) if rank() == 0 else None

    class Report(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if tracker is not None and logs and "loss" in logs:
                row = {key: value for key, value in logs.items() if isinstance(value, float | int)}
                tracker.log(state.global_step, row)
                show(state.global_step, row)

    dataset = IterableDataset.from_generator(
        lambda: map(row_columns, packed_rows(examples(config, tokenizer), settings.row_tokens, settings.packing))
    )
    with tempfile.TemporaryDirectory() as scratch:
        trainer = SFTTrainer(
            model=model,
            args=TrlConfig(
                output_dir=scratch,
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
                max_length=None,
                dataset_kwargs={"skip_prepare_dataset": True},
                remove_unused_columns=False,
                gradient_checkpointing=False,
                logging_steps=max(1, settings.steps // 100),
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
            data_collator=partial(collate, pad_id=tokenizer.pad_token_id),
            train_dataset=dataset,
            processing_class=tokenizer,
            peft_config=lora_config(config.model.lora) if config.model.lora else None,
            callbacks=[Report()],
        )
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        trainer.train()
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
    run = RunDirectory.create(config.run.path, describe(loaded)) if rank() == 0 else RunDirectory(config.run.path)
    view = StepView(total=config.sft.steps, name=config.run.name) if rank() == 0 else None

    def show(step: int, row: Mapping[str, float]) -> None:
        if view is not None:
            accuracy = row.get("mean_token_accuracy", 0.0)
            view.update(
                step, f"loss {row['loss']:.3f}  token accuracy {accuracy:.3f}  gradient {row.get('grad_norm', 0.0):.2f}"
            )

    try:
        with process_group(even_alone=False, on_failure=run.set_failure):
            output = train_sft(config, run, show)
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
