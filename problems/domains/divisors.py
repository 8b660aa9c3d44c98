"""Greatest common divisor and least common multiple, by Euclid's divisions: `What is the greatest common divisor of 84 and 36?`

Numbers drawn alone have the divisor 1 in three cases of five, so the common divisor is drawn first.
"""

from math import gcd
from random import Random
from typing import Literal

from pydantic import Field

from problems.formulas import Equality, euclid
from problems.types import Domain, Draft, SourceConfig
from problems.worked import drawn, perturb, solve, worked

_WORDS = {"gcd": "greatest common divisor", "lcm": "least common multiple"}


class DivisorsConfig(SourceConfig):
    """Settings of `divisors`."""

    task: Literal["gcd", "lcm"] = Field(default="gcd", description="greatest common divisor or least common multiple")
    numbers: int = Field(default=2, ge=2, le=4, description="how many numbers")
    largest_divisor: int = Field(default=20, ge=10, description="largest common divisor")
    largest_cofactor: int = Field(default=15, ge=6, description="largest number that the common divisor is multiplied with")


def _gcd_steps(numbers: list[int]) -> tuple[list[Equality], int]:
    steps: list[Equality] = []
    divisor = numbers[0]
    for number in numbers[1:]:
        more, divisor = euclid(max(divisor, number), min(divisor, number))
        steps += more
    return steps, divisor


def _lcm_steps(numbers: list[int]) -> tuple[list[Equality], int]:
    steps: list[Equality] = []
    multiple = numbers[0]
    for number in numbers[1:]:
        more, divisor = euclid(max(multiple, number), min(multiple, number))
        quotient = number // divisor
        steps += [*more, (f"{number}/{divisor}", quotient), (f"{multiple}*{quotient}", multiple * quotient)]
        multiple *= quotient
    return steps, multiple


def generate(rng: Random, config: DivisorsConfig) -> Draft:
    """Draw the common divisor and what it is multiplied with."""
    divisor = rng.randint(2, config.largest_divisor)
    cofactors = drawn(
        rng,
        lambda rng: [rng.randint(2, config.largest_cofactor) for _ in range(config.numbers)],
        lambda made: gcd(*made) == 1 and len(set(made)) == len(made),
    )
    numbers = [divisor * one for one in cofactors]
    steps, answer = (_gcd_steps if config.task == "gcd" else _lcm_steps)(numbers)
    *others, last = map(str, numbers)
    return worked(
        f"What is the {_WORDS[config.task]} of {', '.join(others)} and {last}?",
        steps,
        answer,
        {"task": config.task, "numbers": config.numbers},
        same_as=f"{config.task} {sorted(numbers)}",
    )


DOMAIN = Domain(
    name="divisors",
    config=DivisorsConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    levels=[
        {"task": "gcd"},
        {"task": "lcm"},
        {"task": "gcd", "numbers": 3, "largest_divisor": 60, "largest_cofactor": 40},
        {"task": "lcm", "numbers": 3, "largest_divisor": 30, "largest_cofactor": 20},
    ],
)
