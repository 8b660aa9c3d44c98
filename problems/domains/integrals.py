r"""Definite integrals of polynomials: `What is the integral of 3x^2-2x from 0 to 2?` is 4.

Judged as a plain number: the math verifier would pay for the integral itself, since it knows what that is.
"""

from fractions import Fraction
from random import Random

from pydantic import Field

from problems.formulas import Equality, monomial, polynomial, sum_of
from problems.types import Domain, Draft, PositiveRange, SourceConfig
from problems.worked import nonzero, perturb, solve, worked


class IntegralsConfig(SourceConfig):
    """Settings of `integrals`."""

    degree: PositiveRange = Field(default=(1, 2), description="smallest and largest degree of the polynomial")
    largest: int = Field(default=9, ge=2, description="largest coefficient, without its sign")
    largest_bound: int = Field(default=4, ge=2, description="largest bound of the interval, without its sign")
    whole: bool = Field(default=True, description="whether the antiderivative has whole coefficients")


def _antiderivative(coefficients: list[int]) -> list[Fraction]:
    """Return the coefficients of the antiderivative that is 0 at 0."""
    highest = len(coefficients) - 1
    return [*(Fraction(one, highest - place + 1) for place, one in enumerate(coefficients)), Fraction(0)]


def _powers(coefficients: list[int], antiderivative: list[Fraction]) -> list[Equality]:
    """Return the antiderivative of each term, `int 3x^2=x^3`."""
    highest = len(coefficients) - 1
    return [
        (f"int {monomial(one, highest - place)}", monomial(_written(antiderivative[place]), highest - place + 1))
        for place, one in enumerate(coefficients)
        if one
    ]


def _written(coefficient: Fraction) -> str:
    return str(coefficient) if coefficient.denominator == 1 else f"({coefficient})"


def _put_in(antiderivative: list[Fraction], at: int) -> tuple[str, Fraction]:
    """Return the antiderivative with a number for x, written out, and its value."""
    highest, base = len(antiderivative) - 1, f"({at})" if at < 0 else at
    powers = [(one, highest - place) for place, one in enumerate(antiderivative) if one]
    text = sum_of(f"{_written(one)}*{base}" + (f"^{power}" if power > 1 else "") for one, power in powers)
    return text, sum((one * Fraction(at) ** power for one, power in powers), Fraction(0))


def generate(rng: Random, config: IntegralsConfig) -> Draft:
    """Draw the polynomial and the bounds."""
    degree = rng.randint(*config.degree)
    function = [nonzero(rng, config.largest), *(rng.randint(-config.largest, config.largest) for _ in range(degree))]
    if config.whole:
        function = [one * (degree - place + 1) for place, one in enumerate(function)]
    low, high = sorted(rng.sample(range(-config.largest_bound, config.largest_bound + 1), 2))
    antiderivative = _antiderivative(function)
    (below_text, below), (above_text, above) = _put_in(antiderivative, low), _put_in(antiderivative, high)
    steps = [
        *_powers(function, antiderivative),
        (above_text, above),
        (below_text, below),
        (sum_of([above, -below]), above - below),
    ]
    return worked(
        f"What is the integral of {polynomial(function)} from {low} to {high}?",
        steps,
        above - below,
        {"degree": degree, "whole": int(config.whole)},
    )


DOMAIN = Domain(
    name="integrals",
    config=IntegralsConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    levels=[
        {},
        {"degree": (2, 3)},
        {"degree": (1, 3), "whole": False},
        {"degree": (3, 5), "whole": False, "largest_bound": 3},
    ],
)
