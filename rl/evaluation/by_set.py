"""What trackers show of an evaluation by set and difficulty: `eval/math500/accuracy`, `eval/chain/terms=5/accuracy`.

A set goes by its own name (of the hub, or of its file), anything else by its domain. A difficulty with very many values has no
curve for each of them.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from problems.catalog import AnySource, owner
from problems.types import ProblemSource
from rl.evaluation.measures import accuracy, by_difficulty
from rl.evaluation.samples import Asked
from rl.tracking.run_directory import JsonDict

_MOST_VALUES = 24  # of one difficulty


def name_of_source(source: AnySource) -> str:
    """Return the name of one source."""
    return name_of_settings(source.model_dump(mode="json"))


def name_of_settings(told: Mapping[str, Any]) -> str:
    """Return the name of the source that has these settings."""
    if isinstance(name := told.get("name"), str):
        return name.rsplit("/", 1)[-1]
    path = told.get("python") or told.get("path")
    return Path(path).name.split(".")[0] if isinstance(path, str) else str(told.get("domain", "problems"))


def name_of_set(sources: Sequence[AnySource]) -> str:
    """Return the name of what an evaluation asks."""
    return "+".join(dict.fromkeys(map(name_of_source, sources)))


def names_of_problems(sources: Sequence[AnySource], built: ProblemSource, split: str, count: int) -> list[str]:
    """Return the set of each of the first `count` problems of `split`; `built` is what `build_source` made of `sources`."""
    return [name_of_source(sources[owner(built, split, index)]) for index in range(count)]


def set_metrics(problems: Sequence[Asked], names: Sequence[str]) -> JsonDict:
    """Return accuracies with intervals by set, and by difficulty within each; `names` has the set of each problem."""
    by_name: dict[str, list[Asked]] = defaultdict(list)
    for name, asked in zip(names, problems, strict=True):
        by_name[name].append(asked)
    metrics: JsonDict = {}
    for name in sorted(by_name):
        found = {"accuracy": accuracy(by_name[name]).as_dict(), "by_difficulty": by_difficulty(by_name[name])}
        metrics |= metrics_of_results(found, name)
    return metrics


def metrics_of_results(results: Mapping[str, Any], name: str) -> JsonDict:
    """Return the same from the results of an evaluation of one set."""
    whole, members = results["accuracy"], results["by_difficulty"]
    metrics: JsonDict = {
        f"eval/{name}/accuracy": whole["value"],
        f"eval/{name}/accuracy_low": whole["low"],
        f"eval/{name}/accuracy_high": whole["high"],
    }
    for kind in ("pass_at_k", "majority_at_k"):
        for k, estimate in results.get(kind, {}).items():
            if k != "1":  # the accuracy
                metrics[f"eval/{name}/{kind.replace('_k', '_' + k)}"] = estimate["value"]
    values = Counter(difficulty.split("=", 1)[0] for difficulty in members)
    for difficulty, estimate in members.items():
        if values[difficulty.split("=", 1)[0]] <= _MOST_VALUES:
            metrics[f"eval/{name}/{difficulty}/accuracy"] = estimate["value"]
    return metrics
