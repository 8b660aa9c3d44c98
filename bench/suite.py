"""The public programs for style assert (tests/data/code_programs): honest ones that deserve to be paid, and hostile ones.

A file holds `=== name`, then `--- entry NAME` (or none), `--- program`, `--- tests`, one after another; files whose name begins
with `honest` hold honest ones.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from problems.types import Problem

FOLDER = Path(__file__).parents[1] / "tests" / "data" / "code_programs"


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program, the tests that judge it, and whether it deserves to be paid."""

    name: str
    entry: str
    source: str
    tests: str
    honest: bool


def programs() -> list[Program]:
    """Return all programs of the folder."""
    return [made for path in sorted(FOLDER.glob("*.txt")) for made in _programs_of(path)]


def _programs_of(path: Path) -> list[Program]:
    made = []
    for text in re.split(r"^=== ", path.read_text(), flags=re.MULTILINE)[1:]:
        head, *sections = re.split(r"^--- ", text, flags=re.MULTILINE)
        parts = {}
        for section in sections:
            label, _, body = section.partition("\n")
            name, _, value = label.partition(" ")
            parts[name] = value or body
        made.append(
            Program(
                name=f"{path.stem}: {head.strip()}",
                entry=parts.get("entry", ""),
                source=parts["program"],
                tests=parts["tests"],
                honest=path.stem.startswith("honest"),
            )
        )
    return made


def problem_of(program: Program, seconds: float) -> Problem:
    """Return the problem whose tests judge the program."""
    checks = {"style": "assert", "tests": program.tests, "entry_point": program.entry, "timeout_seconds": seconds}
    return Problem(id="p", domain="code", split="test", prompt="", reference=None, checks=checks, source="public programs")
