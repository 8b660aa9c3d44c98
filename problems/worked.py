"""What procedural domains with worked steps share: how a solution is written, how a slip and a wrong answer are made.

A step is an equation, (left side, value), written `84-2*36=12;`. A domain hands its steps over with the draft (`worked`), and
`solve` and `perturb` here serve it. Nothing here knows any domain; how numbers and formulas are written is formulas.py's.

Two traps for whoever asks for a formula. A verifier that knows algebra takes every form of it for right, the question's too:
"factor x^2+5x+6" would pay for x^2+5x+6, so domains ask for the numbers of the wanted form, (2, 3). And the same problem in
other words or another order must have the same `same_as`, or a problem of the test set stands in training turned about.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import TypeVar

from problems.formulas import Equality
from problems.types import Draft, Problem, ProblemError, boxed, thinking

Drawn = TypeVar("Drawn")
_NUMBER = re.compile(r"\d+")
_MAX_ATTEMPTS = 10_000


def worked(
    prompt: str,
    steps: Iterable[Equality],
    answer: object,
    difficulty: Mapping[str, int | float | str],
    same_as: str | None = None,
) -> Draft:
    """Return the draft of a problem that is worked out in `steps`."""
    return Draft(
        prompt=prompt,
        same_as=same_as,
        reference=str(answer),
        checks={"steps": [[left, str(value)] for left, value in steps]},
        difficulty=difficulty,
    )


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Write the answer at once, step by step, or step by step with one slip that is noticed and mended."""
    if "steps" not in problem.checks or problem.reference is None:
        raise ProblemError(f"problem {problem.id} ({problem.source}) came without a worked solution")
    if style == "direct":
        return boxed(problem.reference)
    steps = problem.checks["steps"]
    lines = [f"{left}={value};" for left, value in steps]
    if style == "checked":
        slip = rng.choice([place for place, (_, value) in enumerate(steps) if _NUMBER.search(value)])
        left, value = steps[slip]
        lines[slip] = f"{left}={nearby(rng, value)}?no:{lines[slip]}"
    return thinking("".join(lines), problem.reference)


def perturb(problem: Problem, rng: Random) -> str:
    """Return the reference with another number in it."""
    return nearby(rng, problem.reference or "")


def nearby(rng: Random, text: str) -> str:
    """Return `text` with one of its numbers a little larger or smaller; behind a point it stays as long as it is."""
    found = rng.choice(list(_NUMBER.finditer(text)))
    number = int(found[0])
    other = rng.choice([number + change for change in (-10, -2, -1, 1, 2, 10) if number + change > 0])
    is_behind_point = text[: found.start()].endswith(".")  # 05 of "0.05" must not become 6, which is 0.6
    written = str(other).zfill(len(found[0])) if is_behind_point else str(other)
    return text[: found.start()] + written + text[found.end() :]


def drawn(rng: Random, draw: Callable[[Random], Drawn], wanted: Callable[[Drawn], bool]) -> Drawn:
    """Return the first of what `draw` makes that is `wanted`; raises ProblemError where the settings allow none."""
    for _ in range(_MAX_ATTEMPTS):
        if wanted(made := draw(rng)):
            return made
    raise ProblemError(
        f"no problem in {_MAX_ATTEMPTS} tries: the settings allow too few; raise the largest numbers of the domain"
    )


def nonzero(rng: Random, largest: int) -> int:
    """Draw from -largest to largest, but not 0."""
    return rng.choice([-1, 1]) * rng.randint(1, largest)
