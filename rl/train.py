"""The loop: sample, score, centre, collate, update, evaluate, save. Read `train` first.

    deepspeed --num_gpus 8 --module rl.train --config configs/gsm8k-qwen2.5-0.5b.yaml train.steps=100
    reasonlab train --config configs/demo.yaml

Both are the same. Every rank runs this file; ranks share the problems of a step and each then holds all groups.
rl/start.py puts together what the loop works with.
"""

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from problems.seeding import derive_seed
from rl.diagnosis.watch import Watch
from rl.evaluate import sample_all
from rl.evaluation.by_set import names_of_problems, set_metrics
from rl.evaluation.measures import held_out_metrics
from rl.evaluation.samples import of_rollouts
from rl.exchange import stop_if_told
from rl.groups import draw_groups
from rl.heartbeat import doing
from rl.memory import naming_settings, peak_memory_gb
from rl.policy.opening import save_policy
from rl.policy.showing import tell_prompt
from rl.runtime import rank
from rl.settings.arguments import clearly, training_arguments
from rl.settings.disk import checkpoint_bytes
from rl.settings.loading import Loaded
from rl.settings.schema import RunConfig
from rl.start import UNFINISHED, Parts, Start, started
from rl.stopping import Preempted
from rl.tracking import checkpoint
from rl.tracking.compute import compute_tokens
from rl.tracking.metrics import distributions, num_tokens, over_updates, rollout_metrics
from rl.tracking.rollouts import rollout_records, write_rollouts
from rl.tracking.run_directory import tell_run, write_atomic
from rl.tracking.speed import speeds
from rl.types import Batch, Drawn, Group, Learned, TrainState
from rl.update.batch import make_batch
from rl.update.fingerprint import check_fingerprints
from rl.update.recompute import with_old_logprobs


def train(parts: Parts, start: Start) -> TrainState:
    """Run the loop from `start` to the last step; return the final state.

    Raises Preempted at a boundary where a rank was told to stop, with the last complete step saved.
    """
    config, state = parts.config, start.state
    saved = state.step  # of step 0 there is nothing to save
    if state.step == 0 and config.evaluation.every_steps:
        record_baseline(parts)
    watch = watching(parts)
    if start.unfinished is not None:
        state = finish_step(parts, state, start.unfinished)
    while not is_over(config, state):
        step_began = time.perf_counter()
        with saving_if_told(parts, state, saved):
            drawn = sample(parts, state)
        parts.skipping.look_at(drawn)
        cuts = minibatches(drawn.trained, config.algorithm.minibatches)
        batches = [make_batch(groups, config.algorithm, config.sampling.max_completion_tokens) for groups in cuts]
        before, state = state, advance(parts, state, drawn, batches)
        is_last = is_over(config, state)
        update_began = time.perf_counter()
        with (
            saving_if_told(parts, before, saved),
            parts.ahead.beside(state.step, state.cursor, parts.practice(state), wanted=not is_last),
        ):
            with parts.engine.overhearing(drawn.groups[: config.train.kept_token_groups]) as heard:
                update = optimize(parts, batches, before.step)
            update_ended = time.perf_counter()
        ahead_ended = time.perf_counter()
        if due(config.train.fingerprint_every_steps, state.step):
            check_fingerprints(parts.engine, parts.worker.sampler.model)
        if parts.reference is not None and due(config.algorithm.reference_reset_steps, state.step):
            parts.reference.reset()
        learned = heard.learned(batches)
        counts = {"num_tokens": state.num_tokens, "compute_tokens": state.compute_tokens}
        metrics = {**rollout_metrics(drawn, may_abstain=config.prompt.may_abstain), **update, **counts}
        if parts.curriculum is not None:
            metrics |= parts.curriculum.metrics(before.rungs, state.rungs)
        spent = {
            "sample": drawn.sample_seconds,
            "score": drawn.score_seconds,
            "train": update_ended - update_began,
            "waited_ahead": ahead_ended - update_ended,
        }
        timing = timing_of(parts, drawn, batches, spent, step_began)
        if due(config.evaluation.every_steps, state.step, is_last=is_last):
            with saving_if_told(parts, state, saved, Unfinished(metrics=metrics, timing=timing, drawn=drawn, learned=learned)):
                metrics |= evaluate_held_out(parts)
            state = with_best(state, metrics["eval/accuracy"])
            timing = timing_of(parts, drawn, batches, spent, step_began)
        record(parts, state, drawn, metrics, timing, learned)
        if watch is not None and parts.tracker is not None:
            for finding in watch.see(state.step, drawn, metrics):
                parts.tracker.alert(finding.name, finding.words)
        if due(config.checkpoint.every_steps, state.step, is_last=is_last) or state.best_step == state.step:
            save_checkpoint(parts, state)
            saved = state.step
    return state


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A step of which only the evaluation is missing."""

    metrics: Mapping[str, Any]
    timing: Mapping[str, float]  # without the evaluation
    drawn: Drawn
    learned: Sequence[Learned]


@contextmanager
def saving_if_told(parts: Parts, state: TrainState, saved: int, step: Unfinished | None = None) -> Iterator[None]:
    """Where the run is told to stop inside, save `state`, which the weights are those of, unless it is that of step `saved`.

    `step`: the state's own, where it is not finished.
    """
    try:
        yield
    except Preempted as told:
        if state.step > saved:
            if step is not None:
                keep_rollouts(parts, state, step.drawn, step.learned)
            save_checkpoint(parts, state, None if step is None else {"metrics": step.metrics, "timing": step.timing})
            if parts.view is not None:
                parts.view.say(f"told to stop ({told}): step {state.step} is saved")
        raise


def timing_of(
    parts: Parts, drawn: Drawn, batches: Sequence[Batch], spent: Mapping[str, float], began: float
) -> dict[str, float]:
    """Return what timing.jsonl says of a step from `began` until now; `spent`: seconds by what they went into. All ranks."""
    timing = {**spent, "perf/peak_memory_gb": peak_memory_gb(), "step_time": time.perf_counter() - began}
    return timing | speeds(parts.config, parts.engine.sampling_model, drawn, batches, timing)


def finish_step(parts: Parts, state: TrainState, unfinished: Mapping[str, Any]) -> TrainState:
    """Do what is missing of a step whose evaluation was broken off, and return its state."""
    evaluated = {**unfinished["metrics"], **evaluate_held_out(parts)}
    state = with_best(state, evaluated["eval/accuracy"])
    if parts.tracker is not None:
        parts.tracker.log(state.step, evaluated, unfinished["timing"])
    save_checkpoint(parts, state)
    return state


def sample(parts: Parts, state: TrainState) -> Drawn:
    """Draw and score the groups of the coming step, with their advantages."""
    ahead = parts.ahead.take()
    try:
        stop_if_told()
        with doing("sampling"):
            return draw_groups(
                parts.worker,
                parts.practice(state),
                parts.config.algorithm,
                parts.config.run.seed,
                state.step,
                state.cursor,
                first=ahead,
                reference_kls=parts.reference_kls,
            )
    except Preempted:
        parts.ahead.put_back(ahead)
        raise


def minibatches(groups: Sequence[Group], count: int) -> list[Sequence[Group]]:
    """Cut the groups of a step, in order, into the nearly equal parts that one optimizer step each learns from."""
    edges = [len(groups) * i // count for i in range(count + 1)]
    return [groups[start:end] for start, end in pairwise(edges) if end > start]


def optimize(parts: Parts, batches: Sequence[Batch], step: int) -> dict[str, Any]:
    """Do the optimizer steps on what was sampled; without a single row that has a gradient there is nothing to do."""
    settings = parts.config.algorithm
    # dropout, where adapters have it, draws from a stream named by the step: a resumed run draws the same
    torch.manual_seed(derive_seed("update", parts.config.run.seed, step, rank()) % 2**63)
    batches = [batch for batch in batches if batch.rows]
    if settings.old_logprobs == "recompute":
        batches = [with_old_logprobs(batch, parts.engine, parts.config, parts.pad_id) for batch in batches]
    updates: list[dict[str, Any]] = []
    with doing("updating"):
        for batch in batches * settings.epochs:
            # once the weights have moved the step must be finished; what was sampled ahead of it is not in the checkpoint
            boundary = None if updates or parts.config.train.one_step_off else stop_if_told
            updates.append(parts.skipping.update(batch, step, boundary))
    return over_updates(updates)


def due(every: int, step: int, *, is_last: bool = False) -> bool:
    """Whether something done every `every` steps (0: never), and after the last, is due after `step`."""
    return every > 0 and (step % every == 0 or is_last)


def is_over(config: RunConfig, state: TrainState) -> bool:
    """Whether all steps are done, or as much compute is spent as the run may spend."""
    most = config.train.compute_tokens
    return state.step >= config.train.steps or (most is not None and state.compute_tokens >= most)


def advance(parts: Parts, state: TrainState, drawn: Drawn, batches: Sequence[Batch]) -> TrainState:
    """Return the state after a step that drew this and learns from `batches`: how much, and what is solved of each difficulty.

    All of it is known before the update, and so is whether that is the last one.
    """
    rungs = state.rungs
    if parts.curriculum is not None:
        rungs = parts.curriculum.after(rungs, state.cursor, drawn.groups)
    read = num_tokens(drawn.rollouts)
    trained = parts.config.algorithm.epochs * sum(row.length for batch in batches for row in batch.rows)
    return replace(
        state,
        step=state.step + 1,
        cursor=drawn.cursor,
        num_tokens=state.num_tokens + read,
        compute_tokens=state.compute_tokens + compute_tokens(read, trained),
        rungs=rungs,
    )


def with_best(state: TrainState, accuracy_now: float) -> TrainState:
    """Return the state with the best held-out accuracy so far."""
    if math.isnan(accuracy_now) or (state.best_accuracy is not None and accuracy_now <= state.best_accuracy):
        return state
    return replace(state, best_accuracy=accuracy_now, best_step=state.step)


def evaluate_held_out(parts: Parts) -> dict[str, Any]:
    """Return accuracy, reasoning length and what emerges on held-out problems, the same ones every time."""
    settings = parts.config.evaluation
    problems = [parts.held_out.get(settings.split, i) for i in range(settings.num_problems)]
    with doing("evaluating"):
        groups = sample_all(parts.worker, problems, settings.samples, parts.config.run.seed)
    questions = [of_rollouts(group) for group in groups]
    sources = settings.problems or parts.config.problems
    names = names_of_problems(sources, parts.held_out, settings.split, settings.num_problems)
    return held_out_metrics(questions, may_abstain=parts.config.prompt.may_abstain) | set_metrics(questions, names)


def record_baseline(parts: Parts) -> None:
    """Write down how good the policy is before its first step: every gain is measured from there."""
    metrics = evaluate_held_out(parts)
    if parts.tracker is not None:
        parts.tracker.log(0, metrics)


def record(
    parts: Parts,
    state: TrainState,
    drawn: Drawn,
    metrics: dict[str, Any],
    timing: dict[str, float],
    learned: Sequence[Learned] = (),
) -> None:
    """Write one step down: metrics, rollouts, W&B, the progress bar. Rank 0 only."""
    if parts.tracker is None:
        return
    keep_rollouts(parts, state, drawn, learned)
    parts.tracker.log(state.step, metrics, timing, distributions(drawn))
    tracking = parts.config.tracking
    if state.step % tracking.table_every_steps == 0:
        records = rollout_records(drawn)[: tracking.table_rows]
        parts.tracker.table(state.step, "completions", records)
    if parts.view is not None:
        parts.view.show(state.step, metrics, timing)


def keep_rollouts(parts: Parts, state: TrainState, drawn: Drawn, learned: Sequence[Learned]) -> None:
    """Write the completions of a step down, where that is wanted. Rank 0 only."""
    settings = parts.config.train
    if parts.tracker is None or not settings.save_rollouts:
        return
    most = None if settings.rollouts_megabytes is None else settings.rollouts_megabytes * 10**6
    kept = settings.kept_token_groups
    write_rollouts(parts.run.path / "rollouts", state.step, drawn, parts.tokenizer, kept, learned, most_bytes=most)


def watching(parts: Parts) -> Watch | None:
    """Return what tells in the terminal, once each, why this run does not learn (rl/diagnosis/rules.py). Rank 0 only."""
    if parts.view is None:
        return None
    worker = parts.worker
    return Watch(parts.config, parts.tokenizer, worker.sampler, worker.pool, parts.view.say)


def save_checkpoint(parts: Parts, state: TrainState, unfinished: Mapping[str, Any] | None = None) -> None:
    """Save state, optimizer and the policy as a Hugging Face directory; all ranks must call.

    `unfinished`: metrics and timing of the state's own step, where only its evaluation is missing.
    """
    engine, tracker = parts.engine, parts.tracker
    if tracker is not None:
        state = replace(state, wandb_id=tracker.wandb_id)

    def save_more(directory: Path) -> None:
        parts.run.sync()
        # under ZeRO 3 the sampling copy is whole on every rank, so no weights need to be gathered here
        save_policy(engine.sampling_model, parts.tokenizer, directory / "policy", merge=False)
        if unfinished is not None:
            write_atomic(directory / UNFINISHED, json.dumps(unfinished))

    root, keep_last = parts.run.path / "checkpoints", parts.config.checkpoint.keep_last
    expected = checkpoint_bytes(parts.config, checkpoint.weights_of(engine.policy))
    with doing("saving a checkpoint"):
        saved = checkpoint.save(
            root, parts.with_state, state, keep_last, save_more, expected_bytes=expected, zero_stage=engine.stage
        )
    if tracker is not None:
        tracker.model(saved, *(["best"] if state.best_step == state.step else []))


def run_training(loaded: Loaded[RunConfig], *, resume: bool = False) -> Path:
    """Do a whole run, from checks to the final checkpoint; return the run directory. All ranks must call."""
    with started(loaded, resume=resume) as (parts, start):
        with naming_settings("training"):
            state = train(parts, start)
        if parts.tracker is not None:
            parts.tracker.summarise({"best_accuracy": state.best_accuracy, "step": state.step})
    if rank() == 0:
        parts.run.set_status("finished", step=state.step, best_step=state.best_step, best_accuracy=state.best_accuracy)
    return parts.run.path


@clearly
def main(argv: Sequence[str]) -> int:
    """The command line of `deepspeed --module rl.train`."""
    asked = training_arguments(argv)
    if asked is None:
        return 0
    if asked.only_prompt:
        tell_prompt(asked.loaded.config, asked.shown_beside)
    else:
        tell_run(run_training(asked.loaded, resume=asked.resume))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
