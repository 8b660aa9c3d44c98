"""Judges the public programs (bench/suite.py). As a script it prints what is judged wrongly:

`python tests/support/code_programs.py [part of a name] [settings as JSON]`.
"""

import sys
from collections.abc import Sequence

from bench.suite import Program, problem_of, programs
from rewards.code.judging.verifier import CodeVerifier
from rewards.code.settings import SandboxSettings

__all__ = ["misjudged", "programs"]


def misjudged(settings: SandboxSettings, chosen: Sequence[Program]) -> list[str]:
    """Return what is wrong with the verdicts."""
    verifier, faults = CodeVerifier(settings), []
    try:
        for program in chosen:
            verdict = verifier.verify(problem_of(program, 60 if program.honest else 1.5), f"```python\n{program.source}\n```")
            if verdict.status == "error" or (verdict.status == "correct") is not program.honest:
                faults.append(f"{program.name}: {verdict.status}, {verdict.detail}")
    finally:
        verifier.close()
    return faults


if __name__ == "__main__":
    part, settings = (*sys.argv[1:], *("", "{}")[len(sys.argv) - 1 :])[:2]
    wanted = [p for p in programs() if part in p.name]
    found = misjudged(SandboxSettings.model_validate_json(settings), wanted)
    print("\n".join([*found, f"{len(found)} of {len(wanted)} misjudged"]))
