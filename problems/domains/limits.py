"""Limits of quotients of polynomials: where both sides vanish, and at infinity: `What is the limit of (x^2-5x+6)/(x-2) as x
approaches 2?` is -1.
"""

from fractions import Fraction
from random import Random
from typing import Literal

from pydantic import Field

from problems.formulas import Equality, multiplied, polynomial, product_of, sum_of
from problems.types import Domain, Draft, SourceConfig
from problems.worked import drawn, nonzero, perturb, solve, worked


class LimitsConfig(SourceConfig):
    """Settings of `limits`."""

    task: Literal["linear", "quotient", "infinity"] = Field(default="quotient", description="what the limit is of")
    largest: int = Field(default=12, ge=3, description="largest number in a factor, without its sign")


def _line(rng: Random, config: LimitsConfig) -> list[int]:
    return [rng.randint(1, 4), nonzero(rng, config.largest)]


def _at(line: list[int], at: int) -> tuple[Equality, int]:
    value = line[0] * at + line[1]
    return (sum_of([product_of([line[0], at]), line[1]]), value), value


def _vanishing(rng: Random, config: LimitsConfig) -> tuple[str, list[Equality], Fraction]:
    """Ask for the limit at a zero of both sides: it is that of the quotient without their shared factor."""
    at, above = nonzero(rng, config.largest), _line(rng, config)
    below = (
        [0, 1] if config.task == "linear" else drawn(rng, lambda rng: _line(rng, config), lambda line: _at(line, at)[1] != 0)
    )
    factor = [1, -at]
    top, bottom = multiplied(factor, above), multiplied(factor, below) if below[0] else factor
    steps: list[Equality] = [(polynomial(top), f"({polynomial(factor)})({polynomial(above)})")]
    if below[0]:
        steps.append((polynomial(bottom), f"({polynomial(factor)})({polynomial(below)})"))
    steps.append(_at(above, at)[0])
    value = Fraction(_at(above, at)[1])
    if below[0]:
        step, divisor = _at(below, at)
        value = Fraction(_at(above, at)[1], divisor)
        steps += [step, (f"{_at(above, at)[1]}/{divisor}" if divisor > 0 else f"{_at(above, at)[1]}/({divisor})", value)]
    return f"What is the limit of ({polynomial(top)})/({polynomial(bottom)}) as x approaches {at}?", steps, value


def _infinite(rng: Random, config: LimitsConfig) -> tuple[str, list[Equality], Fraction]:
    """Ask for the limit at infinity of a quotient whose sides have the same degree: that of their first coefficients."""
    degree = rng.randint(2, 4)
    top, bottom = (
        [nonzero(rng, config.largest), *(rng.randint(-config.largest, config.largest) for _ in range(degree))] for _ in range(2)
    )
    value = Fraction(top[0], bottom[0])
    divisor = f"({bottom[0]})" if bottom[0] < 0 else bottom[0]
    steps: list[Equality] = [(f"lim ({polynomial(side)})/x^{degree}", side[0]) for side in (top, bottom)]
    steps.append((f"{top[0]}/{divisor}", value))
    return f"What is the limit of ({polynomial(top)})/({polynomial(bottom)}) as x grows without bound?", steps, value


def generate(rng: Random, config: LimitsConfig) -> Draft:
    """Draw the polynomials."""
    question, steps, value = (_infinite if config.task == "infinity" else _vanishing)(rng, config)
    return worked(question, steps, value, {"task": config.task})


DOMAIN = Domain(
    name="limits",
    config=LimitsConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    levels=[
        {"task": "linear"},
        {"task": "infinity"},
        {"task": "quotient"},
    ],
)
