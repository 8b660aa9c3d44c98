"""Pass rates measured before a training: an evaluation of the problems that are to be practised on, problem by problem.

Answers are drawn, judged, resumed and shared out over ranks as in any evaluation (rl/evaluate.py), but with the settings of
practice: the split `train`, the strict reading, temperature 1. In the directory of each set stand, besides what an evaluation
leaves,

    RUN/rates.jsonl        {"id", "n", "correct", "rate"} a problem; n counts the completions that could be scored
    RUN/rates.about.json   what was asked, of whom and how, and which source it was

which the settings `rates` and `keep` of an entry of `problems` read (problems/selection.py). A rate is that of one model at one
time: as a run learns, its problems become easier, which an online curriculum (rl/curriculum.py) follows.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from problems.catalog import source_seed
from problems.errors import LabError
from problems.seeding import derive_seed
from problems.selection import KEEP, header_path
from problems.telling import tell
from rl.evaluate import run_evaluation
from rl.evaluation.samples import Scored, read_samples
from rl.runtime import rank
from rl.settings.arguments import clearly
from rl.settings.eval_arguments import EvaluationArguments, rating_arguments
from rl.tracking.run_directory import JsonDict
from rl.tracking.selections import write_selection

RATES = "rates.jsonl"


def run_rating(asked: EvaluationArguments) -> dict[Path, list[JsonDict]]:
    """Rate as asked; return the rows by their files, on rank 0 only. All ranks must call."""
    rated = {}
    for directory in run_evaluation(asked):
        about = json.loads((directory / "about.json").read_text(encoding="utf-8"))
        samples = read_samples(directory)
        rows = pass_rates(samples)
        seed = source_seed(derive_seed("evaluation", about["problem_seed"]))  # as rl/evaluate.py opens the source
        asked_for = len(samples) // about["n"]
        write_selection(directory / RATES, rows, {"kind": "rates", "problems": asked_for, "source_seed": seed, **about})
        rated[directory / RATES] = rows
    return rated


def pass_rates(samples: Sequence[Scored]) -> list[JsonDict]:
    """Return a row for each problem, in the order they were asked.

    A problem that was drawn twice has the same completions twice, since their streams are named by it: they count once. An
    error of the verifier is no completion that failed; where nothing could be scored the rate is None.
    """
    by_problem: dict[str, dict[int, Scored]] = {}
    for sample in samples:
        completions = by_problem.setdefault(sample.problem_id, {})
        for other in completions.values():
            if (other.prompt, other.reference) != (sample.prompt, sample.reference):
                raise LabError(
                    f"two different problems have the id {sample.problem_id!r}, so their pass rates cannot be told apart: give "
                    "each row an id of its own"
                )
        completions[sample.sample] = sample
    rows = []
    for problem_id, completions in by_problem.items():
        scored = [one for one in completions.values() if one.is_scored]
        correct = sum(one.is_correct for one in scored)
        rate = correct / len(scored) if scored else None
        rows.append({"id": problem_id, "n": len(scored), "correct": correct, "rate": rate})
    return rows


def tell_rates(rated: Mapping[Path, Sequence[JsonDict]]) -> None:
    """Tell how hard the problems are, and where the rates stand; rank 0 only."""
    if rank() == 0:
        tell({str(file): rows for file, rows in rated.items()}, lambda: _print_rates(rated))


def _print_rates(rated: Mapping[Path, Sequence[JsonDict]]) -> None:
    for file, rows in rated.items():
        rates = [row["rate"] for row in rows if row["rate"] is not None]
        lowest, highest = KEEP
        counts = {
            "never solved": sum(rate == 0 for rate in rates),
            f"below {lowest}": sum(0 < rate < lowest for rate in rates),
            f"{lowest} to {highest}, what stays by default": sum(lowest <= rate <= highest for rate in rates),
            f"above {highest}": sum(highest < rate < 1 for rate in rates),
            "always solved": sum(rate == 1 for rate in rates),
            "not to be scored": len(rows) - len(rates),
        }
        print(f"{len(rows)} problems")
        print("\n".join(f"{count:7}  {what}" for what, count in counts.items() if count))
        print(f"written: {file} and {header_path(file).name}")
        print(f"in an entry of problems: {{..., rates: {file}, keep: [{lowest}, {highest}]}}")


@clearly
def main(argv: Sequence[str]) -> int:
    """The command line of `deepspeed --module rl.rate`."""
    asked = rating_arguments(argv)
    if asked is not None:
        tell_rates(run_rating(asked))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
