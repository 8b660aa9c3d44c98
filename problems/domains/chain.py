"""Left-to-right arithmetic modulo ten: `3*7+5*2-4=?` is ((((3*7)+5)*2)-4) mod 10 = 8.

Every single step is a fact of a small table, but the whole cannot be seen at a glance: answering at once needs all steps
inside one forward pass, while writing them down needs one fact a step. Models need tokens to think.

Named, the same is `k3l*7m+5n*2o-4p=?`: each term has a letter before it, from anywhere in the alphabet on, and so has the
end. A step then finds its term by what stands there and not by counting (index hints, arXiv 2310.16028), which is what carries
past the sizes of the worked examples: `k3;l*7=1;m+5=6;n*2=2;o-4=8;p=8`. What comes after the last term is copied like a term.
"""

import re
import string
from random import Random
from typing import Self

from pydantic import Field, model_validator

from problems.types import Domain, Draft, Problem, ProblemError, RangeFromTwo, SourceConfig, boxed, thinking

_STEP = re.compile(r"([-+*])(\d)")
_PROMPT = re.compile(r"\d(?:[-+*]\d)+=\?", re.ASCII)
_NAMED_PROMPT = re.compile(r"[a-z]\d(?:[a-z][-+*]\d)+[a-z]=\?", re.ASCII)
_MOST_NAMED = len(string.ascii_lowercase) - 1  # terms, each with a letter of its own; the end has one too


class ChainConfig(SourceConfig):
    """Settings of `chain`."""

    terms: RangeFromTwo = Field(default=(3, 6), description="fewest and most digits in the expression")
    named: bool = Field(default=False, description="a letter before each term and before the end, `k3l*7m=?`")

    @model_validator(mode="after")
    def _has_names(self) -> Self:
        if self.named and self.terms[1] > _MOST_NAMED:
            raise ValueError(
                f"named terms have a letter each, so there are at most {_MOST_NAMED}; found terms up to {self.terms[1]}"
            )
        return self


def _apply(left: int, operator: str, right: int) -> int:
    value = {"+": left + right, "-": left - right, "*": left * right}[operator]
    return value % 10


def _steps(expression: str) -> list[tuple[int, str, int, int]]:
    """Return (left, operator, right, result) for each step of an expression without names."""
    value = int(expression[0])
    steps = []
    for operator, digit in _STEP.findall(expression):
        result = _apply(value, operator, int(digit))
        steps.append((value, operator, int(digit), result))
        value = result
    return steps


def _with_names(expression: str, first: int) -> str:
    """Return the expression with a letter before each term and at its end, from letter number `first` of the alphabet on."""
    terms = [expression[0], *("".join(step) for step in _STEP.findall(expression)), ""]
    letters = string.ascii_lowercase
    return "".join(letters[(first + place) % len(letters)] + term for place, term in enumerate(terms))


def generate(rng: Random, config: ChainConfig) -> Draft:
    """Draw an expression of `config.terms` digits."""
    terms = rng.randint(*config.terms)
    expression = str(rng.randrange(10))
    for _ in range(terms - 1):
        expression += rng.choice("+-*") + str(rng.randrange(10))
    question = _with_names(expression, rng.randrange(len(string.ascii_lowercase))) if config.named else expression
    return Draft(
        prompt=f"{question}=?",
        reference=str(_steps(expression)[-1][3]),
        difficulty={"terms": terms},
    )


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Write the answer at once, step by step, or step by step with one slip that is noticed and mended."""
    named = _NAMED_PROMPT.fullmatch(problem.prompt) is not None
    if not named and not _PROMPT.fullmatch(problem.prompt):
        raise ProblemError(f"problem {problem.id} ({problem.source}) is no chain of digits: {problem.prompt[:60]!r}")
    steps = _steps(re.sub("[a-z]", "", problem.prompt))
    answer = str(steps[-1][3])
    if style == "direct":
        return boxed(answer)
    names = re.findall("[a-z]", problem.prompt)
    asked = [f"{left}{operator}{right}=" for left, operator, right, _ in steps]
    if named:
        asked = [f"{name}{operator}{right}=" for name, (_, operator, right, _) in zip(names[1:-1], steps, strict=True)]
    lines = [f"{question}{result};" for question, (*_, result) in zip(asked, steps, strict=True)]
    if style == "checked":
        slip = rng.randrange(len(steps))
        wrong = (steps[slip][3] + rng.randint(1, 9)) % 10
        lines[slip] = f"{asked[slip]}{wrong}?no:{lines[slip]}"
    if named:
        lines = [f"{names[0]}{steps[0][0]};", *lines, f"{names[-1]}={answer}"]
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
