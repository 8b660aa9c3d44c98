"""The cold start: imitation of worked solutions with TRL's SFTTrainer, from the settings to the saved model.

rl/imitation/ has what is imitated (`examples.py`) and how a step learns from it (`trainer.py`).
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from problems.catalog import build_source
from problems.errors import LabError
from problems.progress import Progress
from problems.seeding import derive_seed
from problems.types import Problem
from rl.at_work import at_work
from rl.evaluation.by_set import names_of_problems, set_metrics
from rl.evaluation.measures import held_out_metrics
from rl.evaluation.samples import of_rollouts
from rl.exchange import all_gather, gather_shares, share, stop_if_told
from rl.heartbeat import Now, clear, doing
from rl.imitation.examples import Drawn, check_room, collate, drawn_rows, held_out_examples, held_out_source
from rl.policy.interfaces import CausalLM, Tokenizer
from rl.policy.opening import DTYPES, add_adapters, load_model, load_tokenizer, plain_model, save_policy
from rl.policy.paths import check_model_path
from rl.policy.rounding import fit_products
from rl.policy.tiny import make_tiny_model
from rl.rollout import RolloutWorker, open_pool, open_worker
from rl.runtime import quiet_libraries, rank, set_threads, world_size
from rl.settings.arguments import clearly, imitation_arguments
from rl.settings.disk import imitation_checkpoint_bytes, imitation_checkpoints_at_once
from rl.settings.loading import Loaded, describe, parse_yaml
from rl.settings.schema import ModelSettings, SftConfig
from rl.start import caution, check_same_run, say, say_faster, say_slower, say_where
from rl.stopping import Guard, Preempted
from rl.tracking import checkpoint
from rl.tracking.compute import compute_tokens
from rl.tracking.mirrors import check_installed
from rl.tracking.run_directory import JsonDict, RunDirectory, tell_run
from rl.tracking.tracker import Tracker, open_tracker
from rl.types import Row

if TYPE_CHECKING:
    from rl.imitation.trainer import ImitationTrainer  # loads TRL, which takes seconds

CHECKPOINTS, MODEL = "checkpoints", "model"


def load_start(config: SftConfig) -> tuple[CausalLM, Tokenizer]:
    """Return (model, tokenizer) to train: made from nothing, or opened.

    To be called before the ranks join: once they have, transformers writes files on rank 0 alone, and the others would
    not find the model that each makes for itself.
    """
    model = config.model
    fit_products(model.dtype)  # of its copy, where the model itself is opened in float32
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
        found, tokenizer = load_model(opened), load_tokenizer(opened)
        if model.lora is not None:
            # TRL would add them after the run directory is written
            torch.manual_seed(config.run.seed)  # they are drawn from it, alike on every rank
            found = add_adapters(found, model.lora)
        return found, tokenizer


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Problems that are never imitated, with a worked solution each."""

    problems: list[Problem]
    rows: list[Row]
    names: list[str]  # the set of each problem

    @classmethod
    def draw(cls, config: SftConfig, tokenizer: Tokenizer, max_positions: int | None) -> "HeldOut":
        """Return those of the settings, the same as `reasonlab train` evaluates with; none where no evaluation is wanted."""
        if not config.evaluation.every_steps:
            return cls(problems=[], rows=[], names=[])
        settings, source = config.evaluation, held_out_source(config)
        problems, rows = held_out_examples(config, source, tokenizer)
        for row in rows:
            check_room(row.length, max_positions)
        names = names_of_problems(settings.problems or config.problems, source, settings.split, settings.num_problems)
        return cls(problems=problems, rows=rows, names=names)


@dataclass(kw_only=True, eq=False)
class BetweenSteps(TrainerCallback):  # type: ignore[misc]
    """What the run does between steps: evaluate, write down, save. All ranks have one and are called alike."""

    config: SftConfig
    run: RunDirectory
    trainer: "ImitationTrainer"
    held_out: HeldOut
    worker: RolloutWorker | None  # samples answers to the held-out problems
    resumed: Path | None  # the checkpoint to begin with
    tracker: Tracker | None  # rank 0 only
    view: Progress | None  # rank 0 only
    told: Preempted | None = None  # what ends the run with the next record
    mark: tuple[float, int, int] = (0.0, 0, 0)  # clock in seconds, step and tokens when a step was last written down

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Go on from the checkpoint, or write down how good the model is before its first step."""
        if self.resumed is not None:
            self.trainer.load(self.resumed)
        elif self.config.evaluation.every_steps:
            metrics = self.evaluate()
            if self.tracker is not None:
                self.tracker.log(0, metrics)
        self.mark = (time.perf_counter(), state.global_step, self.trainer.num_tokens)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Have the trainer log what is evaluated or saved: each step has one record, and means never reach back past these.

        So there is a record, too, at which a run ends that was told to stop.
        """
        Now.marks += 1
        try:
            stop_if_told()
        except Preempted as told:
            self.told = told
        control.should_log |= self.evaluates(state.global_step) or self.saves(state.global_step) or self.told is not None

    def on_log(self, args: Any, state: Any, control: Any, logs: JsonDict | None = None, **kwargs: Any) -> None:
        """Write a step down."""
        if not logs or "loss" not in logs:
            return  # the summary at the end of the training
        # an endless stream has no epochs
        metrics = {name: value for name, value in logs.items() if isinstance(value, float | int) and name != "epoch"}
        metrics["compute_tokens"] = compute_tokens(0, self.trainer.num_tokens)
        began, step, tokens = self.mark
        seconds = time.perf_counter() - began
        timing = {
            "step_time": seconds / (state.global_step - step),
            "perf/tokens_per_second": (self.trainer.num_tokens - tokens) / seconds,
        }
        if self.evaluates(state.global_step):
            metrics |= self.evaluate()
        if self.tracker is not None:
            self.tracker.log(state.global_step, metrics, timing)
        if self.view is not None:
            self.view.update(state.global_step, one_line(metrics), urgent="eval/loss" in metrics)
        told = self.told if state.global_step < self.config.sft.steps else None  # after the last step the model is written
        if self.saves(state.global_step) or told is not None:
            self.save(state.global_step)
        if told is not None:
            raise told
        self.mark = (time.perf_counter(), state.global_step, self.trainer.num_tokens)

    def evaluates(self, step: int) -> bool:
        """Whether there is an evaluation after `step`."""
        every = self.config.evaluation.every_steps
        return every > 0 and (step % every == 0 or step == self.config.sft.steps)

    def saves(self, step: int) -> bool:
        """Whether there is a checkpoint after `step`; after the last one the model itself is written."""
        return step % self.config.checkpoint.every_steps == 0 and step < self.config.sft.steps

    def evaluate(self) -> dict[str, Any]:
        """Return the loss on held-out examples and, of answers to their questions, accuracy and length."""
        assert self.worker is not None, "there is one where there is an evaluation"
        with doing("evaluating"):
            return self._evaluate(self.worker)

    def _evaluate(self, worker: RolloutWorker) -> dict[str, Any]:
        loss = self.trainer.mean_loss(self.held_out.rows)
        # not `sample_all`, which may be left: the step before it is not written down yet
        stream, mine = ("eval", self.config.run.seed), share(self.held_out.problems)
        groups = gather_shares(worker.rollouts(mine, self.config.evaluation.samples, stream, 0)[0])
        questions = [of_rollouts(group) for group in groups]
        found = held_out_metrics(questions, may_abstain=self.config.prompt.may_abstain)
        return {"eval/loss": loss, **found, **set_metrics(questions, self.held_out.names)}

    def save(self, step: int) -> None:
        """Write a checkpoint; every rank has the same weights, and the last of them has drawn the farthest."""
        position = max(all_gather(self.trainer.position))
        wandb_id = self.tracker.wandb_id if self.tracker is not None else None

        def on_first(directory: Path) -> None:
            self.run.sync()
            self.trainer.save(directory, position=position, wandb_id=wandb_id)

        kept = checkpoint.Kept(newest=self.config.checkpoint.keep_last)
        about = {
            "expected_bytes": imitation_checkpoint_bytes(checkpoint.weights_of(self.trainer.learner.model)),
            "rows_a_step": rows_a_step(self.config),
        }
        with doing("saving a checkpoint"):
            checkpoint.write(self.run.path / CHECKPOINTS, step, kept, lambda directory: None, on_first, **about)


def one_line(metrics: Mapping[str, Any]) -> str:
    """Return a step for the progress bar."""
    line = f"loss {metrics['loss']:.3f}  entropy {metrics['entropy']:.3f}  gradient {metrics.get('grad_norm', 0.0):.2f}"
    if "eval/loss" in metrics:
        line += f"  held-out loss {metrics['eval/loss']:.3f}, accuracy {metrics['eval/accuracy']:.2f}"
    return line


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """What a cold start begins with, all of it checked."""

    model: CausalLM
    tokenizer: Tokenizer
    held_out: HeldOut
    max_positions: int | None  # what the model reads at most, where it says so
    resumed: Path | None = None


def train_sft(config: SftConfig, run: RunDirectory, start: Start) -> Path:
    """Imitate worked solutions; return the directory of the finished model. All ranks must call."""
    from datasets import IterableDataset

    from rl.imitation.trainer import ImitationTrainer, about, trl_config

    begun = about(start.resumed) if start.resumed is not None else {}

    def rows() -> Iterator[Drawn]:
        return drawn_rows(config, start.tokenizer, begun.get("position", 0), start.max_positions)

    with ExitStack() as closing:
        trainer = ImitationTrainer(
            config=config,
            dtype=DTYPES[config.model.dtype],
            model=start.model,
            args=trl_config(config, closing.enter_context(tempfile.TemporaryDirectory())),
            data_collator=collate,
            train_dataset=IterableDataset.from_generator(rows),
            processing_class=start.tokenizer,
        )
        say_slower(trainer.learner.computing)
        say_faster(config.model.dtype, trainer.learner.model)
        if rank() == 0:
            check_disk(config, trainer.learner.model)
        worker = None
        if config.evaluation.every_steps:
            pool = closing.enter_context(open_pool(config))
            worker = open_worker(config, trainer.learner.computing, start.tokenizer, pool)
        tracker = view = None
        if rank() == 0:
            done = begun.get("step", -1)
            run.cut_after(done)
            view = closing.enter_context(Progress(config.run.name, config.sft.steps, done=max(0, done)))
            tracker = closing.enter_context(open_tracker(run, config, "sft", begun.get("wandb_id"), first_step=done + 1))
        trainer.add_callback(
            BetweenSteps(
                config=config,
                run=run,
                trainer=trainer,
                held_out=start.held_out,
                worker=worker,
                resumed=start.resumed,
                tracker=tracker,
                view=view,
            )
        )
        # without a progress bar transformers prints every logged step instead; ours is `view`
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        trainer.train()
        output = run.path / MODEL
        trainer.learner.refresh()
        if rank() == 0:
            save_policy(trainer.learner.computing, start.tokenizer, output, merge=True)
        if tracker is not None:
            tracker.model(output)
    return output


def conclude(config: SftConfig, run: RunDirectory) -> None:
    """Leave a run whose model is written as a finished one, also after a kill in between; rank 0 only."""
    shutil.rmtree(run.path / CHECKPOINTS, ignore_errors=True)  # a cold start is done once, and these are large
    run.set_status("finished", step=config.sft.steps)


def check_disk(config: SftConfig, model: CausalLM) -> None:
    """Raise LabError where the run would end for want of room for its checkpoints. Rank 0 only."""
    root = config.run.path / CHECKPOINTS
    checkpoint.clear_unfinished(root)
    each = imitation_checkpoint_bytes(checkpoint.weights_of(model))
    checkpoint.check_room(root, each, imitation_checkpoints_at_once(config))


def look_over(config: SftConfig, resume: bool) -> Start:
    """Open what the settings name; what cannot serve is refused here, before anything is written."""
    model, tokenizer = load_start(config)
    reads: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    # a template that refuses, a problem that makes no example, examples that are too long; those of later steps say so then
    for _ in islice(drawn_rows(config, tokenizer, max_positions=reads), config.sft.rows):
        pass
    held_out = HeldOut.draw(config, tokenizer, reads)
    return Start(model=model, tokenizer=tokenizer, held_out=held_out, max_positions=reads, resumed=newest(config, resume))


def run_sft(loaded: Loaded[SftConfig], *, resume: bool = False) -> Path:
    """Do a whole cold start, from checks to the saved model; return the model directory."""
    config = loaded.config
    path, text = config.run.path, describe(loaded)
    if resume and (path / "config.yaml").exists():
        check_same_run(path, text)
        if (path / MODEL).exists():
            say(f"{path} is finished")
            if rank() == 0:
                conclude(config, RunDirectory(path))
            return path / MODEL
    if config.model.path is not None:
        check_model_path(config.model.path)
    build_source(config.problems, 0).get("train", 0)
    check_installed(config.tracking)
    quiet_libraries()
    set_threads(config.sft.threads)
    say_where(config.model.dtype)
    start = look_over(config, resume)
    run = RunDirectory.create(path, text, resume=resume) if rank() == 0 else RunDirectory(path)
    if rank() == 0:
        clear(path)
    with at_work(run, config.watch, even_alone=False) as run:
        assert Guard.active is not None, "every process group has one"
        with Guard.active.at_boundaries(config.watch.grace_seconds), doing("imitating"):
            checkpoint.agree_on(start.resumed)
            output = train_sft(config, run, start)
    if rank() == 0:
        conclude(config, run)
    return output


def newest(config: SftConfig, resume: bool) -> Path | None:
    """Return the checkpoint to go on from, and say so; None for a run that begins."""
    if not resume:
        return None
    found = checkpoint.latest(config.run.path / CHECKPOINTS, caution)
    say(f"resuming from {found}" if found else f"no checkpoint in {config.run.path / CHECKPOINTS}: starting from the beginning")
    if found:
        check_rows(config, checkpoint.read_manifest(found))
    return found


def rows_a_step(config: SftConfig) -> int:
    """Return the rows that all ranks together learn from in a step."""
    return config.sft.rows * world_size()


def check_rows(config: SftConfig, manifest: JsonDict) -> None:
    """Raise LabError where steps would be of another size than those before: rate and schedule are meant for that one.

    On as many rows as before a step is the same step on any number of ranks, up to rounding.
    """
    ranks, now, then = world_size(), rows_a_step(config), manifest.get("rows_a_step")
    if then is None:  # written by an older version, for which sft.rows could not change
        path = config.run.path / "config.yaml"
        then = parse_yaml(path.read_text(), str(path))["sft"]["rows"] * manifest["world_size"]
    if now == then:
        return
    mend = f"set sft.rows={then // ranks}" if then % ranks == 0 else f"use a number of ranks that divides {then}"
    raise LabError(
        f"{config.run.path} was begun with {then} rows a step, and {ranks} rank{'s' * (ranks > 1)} of sft.rows="
        f"{config.sft.rows} would make it {now}: {mend}"
    )


@clearly
def main(argv: Sequence[str]) -> int:
    """The command line of `python -m rl.sft`."""
    asked = imitation_arguments(argv)
    if asked is not None:
        tell_run(asked.loaded.config.run.path, model=run_sft(asked.loaded, resume=asked.resume))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
