"""Modular arithmetic: remainders of sums, products and powers, and inverses: `What is the remainder of 7^13 divided by 11?`"""

from math import gcd
from random import Random
from typing import Literal

from pydantic import Field

from problems.formulas import Equality, reduced, sum_of
from problems.types import Domain, Draft, RangeFromTwo, SourceConfig
from problems.worked import drawn, perturb, solve, worked


class ModularConfig(SourceConfig):
    """Settings of `modular`."""

    task: Literal["sum", "product", "power", "inverse"] = Field(default="product", description="what is reduced")
    modulus: RangeFromTwo = Field(default=(7, 30), description="smallest and largest modulus")
    largest: int = Field(default=100, ge=10, description="largest term, factor or base")
    largest_exponent: int = Field(default=40, ge=3, description="largest exponent")


def _terms(rng: Random, config: ModularConfig, sign: str) -> tuple[str, list[Equality], int]:
    """Ask for the remainder of a sum or product of two numbers, each reduced first."""
    modulus = rng.randint(*config.modulus)
    numbers = sorted(rng.randint(modulus, max(config.largest, 2 * modulus)) for _ in range(2))
    steps = reduced(numbers[0], modulus) + reduced(numbers[1], modulus)
    one, other = (number % modulus for number in numbers)
    value = one + other if sign == "+" else one * other
    steps += [(f"{one}{sign}{other}", value), *reduced(value, modulus)]
    return _question(f"{numbers[0]}{sign}{numbers[1]}", modulus), steps, value % modulus


def _question(text: str, modulus: int) -> str:
    return f"What is the remainder of {text} divided by {modulus}?"


def _power(rng: Random, config: ModularConfig) -> tuple[str, list[Equality], int]:
    """Ask for the remainder of a power, found by squaring for each binary digit of the exponent."""
    modulus, exponent = rng.randint(*config.modulus), rng.randint(3, config.largest_exponent)
    base = rng.randint(2, config.largest)
    question, steps = _question(f"{base}^{exponent}", modulus), reduced(base, modulus)
    value = base = base % modulus
    for digit in f"{exponent:b}"[1:]:
        steps += [(f"{value}^2", value * value), *reduced(value * value, modulus)]
        value = value * value % modulus
        if digit == "1":
            steps += [(f"{value}*{base}", value * base), *reduced(value * base, modulus)]
            value = value * base % modulus
    return question, steps, value


def _inverse(rng: Random, config: ModularConfig) -> tuple[str, list[Equality], int]:
    """Ask for an inverse, found by Euclid's divisions and what each remainder is a multiple of."""
    modulus, number = drawn(
        rng,
        lambda rng: (modulus := rng.randint(*config.modulus), rng.randint(2, max(2, modulus - 2))),
        lambda pair: pair[1] < pair[0] - 1 and gcd(*pair) == 1,
    )
    steps: list[Equality] = []
    (left, left_factor), (right, right_factor) = (modulus, 0), (number, 1)  # each is number*factor, but for the modulus
    while right > 1:
        quotient = left // right
        rest, factor = left - quotient * right, left_factor - quotient * right_factor
        steps.append((f"{left}-{quotient}*{right}", rest))
        signed = f"({right_factor})" if right_factor < 0 else right_factor
        steps.append((f"{left_factor}-{quotient}*{signed}", factor))
        (left, left_factor), (right, right_factor) = (right, right_factor), (rest, factor)
    answer = right_factor % modulus
    if right_factor < 0:
        steps.append((sum_of([right_factor, modulus]), answer))
    text = f"What is the number x between 1 and {modulus - 1} for which {number}*x leaves the remainder 1 divided by {modulus}?"
    return text, steps, answer


def generate(rng: Random, config: ModularConfig) -> Draft:
    """Draw the numbers."""
    if config.task in ("sum", "product"):
        prompt, steps, answer = _terms(rng, config, "+" if config.task == "sum" else "*")
    else:
        prompt, steps, answer = (_power if config.task == "power" else _inverse)(rng, config)
    return worked(prompt, steps, answer, {"task": config.task})


DOMAIN = Domain(
    name="modular",
    config=ModularConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    levels=[
        {"task": "sum"},
        {"task": "product", "modulus": (10, 50), "largest": 500},
        {"task": "power", "modulus": (11, 90)},
        {"task": "inverse", "modulus": (20, 200)},
    ],
)
