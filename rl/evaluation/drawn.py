"""Which versions drew the samples of an evaluation: a resumed one may have been drawn by several, and then it is said.

    drawn.jsonl   a line for each process that drew: from which problem on, with which Python, packages and git commit

Results are measured by the last process; its versions are no proof of what drew the samples.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl.evaluation.about import differences
from rl.tracking.run_directory import JsonDict, json_lines, provenance, read_records, write_atomic

DRAWN = "drawn.jsonl"


def versions() -> JsonDict:
    """Return what this process computes with."""
    return {key: value for key, value in provenance().items() if key in ("python", "packages", "git")}


def note_drawing(directory: Path, done: int) -> None:
    """Write down that this process draws from problem `done` on, before it does."""
    before = [record for record in read_records(directory / DRAWN) if record["from"] < done]  # else it left nothing
    write_atomic(directory / DRAWN, json_lines([*before, {"from": done, **versions()}]))


def drawn_by(directory: Path, problems: int) -> list[JsonDict]:
    """Return the versions that drew, each once, with the number of problems; None where nobody wrote them down."""
    records = list(read_records(directory / DRAWN))
    ends = [record["from"] for record in records] + [problems]
    found: list[JsonDict] = [{"problems": ends[0], "versions": None}] if ends[0] else []
    for record, end in zip(records, ends[1:], strict=True):
        with_what = {key: value for key, value in record.items() if key != "from"}
        count = end - record["from"]
        same = next((one for one in found if one["versions"] == with_what), None)
        if same is None:
            found.append({"problems": count, "versions": with_what})
        else:
            same["problems"] += count
    return found


def differing_versions(drawn: Sequence[JsonDict]) -> list[str]:
    """Return in words where versions that drew one evaluation differ from the first of them."""
    known = [one["versions"] for one in drawn if one["versions"] is not None]
    return [line for other in known[1:] for line in differences(known[0], other, list(other))]


def drawn_with(results: JsonDict) -> JsonDict:
    """Return Python and packages that the samples of a finished evaluation were drawn with, several in one text."""
    known = [one["versions"] for one in results.get("drawn_by", []) if one["versions"] is not None]
    if not known:  # of a lab that only wrote down what the last process had
        return {key: results.get(key) for key in ("python", "packages")}
    packages = {name: _together([one["packages"][name] for one in known]) for name in known[0]["packages"]}
    return {"python": _together([one["python"] for one in known]), "packages": packages}


def _together(values: Sequence[Any]) -> Any:
    several = dict.fromkeys(values)
    return values[0] if len(several) == 1 else " and ".join(map(str, several))
