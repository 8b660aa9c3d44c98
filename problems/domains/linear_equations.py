"""Linear equations in one unknown: `Solve for x: 3x+5=2x-7.`"""

from fractions import Fraction
from random import Random

from pydantic import Field

from problems.formulas import Equality, polynomial, sum_of
from problems.types import Domain, Draft, SourceConfig
from problems.worked import drawn, nonzero, perturb, solve, worked

Side = tuple[int, int]  # a and b of a*x+b


class LinearEquationsConfig(SourceConfig):
    """Settings of `linear_equations`."""

    both_sides: bool = Field(default=True, description="whether x stands on both sides")
    parentheses: bool = Field(default=False, description="whether the left side has x in parentheses")
    largest: int = Field(default=9, ge=2, description="largest coefficient, without its sign")
    largest_solution: int = Field(default=20, ge=5, description="largest solution, or numerator of one, without its sign")
    denominator: int = Field(default=1, ge=1, description="largest denominator of the solution; 1: whole numbers")


def _expanded(rng: Random, left: Side, largest: int) -> tuple[str, list[Equality]]:
    """Write `left` as k*(a*x+c)+d for a k that divides its first number; return the text and the steps back."""
    k = rng.choice([k for k in range(-largest, largest + 1) if abs(k) > 1 and left[0] % k == 0] or [-1])
    inner = (left[0] // k, nonzero(rng, largest))
    outside = left[1] - k * inner[1]
    text = f"{'-' if k == -1 else k}({polynomial(inner)})"
    steps: list[Equality] = [(text, polynomial([left[0], k * inner[1]]))]
    if outside:
        steps.append((sum_of([k * inner[1], outside]), left[1]))
    return sum_of([text, outside]) if outside else text, steps


def generate(rng: Random, config: LinearEquationsConfig) -> Draft:
    """Draw the solution and the coefficients of x; the number on the right follows."""
    bottom = rng.randint(1, config.denominator)
    top = nonzero(rng, config.largest_solution)
    factor = bottom * nonzero(rng, max(1, config.largest // bottom))  # so that factor*x is whole
    right_x = drawn(rng, lambda rng: nonzero(rng, config.largest), lambda a: a != -factor) if config.both_sides else 0
    left = (factor + right_x, nonzero(rng, config.largest * 3))
    right = (right_x, left[1] + factor * top // bottom)
    left_text, steps = _expanded(rng, left, config.largest) if config.parentheses else (polynomial(left), [])
    if right_x:
        steps.append((sum_of([f"{left[0]}x", f"{-right_x}x"]), f"{factor}x"))
    moved = right[1] - left[1]
    steps.append((sum_of([right[1], -left[1]]), moved))
    answer = Fraction(moved, factor)
    steps.append((f"x={moved}/{factor}" if factor > 0 else f"x={moved}/({factor})", answer))
    return worked(
        f"Solve for x: {left_text}={polynomial(right)}.",
        steps,
        answer,
        {"terms": 2 + bool(right_x) + config.parentheses, "whole": int(answer.denominator == 1)},
        same_as="=".join(sorted([left_text, polynomial(right)])),
    )


DOMAIN = Domain(
    name="linear_equations",
    config=LinearEquationsConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="word_problem",
    levels=[
        {"both_sides": False},
        {"both_sides": True},
        {"parentheses": True, "largest": 12},
        {"parentheses": True, "largest": 20, "largest_solution": 50, "denominator": 7},
    ],
)
