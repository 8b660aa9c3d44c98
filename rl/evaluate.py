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
from rl.policy.interfaces import CausalLM, Tokenizer
from rl.policy.opening import load_model, load_tokenizer
from rl.policy.prompts import template_hash
from rl.rollout import RolloutWorker, gather_shares, open_pool, open_worker, share
from rl.runtime import device, process_group, quiet_libraries, rank, set_threads
from rl.settings.arguments import clearly, evaluation_arguments
from rl.settings.loading import Loaded, describe
from rl.settings.schema import EvalConfig
from rl.stats import Estimate, estimate, majority_at_k, mean, pass_at_k
from rl.tracking.metrics import verdict_rate
from rl.tracking.run_directory import RunDirectory, plain, write_atomic
from rl.tracking.tracker import Tracker
from rl.tracking.view import StepView
from rl.types import Rollout

_AT_ONCE = 64  # problems sampled together on one rank, so that progress can be shown


def sample_all(
    worker: RolloutWorker,
    problems: Sequence[Problem],
    samples: int,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> list[tuple[Rollout, ...]]:
    """Return `samples` rollouts for every problem, in order, on every rank."""
    mine = share(problems)
    done: list[tuple[Rollout, ...]] = []
    for start in range(0, len(mine), _AT_ONCE):
        part, _, _ = worker.rollouts(mine[start : start + _AT_ONCE], samples, ("eval", seed), 0)
        done += part
        progress(len(done) * len(problems) // max(1, len(mine)))
    return gather_shares(done)


def canonical_answer(rollout: Rollout) -> str | None:
    """Return what the rollout votes for: equal numbers vote alike however they are written."""
    text = rollout.reward.verdict.extracted
    if text is None or rollout.reward.verdict.status not in ("correct", "wrong"):
        return None
    value = parse_rational(text)
    return text if value is None else str(value)


def _ks(samples: int) -> list[int]:
    ks = [1]
    while ks[-1] * 2 <= samples:
        ks.append(ks[-1] * 2)
    return ks if ks[-1] == samples else [*ks, samples]


def accuracy(groups: Sequence[Sequence[Rollout]]) -> Estimate:
    """Return avg@n over the problems that have a scored sample."""
    return estimate([sum(correct) / len(correct) for group in groups if (correct := _correct(group))])


def _correct(group: Sequence[Rollout]) -> list[bool]:
    return [r.reward.verdict.status == "correct" for r in group if r.reward.total is not None]


def summarise(groups: Sequence[Sequence[Rollout]]) -> dict[str, Any]:
    """Return every aggregate of an evaluation as plain data."""
    rollouts = [rollout for group in groups for rollout in group]
    scored = [[r for r in group if r.reward.total is not None] for group in groups]
    scored = [group for group in scored if group]
    smallest = min((len(group) for group in scored), default=0)
    ks = _ks(smallest) if smallest else []
    right = [r for r in rollouts if r.reward.verdict.status == "correct"]
    wrong = [r for r in rollouts if r.reward.verdict.status not in ("correct", "error")]
    return {
        "problems": len(groups),
        "samples": len(rollouts),
        "accuracy": accuracy(groups).as_dict(),
        "pass_at_k": {str(k): estimate([pass_at_k(len(g), sum(_correct(g)), k) for g in scored]).as_dict() for k in ks},
        "majority_at_k": {
            str(k): estimate(
                [majority_at_k([canonical_answer(r) for r in g], _correct(g), k, g[0].problem.id) for g in scored]
            ).as_dict()
            for k in ks
        },
        "by_difficulty": by_difficulty(groups),
        "reasoning_tokens": {
            "mean": mean([r.reasoning_tokens for r in rollouts]),
            "correct": mean([r.reasoning_tokens for r in right]),
            "wrong": mean([r.reasoning_tokens for r in wrong]),
        },
        "completion_tokens": {
            "mean": mean([r.completion.num_tokens for r in rollouts]),
            "correct": mean([r.completion.num_tokens for r in right]),
            "wrong": mean([r.completion.num_tokens for r in wrong]),
        },
        "truncated_rate": mean([float(r.completion.finish_reason == "length") for r in rollouts]),
        **{f"{status}_rate": verdict_rate(rollouts, status) for status in ("unparsed", "timeout", "error")},
    }


def by_difficulty(groups: Sequence[Sequence[Rollout]]) -> dict[str, dict[str, Any]]:
    """Return accuracy and mean reasoning tokens by each named difficulty, e.g. `terms=5`."""
    named: dict[tuple[str, Any], list[Sequence[Rollout]]] = defaultdict(list)
    for group in groups:
        for name, value in group[0].problem.difficulty.items():
            named[name, value].append(group)
    result = {}
    for (name, value), members in sorted(named.items(), key=lambda item: (item[0][0], str(type(item[0][1])), item[0][1])):
        tokens = mean([r.reasoning_tokens for group in members for r in group])
        result[f"{name}={value}"] = {**accuracy(members).as_dict(), "reasoning_tokens": tokens}
    return result


def sample_rows(groups: Sequence[Sequence[Rollout]]) -> Iterator[dict[str, Any]]:
    """Yield one plain row a sample."""
    for group in groups:
        for number, rollout in enumerate(group):
            verdict = rollout.reward.verdict
            yield {
                "problem_id": rollout.problem.id,
                "sample": number,
                "prompt": rollout.problem.prompt,
                "reference": rollout.problem.reference,
                "difficulty": dict(rollout.problem.difficulty),
                "completion": rollout.completion.text,
                "finish_reason": rollout.completion.finish_reason,
                "num_tokens": rollout.completion.num_tokens,
                "reasoning_tokens": rollout.reasoning_tokens,
                "status": verdict.status,
                "extracted": verdict.extracted,
                "detail": verdict.detail,
                "verifier_seconds": round(verdict.seconds, 6),
            }


def evaluation_problems(config: EvalConfig) -> list[Problem]:
    """Return the problems to ask; generated ones depend on `problem_seed` alone, so that models can be compared."""
    source = build_source(config.problems, derive_seed("evaluation", config.problem_seed))
    size = source.size(config.split) if isinstance(source, FiniteSource) else None
    count = config.num_problems or size or 256
    return [source.get(config.split, i) for i in range(count if size is None else min(count, size))]


def run_evaluation(loaded: Loaded[EvalConfig]) -> dict[str, Any]:
    """Evaluate as configured; write results.json and samples.jsonl to the run directory and return the results."""
    config = loaded.config
    quiet_libraries()
    set_threads(None)
    tokenizer = load_tokenizer(config.model)
    problems = evaluation_problems(config)
    model = load_model(config.model, trainable=False)
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


def write_results(run: RunDirectory, config: EvalConfig, groups: Sequence[Sequence[Rollout]], results: dict[str, Any]) -> None:
    """Write samples.jsonl and results.json, and tell the tracker."""
    write_atomic(run.path / "samples.jsonl", "".join(json.dumps(row) + "\n" for row in sample_rows(groups)))
    write_atomic(run.path / "results.json", json.dumps(plain(results), indent=1))
    tracker = Tracker(run, config.tracking, job_type="eval", config=config.model_dump(mode="json"))
    tracker.log(0, {f"eval/{key}": value for key, value in headline(results).items()})
    tracker.finish()


def about(config: EvalConfig, problems: Sequence[Problem], tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what another must know to get the same numbers."""
    return {
        "model": config.model.path,
        "split": config.split,
        "n": config.samples,
        "temperature": config.sampling.temperature,
        "top_p": config.sampling.top_p,
        "max_completion_tokens": config.sampling.max_completion_tokens,
        "seed": config.run.seed,
        "template_hash": template_hash(config.prompt, tokenizer),
        "problems_hash": content_hash(*[problem.id for problem in problems]),
    }


def headline(results: dict[str, Any]) -> dict[str, float | None]:
    """Return the numbers a tracker should show."""
    numbers = {"accuracy": results["accuracy"]["value"], "reasoning_tokens": results["reasoning_tokens"]["mean"]}
    rates = ("truncated_rate", "unparsed_rate", "timeout_rate", "error_rate")
    return {**numbers, **{rate: results[rate] for rate in rates}}


def results_table(results: dict[str, Any]) -> Table:
    """Return the closing table of an evaluation."""
    table = Table(
        title=f"{results['model']}: {results['problems']} problems x {results['n']} samples, {results['split']} split"
    )
    for column in ("", "value", "95 % interval"):
        table.add_column(column, justify="left" if not column else "right")

    def row(name: str, found: dict[str, Any]) -> None:
        table.add_row(name, f"{found['value']:.3f}", f"{found['low']:.3f} to {found['high']:.3f}")

    row(f"avg@{results['n']}", results["accuracy"])
    for kind, label in (("pass_at_k", "pass"), ("majority_at_k", "maj")):
        for k, found in results[kind].items():
            if k != "1":
                row(f"{label}@{k}", found)
    for name, found in results["by_difficulty"].items():
        row(name, found)
    tokens = results["reasoning_tokens"]
    for name in ("mean", "correct", "wrong"):
        value = tokens[name]
        table.add_row(f"reasoning tokens, {name}", "-" if value is None else f"{value:.1f}", "")
    for name in ("truncated", "unparsed", "timeout", "error"):
        table.add_row(f"{name} rate", f"{results[f'{name}_rate']:.3f}", "")
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
