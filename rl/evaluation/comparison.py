"""Sets two evaluations side by side (`reasonlab compare`): the paired difference, and the problems on which they part.

Refuses, in words, what would not be a comparison of models: other problems, other sampling settings, another reading.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from problems.errors import LabError
from rl.evaluation.about import COMPARED, differences
from rl.evaluation.drawn import drawn_with
from rl.evaluation.paired import TEST, paired
from rl.evaluation.samples import SAMPLES, Asked, Scored, by_problem, read_samples, share_correct
from rl.tracking.run_directory import JsonDict

_NOTED = (
    "n",
    "seed",
    "problems_hash",
    "endpoint",
    "template_hash",
    "dtype",
    "cluster",
    "python",
    "packages",
)  # may differ, and is said
Key = tuple[str, str, str | None]  # what makes two problems the same: id, text, reference


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two evaluations."""

    directory: Path
    results: JsonDict
    problems: dict[Key, list[Scored]]
    lines: dict[Key, int]  # of samples.jsonl, counted from 1, at which a problem begins


def read_side(directory: Path) -> Side:
    """Return a finished evaluation; raises LabError where there is none."""
    file = directory / "results.json"
    if not file.is_file():
        raise LabError(f"{directory} holds no results.json; give the directory of a finished `reasonlab eval`")
    problems: dict[Key, list[Scored]] = {}
    lines: dict[Key, int] = {}
    line = 1
    for asked in by_problem(read_samples(directory)):
        key = (asked[0].problem_id, asked[0].prompt, asked[0].reference)
        # a problem that was drawn twice was answered alike twice: it counts once
        problems.setdefault(key, asked)
        lines.setdefault(key, line)
        line += len(asked)
    return Side(directory=directory, results=json.loads(file.read_text(encoding="utf-8")), problems=problems, lines=lines)


def pairs_of(first: Path, second: Path) -> Iterator[tuple[str, Path, Path]]:
    """Yield what is to be compared: the two, or by name what both hold below them. Raises LabError where that is nothing."""
    if (first / "results.json").is_file() or (second / "results.json").is_file():
        yield "", first, second
        return
    names = [{str(file.parent.relative_to(top)) for file in top.rglob("results.json")} for top in (first, second)]
    common = sorted(names[0] & names[1])
    if not common:
        raise LabError(f"{first} and {second} hold no evaluations of the same names below them")
    for name in common:
        yield name, first / name, second / name


def compare(first: Path, second: Path, *, anyway: bool = False) -> JsonDict:
    """Return the paired difference, second minus first, its test and the flips, as plain data.

    Raises LabError where the two cannot be compared; `anyway` compares what they have in common all the same.
    """
    a, b = read_side(first), read_side(second)
    faults = differences(a.results, b.results, COMPARED) + _other_problems(a, b)
    common = [key for key in a.problems if key in b.problems]
    usable = [key for key in common if all(any(s.is_scored for s in side.problems[key]) for side in (a, b))]
    if len(usable) < 2:
        raise LabError(f"{first} and {second} have {len(usable)} scored problem(s) in common; a comparison needs at least two")
    if faults and not anyway:
        listed = "\n  ".join(faults)
        raise LabError(
            f"{first} and {second} were not asked the same:\n  {listed}\n"
            "so their difference is not the models' alone; evaluate one of them again, or compare what both have with --anyway"
        )
    shares = [[share_correct(side.problems[key]) for key in usable] for side in (a, b)]
    told = [{**side.results, **drawn_with(side.results)} for side in (a, b)]
    found = paired(
        [theirs - ours for ours, theirs in zip(*shares, strict=True)], [a.problems[key][0].cluster for key in usable]
    )
    return {
        "first": _headline(a, shares[0]),
        "second": _headline(b, shares[1]),
        **found.as_dict(),
        "test": TEST,
        "left_out": len(common) - len(usable),
        "in_spite_of": faults,
        "also_different": differences(told[0], told[1], _NOTED),
        "flips": [_flip(a, b, key) for key in usable if _is_flip(a.problems[key], b.problems[key])],
    }


def _other_problems(a: Side, b: Side) -> list[str]:
    """Return in words how many problems only one of the two was asked."""
    only = [len(a.problems.keys() - b.problems.keys()), len(b.problems.keys() - a.problems.keys())]
    if only == [0, 0]:
        return []
    both = len(a.problems) - only[0]
    return [f"problems: {only[0]} only in {a.directory}, {only[1]} only in {b.directory}, {both} in both"]


def _headline(side: Side, shares: Sequence[Fraction]) -> JsonDict:
    accuracy = float(sum(shares) / len(shares))
    return {"directory": str(side.directory), "model": side.results["model"], "accuracy": accuracy, "n": side.results["n"]}


def _is_flip(first: Asked, second: Asked) -> bool:
    """Whether one side is mostly right and the other mostly wrong."""
    half = Fraction(1, 2)
    return (share_correct(first) - half) * (share_correct(second) - half) < 0


def _flip(a: Side, b: Side, key: Key) -> JsonDict:
    problem_id, prompt, reference = key
    sides = {"first": _exemplar(a, key), "second": _exemplar(b, key)}
    return {"problem_id": problem_id, "prompt": prompt, "reference": reference, **sides}


def _exemplar(side: Side, key: Key) -> JsonDict:
    """Return the first completion that is as most of its side are, and where it stands."""
    asked = side.problems[key]
    share = share_correct(asked)
    mostly = share > Fraction(1, 2)
    sample = next(sample for sample in asked if sample.is_scored and sample.is_correct == mostly)
    line = side.lines[key] + sample.sample
    return {
        "correct": float(share),
        "status": sample.status,
        "extracted": sample.extracted,
        "completion": sample.completion,
        "file": f"{side.directory / SAMPLES}:{line}",
    }
