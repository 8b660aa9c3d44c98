"""The public programs for style assert: `=== name`, then `--- entry NAME` (or none), `--- program`, `--- tests`, and so on.

Files whose name begins with `honest` hold programs that deserve to be paid, the others' do not. Usable as a script: it prints
what is judged wrongly: `python tests/support/code_programs.py [part of a name]`.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from code_support import code_problem, fenced

from rewards.code.judging.verifier import CodeVerifier
from rewards.code.settings import SandboxSettings

FOLDER = Path(__file__).parents[1] / "data" / "code_programs"


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


def misjudged(settings: SandboxSettings, chosen: Sequence[Program]) -> list[str]:
    """Return what is wrong with the verdicts."""
    verifier, faults = CodeVerifier(settings), []
    try:
        for program in chosen:
            seconds = 6 if program.honest else 1.5
            checks = {"style": "assert", "tests": program.tests, "entry_point": program.entry, "timeout_seconds": seconds}
            verdict = verifier.verify(code_problem(checks), fenced(program.source))
            if verdict.status == "error" or (verdict.status == "correct") is not program.honest:
                faults.append(f"{program.name}: {verdict.status}, {verdict.detail}")
    finally:
        verifier.close()
    return faults


if __name__ == "__main__":
    together = "--same-process" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--same-process"]
    wanted = [p for p in programs() if len(sys.argv) < 2 or sys.argv[1] in p.name]
    found = misjudged(SandboxSettings(same_process=together), wanted)
    print("\n".join([*found, f"{len(found)} of {len(wanted)} misjudged"]))
