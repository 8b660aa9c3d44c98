"""Numbers in other bases: to base ten, from it, from one base to another, and sums: `Write 45 in base 2. Give the digits only.`

Bases go up to ten, so that every digit is one of 0 to 9 and the answer is judged as a plain number, digit by digit.
"""

from random import Random
from typing import Literal

from pydantic import Field

from problems.formulas import Equality
from problems.types import Domain, Draft, SourceConfig
from problems.worked import perturb, solve, worked


class NumberBasesConfig(SourceConfig):
    """Settings of `number_bases`."""

    task: Literal["from_ten", "to_ten", "between", "sum"] = Field(default="from_ten", description="what is asked")
    largest: int = Field(default=200, ge=50, description="largest number, as written in base ten")
    largest_base: int = Field(default=9, ge=3, le=9, description="largest base")


def _digits(number: int, base: int) -> tuple[list[Equality], str]:
    """Return the divisions by the base, of which the remainders are the digits from the last on, and the digits."""
    steps: list[Equality] = []
    digits = ""
    while number:
        quotient, rest = divmod(number, base)
        steps.append((f"{number}-{quotient}*{base}", rest))
        digits = f"{rest}{digits}"
        number = quotient
    return steps, digits


def _value(digits: str, base: int) -> tuple[list[Equality], int]:
    """Return the steps of Horner's rule, and the value."""
    steps: list[Equality] = []
    value = int(digits[0])
    for digit in digits[1:]:
        steps.append((f"{value}*{base}+{digit}", value * base + int(digit)))
        value = value * base + int(digit)
    return steps, value


def _from_one_to_ten(rng: Random, config: NumberBasesConfig, to_ten: bool) -> tuple[str, list[Equality], str]:
    base, number = rng.randint(2, config.largest_base), rng.randint(10, config.largest)
    steps, digits = _digits(number, base)
    if not to_ten:
        return f"Write {number} in base {base}.", steps, digits
    return f"Write the base {base} number {digits} in base ten.", _value(digits, base)[0], str(number)


def _between(rng: Random, config: NumberBasesConfig) -> tuple[str, list[Equality], str]:
    base = rng.randint(2, config.largest_base)
    other = rng.choice([one for one in range(2, config.largest_base + 1) if one != base])
    number = rng.randint(10, config.largest)
    given = _digits(number, base)[1]
    more, digits = _digits(number, other)
    return f"Write the base {base} number {given} in base {other}.", _value(given, base)[0] + more, digits


def _sum(rng: Random, config: NumberBasesConfig) -> tuple[str, list[Equality], str]:
    """Ask for a sum of two numbers in one base, added digit by digit from the last on, with carries."""
    base = rng.randint(2, config.largest_base)
    numbers = sorted(rng.randint(10, config.largest) for _ in range(2))
    first, second = (_digits(number, base)[1] for number in numbers)
    length = max(len(first), len(second))
    steps: list[Equality] = []
    carry = 0
    for one, other in zip(reversed(first.zfill(length)), reversed(second.zfill(length)), strict=True):
        total = int(one) + int(other) + carry
        steps.append((f"{one}+{other}+{carry}", f"{total // base}*{base}+{total % base}"))
        carry = total // base
    return f"Add {first} and {second}, both written in base {base}, in that base.", steps, _digits(sum(numbers), base)[1]


def generate(rng: Random, config: NumberBasesConfig) -> Draft:
    """Draw the numbers and bases."""
    if config.task == "between":
        prompt, steps, answer = _between(rng, config)
    elif config.task == "sum":
        prompt, steps, answer = _sum(rng, config)
    else:
        prompt, steps, answer = _from_one_to_ten(rng, config, config.task == "to_ten")
    return worked(f"{prompt} Give the digits only.", steps, answer, {"task": config.task, "digits": len(answer)})


DOMAIN = Domain(
    name="number_bases",
    config=NumberBasesConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    levels=[
        {"task": "to_ten"},
        {"task": "from_ten", "largest": 500},
        {"task": "between", "largest": 2000},
        {"task": "sum", "largest": 5000},
    ],
)
