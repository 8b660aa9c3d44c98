"""Evaluation: draws n samples a problem, part by part, writes every one down, and measures what was written.

    RUN/samples.jsonl, measured.jsonl   every completion with its verdict (rl/evaluation/samples.py)
    RUN/about.json                      what is asked, of whom and how; a resumed evaluation must share it
    RUN/drawn.jsonl                     which versions drew from which problem on (rl/evaluation/drawn.py)
    RUN/results.json                    that, versions, and every rate with its interval (rl/evaluation/measures.py)

Of several models, sets or thinking budgets each has such a directory of its own below that of the evaluation. Results are
computed from the files alone, so that a resumed evaluation cannot differ from an undisturbed one.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from rich.console import Console

from problems.catalog import build_source
from problems.errors import LabError
from problems.finite import FiniteSource
from problems.progress import Progress
from problems.seeding import derive_seed
from problems.telling import plain, remark, tell, warn
from problems.types import Problem
from rewards.pool import VerifierPool
from rl.at_work import at_work
from rl.evaluation.about import WHICH, about, differences, fingerprint, knows_ends_only
from rl.evaluation.by_set import metrics_of_results, name_of_set
from rl.evaluation.drawn import differing_versions, drawn_by, note_drawing, versions
from rl.evaluation.endpoint import Endpoint
from rl.evaluation.measures import headline, summarise
from rl.evaluation.progress import against_start
from rl.evaluation.samples import (
    SAMPLES,
    Scored,
    append_samples,
    by_problem,
    cluster_of,
    cut_to_whole,
    of_rollouts,
    read_samples,
)
from rl.evaluation.subjects import Opening, Subject, opening, subjects_of
from rl.evaluation.table import overview_table, progress_table, results_table
from rl.exchange import all_gather, gather_shares_of, share
from rl.heartbeat import clear, doing
from rl.policy.interfaces import CausalLM, Tokenizer
from rl.policy.opening import load_tokenizer
from rl.policy.prompts import render, template_hash
from rl.rollout import RolloutWorker, open_pool, open_worker
from rl.runtime import describe_device, device, process_group, quiet_libraries, rank, set_threads, slow_precision, world_size
from rl.sampling.decoding import slower_words
from rl.sampling.how_to_draw import how_to_draw
from rl.settings.arguments import clearly
from rl.settings.eval_arguments import EvaluationArguments, evaluation_arguments
from rl.settings.evaluation import NO_BUDGET, EvalConfig, below
from rl.settings.loading import Loaded, describe
from rl.stopping import Guard
from rl.tracking.mirrors import check_installed
from rl.tracking.run_directory import JsonDict, RunDirectory, check_free, write_atomic
from rl.tracking.tracker import Tracker
from rl.types import Rollout

_AT_ONCE = 64  # problems sampled together on one rank, then written down
_BATCHES_AT_ONCE = 4  # on a GPU at least so many full batches of rows: the end of each part runs nearly empty
_NOT_TO_LOSE = (SAMPLES, "results.json", "metrics.jsonl", "checkpoints", "model")  # of evaluations and trainings
_GENERATED_PROBLEMS = 256  # asked where a source has no end and the settings name no number


def sample_all(worker: RolloutWorker, problems: Sequence[Problem], samples: int, seed: int) -> list[tuple[Rollout, ...]]:
    """Return `samples` rollouts for every problem, in order, on every rank; all ranks must call.

    Raises Preempted where one of them was told to stop.
    """
    return gather_shares_of(lambda: worker.rollouts(share(problems), samples, ("eval", seed), 0)[0])


def evaluation_problems(config: EvalConfig) -> list[Problem]:
    """Return the problems to ask; generated ones depend on `problem_seed` alone, so that models can be compared."""
    source = build_source(config.problems, derive_seed("evaluation", config.problem_seed))
    if isinstance(source, FiniteSource):
        size = source.size(config.split)
        count = min(config.num_problems or size, size)
    else:
        count = config.num_problems or _GENERATED_PROBLEMS
    return [source.get(config.split, i) for i in range(count)]


class Answering(Protocol):
    """What draws and scores answers."""

    def answers(self, problems: Sequence[Problem], ended: Callable[[], None] = lambda: None) -> list[list[Scored]]:
        """Return the samples of each problem, in order; called on each rank with its share. ended: called for each sample."""
        ...


@dataclass(frozen=True, kw_only=True)
class InProcess:
    """Answers of a model in this process."""

    worker: RolloutWorker
    config: EvalConfig

    def answers(self, problems: Sequence[Problem], ended: Callable[[], None] = lambda: None) -> list[list[Scored]]:
        """Return the samples of each problem, in order."""
        config = self.config
        groups, _, _ = replace(self.worker, ended=ended).rollouts(problems, config.samples, ("eval", config.run.seed), 0)
        return [
            of_rollouts(rollouts, cluster_of(problem, config.cluster))
            for problem, rollouts in zip(problems, groups, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One model on one set, ready to be asked."""

    loaded: Loaded[EvalConfig]
    problems: Sequence[Problem]
    about: JsonDict

    @property
    def config(self) -> EvalConfig:
        """Its settings."""
        return self.loaded.config


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """One model with its evaluations, looked over before anything is drawn; of an endpoint there is nothing to open."""

    model: Opening | None
    tokenizer: Tokenizer | None
    evaluations: Sequence[Evaluation]


def run_evaluation(asked: EvaluationArguments) -> dict[Path, JsonDict]:
    """Evaluate as asked; return the results by their directories, on rank 0 only. All ranks must call."""
    quiet_libraries()
    set_threads(None)
    describe_device()  # refuses to evaluate on the CPU beside a GPU that torch does not see
    found: dict[Path, JsonDict] = {}
    prepared = prepare(asked)
    with process_group(even_alone=False):
        for one in prepared:
            found |= _of_model(one, resume=asked.resume)
    if len(found) > 1 and rank() == 0:
        top = asked.loaded.config.run.path
        summary = {str(path.relative_to(top)): results for path, results in found.items()}
        for place, changes in against_start(summary).items():
            summary[place] = {**summary[place], "against_step_0": changes}
        write_atomic(top / "summary.json", json.dumps(plain(summary), indent=1))
        if asked.loaded.config.budgets:
            from rl.evaluation.budgets import write_thinking  # loads matplotlib

            write_thinking(top, found, asked.loaded.config)
    return found


def prepare(asked: EvaluationArguments) -> list[Prepared]:
    """Return all models that are asked for, to be called before the ranks join.

    Raises LabError for what can be found without the weights: a fault of the last model must not show after hours of the first.
    """
    check_installed(asked.loaded.config.tracking)
    prepared = []
    shared: dict[str, list[Problem]] = {}
    for subject in subjects_of(asked):
        of_model = subject.settings(asked.loaded.config.model)
        model = None if of_model.endpoint else opening(of_model, asked.loaded.config.run.dir)
        tokenizer = None if model is None else load_tokenizer(model.base)
        if model is not None:
            model = model.pinned()
        evaluations = list(evaluations_of(asked.loaded, subject, tokenizer, shared))
        for evaluation in evaluations:
            check_directory(evaluation, resume=asked.resume)
        prepared.append(Prepared(model=model, tokenizer=tokenizer, evaluations=evaluations))
    return prepared


def _of_model(prepared: Prepared, *, resume: bool) -> dict[Path, JsonDict]:
    """Evaluate one model on every set."""
    opened = pool = None
    found = {}
    with ExitStack() as until_the_end:
        for evaluation in prepared.evaluations:
            is_drawn = all_gather(is_complete(evaluation))[0]
            if prepared.model is not None and opened is None and not is_drawn:
                opened = prepared.model.load().to(device())  # before anything is written: it may be refused
                _say_slower(prepared.model.base.dtype, opened)
            begun = _begin(evaluation, resume=resume)
            with at_work(begun, evaluation.config.watch, even_alone=False) as run:
                if not is_drawn:
                    # sets and budgets are judged alike: verifier processes that have started serve them all
                    pool = pool or until_the_end.enter_context(open_pool(evaluation.config))
                    draws = answering(evaluation.config, opened, prepared.tokenizer, pool)
                    assert Guard.active is not None, "every process group has one"
                    with Guard.active.at_boundaries(evaluation.config.watch.grace_seconds), doing("evaluating"):
                        draw_the_rest(evaluation, draws, run.path)
                if rank() == 0:
                    found[run.path] = conclude(evaluation, run)
    return found


def _say_slower(dtype: str, model: CausalLM) -> None:
    """Tell the user what is slower about a model than it might be."""
    for words in (slow_precision(dtype), slower_words(model, trains=False)):
        if words and rank() == 0:
            remark(words)


def answering(config: EvalConfig, model: CausalLM | None, tokenizer: Tokenizer | None, pool: VerifierPool) -> Answering:
    """Return what draws and scores answers: the model in this process, or the endpoint of the settings."""
    if config.model.endpoint is not None:
        return Endpoint(config=config, settings=config.model.endpoint, pool=pool)
    assert model is not None
    assert tokenizer is not None
    return InProcess(worker=open_worker(config, model, tokenizer, pool), config=config)


def evaluations_of(
    loaded: Loaded[EvalConfig], subject: Subject, tokenizer: Tokenizer | None, shared: dict[str, list[Problem]]
) -> Iterator[Evaluation]:
    """Yield the evaluation of each set; raises LabError for problems or a template that do not serve.

    `shared` holds the problems of all sets so far, so that many models do not hold them many times.
    """
    config = loaded.config.model_copy(update={"model": subject.settings(loaded.config.model)})
    if subject.directory:
        config = config.model_copy(update={"run": below(config.run, subject.directory)})
    for one in config.one_each():
        which = one.model_dump_json(include={"problems", "split", "num_problems", "problem_seed"})
        problems = shared[which] if which in shared else shared.setdefault(which, evaluation_problems(one))
        for problem in problems:
            cluster_of(problem, one.cluster)
        template = None
        if tokenizer is not None:
            render(problems[0], one.prompt, tokenizer)  # a template that refuses its messages does so before all is written
            how_to_draw(one.sampling, tokenizer)  # and so does a budget that cannot be kept
            template = template_hash(one.prompt, tokenizer)
        known = about(one, problems, template)
        yield Evaluation(loaded=Loaded(one, loaded.origin), problems=problems, about=known)


def check_directory(evaluation: Evaluation, *, resume: bool) -> None:
    """Raise LabError where the directory is another run's, or was asked otherwise, so that it cannot be gone on with."""
    directory = evaluation.config.run.path
    check_free(directory, resume=resume)
    file = directory / "about.json"
    if not file.is_file():
        there = [name for name in _NOT_TO_LOSE if (directory / name).exists()]
        if there and (resume or not (directory / "config.yaml").exists()):
            raise LabError(
                f"{directory} holds {', '.join(there)} and no about.json, so nobody knows what was asked: "
                "it cannot be gone on with. Choose another run.name"
            )
        return
    if not resume:
        return
    before = json.loads(file.read_text(encoding="utf-8"))
    if knows_ends_only(before.get(WHICH)):  # an older version's hash of the weights: nothing that can be held against today's
        before[WHICH] = evaluation.about[WHICH]
    differing = differences(before, evaluation.about, list(dict.fromkeys([*before, *evaluation.about])))
    if differing:
        listed = "\n  ".join(differing)
        raise LabError(
            f"{file.parent} cannot be gone on with: it was asked otherwise (before and now):\n  {listed}\n"
            "Give the settings that it was begun with, or another run.name"
        )


def is_complete(evaluation: Evaluation) -> bool:
    """Whether every sample has been drawn already."""
    return len(read_samples(evaluation.config.run.path)) >= len(evaluation.problems) * evaluation.config.samples


def _begin(evaluation: Evaluation, *, resume: bool) -> RunDirectory:
    """Make the directory of an evaluation, on rank 0."""
    path = evaluation.config.run.path
    if rank() != 0:
        return RunDirectory(path)
    run = RunDirectory.create(path, describe(evaluation.loaded), resume=resume)
    clear(path)
    write_atomic(path / "about.json", json.dumps(plain(evaluation.about), indent=1))
    return run


def draw_the_rest(evaluation: Evaluation, answering: Answering, directory: Path) -> None:
    """Draw what is not written down yet, part by part. All ranks must call.

    Raises Preempted where one of them was told to stop; the part of then is drawn again by whoever goes on.
    Parts end at the same problems whether or not one was resumed, so that batches are alike.
    """
    config, problems = evaluation.config, evaluation.problems
    kept = cut_to_whole(directory, problems, config.samples) if rank() == 0 else []
    done = all_gather(len(kept))[0]
    at_once = problems_at_once(config) * world_size()
    if rank() == 0:
        note_drawing(directory, done)
    with ExitStack() as closing:
        view = None
        if rank() == 0:
            view = closing.enter_context(Progress(config.run.name, len(problems), done=done, unit="problems"))
        while done < len(problems):
            end = min(len(problems), (done // at_once + 1) * at_once)
            mine = share(problems[done:end])

            def ended(end: int = end) -> None:
                if view:  # the other ranks are about as far as this one
                    view.update(min(end, view.done + world_size() / config.samples))

            answered = gather_shares_of(partial(_answers, answering, mine, ended))
            if rank() == 0:
                append_samples(directory, [sample for asked in answered for sample in asked])
            done = end
            if view:
                view.update(done)


def _answers(answering: Answering, problems: Sequence[Problem], ended: Callable[[], None]) -> list[list[Scored]]:
    return answering.answers(problems, ended) if problems else []


def problems_at_once(config: EvalConfig) -> int:
    """Return how many problems a rank draws for before they are written down."""
    if config.model.endpoint is not None or device().type == "cpu":  # no batches of ours run on an endpoint
        return _AT_ONCE
    return max(_AT_ONCE, _BATCHES_AT_ONCE * config.sampling.max_rows // config.samples)


def conclude(evaluation: Evaluation, run: RunDirectory) -> JsonDict:
    """Measure what was written down, write results.json, tell the tracker, and return the results. Rank 0 only."""
    config = evaluation.config
    problems = by_problem(read_samples(run.path))
    weights, commit = evaluation.about["model_fingerprint"], evaluation.about["model_commit"]
    if commit is not None:  # of a hub model, whose weights are surely in the cache now
        weights = fingerprint(config.model.model_copy(update={"revision": commit}))
    drawn = drawn_by(run.path, len(evaluation.problems))
    for line in differing_versions(drawn):
        warn(f"{run.path}: samples were drawn with several versions: {line}")
    measured = summarise(problems, may_abstain=config.prompt.may_abstain)
    results = {**evaluation.about, "model_fingerprint": weights, **versions(), "drawn_by": drawn, **measured}
    write_atomic(run.path / "results.json", json.dumps(plain(results), indent=1))
    (run.path / "metrics.jsonl").unlink(missing_ok=True)  # of a resume after the end
    tracker = Tracker(run, config.tracking, job_type="eval", config=config.model_dump(mode="json"))
    shown = {f"eval/{key}": value for key, value in headline(results).items()}
    tracker.log(0, {**shown, **metrics_of_results(results, name_of_set(config.problems))})
    tracker.finish()
    run.set_status("finished")
    return results


def print_results(found: Mapping[Path, JsonDict], top: Path) -> None:
    """Tell the results and where they are; rank 0 only."""
    if rank() != 0:
        return
    whole = next(iter(found.values())) if len(found) == 1 else json.loads((top / "summary.json").read_text(encoding="utf-8"))
    tell(whole, lambda: _print_table(found, top))


def _print_table(found: Mapping[Path, JsonDict], top: Path) -> None:
    if len(found) == 1:
        Console().print(results_table(next(iter(found.values()))))
    else:
        evaluations = {str(path.relative_to(top)): results for path, results in found.items()}
        Console().print(overview_table(evaluations))
        if (progress := progress_table(evaluations)) is not None:
            Console().print(progress)
    for path in found:
        print(f"written: {path}/results.json and samples.jsonl")
    if any(path.name == NO_BUDGET for path in found):
        print(f"accuracy against thinking: {top}/thinking.html, thinking.png and thinking.json")


@clearly
def main(argv: Sequence[str]) -> int:
    """The command line of `deepspeed --module rl.evaluate`."""
    asked = evaluation_arguments(argv)
    if asked is not None:
        print_results(run_evaluation(asked), asked.loaded.config.run.path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
