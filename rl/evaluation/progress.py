"""What each checkpoint of a run has more, or less, than the model that the run began with: step 0 of `eval RUN --every`."""

from collections.abc import Mapping

from rl.tracking.emergence import EMERGENCE, LENGTHS, difference
from rl.tracking.run_directory import JsonDict

START = "step-000000"  # the directory of a run's step 0 (rl/evaluation/subjects.py)
Numbers = dict[str, float | None]


def numbers(results: JsonDict) -> Numbers:
    """Return the numbers of an evaluation that are followed over a run; None where there was nothing to measure."""
    rates = ("accuracy", "coverage", "accuracy_when_answering")
    return {
        **{name: results[name]["value"] for name in rates if name in results},
        **{f"reasoning_tokens/{name}": results["reasoning_tokens"][name] for name in ("mean", *LENGTHS)},
        **{f"emergence/{name}": results["emergence"][name] for name in EMERGENCE},
    }


def against_start(evaluations: Mapping[str, JsonDict]) -> dict[str, Numbers]:
    """Return, for each evaluation of a later step than 0, its numbers minus those of step 0 on the same set.

    Evaluations go by where they stand, `step-000020` or `step-000020/SET`; where step 0 was not evaluated there is nothing.
    """
    found = {}
    for place, results in evaluations.items():
        step, slash, name = place.partition("/")
        start = evaluations.get(f"{START}{slash}{name}")
        if step != START and step.startswith("step-") and start is not None:
            now, then = numbers(results), numbers(start)
            found[place] = {key: difference(then.get(key), value) for key, value in now.items()}
    return found
