r"""Quadratic equations and all their real solutions: `Find all real solutions of x^2-5x+6=0.` has `2, 3`.

The answer is a list in any order, each solution once; irrational ones are written `\frac{1-\sqrt{5}}{2}`.
"""

from fractions import Fraction
from math import gcd, isqrt
from random import Random
from typing import Literal

from pydantic import Field

from problems.formulas import Equality, multiplied, polynomial, product_of, square_part, sum_of
from problems.types import Domain, Draft, SourceConfig
from problems.worked import drawn, nonzero, perturb, solve, worked


class QuadraticEquationsConfig(SourceConfig):
    """Settings of `quadratic_equations`."""

    solutions: Literal["whole", "rational", "irrational"] = Field(default="whole", description="what the solutions are")
    largest: int = Field(default=9, ge=3, description="largest solution, numerator or coefficient, without its sign")
    largest_denominator: int = Field(default=5, ge=2, description="largest denominator of rational ones; else largest x^2")


def _coefficients(rng: Random, config: QuadraticEquationsConfig) -> list[int]:
    """Draw a, b and c of a*x^2+b*x+c=0."""
    if config.solutions == "irrational":
        coefficients = drawn(
            rng,
            lambda rng: [
                rng.randint(1, config.largest_denominator),
                nonzero(rng, config.largest),
                nonzero(rng, config.largest),
            ],
            lambda abc: (d := _discriminant(abc)) > 0 and isqrt(d) ** 2 != d,
        )
    else:
        denominators = [1, 1]
        if config.solutions == "rational":
            denominators = [rng.randint(2, config.largest_denominator), rng.randint(1, config.largest_denominator)]
        factors = [(bottom, -nonzero(rng, config.largest)) for bottom in denominators]
        coefficients = multiplied(*factors)
    shared = gcd(*coefficients)  # 2x^2-6x+2=0 is x^2-3x+1=0
    return [one // shared for one in coefficients]


def _discriminant(abc: list[int]) -> int:
    a, b, c = abc
    return b * b - 4 * a * c


def _irrational(top: int, root: str, bottom: int) -> str:
    """Write (top+root)/bottom, where root has its sign."""
    text = sum_of([top, root]) if top else root
    return text if bottom == 1 else rf"\frac{{{text}}}{{{bottom}}}"


def _solutions(abc: list[int]) -> tuple[list[Equality], list[str]]:
    """Return the steps to the solutions, and these, smaller first."""
    a, b, _ = abc
    discriminant = _discriminant(abc)
    square = f"({b})^2" if b < 0 else f"{b}^2"
    steps: list[Equality] = [(sum_of([square, product_of([-4, *abc[::2]])]), discriminant)]
    outside = square_part(discriminant) if discriminant else 0
    inside = discriminant // outside**2 if outside else 1
    root = str(outside) if inside == 1 else rf"{outside if outside > 1 else ''}\sqrt{{{inside}}}"
    steps.append((rf"\sqrt{{{discriminant}}}", root))
    solutions: list[str] = []
    for sign in ("-", "+") if discriminant else ("+",):
        if inside == 1:
            solutions.append(str(Fraction(-b + int(sign + root), 2 * a)))
        else:
            shared = gcd(b, outside, 2 * a)
            surd = f"{outside // shared if outside > shared else ''}\\sqrt{{{inside}}}"
            solutions.append(_irrational(-b // shared, f"-{surd}" if sign == "-" else surd, 2 * a // shared))
        steps.append((f"x=({-b}{sign}{root})/{2 * a}", solutions[-1]))
    return steps, solutions


def generate(rng: Random, config: QuadraticEquationsConfig) -> Draft:
    """Draw the solutions, or for irrational ones the coefficients."""
    abc = _coefficients(rng, config)
    steps, solutions = _solutions(abc)
    return worked(
        f"Find all real solutions of {polynomial(abc)}=0.",
        steps,
        ", ".join(solutions),
        {"solutions": len(solutions), "leading": int(abc[0] > 1)},
    )


DOMAIN = Domain(
    name="quadratic_equations",
    config=QuadraticEquationsConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="math",
    levels=[
        {"solutions": "whole", "largest": 16},
        {"solutions": "whole", "largest": 25},
        {"solutions": "rational", "largest": 12},
        {"solutions": "irrational", "largest": 12},
    ],
)
