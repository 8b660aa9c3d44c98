"""Evaluation: n samples a problem, every rate with a 95 % interval, every sample kept.

`accuracy` is avg@n: the mean over problems of the share of correct samples. Samples that could not be scored (verdict
`error`) are left out and counted. Wrong, unparsed, truncated and timed-out are told apart.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from problems.catalog import build_source
from problems.finite import FiniteSource
from problems.seeding import content_hash, derive_seed
from problems.types import Problem
from rewards.numbers import parse_rational
from rl.groups import gather_shares, share
from rl.policy.interfaces import CausalLM, Tokenizer
from rl.policy.opening import load_model, load_tokenizer, plain_model
from rl.policy.prompts import render, template_hash
from rl.rollout import Asked, RolloutWorker, Scoring, open_pool, open_worker
from rl.runtime import describe_device, device, process_group, quiet_libraries, rank, set_threads
from rl.settings.arguments import clearly, evaluation_arguments
from rl.settings.loading import Loaded, describe
from rl.settings.schema import EvalConfig
from rl.stats import Estimate, estimate, majority_at_k, mean, pass_at_k
from rl.tracking.metrics import truncated_rate, verdict_rate
from rl.tracking.run_directory import JsonDict, RunDirectory, json_lines, plain, write_atomic
from rl.tracking.tracker import Tracker
from rl.tracking.view import StepView
from rl.types import Rollout

# full batches of rows that are sampled together: the end of each part runs nearly empty, and `reward.batch_timeout_seconds`
# is for the verdicts of a part
_BATCHES_AT_ONCE = 4
_GENERATED_PROBLEMS = 256  # asked where a source has no end and the settings name no number


def sample_all(
    worker: RolloutWorker,
    problems: Sequence[Problem],
    samples: int,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> list[tuple[Rollout, ...]]:
    """Return `samples` rollouts for every problem, in order, on every rank."""
    mine = share(problems)
    groups: list[tuple[Rollout, ...]] = []
    at_once = max(1, _BATCHES_AT_ONCE * worker.sampler.max_rows // samples)
    for start in range(0, len(mine), at_once):
        part = mine[start : start + at_once]

        def show(scoring: Scoring, done: int = start, asked: int = len(part)) -> list[Asked] | None:
            complete = len(scoring.complete)
            # the other ranks are about as far, so what is done here stands for the whole
            progress((done + complete) * len(problems) // len(mine))
            return [] if complete < asked else None

        sampled, _, _ = worker.draw([(problem, ("eval", seed)) for problem in part], samples, 0, show)
        groups += sampled
    return gather_shares(groups)


def canonical_answer(rollout: Rollout) -> str | None:
    """Return what the rollout votes for: equal numbers vote alike however they are written."""
    text = rollout.reward.verdict.extracted
    if text is None or rollout.reward.verdict.status not in ("correct", "wrong"):
        return None
    value = parse_rational(text)
    return text if value is None else str(value)


def _ks(samples: int) -> list[int]:
    """Return the k of pass@k that are reported: powers of two up to the number of samples, and that number."""
    ks = [1]
    while ks[-1] * 2 <= samples:
        ks.append(ks[-1] * 2)
    if ks[-1] != samples:
        ks.append(samples)
    return ks


def accuracy(groups: Sequence[Sequence[Rollout]]) -> Estimate:
    """Return avg@n over the problems that have a scored sample."""
    verdicts = [_correct(group) for group in groups]
    return estimate([sum(correct) / len(correct) for correct in verdicts if correct])


def _is_correct(rollout: Rollout) -> bool:
    return rollout.reward.verdict.status == "correct"


def _scored(group: Sequence[Rollout]) -> list[Rollout]:
    return [rollout for rollout in group if rollout.reward.total is not None]


def _correct(group: Sequence[Rollout]) -> list[bool]:
    """Return whether each sample that could be scored is correct."""
    return [_is_correct(rollout) for rollout in _scored(group)]


def summarise(groups: Sequence[Sequence[Rollout]]) -> JsonDict:
    """Return every aggregate of an evaluation as plain data."""
    rollouts = [rollout for group in groups for rollout in group]
    scored = [_scored(group) for group in groups]
    scored = [group for group in scored if group]
    # k is the same for all problems, so the one with the fewest scored samples sets its limit
    fewest = min((len(group) for group in scored), default=0)
    ks = _ks(fewest) if fewest else []
    return {
        "problems": len(groups),
        "samples": len(rollouts),
        "accuracy": accuracy(groups).as_dict(),
        "pass_at_k": {str(k): _pass_at_k(scored, k).as_dict() for k in ks},
        "majority_at_k": {str(k): _majority_at_k(scored, k).as_dict() for k in ks},
        "by_difficulty": by_difficulty(groups),
        "reasoning_tokens": _mean_by_verdict(rollouts, lambda rollout: rollout.reasoning_tokens),
        "completion_tokens": _mean_by_verdict(rollouts, lambda rollout: rollout.completion.num_tokens),
        "truncated_rate": truncated_rate(rollouts),
        "unparsed_rate": verdict_rate(rollouts, "unparsed"),
        "timeout_rate": verdict_rate(rollouts, "timeout"),
        "error_rate": verdict_rate(rollouts, "error"),
    }


def _pass_at_k(scored: Sequence[Sequence[Rollout]], k: int) -> Estimate:
    return estimate([pass_at_k(len(group), sum(_correct(group)), k) for group in scored])


def _majority_at_k(scored: Sequence[Sequence[Rollout]], k: int) -> Estimate:
    chances = []
    for group in scored:
        votes = [canonical_answer(rollout) for rollout in group]
        chances.append(majority_at_k(votes, _correct(group), k, group[0].problem.id))
    return estimate(chances)


def _mean_by_verdict(rollouts: Sequence[Rollout], tokens: Callable[[Rollout], int]) -> dict[str, float | None]:
    """Return the mean of `tokens` over all samples, the correct and the wrong ones; ungraded ones are neither."""
    right = [rollout for rollout in rollouts if _is_correct(rollout)]
    wrong = [rollout for rollout in rollouts if rollout.reward.verdict.status not in ("correct", "error")]
    return {
        "mean": mean([tokens(rollout) for rollout in rollouts]),
        "correct": mean([tokens(rollout) for rollout in right]),
        "wrong": mean([tokens(rollout) for rollout in wrong]),
    }


def by_difficulty(groups: Sequence[Sequence[Rollout]]) -> dict[str, JsonDict]:
    """Return accuracy and mean reasoning tokens by each named difficulty, e.g. `terms=5`."""
    members: dict[tuple[str, Any], list[Sequence[Rollout]]] = defaultdict(list)
    for group in groups:
        for name, value in group[0].problem.difficulty.items():
            members[name, value].append(group)
    result = {}
    for name, value in sorted(members, key=_by_name_and_value):
        asked = members[name, value]
        tokens = mean([rollout.reasoning_tokens for group in asked for rollout in group])
        result[f"{name}={value}"] = {**accuracy(asked).as_dict(), "reasoning_tokens": tokens}
    return result


def _by_name_and_value(difficulty: tuple[str, Any]) -> tuple[str, str, Any]:
    name, value = difficulty
    return name, str(type(value)), value  # values of one name may be of several types, which do not compare


def sample_records(groups: Sequence[Sequence[Rollout]]) -> Iterator[JsonDict]:
    """Yield one record a sample, for samples.jsonl."""
    for group in groups:
        for number, rollout in enumerate(group):
            problem, completion, verdict = rollout.problem, rollout.completion, rollout.reward.verdict
            yield {
                "problem_id": problem.id,
                "sample": number,
                "prompt": problem.prompt,
                "reference": problem.reference,
                "difficulty": dict(problem.difficulty),
                "completion": completion.text,
                "finish_reason": completion.finish_reason,
                "num_tokens": completion.num_tokens,
                "reasoning_tokens": rollout.reasoning_tokens,
                "status": verdict.status,
                "extracted": verdict.extracted,
                "detail": verdict.detail,
                "verifier_seconds": round(verdict.seconds, 6),
            }


def evaluation_problems(config: EvalConfig) -> list[Problem]:
    """Return the problems to ask; generated ones depend on `problem_seed` alone, so that models can be compared."""
    source = build_source(config.problems, derive_seed("evaluation", config.problem_seed))
    if isinstance(source, FiniteSource):
        size = source.size(config.split)
        count = min(config.num_problems or size, size)
    else:
        count = config.num_problems or _GENERATED_PROBLEMS
    return [source.get(config.split, i) for i in range(count)]


def run_evaluation(loaded: Loaded[EvalConfig]) -> JsonDict:
    """Evaluate as configured; write results.json and samples.jsonl to the run directory and return the results."""
    config = loaded.config
    quiet_libraries()
    set_threads(None)
    describe_device()  # refuses to evaluate on the CPU beside a GPU that torch does not see
    opened = plain_model(config.model, config.run.dir)
    tokenizer = load_tokenizer(opened)
    problems = evaluation_problems(config)
    render(problems[0], config.prompt, tokenizer)  # a template that refuses its messages does so before anything is written
    model = load_model(opened, trainable=False)
    run = RunDirectory.create(config.run.path, describe(loaded)) if rank() == 0 else RunDirectory(config.run.path)
    with process_group(even_alone=False, on_failure=run.set_failure):
        groups = sample_with_view(config, model, tokenizer, problems)
        results = {**about(config, problems, tokenizer), **summarise(groups)}
        if rank() == 0:
            write_results(run, config, groups, results)
    if rank() == 0:
        run.set_status("finished")
    return results


def sample_with_view(
    config: EvalConfig, model: CausalLM, tokenizer: Tokenizer, problems: Sequence[Problem]
) -> list[tuple[Rollout, ...]]:
    """Return the rollouts of every problem, in order, and show progress on rank 0."""
    view = StepView(total=len(problems), name=config.run.name) if rank() == 0 else None
    with open_pool(config) as pool:
        worker = open_worker(config, model.to(device()), tokenizer, pool)
        show = view.update if view else lambda done, line: None
        groups = sample_all(worker, problems, config.samples, config.run.seed, lambda done: show(done, "problems"))
    if view:
        view.close()
    return groups


def write_results(run: RunDirectory, config: EvalConfig, groups: Sequence[Sequence[Rollout]], results: JsonDict) -> None:
    """Write samples.jsonl and results.json, and tell the tracker."""
    write_atomic(run.path / "samples.jsonl", json_lines(sample_records(groups)))
    write_atomic(run.path / "results.json", json.dumps(plain(results), indent=1))
    tracker = Tracker(run, config.tracking, job_type="eval", config=config.model_dump(mode="json"))
    tracker.log(0, {f"eval/{key}": value for key, value in headline(results).items()})
    tracker.finish()


def about(config: EvalConfig, problems: Sequence[Problem], tokenizer: Tokenizer) -> JsonDict:
    """Return what another must know to get the same numbers."""
    return {
        "model": config.model.path,
        "split": config.split,
        "reading": config.reward.reading,
        "n": config.samples,
        "temperature": config.sampling.temperature,
        "top_p": config.sampling.top_p,
        "max_completion_tokens": config.sampling.max_completion_tokens,
        "seed": config.run.seed,
        "template_hash": template_hash(config.prompt, tokenizer),
        "problems_hash": content_hash(*[problem.id for problem in problems]),
    }


def headline(results: JsonDict) -> dict[str, float | None]:
    """Return the numbers a tracker should show."""
    return {
        "accuracy": results["accuracy"]["value"],
        "reasoning_tokens": results["reasoning_tokens"]["mean"],
        "truncated_rate": results["truncated_rate"],
        "unparsed_rate": results["unparsed_rate"],
        "timeout_rate": results["timeout_rate"],
        "error_rate": results["error_rate"],
    }


def results_table(results: JsonDict) -> Table:
    """Return the closing table of an evaluation."""
    size = f"{results['problems']} problems x {results['n']} samples"
    table = Table(title=f"{results['model']}: {size}, {results['split']} split, {results['reading']} reading")
    table.add_column("", justify="left")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")

    def add(label: str, estimate: JsonDict) -> None:
        table.add_row(label, f"{estimate['value']:.3f}", f"{estimate['low']:.3f} to {estimate['high']:.3f}")

    add(f"avg@{results['n']}", results["accuracy"])
    for kind, label in (("pass_at_k", "pass"), ("majority_at_k", "maj")):
        for k, at_k in results[kind].items():
            if k != "1":  # the same as avg@n
                add(f"{label}@{k}", at_k)
    for difficulty, of_difficulty in results["by_difficulty"].items():
        add(difficulty, of_difficulty)
    for name in ("mean", "correct", "wrong"):
        tokens = results["reasoning_tokens"][name]
        table.add_row(f"reasoning tokens, {name}", "-" if tokens is None else f"{tokens:.1f}", "")
    for name in ("truncated", "unparsed", "timeout", "error"):
        rate = results[f"{name}_rate"]
        table.add_row(f"{name} rate", f"{rate:.3f}", "")
    return table


def print_results(results: dict[str, Any], directory: Path) -> None:
    """Print the closing table and where the numbers are; rank 0 only."""
    if rank() == 0:
        Console().print(results_table(results))
        print(f"written: {directory}/results.json and samples.jsonl")


@clearly
def main(argv: Sequence[str]) -> int:
    """The command line of `deepspeed --module rl.evaluate`."""
    loaded = evaluation_arguments(argv)
    if loaded is not None:
        print_results(run_evaluation(loaded), loaded.config.run.path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
