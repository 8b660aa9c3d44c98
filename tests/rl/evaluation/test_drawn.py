"""Which versions drew: each process says so before it draws, and where they differ it is told."""

from pathlib import Path
from typing import Any

from rl.evaluation.drawn import DRAWN, differing_versions, drawn_by, drawn_with, note_drawing, versions
from rl.tracking.run_directory import json_lines, read_records, write_atomic


def older(start: int) -> dict[str, Any]:
    """The line of a process with another torch."""
    now = versions()
    return {"from": start, **now, "packages": {**now["packages"], "torch": "1.0"}}


def test_a_resume_with_other_versions_is_told_apart(tmp_path: Path) -> None:
    write_atomic(tmp_path / DRAWN, json_lines([older(0)]))
    note_drawing(tmp_path, 40)  # it is killed before it has anything whole, and begun again
    note_drawing(tmp_path, 40)
    assert [record["from"] for record in read_records(tmp_path / DRAWN)] == [0, 40]
    drawn = drawn_by(tmp_path, 100)
    assert [one["problems"] for one in drawn] == [40, 60]
    torch = versions()["packages"]["torch"]
    assert differing_versions(drawn) == [f'packages.torch: "1.0" and "{torch}"']
    assert drawn_with({"drawn_by": drawn})["packages"]["torch"] == f"1.0 and {torch}"
    assert drawn_with({"drawn_by": drawn})["packages"]["numpy"] == versions()["packages"]["numpy"]


def test_equal_versions_count_together_and_unknown_ones_are_said_to_be(tmp_path: Path) -> None:
    assert drawn_by(tmp_path, 7) == [{"problems": 7, "versions": None}]
    note_drawing(tmp_path, 10)  # an evaluation that an older lab began
    note_drawing(tmp_path, 20)
    drawn = drawn_by(tmp_path, 25)
    assert drawn == [{"problems": 10, "versions": None}, {"problems": 15, "versions": versions()}]
    assert differing_versions(drawn) == []
    assert drawn_with({"python": "3.11.0", "packages": None, "drawn_by": []}) == {"python": "3.11.0", "packages": None}
