"""Assemble, check and resume a run: everything between the settings and the first step, and its clean end.

`started` reads top to bottom: what can be wrong with the input is found before the run directory is touched, and what was
opened is closed in reverse order on any exit.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from problems.catalog import build_source
from problems.seeding import derive_seed
from problems.selection import HASHES
from problems.telling import remark, warn
from problems.types import ProblemSource
from rl.ahead import Ahead
from rl.at_work import at_work
from rl.cold_start import cold_start, has_model
from rl.curriculum import Curriculum, practised_source
from rl.groups import ReferenceKls
from rl.heartbeat import clear, doing
from rl.memory import probe_memory
from rl.policy.interfaces import CausalLM, Tokenizer
from rl.policy.opening import load_model, load_tokenizer, plain_model
from rl.policy.prompts import check_rates, render
from rl.rollout import RolloutWorker, open_pool, open_worker
from rl.runtime import (
    describe_device,
    faster_precision,
    process_group,
    quiet_libraries,
    rank,
    set_threads,
    slow_precision,
    world_size,
)
from rl.sampling.decoding import slower_words
from rl.selfcheck import self_check
from rl.settings.disk import checkpoint_bytes, checkpoints_at_once
from rl.settings.loading import Loaded, describe, flatten, parse_yaml
from rl.settings.schema import RunConfig, check_world
from rl.skipping import Skipping
from rl.stopping import Guard
from rl.tracking import checkpoint
from rl.tracking.mirrors import check_installed
from rl.tracking.run_directory import JsonDict, RunDirectory, RunDirectoryError
from rl.tracking.tracker import Tracker, open_tracker
from rl.tracking.view import StepView
from rl.types import IntArray, Rollout, TrainState
from rl.update.engine import Engine, Reference, choose_layout
from rl.update.fingerprint import check_fingerprints
from rl.update.recompute import reference_kls

_PROMPTS_LOOKED_AT = 64
UNFINISHED = "unfinished.json"  # in a checkpoint: metrics and timing of its step, of which only the evaluation is missing


# every part of a run is in one of these two; besides the first a checkpoint holds TrainState, which goes through the loop
WITH_STATE = ("engine", "ahead", "reference")
WITHOUT_STATE = {
    "config": "the run was given it, and writes it down in config.yaml",
    "run": "the directory itself; what it says of later steps is cut when a run is resumed",
    "source": "its n-th problem is the same in every process; which is next says TrainState: cursor, and rungs of a curriculum",
    "held_out": "its problems are the same at every evaluation",
    "tokenizer": "nothing changes it",
    "skipping": "how many updates in a row were left out is counted anew: whoever starts a run again has read of them",
    "worker": "every completion is drawn from a stream named by seed, step, round, problem and number; a verdict has no memory",
    "tracker": "it appends to files; the id of its W&B run is in TrainState",
    "view": "what a terminal shows",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """What the loop works with; what has state is named in WITH_STATE, and so saved and loaded."""

    config: RunConfig
    run: RunDirectory
    source: ProblemSource
    held_out: ProblemSource
    tokenizer: Tokenizer
    engine: Engine
    reference: Reference | None
    worker: RolloutWorker
    ahead: Ahead
    skipping: Skipping
    tracker: Tracker | None = None  # rank 0 only
    view: StepView | None = None  # rank 0 only

    @property
    def with_state(self) -> list[checkpoint.Stateful]:
        """The parts whose state is in a checkpoint."""
        return [part for name in WITH_STATE if (part := getattr(self, name)) is not None]

    @property
    def pad_id(self) -> int:
        """The token that fills rows up where a layout needs it."""
        return self.tokenizer.pad_token_id

    @property
    def curriculum(self) -> Curriculum | None:
        """What chooses the difficulty of the problems, where something does."""
        return self.source if isinstance(self.source, Curriculum) else None

    def practice(self, state: TrainState) -> ProblemSource:
        """Return where the problems of the step after `state` come from."""
        return self.source if self.curriculum is None else self.curriculum.practice(state.rungs, state.cursor)

    @property
    def reference_kls(self) -> ReferenceKls | None:
        """How to get the KL of rollouts to the reference, where that is taken from the reward."""
        if self.reference is None or not self.config.algorithm.kl_in_reward:
            return None
        score, layout = self.reference.score, self.engine.layout

        def kls(rollouts: Sequence[Rollout]) -> list[float]:
            return reference_kls(rollouts, score, self.config, layout, self.pad_id)

        return kls


@dataclass(frozen=True, kw_only=True)
class Start:
    """What the loop begins with."""

    state: TrainState
    unfinished: JsonDict | None = None  # metrics and timing of the state's own step, where its evaluation is still to be done


@contextmanager
def started(loaded: Loaded[RunConfig], *, resume: bool) -> Iterator[tuple[Parts, Start]]:
    """Yield what the loop works with and what it starts from; all ranks must enter.

    Raises LabError for everything that its reader can mend: settings, files, a model, a run directory in use.
    """
    config = loaded.config
    check_world(config, world_size())
    check_installed(config.tracking)
    quiet_libraries()
    set_threads(config.train.threads)
    say_where(config.model.dtype)
    say_of_threads(config)
    with ExitStack() as closing:
        if not has_model(config):
            closing.enter_context(process_group())  # the others wait for rank 0
            cold_start(config)
        given = look_over(config)
        say_faster(config.model.dtype, given.model)
        run = closing.enter_context(at_work(open_run(loaded, resume), config.watch))
        if rank() == 0:
            check_disk(config, given.model)
        pool = closing.enter_context(open_pool(config))
        engine = Engine(given.model, config)
        say_how(engine)
        worker = open_worker(config, engine.sampling_model, given.tokenizer, pool)
        reference = Reference(engine, given.frozen) if config.algorithm.kl_coef else None
        parts = Parts(
            config=config,
            run=run,
            source=given.source,
            held_out=given.held_out,
            tokenizer=given.tokenizer,
            engine=engine,
            reference=reference,
            worker=worker,
            ahead=Ahead(engine, worker, config),
            skipping=Skipping(
                engine=engine, reference=reference, config=config, tokenizer=given.tokenizer, run=run.path, say=say
            ),
        )
        start = resumed_state(parts) if resume else Start(state=TrainState())
        state = start.state
        if isinstance(given.source, Curriculum):
            state = replace(state, rungs=given.source.begin(state.rungs))
        if rank() == 0:
            done = state.step or -1  # a run that starts over writes its step 0 again
            again = done + 1 if start.unfinished is None else done  # the first step that is written down again
            run.cut_after(done, records_after=again - 1)
            tracker = closing.enter_context(open_tracker(run, config, "rl", state.wandb_id, first_step=again))
            view = closing.enter_context(StepView(config.run.name, config.train.steps, done=state.step))
            parts = replace(parts, tracker=tracker, view=view)
            parts.skipping.say = view.say
        check_before_first_step(parts)
        assert Guard.active is not None, "every process group has one"
        with Guard.active.at_boundaries(config.watch.grace_seconds), doing("between steps"):
            yield parts, replace(start, state=state)


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """What a run is given, open and fit for use."""

    source: ProblemSource
    held_out: ProblemSource
    tokenizer: Tokenizer
    model: CausalLM
    frozen: CausalLM | None  # the reference policy's, where it is another one


def look_over(config: RunConfig) -> Given:
    """Open what the settings name; what cannot serve is refused here, before the run directory is touched."""
    opened = plain_model(config.model, config.run.dir)
    tokenizer = load_tokenizer(opened)
    check_rates(config.problems, config.prompt, tokenizer)
    source, held_out = open_sources(config)
    render(source.get("train", 0), config.prompt, tokenizer)  # a template that refuses its messages does so now
    torch.manual_seed(derive_seed("init", config.run.seed) % 2**63)  # adapters are drawn from it, alike on every rank
    model = load_model(opened)
    frozen = load_model(opened, trainable=False) if config.algorithm.kl_coef and not config.model.lora else None
    choose_layout(model, config.train.layout)  # one that this model cannot do is refused before anything is written
    return Given(source=source, held_out=held_out, tokenizer=tokenizer, model=model, frozen=frozen)


def say_how(engine: Engine) -> None:
    """Tell the user which kernels the engine uses, and where sampling is slower than it might be."""
    if engine.fused.words:
        say(engine.fused.words)
    say_slower(engine.sampling_model)


def say_slower(model: CausalLM) -> None:
    """Tell the user of a model that is trained and sampled from more slowly than others."""
    if slower := slower_words(model):
        say(slower)


def say_faster(dtype: str, model: CausalLM) -> None:
    """Tell the user of a precision that would take less time."""
    if faster := faster_precision(dtype, sum(parameter.numel() for parameter in model.parameters())):
        say(faster)


def say_where(dtype: str) -> None:
    """Tell the user on what the run works, and whether the precision of its model is slow there."""
    say(f"on {describe_device()}" + (f", {world_size()} ranks" if world_size() > 1 else ""))
    if slow := slow_precision(dtype):
        say(slow)


def say_of_threads(config: RunConfig) -> None:
    """Tell the user of a setting that may cost more than it brings."""
    if config.train.one_step_off and torch.cuda.is_available():
        say(
            "train.one_step_off on a GPU: sampling and update each keep a Python thread busy, and the threads share one "
            "lock: compare step_time without it"
        )


def say(message: str) -> None:
    """Remark something, once for all ranks."""
    if rank() == 0:
        remark(message)


def caution(message: str) -> None:
    """Warn of something, once for all ranks."""
    if rank() == 0:
        warn(message)


def open_sources(config: RunConfig) -> tuple[ProblemSource, ProblemSource]:
    """Return the problems to practise and those to evaluate with; a source that has none says so now."""
    source = practised_source(config)
    held_out = build_source(config.evaluation.problems or config.problems, derive_seed("eval"))
    source.get("train", 0)
    for words in source.remarks if isinstance(source, Curriculum) else ():
        say(words)
    if config.evaluation.every_steps:
        held_out.get(config.evaluation.split, 0)
    return source, held_out


def open_run(loaded: Loaded[RunConfig], resume: bool) -> RunDirectory:
    """Return the run directory, made by rank 0; the others know its path, and more when they have joined."""
    path, text = loaded.config.run.path, describe(loaded)
    if resume and (path / "config.yaml").exists():
        check_same_run(path, text)
    if rank() == 0:
        run = RunDirectory.create(path, text, resume=resume)
        clear(path)
        return run
    return RunDirectory(path)


def check_disk(config: RunConfig, model: CausalLM) -> None:
    """Raise LabError where the run would end for want of room on its disk, as far as that can be known now. Rank 0 only."""
    root = config.run.path / "checkpoints"
    checkpoint.clear_unfinished(root)
    each = checkpoint_bytes(config, checkpoint.weights_of(model))
    # offloaded to NVMe, the state of the optimizer may lie elsewhere
    checkpoint.check_room(root, each, checkpoints_at_once(config), is_certain=config.deepspeed.config is None)


# how the work is cut over ranks and passes: what a token counts is fixed before the cut (rl/update/batch.py), so the
# gradient is the same up to rounding; tests/rl/update/ holds it to that. A resumed run where one of these changed is not the
# same to the byte, and says so. sft.rows must go with the number of ranks (rl/sft.py:check_rows)
HOW_IT_IS_CUT = (
    "deepspeed", "train.micro_batch_tokens", "train.layout", "model.gradient_checkpointing",
    "sft.rows", "sft.micro_batch_tokens",
)  # fmt: skip
MAY_CHANGE = (
    "train.steps", "train.compute_tokens", "train.threads", "train.save_rollouts", "train.save_token_groups",
    "train.rollouts_megabytes", "train.self_check", "train.memory_probe", "train.skip_updates", "train.keep_dumps",
    "train.fingerprint_every_steps",
    "checkpoint", "tracking", "evaluation", "reward.workers", "reward.timeout_seconds", "reward.batch_timeout_seconds",
    "reward.memory_megabytes", "run.dir", "sft.threads", "watch", *HOW_IT_IS_CUT,
)  # fmt: skip


def check_same_run(path: Path, text: str) -> None:
    """Raise RunDirectoryError when a resumed run would not be the run that was begun."""
    old, new = (flatten(parse_yaml(t, str(path))) for t in ((path / "config.yaml").read_text(), text))
    changed = [key for key in old if key in new and old[key] != new[key] and not key.startswith(MAY_CHANGE)]
    for one, other, words in ((old, new, "was not set"), (new, old, "was set, and is no longer")):
        for key in [key for key, value in one.items() if value is None and not key.startswith(MAY_CHANGE)]:
            if any(longer.startswith(f"{key}.") for longer in other):  # a group of settings, there as a whole or not at all
                raise RunDirectoryError(
                    f"{path} cannot be resumed: when it was begun, {key} {words}. Use the old settings or another run.name"
                )
    say_unrecorded(path, old, new)
    for key in [key for key in old if key in new and old[key] != new[key] and key.startswith(HOW_IT_IS_CUT)]:
        say(f"{key} was {old[key]!r} and is {new[key]!r}: the run goes on as it would have, up to rounding")
    # none: what differs in a list are settings of a later version of the lab, unset
    if lines := [line for key in changed for line in differences(key, old[key], new[key])]:
        shown = "\n  ".join(lines[:20])
        raise RunDirectoryError(
            f"{path} was begun with other settings, so it cannot be resumed with these; use the old ones or another "
            f"run.name:\n  {shown}"
        )


def say_unrecorded(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Say of which files that choose problems nobody knows what they held when the run was begun, by an older version."""
    for before, now in zip(old.get("problems") or (), new.get("problems") or (), strict=False):
        for setting in ("rates", "without"):
            if before.get(setting) and not before.get(f"{setting}_hash") and now.get(f"{setting}_hash"):
                caution(
                    f"{path} was begun by an older version, which did not write down what {before[setting]} held: "
                    "whether it has changed since is not known"
                )


def differences(key: str, old: Any, new: Any) -> list[str]:
    """Return in words where two values of a setting differ, a line each; a list of tables by what is in them."""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        lines = []
        for position, pair in enumerate(zip(old, new, strict=True)):
            before, now = (flatten(value, f"{key}.{position}") for value in pair)
            for inner in dict.fromkeys([*before, *now]):
                if before.get(inner) != now.get(inner):
                    lines += differences(inner, before.get(inner), now.get(inner))
        return lines
    if key.endswith(HASHES) and old is None:
        return []  # an older version wrote none down, see `say_unrecorded`; where no file was named before, its name differs
    hint = ""
    if old and new and key.endswith(("file_hash", *HASHES)):
        hint = ": a file of your own that has changed since" if key.endswith("file_hash") else ": that file has changed since"
    return [f"{key}: {old!r} before, {new!r} now{hint}"]


def resumed_state(parts: Parts) -> Start:
    """Return the start from the newest whole checkpoint, all parts loaded from it, or a fresh one."""
    root = parts.run.path / "checkpoints"
    newest = checkpoint.latest(root, caution)
    checkpoint.agree_on(newest)
    if newest is None:
        say(f"no checkpoint in {root}: starting from the beginning")
        return Start(state=TrainState())
    say(f"resuming from {newest}")
    unfinished = newest / UNFINISHED
    return Start(
        state=checkpoint.load(newest, parts.with_state, caution, zero_stage=parts.engine.stage),
        unfinished=json.loads(unfinished.read_text(encoding="utf-8")) if unfinished.exists() else None,
    )


def first_prompts(parts: Parts) -> list[IntArray]:
    """Return the prompts of the first problems that leave room for a completion; raises PromptTooLong where none does."""
    asked = [parts.source.get("train", i) for i in range(_PROMPTS_LOOKED_AT)]
    prompts = [render(problem, parts.config.prompt, parts.tokenizer) for problem in asked]
    fitting = [ids for ids in prompts if parts.worker.has_room(len(ids))]
    if not fitting:
        parts.worker.check_room(asked[0], len(prompts[0]))
    if len(fitting) < len(prompts):
        caution(
            f"{len(prompts) - len(fitting)} of the first {len(prompts)} prompts leave no room for a completion of "
            f"{parts.config.sampling.max_completion_tokens} tokens: the run will end at the first of them that it draws"
        )
    return fitting


def check_before_first_step(parts: Parts) -> None:
    """Find now what would show itself late or never: wrong gradients, another sampler, a micro-batch that does not fit."""
    config = parts.config
    prompts = first_prompts(parts)
    if config.train.fingerprint_every_steps:
        check_fingerprints(parts.engine, parts.worker.sampler.model)
    if config.train.self_check:
        self_check(parts.engine, parts.worker.sampler, prompts, config)
    wants_probe = config.train.memory_probe
    if wants_probe is None:
        # on a CPU there is nothing to find: Linux promises memory it does not have and then kills, no allocator complains
        wants_probe = torch.cuda.is_available()
    if wants_probe:
        longest = max(len(prompt) for prompt in prompts)
        vocabulary = parts.engine.policy.config.get_text_config().vocab_size
        peak = probe_memory(parts.engine, parts.reference, config, longest, vocabulary, parts.pad_id)
        say(f"the longest micro-batch fits: peak memory {peak:.2f} GB")
