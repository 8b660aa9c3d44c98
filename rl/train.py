"""The loop: sample, score, centre, collate, update, evaluate, save. Read `train` first.

    deepspeed --num_gpus 8 --module rl.train --config configs/gsm8k-qwen2.5-0.5b.yaml train.steps=100
    reasonlab train --config configs/demo.yaml

Both are the same. Every rank runs this file; ranks share the problems of a step and each then holds all groups.
"""

import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from problems.catalog import build_source
from problems.errors import LabError
from problems.seeding import derive_seed
from problems.types import ProblemSource
from rewards.pool import VerifierPool
from rl.ahead import Ahead
from rl.evaluate import accuracy, sample_all
from rl.memory import naming_settings, peak_memory_gb, probe_memory
from rl.policy.opening import load_model, load_tokenizer, save_policy, stop_token_ids
from rl.policy.prompts import render
from rl.rollout import Drawn, RolloutWorker, draw_groups
from rl.runtime import LAUNCHER_VARIABLES, process_group, quiet_libraries, rank, set_threads, world_size
from rl.sampling.sampler import Sampler
from rl.selfcheck import self_check
from rl.settings.arguments import clearly, training_arguments
from rl.settings.loading import Loaded, describe, parse_yaml
from rl.settings.schema import RunConfig, check_world
from rl.stats import mean
from rl.tracking import checkpoint
from rl.tracking.metrics import num_tokens, over_updates, rollout_metrics
from rl.tracking.run_directory import RunDirectory, RunDirectoryError, write_atomic
from rl.tracking.tracker import Tracker
from rl.tracking.view import StepView
from rl.types import Batch, Group, TrainState
from rl.update.batch import make_batch
from rl.update.engine import Engine, Reference
from rl.update.recompute import charge_kl, with_old_logprobs
from rl.update.step import update_policy

_PROMPTS_LOOKED_AT = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """What the loop works with."""

    config: RunConfig
    run: RunDirectory
    source: ProblemSource
    held_out: ProblemSource
    tokenizer: Any
    engine: Engine
    reference: Reference | None
    worker: RolloutWorker
    ahead: Ahead
    tracker: Tracker | None
    view: StepView | None


def train(parts: Parts, state: TrainState) -> TrainState:
    """Run the loop from `state` to the last step; return the final state."""
    config, seed = parts.config, parts.config.run.seed
    if state.step == 0 and config.evaluation.every_steps:
        record_baseline(parts)
    while state.step < config.train.steps:
        started = time.perf_counter()
        drawn = draw_groups(
            parts.worker, parts.source, config.algorithm, seed, state.step, state.cursor, first=parts.ahead.take()
        )
        if parts.reference is not None and config.algorithm.kl == "k1":
            drawn = charge_kl(drawn, parts.reference.logprobs, config, parts.engine.layout, parts.tokenizer.pad_token_id)
        cuts = minibatches(drawn.groups, config.algorithm.minibatches)
        batches = [make_batch(cut, config.algorithm, config.sampling.max_completion_tokens) for cut in cuts]
        updating = time.perf_counter()
        with parts.ahead.beside(state.step + 1, drawn.cursor):
            update = optimize(parts, batches, state.step)
            updated = time.perf_counter()
        waited = time.perf_counter() - updated
        state = advance(state, drawn)
        if parts.reference is not None and due(config.algorithm.reference_reset_steps, state.step):
            parts.reference.reset()
        metrics = {**rollout_metrics(drawn), **update, "num_tokens": state.num_tokens}
        if due(config.evaluation.every_steps, state.step, config.train.steps):
            metrics |= evaluate_held_out(parts)
            state = with_best(state, metrics["eval/accuracy"])
        timing = {
            "sample": drawn.sample_seconds,
            "score": drawn.score_seconds,
            "train": updated - updating,
            "ahead": waited,
            "perf/peak_memory_gb": peak_memory_gb(),
            "step_time": time.perf_counter() - started,
        }
        record(parts, state, drawn, metrics, timing)
        if due(config.checkpoint.every_steps, state.step, config.train.steps) or state.best_step == state.step:
            save_checkpoint(parts, state)
    return state


def minibatches(groups: Sequence[Group], count: int) -> list[Sequence[Group]]:
    """Cut the groups of a step, in order, into the nearly equal parts that one optimizer step each learns from."""
    edges = [len(groups) * i // count for i in range(count + 1)]
    return [groups[start:end] for start, end in pairwise(edges) if end > start]


def optimize(parts: Parts, batches: Sequence[Batch], step: int) -> dict[str, Any]:
    """Do the optimizer steps on what was sampled; without a single row that has a gradient there is nothing to do."""
    settings, pad_id = parts.config.algorithm, parts.tokenizer.pad_token_id
    # dropout, where adapters have it, draws from a stream named by the step: a resumed run draws the same
    torch.manual_seed(derive_seed("update", parts.config.run.seed, step, rank()) % 2**63)
    some = [batch for batch in batches if batch.rows]
    if settings.old_logprobs == "recompute":
        some = [with_old_logprobs(batch, parts.engine, parts.config, pad_id) for batch in some]
    todo = some * settings.epochs
    return over_updates([update_policy(parts.engine, parts.reference, b, parts.config, pad_id, step) for b in todo])


def due(every: int, step: int, last: int | None = None) -> bool:
    """Whether something done every `every` steps (0: never), and after the step `last`, is due after `step`."""
    return every > 0 and (step % every == 0 or step == last)


def advance(state: TrainState, drawn: Drawn) -> TrainState:
    """Return the state after one more step."""
    tokens = num_tokens([rollout for group in drawn.sampled for rollout in group.rollouts])
    return replace(state, step=state.step + 1, cursor=drawn.cursor, num_tokens=state.num_tokens + tokens)


def with_best(state: TrainState, accuracy_now: float) -> TrainState:
    """Return the state with the best held-out accuracy so far."""
    if state.best_accuracy is not None and accuracy_now <= state.best_accuracy:
        return state
    return replace(state, best_accuracy=accuracy_now, best_step=state.step)


def evaluate_held_out(parts: Parts) -> dict[str, Any]:
    """Return accuracy and reasoning length on held-out problems, the same ones every time."""
    settings = parts.config.evaluation
    problems = [parts.held_out.get(settings.split, i) for i in range(settings.num_problems)]
    groups = sample_all(parts.worker, problems, settings.samples, parts.config.run.seed)
    found = accuracy(groups)
    return {
        "eval/accuracy": found.value,
        "eval/accuracy_low": found.low,
        "eval/accuracy_high": found.high,
        "eval/reasoning_tokens": mean([r.reasoning_tokens for group in groups for r in group]),
        "eval/completion_tokens": mean([r.completion.num_tokens for group in groups for r in group]),
    }


def record_baseline(parts: Parts) -> None:
    """Write down how good the policy is before its first step: every gain is measured from there."""
    metrics = evaluate_held_out(parts)
    if parts.tracker is not None:
        parts.tracker.log(0, metrics)


def record(parts: Parts, state: TrainState, drawn: Drawn, metrics: dict[str, Any], timing: dict[str, float]) -> None:
    """Write one step down: metrics, rollouts, W&B, the progress bar. Rank 0 only."""
    if parts.tracker is None:
        return
    if parts.config.train.save_rollouts:
        write_rollouts(parts.run.path / "rollouts", state.step, drawn)
    parts.tracker.log(state.step, metrics, timing)
    tracking = parts.config.tracking
    if state.step % tracking.table_every_steps == 0:
        rows = list(rollout_rows(drawn))[: tracking.table_rows]
        parts.tracker.table(state.step, "completions", list(rows[0]), [list(row.values()) for row in rows])
    if parts.view is not None:
        parts.view.show(state.step, metrics, timing)


def rollout_rows(drawn: Drawn) -> list[dict[str, Any]]:
    """Return one plain row a sampled completion."""
    return [
        {
            "problem_id": rollout.problem.id,
            "prompt": rollout.problem.prompt,
            "completion": rollout.completion.text,
            "finish_reason": rollout.completion.finish_reason,
            "num_tokens": rollout.completion.num_tokens,
            "status": rollout.reward.verdict.status,
            "extracted": rollout.reward.verdict.extracted,
            "reward": rollout.reward.total,
            "advantage": float(advantage),
            "policy_step": rollout.policy_step,
        }
        for group in drawn.sampled
        for rollout, advantage in zip(group.rollouts, group.advantages, strict=True)
    ]


def write_rollouts(directory: Path, step: int, drawn: Drawn) -> None:
    """Write every completion of a step to `step-000123.jsonl.gz`."""
    directory.mkdir(exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rollout_rows(drawn))
    write_atomic(directory / f"step-{step:06d}.jsonl.gz", gzip.compress(text.encode(), compresslevel=3, mtime=0))


def save_checkpoint(parts: Parts, state: TrainState) -> None:
    """Save state, optimizer and the policy as a Hugging Face directory; all ranks must call."""
    engine, tracker = parts.engine, parts.tracker
    if tracker is not None:
        state = replace(state, wandb_id=tracker.wandb_id)

    def save_more(directory: Path) -> None:
        # under ZeRO 3 the sampling copy is whole on every rank, so no weights need to be gathered here
        save_policy(engine.sampling_model, parts.tokenizer, directory / "policy", merge=False)
        parts.ahead.save(directory)
        if parts.reference is not None:
            parts.reference.save(directory)

    checkpoint.save(parts.run.path / "checkpoints", engine, state, parts.config.checkpoint.keep_last, save_more)


def resume_state(run: RunDirectory, engine: Engine, ahead: Ahead, reference: Reference | None) -> TrainState:
    """Return the state of the newest whole checkpoint, loaded into what it is about, or a fresh one."""
    found = checkpoint.latest(run.path / "checkpoints", say)
    if found is None:
        say(f"no checkpoint in {run.path / 'checkpoints'}: starting from the beginning")
        return TrainState()
    say(f"resuming from {found}")
    ahead.load(found)
    if reference is not None:
        reference.load(found)
    return checkpoint.load(found, engine)


def check_start(parts: Parts) -> None:
    """Find now what would show itself late or never: wrong gradients, another sampler, a micro-batch that does not fit."""
    config, tokenizer = parts.config, parts.tokenizer
    prompts = [render(parts.source.get("train", i), config.prompt, tokenizer) for i in range(_PROMPTS_LOOKED_AT)]
    if config.train.self_check:
        self_check(parts.engine, parts.worker.sampler, prompts[:2], config)
    # on a CPU there is nothing to find: Linux promises memory it does not have and then kills, no allocator complains
    if torch.cuda.is_available() if config.train.memory_probe is None else config.train.memory_probe:
        longest, vocabulary = max(map(len, prompts)), parts.engine.policy.config.get_text_config().vocab_size
        peak = probe_memory(parts.engine, parts.reference, config, longest, vocabulary, tokenizer.pad_token_id)
        say(f"the longest micro-batch fits: peak memory {peak:.2f} GB")


def say(message: str) -> None:
    """Tell the user something, once for all ranks."""
    if rank() == 0:
        print(message, file=sys.stderr, flush=True)


def run_training(loaded: Loaded[RunConfig], *, resume: bool = False) -> Path:
    """Do a whole run, from checks to the final checkpoint; return the run directory.

    Everything that can be wrong with the input is found before the run directory is touched.
    """
    config = loaded.config
    check_world(config, world_size())
    quiet_libraries()
    set_threads(config.train.threads)
    with ExitStack() as joined:
        if not has_model(config):
            joined.enter_context(process_group())  # the others wait for rank 0
            cold_start(config)
        tokenizer = load_tokenizer(config.model)
        source = build_source(config.problems, derive_seed("train", config.run.seed))
        held_out = build_source(config.evaluation.problems or config.problems, derive_seed("eval"))
        source.get("train", 0)
        if config.evaluation.every_steps:
            held_out.get(config.evaluation.split, 0)
        torch.manual_seed(derive_seed("init", config.run.seed) % 2**63)  # adapters are drawn from it, alike on every rank
        model = load_model(config.model)
        frozen = load_model(config.model, trainable=False) if config.algorithm.kl_coef and not config.model.lora else None
        run = open_run(loaded, resume)
        joined.enter_context(process_group(on_failure=run.set_failure))
        reward = config.reward
        with VerifierPool(reward.workers, reward.timeout_seconds, reward.memory_megabytes, sandbox=config.sandbox) as pool:
            state = _run(config, run, tokenizer, source, held_out, model, frozen, pool, resume)
    if rank() == 0:
        run.set_status("finished", step=state.step, best_step=state.best_step, best_accuracy=state.best_accuracy)
    return run.path


def has_model(config: RunConfig) -> bool:
    """Whether there is a model to begin with, or a fault that opening it will name."""
    return config.model.cold_start is None or Path(config.model.path).exists()


def cold_start(config: RunConfig) -> None:
    """Make the model by imitation, as the config says; a process of its own on rank 0 does it. All ranks must call."""
    path = Path(config.model.path)
    if rank() == 0:
        say(f"no model at {path} yet: imitating worked examples first ({config.model.cold_start})")
        where = [f"run.dir={path.parent.parent}", f"run.name={path.parent.name}", f"run.seed={config.run.seed}"]
        command = [sys.executable, "-m", "rl.sft", "--config", str(config.model.cold_start), *where]
        alone = {key: value for key, value in os.environ.items() if key not in LAUNCHER_VARIABLES}
        code = subprocess.run(command, env=alone, check=False).returncode
        if code:
            raise LabError(f"the cold start `{' '.join(command[1:])}` ended with exit status {code}")
    if world_size() > 1:
        torch.distributed.barrier()


def open_run(loaded: Loaded[RunConfig], resume: bool) -> RunDirectory:
    """Return the run directory, made by rank 0 before any other rank goes on."""
    path, text = loaded.config.run.path, describe(loaded)
    if resume and (path / "config.yaml").exists():
        check_same_run(path, text)
    if rank() == 0:
        return RunDirectory.create(path, text, resume=resume)
    return RunDirectory(path)


MAY_CHANGE = (
    "train.steps", "train.threads", "train.save_rollouts", "train.self_check", "train.memory_probe", "checkpoint", "tracking",
    "evaluation", "reward.workers", "reward.timeout_seconds", "reward.batch_timeout_seconds", "reward.memory_megabytes",
    "run.dir",
)  # fmt: skip


def check_same_run(path: Path, text: str) -> None:
    """Raise RunDirectoryError when a resumed run would not be the run that was begun."""
    old, new = (flatten(parse_yaml(t, str(path))) for t in ((path / "config.yaml").read_text(), text))
    changed = [key for key in old if key in new and old[key] != new[key] and not key.startswith(MAY_CHANGE)]
    if changed:
        shown = "\n  ".join(f"{key}: {old[key]!r} before, {new[key]!r} now" for key in changed[:20])
        raise RunDirectoryError(
            f"{path} was begun with other settings, so it cannot be resumed with these; use the old ones or another "
            f"run.name:\n  {shown}"
        )


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted key."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _run(
    config: RunConfig,
    run: RunDirectory,
    tokenizer: Any,
    source: ProblemSource,
    held_out: ProblemSource,
    model: Any,
    frozen: Any,
    pool: VerifierPool,
    resume: bool,
) -> TrainState:
    stop_ids = stop_token_ids(model, tokenizer)
    positions = getattr(model.config, "max_position_embeddings", None)
    engine = Engine(model, config)
    worker = RolloutWorker(
        sampler=Sampler(
            model=engine.sampling_model, pad_id=tokenizer.pad_token_id, stop_ids=stop_ids, max_rows=config.sampling.max_rows
        ),
        tokenizer=tokenizer,
        pool=pool,
        prompt=config.prompt,
        sampling=config.sampling,
        reward=config.reward,
        max_positions=positions,
    )
    ahead = Ahead(engine, worker, source, config)
    reference = Reference(engine, frozen) if config.algorithm.kl_coef else None
    state = resume_state(run, engine, ahead, reference) if resume else TrainState()
    tracker = view = None
    if rank() == 0:
        run.cut_after(state.step or -1)  # a run that starts over writes its step 0 again
        plain_config = config.model_dump(mode="json")
        tracker = Tracker(run, config.tracking, job_type="rl", config=plain_config, wandb_id=state.wandb_id)
        view = StepView(total=config.train.steps, done=state.step, name=config.run.name)
    parts = Parts(
        config=config,
        run=run,
        source=source,
        held_out=held_out,
        tokenizer=tokenizer,
        engine=engine,
        reference=reference,
        worker=worker,
        ahead=ahead,
        tracker=tracker,
        view=view,
    )
    try:
        check_start(parts)
        with naming_settings("training"):
            state = train(parts, state)
    finally:
        if view is not None:
            view.close()
        if tracker is not None:
            tracker.finish(
                {"best_accuracy": state.best_accuracy, "step": state.step}, exit_code=0 if sys.exc_info()[0] is None else 1
            )
    return state


@clearly
def main(argv: Sequence[str]) -> int:
    """The command line of `deepspeed --module rl.train`."""
    asked = training_arguments(argv)
    if asked is not None:
        run_training(asked.loaded, resume=asked.resume)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
