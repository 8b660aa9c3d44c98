"""Left-to-right arithmetic modulo ten: `3*7+5*2-4=?` is ((((3*7)+5)*2)-4) mod 10 = 8.

Every single step is a fact of a small table, but the whole cannot be seen at a glance: answering at once needs all steps
inside one forward pass, while writing them down needs one fact a step. Models need tokens to think.
"""

import re
from random import Random

from pydantic import Field

from problems.types import Domain, Draft, Problem, ProblemError, RangeFromTwo, SourceConfig, boxed, thinking

_STEP = re.compile(r"([-+*])(\d)")
_PROMPT = re.compile(r"\d(?:[-+*]\d)+=\?", re.ASCII)


class ChainConfig(SourceConfig):
    """Settings of `chain`."""

    terms: RangeFromTwo = Field(default=(3, 6), description="fewest and most digits in the expression")


def _apply(left: int, operator: str, right: int) -> int:
    value = {"+": left + right, "-": left - right, "*": left * right}[operator]
    return value % 10


def _steps(prompt: str) -> list[tuple[int, str, int, int]]:
    """Return (left, operator, right, result) for each step of the expression."""
    value = int(prompt[0])
    steps = []
    for operator, digit in _STEP.findall(prompt):
        result = _apply(value, operator, int(digit))
        steps.append((value, operator, int(digit), result))
        value = result
    return steps


def generate(rng: Random, config: ChainConfig) -> Draft:
    """Draw an expression of `config.terms` digits."""
    terms = rng.randint(*config.terms)
    expression = str(rng.randrange(10))
    for _ in range(terms - 1):
        expression += rng.choice("+-*") + str(rng.randrange(10))
    return Draft(
        prompt=f"{expression}=?",
        reference=str(_steps(expression)[-1][3]),
        difficulty={"terms": terms},
    )


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Write the answer at once, step by step, or step by step with one slip that is noticed and mended."""
    if not _PROMPT.fullmatch(problem.prompt):
        raise ProblemError(f"problem {problem.id} ({problem.source}) is no chain of digits: {problem.prompt[:60]!r}")
    steps = _steps(problem.prompt)
    answer = str(steps[-1][3])
    if style == "direct":
        return boxed(answer)
    lines = [f"{left}{operator}{right}={result};" for left, operator, right, result in steps]
    if style == "checked":
        slip = rng.randrange(len(steps))
        left, operator, right, result = steps[slip]
        wrong = (result + rng.randint(1, 9)) % 10
        lines[slip] = f"{left}{operator}{right}={wrong}?no:{lines[slip]}"
    return thinking("".join(lines), answer)


def perturb(problem: Problem, rng: Random) -> str:
    """Return another digit."""
    return str((int(problem.reference or 0) + rng.randint(1, 9)) % 10)


DOMAIN = Domain(
    name="chain",
    config=ChainConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    levels=[{"terms": (2, 3)}, {"terms": (4, 6)}, {"terms": (7, 9)}, {"terms": (10, 14)}],
)
