"""Accuracies by set and difficulty, by the names of sets as people know them."""

from typing import Any

from problems.catalog import SOURCE_MODELS, build_source
from rl.evaluation.by_set import metrics_of_results, name_of_set, name_of_source, names_of_problems, set_metrics
from rl.evaluation.samples import Scored


def source(domain: str, **settings: Any) -> Any:
    return SOURCE_MODELS[domain].model_validate({"domain": domain, **settings})


def asked(number: int, outcomes: list[int]) -> list[Scored]:
    """The samples of one problem, right where there is a 1."""
    known: dict[str, Any] = {
        "problem_id": f"p{number}",
        "cluster": f"p{number}",
        "prompt": "",
        "reference": "2",
        "completion": "",
    }
    known |= {"finish_reason": "stop", "num_tokens": 3, "reasoning_tokens": 2, "extracted": "2", "detail": ""}
    known |= {"mean_logprob": -0.1, "verifier_seconds": 0.0, "difficulty": {"terms": number}}
    statuses: list[Any] = ["correct" if outcome else "wrong" for outcome in outcomes]
    return [Scored(sample=i, status=status, **known) for i, status in enumerate(statuses)]


def test_sets_go_by_their_own_names() -> None:
    assert name_of_source(source("chain")) == "chain"
    assert name_of_source(source("hub", name="math500")) == "math500"
    assert name_of_source(source("hub", name="openai/gsm8k")) == "gsm8k"
    assert name_of_source(source("jsonl", path="my/problems.v2.jsonl")) == "problems"
    assert name_of_set([source("chain"), source("letters"), source("chain")]) == "chain+letters"


def test_the_problems_of_a_mixture_go_by_where_they_come_from() -> None:
    sources = [source("chain", weight=3.0), source("dates", weight=1.0)]
    built = build_source(sources, 0)
    names = names_of_problems(sources, built, "validation", 12)
    assert names == [built.get("validation", index).domain for index in range(12)]
    assert set(names) == {"chain", "dates"}


def test_accuracies_by_set_and_difficulty() -> None:
    problems = [asked(0, [1, 0]), asked(1, [1, 1]), asked(2, [0, 0])]
    metrics = set_metrics(problems, ["chain", "chain", "dates"])
    assert metrics["eval/chain/accuracy"] == 0.75
    assert metrics["eval/chain/accuracy_low"] < 0.75 < metrics["eval/chain/accuracy_high"]
    assert metrics["eval/dates/accuracy"] == 0.0
    by_terms = {name: value for name, value in metrics.items() if "terms=" in name}
    assert by_terms == {
        "eval/chain/terms=0/accuracy": 0.5,
        "eval/chain/terms=1/accuracy": 1.0,
        "eval/dates/terms=2/accuracy": 0.0,
    }


def test_results_of_an_evaluation_and_a_difficulty_with_too_many_values() -> None:
    estimate = {"value": 0.5, "low": 0.4, "high": 0.6}
    by_difficulty = {"terms=3": estimate, **{f"topic={n}": estimate for n in range(30)}}
    results = {"accuracy": estimate, "by_difficulty": by_difficulty, "pass_at_k": {"1": estimate, "4": estimate}}
    assert metrics_of_results(results, "chain") == {
        "eval/chain/accuracy": 0.5,
        "eval/chain/accuracy_low": 0.4,
        "eval/chain/accuracy_high": 0.6,
        "eval/chain/pass_at_4": 0.5,
        "eval/chain/terms=3/accuracy": 0.5,
    }
