"""Prime factorisation: `List the prime factors of 360, each as often as it divides 360.` is `2, 2, 2, 3, 3, 5`.

The factors are asked for as a list, since 2^3*3^2*5 equals 360 itself. A wrong answer near the right one lacks one factor.
"""

from collections.abc import Iterable
from math import prod
from random import Random

from pydantic import Field

from problems.formulas import Equality, primes_up_to
from problems.types import Domain, Draft, Problem, RangeFromTwo, SourceConfig
from problems.worked import solve, worked


class PrimesConfig(SourceConfig):
    """Settings of `primes`."""

    factors: RangeFromTwo = Field(default=(3, 5), description="fewest and most prime factors, each as often as it divides")
    largest_prime: int = Field(default=11, ge=7, le=100_000, description="largest prime factor")


def _steps(number: int, primes: Iterable[int]) -> list[Equality]:
    """Return the trial divisions by `primes`, all that may divide: those that come out even, and the remainders between."""
    steps: list[Equality] = []
    for prime in primes:
        while number % prime == 0 and number > prime:
            steps.append((f"{number}/{prime}", number // prime))
            number //= prime
        if prime * prime > number:
            break
        if number % prime:
            steps.append((f"{number}-{number // prime}*{prime}", number % prime))
    return steps


def generate(rng: Random, config: PrimesConfig) -> Draft:
    """Draw the factors."""
    primes = primes_up_to(config.largest_prime)  # not up to the root of the number, one table for each
    factors = sorted(rng.choice(primes) for _ in range(rng.randint(*config.factors)))
    number = prod(factors)
    return worked(
        f"List the prime factors of {number}, each as often as it divides {number}.",
        _steps(number, primes),
        ", ".join(map(str, factors)),
        {"factors": len(factors)},
    )


def perturb(problem: Problem, rng: Random) -> str:
    """Return the list without one of the factors."""
    factors = (problem.reference or "").split(", ")
    factors.pop(rng.randrange(len(factors)))
    return ", ".join(factors)


DOMAIN = Domain(
    name="primes",
    config=PrimesConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="math",
    levels=[
        {"largest_prime": 17},
        {"factors": (3, 6), "largest_prime": 19},
        {"factors": (2, 3), "largest_prime": 60},
        {"factors": (2, 2), "largest_prime": 200},
    ],
)
