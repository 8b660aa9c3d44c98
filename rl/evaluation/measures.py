"""What an evaluation measures, each rate with a 95 % interval: problems are the unit, or clusters of them.

`accuracy` is avg@n: the mean over problems of the share of correct samples. Samples that could not be scored (verdict
`error`) are left out and counted. Wrong, unparsed, truncated and timed-out are told apart. An abstention is not correct;
`coverage` and `accuracy_when_answering` say what it is good for.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from rewards.numbers import parse_rational
from rl.evaluation.samples import Asked, Scored, share_correct
from rl.stats import Estimate, best_of_k, estimate, majority_at_k, mean, pass_at_k
from rl.tracking.emergence import EMERGENCE, REFLECTION_LIST, Written, lengths, traits
from rl.tracking.run_directory import JsonDict

# how the best of k samples is chosen where no verifier may be asked, by name: the sample with the highest score is
CHOICES: dict[str, Callable[[Scored], float]] = {
    "shortest": lambda sample: -sample.num_tokens,
    "longest": lambda sample: sample.num_tokens,
    # equal texts differ in the last digits of their log-probability: they are a tie
    "likeliest": lambda sample: round(_mean_logprob(sample), 4),
}


def _mean_logprob(sample: Scored) -> float:
    assert sample.mean_logprob is not None, "such problems are left out"
    return sample.mean_logprob


def canonical_answer(sample: Scored) -> str | None:
    """Return what the sample votes for: equal numbers vote alike however they are written."""
    text = sample.extracted
    if text is None or sample.status not in ("correct", "wrong"):
        return None
    value = parse_rational(text)
    return text if value is None else str(value)


def _ks(samples: int) -> list[int]:
    """Return the k that are reported: powers of two up to the number of samples, and that number."""
    ks = [1]
    while ks[-1] * 2 <= samples:
        ks.append(ks[-1] * 2)
    if ks[-1] != samples:
        ks.append(samples)
    return ks


def _over(problems: Sequence[Asked], value: Callable[[Asked], float]) -> Estimate:
    """Return the mean of a value in [0, 1] a problem."""
    return estimate([value(asked) for asked in problems], [asked[0].cluster for asked in problems])


def _right(asked: Asked) -> list[bool]:
    return [sample.is_correct for sample in asked]


def only_scored(problems: Sequence[Asked]) -> list[list[Scored]]:
    """Return the problems with what could be scored of them; those of which nothing could are left out."""
    kept = ([sample for sample in asked if sample.is_scored] for asked in problems)
    return [asked for asked in kept if asked]


def accuracy(problems: Sequence[Asked]) -> Estimate:
    """Return avg@n over the problems that have a scored sample."""
    return _over(only_scored(problems), lambda asked: float(share_correct(asked)))


def coverage(problems: Sequence[Asked]) -> Estimate:
    """Return the mean over problems of the share of samples that do not abstain."""
    return _over(only_scored(problems), lambda asked: sum(sample.is_answered for sample in asked) / len(asked))


def accuracy_when_answering(problems: Sequence[Asked]) -> Estimate:
    """Return the share of correct samples among those that do not abstain, all together.

    So coverage times this is the accuracy, where no sample is an error. Samples are counted, problems (or their clusters) are
    independent: a problem that is seldom answered weighs little.
    """
    answered = [sample for asked in problems for sample in asked if sample.is_answered]
    found = estimate([float(sample.is_correct) for sample in answered], [sample.cluster for sample in answered])
    return replace(found, problems=sum(any(sample.is_answered for sample in asked) for asked in problems))


def summarise(problems: Sequence[Asked], *, may_abstain: bool = False) -> JsonDict:
    """Return every aggregate of an evaluation as plain data.

    `may_abstain`: the prompt allows to abstain, so coverage is measured too.
    """
    samples = [sample for asked in problems for sample in asked]
    graded = only_scored(problems)
    return {
        "problems": len(problems),
        "samples": len(samples),
        "accuracy": accuracy(problems).as_dict(),
        **(_of_abstaining(problems) if may_abstain else {}),
        "pass_at_k": _at_each_k(_pass, graded),
        "majority_at_k": _at_each_k(_majority, graded),
        "best_of_k": {
            name: _at_each_k(partial(_best, score), among)
            for name, score in CHOICES.items()
            if (among := [asked for asked in graded if _can_choose(name, asked)])
        },
        "by_difficulty": by_difficulty(problems),
        "reasoning_tokens": lengths([(sample.reasoning_tokens, sample.status) for sample in samples]),
        "completion_tokens": lengths([(sample.num_tokens, sample.status) for sample in samples]),
        "emergence": {**traits([written_in(sample) for sample in samples]), "reflection_list": REFLECTION_LIST},
        "truncated_rate": _rate(samples, lambda sample: sample.finish_reason == "length"),
        **{f"{name}_rate": _rate(samples, _has_status(name)) for name in ("unparsed", "timeout", "error")},
    }


def _at_each_k(value: Callable[..., float], problems: Sequence[Asked]) -> dict[str, JsonDict]:
    """Return a value at each k; it is the same for all problems, so the one with the fewest samples sets the limit."""
    fewest = min((len(asked) for asked in problems), default=0)
    return {str(k): _over(problems, partial(value, k=k)).as_dict() for k in (_ks(fewest) if fewest else [])}


def _pass(asked: Asked, k: int) -> float:
    return pass_at_k(len(asked), sum(_right(asked)), k)


def _majority(asked: Asked, k: int) -> float:
    return majority_at_k([canonical_answer(sample) for sample in asked], _right(asked), k, asked[0].problem_id)


def _best(score: Callable[[Scored], float], asked: Asked, k: int) -> float:
    return best_of_k([score(sample) for sample in asked], _right(asked), k)


def _can_choose(name: str, samples: Asked) -> bool:
    """Whether a choice is defined: of a sample without a token that was drawn, or from a server that told none, it is not."""
    return name != "likeliest" or all(sample.mean_logprob is not None for sample in samples)


def _has_status(status: str) -> Callable[[Scored], bool]:
    return lambda sample: sample.status == status


def _rate(samples: Asked, is_so: Callable[[Scored], bool]) -> float | None:
    return mean([float(is_so(sample)) for sample in samples])


def _of_abstaining(problems: Sequence[Asked]) -> dict[str, JsonDict]:
    return {
        "coverage": coverage(problems).as_dict(),
        "accuracy_when_answering": accuracy_when_answering(problems).as_dict(),
    }


def written_in(sample: Scored) -> Written:
    """Return what is looked at of the text of a sample."""
    return Written(
        text=sample.completion,
        status=sample.status,
        extracted=sample.extracted,
        num_tokens=sample.num_tokens,
        reasoning_tokens=sample.reasoning_tokens,
    )


def by_difficulty(problems: Sequence[Asked]) -> dict[str, JsonDict]:
    """Return accuracy and mean reasoning tokens by each named difficulty, e.g. `terms=5`."""
    members: dict[tuple[str, Any], list[Asked]] = defaultdict(list)
    for asked in problems:
        for name, value in asked[0].difficulty.items():
            if asked[0].cluster != f"{name}={value}":  # clusters may be many, and their estimates rest on one each
                members[name, value].append(asked)
    result = {}
    for name, value in sorted(members, key=_by_name_and_value):
        of_it = members[name, value]
        tokens = mean([n for asked in of_it for sample in asked if (n := sample.reasoning_tokens) is not None])
        result[f"{name}={value}"] = {**accuracy(of_it).as_dict(), "reasoning_tokens": tokens}
    return result


def _by_name_and_value(difficulty: tuple[str, Any]) -> tuple[str, str, Any]:
    name, value = difficulty
    return name, str(type(value)), value  # values of one name may be of several types, which do not compare


def held_out_metrics(problems: Sequence[Asked], *, may_abstain: bool = False) -> dict[str, Any]:
    """Return accuracy, length and what emerges, as the evaluation inside a run writes them down."""
    samples = [sample for asked in problems for sample in asked]
    rates = {"accuracy": accuracy(problems)}
    if may_abstain:
        rates |= {"coverage": coverage(problems), "accuracy_when_answering": accuracy_when_answering(problems)}
    metrics: dict[str, Any] = {}
    for name, found in rates.items():
        metrics |= {f"eval/{name}": found.value, f"eval/{name}_low": found.low, f"eval/{name}_high": found.high}
    counts = lengths([(sample.reasoning_tokens, sample.status) for sample in samples])
    metrics["eval/reasoning_tokens"] = counts.pop("mean")
    metrics["eval/completion_tokens"] = mean([sample.num_tokens for sample in samples])
    metrics |= {f"eval/reasoning_tokens/{name}": value for name, value in counts.items()}
    return metrics | {f"eval/emergence/{name}": value for name, value in traits([written_in(s) for s in samples]).items()}


def headline(results: JsonDict) -> dict[str, float | None]:
    """Return the numbers a tracker should show."""
    abstaining = ("coverage", "accuracy_when_answering")
    return {
        "accuracy": results["accuracy"]["value"],
        **{name: results[name]["value"] for name in abstaining if name in results},
        **{f"emergence/{name}": results["emergence"][name] for name in EMERGENCE},
        "reasoning_tokens": results["reasoning_tokens"]["mean"],
        "truncated_rate": results["truncated_rate"],
        "unparsed_rate": results["unparsed_rate"],
        "timeout_rate": results["timeout_rate"],
        "error_rate": results["error_rate"],
    }
