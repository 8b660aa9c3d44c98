"""Two runs side by side on what both were asked: the paired difference with its interval, and the problems where they part.

Evaluations are compared as `reasonlab compare` does it (rl/evaluation/comparison.py). Two trainings are compared on the
problems that both drew at the same step, which runs of one seed have in common.
"""

import os
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from problems.errors import LabError
from rl.evaluation.comparison import compare
from rl.evaluation.paired import paired
from rl.evaluation.samples import MEASURED, SAMPLES
from rl.tracking.run_directory import JsonDict
from rl.viewing.index import MARKS, Index, Part
from rl.viewing.reading import MOST_BYTES, is_inside
from rl.viewing.runs import Run
from rl.viewing.texts import visible, visible_tree

MOST_FLIPS = 200
SIDES = ("first", "second")
Key = tuple[int, str]  # step and id of a problem


def side_by_side(first: Index, second: Index) -> JsonDict:
    """Return the comparison, second minus first, as plain data; {"refused": why} where there is none."""
    kinds = {first.run.kind, second.run.kind}
    try:
        if kinds == {"evaluation"}:
            return _evaluations(first, second)
        if kinds == {"practice"}:
            return _trainings(first, second)
    except LabError as error:
        return {"refused": visible(error)}
    return {"refused": f"a run of {first.run.kind} and one of {second.run.kind} were not asked the same"}


def _evaluations(first: Index, second: Index) -> JsonDict:
    for index in (first, second):
        _check_files(index.run)
    try:
        found = compare(first.run.path, second.run.path, anyway=True)
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OSError,
    ) as error:  # files that somebody else wrote, or that are being written
        raise LabError(f"not two whole evaluations: {type(error).__name__}: {error}") from None
    flips = [
        {
            "step": 0,
            "prompt": flip["prompt"],
            "reference": flip["reference"],
            "sides": [{name: flip[side][name] for name in ("correct", "status", "extracted", "completion")} for side in SIDES],
        }
        for flip in found["flips"]
    ]
    accuracies = [found[side]["accuracy"] for side in SIDES]
    return _told(found, accuracies, flips, [*found["in_spite_of"], *found["also_different"]])


def _check_files(run: Run) -> None:
    """Raise LabError where a file that is going to be read leads out of the run or is larger than what is read here."""
    for name in ("results.json", SAMPLES, MEASURED):
        file = run.path / name
        if not os.path.lexists(file):
            continue
        if not is_inside(file, run.path):
            raise LabError(f"{name} of {run.name} is a link to elsewhere; copy the file into the run to compare it")
        if file.stat().st_size > MOST_BYTES:
            raise LabError(f"{name} of {run.name} is larger than {MOST_BYTES:,} bytes; `reasonlab compare` reads it whole")


def _told(found: JsonDict, accuracies: Sequence[float], flips: Sequence[JsonDict], notes: Sequence[str]) -> JsonDict:
    told = {name: found[name] for name in ("difference", "low", "high", "p_value", "problems")}
    hidden = max(0, len(flips) - MOST_FLIPS)
    shown = {**told, "accuracies": accuracies, "flips": flips[:MOST_FLIPS], "hidden": hidden, "notes": notes}
    return {visible(name): visible_tree(value) for name, value in shown.items()}


def _trainings(first: Index, second: Index) -> JsonDict:
    shares = [_shares(index.parts) for index in (first, second)]
    common = sorted(shares[0].keys() & shares[1].keys())
    if len(common) < 2:
        raise LabError(f"the two drew {len(common)} problem(s) in common at the same step; a comparison needs at least two")
    values = [[of_run[key][0] for key in common] for of_run in shares]
    differences = [theirs - ours for ours, theirs in zip(*values, strict=True)]
    found = paired(differences, [problem for _, problem in common])
    half = Fraction(1, 2)
    parting = [key for key, a, b in zip(common, *values, strict=True) if (a - half) * (b - half) < 0]
    flips = []
    for key in parting[:MOST_FLIPS]:
        sides = [_exemplar(index, *of_run[key]) for index, of_run in zip((first, second), shares, strict=True)]
        asked = sides[0].pop("asked")
        sides[1].pop("asked")
        flips.append({"step": key[0], "prompt": asked.get("prompt", ""), "reference": asked.get("reference"), "sides": sides})
    accuracies = [float(sum(of_run, Fraction(0)) / len(common)) for of_run in values]
    told = _told(found.as_dict(), accuracies, flips, ["practised problems, each at the step at which both drew it"])
    return {**told, "hidden": len(parting) - len(flips)}


def _shares(parts: Sequence[Part]) -> dict[Key, tuple[Fraction, Part, int]]:
    """Return the share of correct completions of every group that was scored, and where it stands."""
    found: dict[Key, tuple[Fraction, Part, int]] = {}
    for part in parts:
        right = np.bincount(part.group, (part.marks >> MARKS.index("correct")) & 1, len(part.problems))
        scored = np.bincount(part.group, 1 - ((part.marks >> MARKS.index("error")) & 1), len(part.problems))
        for group, problem in enumerate(part.problems):
            if scored[group]:
                found.setdefault((part.step, problem), (Fraction(int(right[group]), int(scored[group])), part, group))
    return found


def _exemplar(index: Index, share: Fraction, part: Part, group: int) -> JsonDict:
    """Return the first completion of a group that is as most of it are."""
    rows = [int(row) for row in np.flatnonzero(part.group == group)]
    records = index.records(part, rows)
    mostly = share > Fraction(1, 2)
    scored = [record for record in records if record.get("status") != "error"]
    record = next((one for one in scored if (one.get("status") == "correct") == mostly), {})
    shown = {name: record.get(name) for name in ("status", "extracted", "completion")}
    return {"correct": float(share), **shown, "asked": record}
