"""The largest or smallest of some decimals: 9.11 or 9.9? A probe: who knows version numbers well gets decimals wrong.

The numbers share their whole part, or nearly, so that the digits behind the point decide; they have no zeros at the end.
`numbers: [2, 2]` asks the question in its shortest form, which is guessed right half of the time.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from random import Random

from pydantic import Field, model_validator

from problems.lines import Step, read_back, written
from problems.types import Domain, Draft, PositiveRange, Problem, RangeFromTwo, SourceConfig

_PROMPT = re.compile(r"Which of these numbers is the (largest|smallest): (-?\d+\.\d+(?:, -?\d+\.\d+)+)\?", re.ASCII)

_MOST_PLACES = 100  # the judge of numbers reads 200 characters


class DecimalsConfig(SourceConfig):
    """Settings of `decimals`."""

    numbers: RangeFromTwo = Field(default=(3, 5), description="fewest and most numbers to choose from")
    places: PositiveRange = Field(default=(1, 3), description="fewest and most digits behind the point")
    largest: int = Field(default=20, ge=1, le=10**15, description="largest whole part")
    negative: float = Field(default=0.2, ge=0, le=1, description="chance that all the numbers are below zero")
    whole_differs: float = Field(default=0.2, ge=0, le=1, description="chance that a number's whole part is one more")

    @model_validator(mode="after")
    def _can_be_read(self) -> "DecimalsConfig":
        if self.places[1] > _MOST_PLACES:
            raise ValueError(f"places must be {_MOST_PLACES} at most, found {self.places}")
        return self


def _draw(rng: Random, whole: int, config: DecimalsConfig) -> str:
    places = rng.randint(*config.places)
    fraction = "".join(rng.choices("0123456789", k=places - 1)) + rng.choice("123456789")
    return f"{whole + (rng.random() < config.whole_differs)}.{fraction}"


def generate(rng: Random, config: DecimalsConfig) -> Draft:
    """Draw the numbers and whether the largest or the smallest is asked for."""
    count, whole = rng.randint(*config.numbers), rng.randrange(config.largest + 1)
    sign = "-" if rng.random() < config.negative else ""
    numbers: list[str] = []
    while len(numbers) < count:
        number = sign + _draw(rng, whole, config)
        if number in numbers:
            whole += 1  # settings with one place have but nine numbers a whole part
        else:
            numbers.append(number)
    wanted = rng.choice(["largest", "smallest"])
    return Draft(
        prompt=f"Which of these numbers is the {wanted}: {', '.join(numbers)}?",
        same_as=" ".join([wanted, *sorted(numbers)]),
        reference=_steps(wanted, numbers)[-1].result,
        difficulty={"numbers": count},
    )


def _steps(wanted: str, numbers: Sequence[str]) -> list[Step]:
    """Compare the best so far with each number that follows, both with as many digits behind the point."""
    best, steps = numbers[0], list[Step]()
    for number in numbers[1:]:
        places = max(len(one.partition(".")[2]) for one in (best, number))
        shown = [one.ljust(one.index(".") + 1 + places, "0") for one in (best, number)]
        is_less = Decimal(best) < Decimal(number)  # exact, where floats of 17 digits and more may be equal
        better, worse = (number, best) if is_less == (wanted == "largest") else (best, number)
        steps.append(Step(f"{best} or {number}: {shown[0]} {'<' if is_less else '>'} {shown[1]}, so ", better, worse))
        best = better
    return steps


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Compare number by number, padded to the same length."""
    match = read_back(_PROMPT, problem, "choice of decimals")
    steps = _steps(match[1], match[2].split(", "))
    return written(style, steps, steps[-1].result, rng)


def perturb(problem: Problem, rng: Random) -> str:
    """Return another of the numbers."""
    numbers = read_back(_PROMPT, problem, "choice of decimals")[2].split(", ")
    return rng.choice([number for number in numbers if number != problem.reference])


DOMAIN = Domain(
    name="decimals",
    config=DecimalsConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    levels=[
        {"numbers": (3, 3), "places": (1, 2), "negative": 0.0},
        {"numbers": (4, 5), "places": (1, 3)},
        {"numbers": (6, 8), "places": (1, 5), "negative": 0.5},
    ],
)
