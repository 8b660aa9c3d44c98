"""Multiplying polynomials out: `Write (2x-3)(x+5) as ax^2+bx+c. What is (a, b, c)?`

The coefficients are asked for, since the product itself equals what it is when multiplied out.
"""

from random import Random

from pydantic import Field

from problems.formulas import Equality, multiplied, multiplying, polynomial
from problems.types import Domain, Draft, SourceConfig
from problems.worked import nonzero, perturb, solve, worked

_NAMES = "abcdefghij"


class ExpansionConfig(SourceConfig):
    """Settings of `expansion`."""

    factors: int = Field(default=2, ge=2, le=3, description="how many polynomials are multiplied")
    largest_degree: int = Field(default=1, ge=1, le=3, description="largest degree of a factor")
    largest: int = Field(default=9, ge=1, description="largest coefficient, without its sign")
    largest_leading: int = Field(default=1, ge=1, description="largest leading coefficient of a factor")


def _factor(rng: Random, config: ExpansionConfig) -> list[int]:
    degree = rng.randint(1, config.largest_degree)
    middle = [rng.randint(-config.largest, config.largest) for _ in range(degree - 1)]
    return [rng.randint(1, config.largest_leading), *middle, nonzero(rng, config.largest)]


def generate(rng: Random, config: ExpansionConfig) -> Draft:
    """Draw the factors."""
    factors = [_factor(rng, config) for _ in range(config.factors)]
    product, steps = factors[0], list[Equality]()
    for factor in factors[1:]:
        steps += multiplying(product, factor)
        product = multiplied(product, factor)
    names = _NAMES[: len(product)]
    written = [f"({polynomial(factor)})" for factor in factors]
    return worked(
        f"Write {''.join(written)} as {polynomial(names)}. What is ({', '.join(names)})?",
        steps,
        f"({', '.join(map(str, product))})",
        {"degree": len(product) - 1, "factors": config.factors},
        same_as="".join(sorted(written)),
    )


DOMAIN = Domain(
    name="expansion",
    config=ExpansionConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="math",
    levels=[
        {"largest": 16},
        {"largest": 12, "largest_leading": 9},
        {"largest": 9, "largest_leading": 5, "largest_degree": 2},
        {"largest": 6, "largest_leading": 3, "factors": 3},
    ],
)
