"""What a finished evaluation leaves, written by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from problems.types import Problem
from rewards.types import Verdict
from rl.evaluation.measures import summarise
from rl.evaluation.samples import append_samples, by_problem, read_samples, scored
from rl.types import Completion

ABOUT: dict[str, Any] = {
    "model": "m",
    "sources": [{"domain": "math"}],
    "split": "test",
    "n": 2,
    "seed": 0,
    "prompt": {"system": None, "template": "{prompt}"},
    "sampling": {"temperature": 1.0, "top_p": 1.0},
    "reading": "lenient",
    "verifying": {"timeout_seconds": 5.0},
    "template_hash": "t",
}


def evaluation(
    directory: Path, right: Mapping[int, Sequence[int]], clusters: Mapping[int, str] | None = None, **about: Any
) -> Path:
    """What an evaluation leaves of problems with some samples each, right (1), wrong (0) or not scored (-1).

    Problem k of `clusters` is in the cluster that it names, else in one of its own.
    """
    directory.mkdir(parents=True)
    samples = []
    for number, outcomes in right.items():
        problem = Problem(id=f"p{number}", domain="math", split="test", prompt=f"[b]{number}?", reference="1", source="t")
        cluster = (clusters or {}).get(number, problem.id)
        for k, outcome in enumerate(outcomes):
            verdict = Verdict(status={1: "correct", 0: "wrong", -1: "error"}[outcome], extracted=str(outcome))  # type: ignore[arg-type]
            completion = Completion(text=f"{directory.name} says {number}.{k} [/b]", finish_reason="stop", num_tokens=5 + k)
            samples.append(scored(problem, k, completion, verdict, cluster, reasoning_tokens=3, mean_logprob=-0.5 - k))
    append_samples(directory, samples)
    results = {**ABOUT, **about, **summarise(by_problem(read_samples(directory)))}
    (directory / "results.json").write_text(json.dumps(results))
    return directory
