"""What an evaluation measures, each rate with a 95 % interval: problems are the unit, or clusters of them.

`accuracy` is avg@n: the mean over problems of the share of correct samples. Samples that could not be scored (verdict
`error`) are left out and counted. Wrong, unparsed, truncated and timed-out are told apart.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rewards.numbers import parse_rational
from rl.evaluation.samples import Asked, Scored
from rl.stats import Estimate, best_of_k, estimate, majority_at_k, mean, pass_at_k
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


def _over(questions: Sequence[Asked], value: Callable[[Asked], float]) -> Estimate:
    """Return the mean of a value in [0, 1] a problem."""
    return estimate([value(asked) for asked in questions], [asked[0].cluster for asked in questions])


def _right(asked: Asked) -> list[bool]:
    return [sample.is_correct for sample in asked]


def share_correct(asked: Asked) -> float:
    """Return the share of correct samples of a problem, all of which could be scored."""
    return sum(_right(asked)) / len(asked)


def only_scored(questions: Sequence[Asked]) -> list[list[Scored]]:
    """Return the problems with what could be scored of them; those of which nothing could are left out."""
    kept = ([sample for sample in asked if sample.is_scored] for asked in questions)
    return [asked for asked in kept if asked]


def accuracy(questions: Sequence[Asked]) -> Estimate:
    """Return avg@n over the problems that have a scored sample."""
    return _over(only_scored(questions), share_correct)


def summarise(questions: Sequence[Asked]) -> JsonDict:
    """Return every aggregate of an evaluation as plain data."""
    samples = [sample for asked in questions for sample in asked]
    graded = only_scored(questions)
    return {
        "problems": len(questions),
        "samples": len(samples),
        "accuracy": accuracy(questions).as_dict(),
        "pass_at_k": _at_each_k(_pass, graded),
        "majority_at_k": _at_each_k(_majority, graded),
        "best_of_k": {
            name: _at_each_k(partial(_best, score), among)
            for name, score in CHOICES.items()
            if (among := [asked for asked in graded if _can_choose(name, asked)])
        },
        "by_difficulty": by_difficulty(questions),
        "reasoning_tokens": _mean_by_verdict(samples, lambda sample: sample.reasoning_tokens),
        "completion_tokens": _mean_by_verdict(samples, lambda sample: sample.num_tokens),
        "truncated_rate": _rate(samples, lambda sample: sample.finish_reason == "length"),
        **{f"{name}_rate": _rate(samples, _has_status(name)) for name in ("unparsed", "timeout", "error")},
    }


def _at_each_k(value: Callable[..., float], questions: Sequence[Asked]) -> dict[str, JsonDict]:
    """Return a value at each k; it is the same for all problems, so the one with the fewest samples sets the limit."""
    fewest = min((len(asked) for asked in questions), default=0)
    return {str(k): _over(questions, partial(value, k=k)).as_dict() for k in (_ks(fewest) if fewest else [])}


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


def _mean_by_verdict(samples: Asked, tokens: Callable[[Scored], int | None]) -> dict[str, float | None]:
    """Return the mean of `tokens` over all samples, the correct and the wrong ones; ungraded ones are neither."""
    groups = {
        "mean": samples,
        "correct": [sample for sample in samples if sample.is_correct],
        "wrong": [sample for sample in samples if sample.is_scored and not sample.is_correct],
    }
    return {name: mean([n for sample in group if (n := tokens(sample)) is not None]) for name, group in groups.items()}


def by_difficulty(questions: Sequence[Asked]) -> dict[str, JsonDict]:
    """Return accuracy and mean reasoning tokens by each named difficulty, e.g. `terms=5`."""
    members: dict[tuple[str, Any], list[Asked]] = defaultdict(list)
    for asked in questions:
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


def held_out_metrics(questions: Sequence[Asked]) -> dict[str, Any]:
    """Return accuracy and length, as the evaluation inside a run writes them down."""
    samples = [sample for asked in questions for sample in asked]
    found = accuracy(questions)
    return {
        "eval/accuracy": found.value,
        "eval/accuracy_low": found.low,
        "eval/accuracy_high": found.high,
        "eval/reasoning_tokens": mean([n for sample in samples if (n := sample.reasoning_tokens) is not None]),
        "eval/completion_tokens": mean([sample.num_tokens for sample in samples]),
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
