"""Factoring polynomials over the whole numbers: `Factor x^2+5x+6 as (x+a)(x+b) with integers a <= b. What is (a, b)?`

The numbers are asked for, since the unfactored polynomial equals its factored form. They are unique: no factor has a number
in front that divides it (Gauss's lemma leaves the signs, and the first coefficients are positive), and the factors are sorted.
"""

from math import gcd
from random import Random

from pydantic import Field

from problems.formulas import Equality, multiplied, pair_with, polynomial, product_of, sum_of
from problems.types import Domain, Draft, SourceConfig
from problems.worked import nonzero, perturb, solve, worked


class FactoringConfig(SourceConfig):
    """Settings of `factoring`."""

    factors: int = Field(default=2, ge=2, le=3, description="how many factors; three have leading coefficient 1")
    largest: int = Field(default=9, ge=2, description="largest constant of a factor, without its sign")
    largest_leading: int = Field(default=1, ge=1, description="largest leading coefficient of a factor")


def _leading_two(rng: Random, config: FactoringConfig) -> Draft:
    """Ask for (ax+b)(cx+d), found by splitting the middle term in two."""
    factors = []
    for _ in range(2):
        first, last = rng.randint(1, config.largest_leading), nonzero(rng, config.largest)
        factors.append([first // gcd(first, last), last // gcd(first, last)])
    factors.sort()
    a, b, c = whole = multiplied(*factors)
    tried, (p, q) = pair_with(a * c, b)
    steps: list[Equality] = [(product_of([a, c]), a * c), *tried]
    for part in (p, q):
        shared = gcd(a, part)
        steps.append((polynomial([a, part]), f"{shared}({polynomial([a // shared, part // shared])})"))
    return worked(
        f"Factor {polynomial(whole)} as (ax+b)(cx+d) with integers, 0 < a <= c, and b <= d if a = c. What is (a, b, c, d)?",
        steps,
        f"({', '.join(str(one) for factor in factors for one in factor)})",
        {"degree": 2, "leading": int(a > 1)},
    )


def _root_step(coefficients: list[int], root: int) -> list[Equality]:
    """Return the steps of Horner's rule at a root: the coefficients of the quotient, and 0."""
    steps: list[Equality] = []
    value = coefficients[0]
    for one in coefficients[1:]:
        steps.append((sum_of([product_of([value, root]), one]), value * root + one))
        value = value * root + one
    return steps


def generate(rng: Random, config: FactoringConfig) -> Draft:
    """Draw the factors."""
    if config.largest_leading > 1 and config.factors == 2:
        return _leading_two(rng, config)
    constants = sorted(nonzero(rng, config.largest) for _ in range(config.factors))
    *others, first, second = constants
    whole = pair = multiplied([1, first], [1, second])
    steps: list[Equality] = []
    for one in others:
        whole = multiplied([1, one], pair)
        steps += _root_step(whole, -one)
    steps += pair_with(pair[2], pair[1])[0]
    names = "abc"[: config.factors]
    return worked(
        f"Factor {polynomial(whole)} as {''.join(f'(x+{name})' for name in names)} with integers {' <= '.join(names)}. "
        f"What is ({', '.join(names)})?",
        steps,
        f"({', '.join(map(str, constants))})",
        {"degree": config.factors, "leading": 0},
    )


DOMAIN = Domain(
    name="factoring",
    config=FactoringConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="math",
    levels=[
        {"largest": 16},
        {"largest": 25},
        {"largest": 9, "largest_leading": 6},
        {"largest": 9, "factors": 3},
    ],
)
