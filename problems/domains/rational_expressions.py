r"""Fractions of polynomials: cancelled, added, and taken apart; the numbers of the result are asked for.

`Simplify \frac{x^2+5x+6}{x^2+6x+8} to \frac{x+a}{x+b}. What is (a, b)?` has (3, 4): both have the factor x+2.
"""

import re
from random import Random
from typing import Literal

from pydantic import Field

from problems.formulas import Equality, multiplied, pair_with, polynomial, product_of, sum_of
from problems.types import Domain, Draft, SourceConfig
from problems.worked import nonzero, perturb, solve, worked

_FRACTION = re.compile(r"-?\\frac\{\d+\}\{.*?\}")  # with a number above


class RationalExpressionsConfig(SourceConfig):
    """Settings of `rational_expressions`."""

    task: Literal["cancel", "add", "split"] = Field(default="cancel", description="what is done with the fractions")
    largest: int = Field(default=9, ge=3, description="largest number in a factor, without its sign")


Asked = tuple[str, list[Equality], tuple[int, int], str | None]  # question, steps, answer, what makes it the same as another


def _two(rng: Random, largest: int) -> tuple[int, int]:
    """Draw two different numbers that are not 0."""
    first = nonzero(rng, largest)
    return first, rng.choice([other for other in range(-largest, largest + 1) if other not in (0, first)])


def _cancel(rng: Random, config: RationalExpressionsConfig) -> Asked:
    shared, (a, b) = nonzero(rng, config.largest), _two(rng, config.largest)
    steps: list[Equality] = []
    parts = []
    for one in (a, b):
        whole = multiplied([1, shared], [1, one])
        steps += pair_with(whole[2], whole[1])[0]
        steps.append((polynomial(whole), f"({polynomial([1, shared])})({polynomial([1, one])})"))
        parts.append(polynomial(whole))
    return rf"Simplify \frac{{{parts[0]}}}{{{parts[1]}}} to \frac{{x+a}}{{x+b}}.", steps, (a, b), None


def _add(rng: Random, config: RationalExpressionsConfig) -> Asked:
    (p, q), tops = _two(rng, config.largest), (rng.randint(1, config.largest), nonzero(rng, config.largest))
    first, second = polynomial([1, p]), polynomial([1, q])
    text = rf"\frac{{{tops[0]}}}{{{first}}}{'+' if tops[1] > 0 else '-'}\frac{{{abs(tops[1])}}}{{{second}}}"
    a, b = sum(tops), tops[0] * q + tops[1] * p
    steps: list[Equality] = [(sum_of(tops), a), (sum_of([product_of([tops[0], q]), product_of([tops[1], p])]), b)]
    return rf"Write {text} as \frac{{ax+b}}{{({first})({second})}}.", steps, (a, b), f"add {sorted(_FRACTION.findall(text))}"


def _split(rng: Random, config: RationalExpressionsConfig) -> Asked:
    p, q = _two(rng, config.largest)
    a, b = nonzero(rng, config.largest), nonzero(rng, config.largest)
    first, second = polynomial([1, p]), polynomial([1, q])
    top = [a + b, a * q + b * p]
    steps: list[Equality] = []
    for here, other, value in ((-p, q, a), (-q, p, b)):  # put in the zero of one denominator, and the other term is gone
        above, below = top[0] * here + top[1], here + other
        steps.append((sum_of([product_of([top[0], here]), top[1]]), above))
        steps.append((sum_of([here, other]), below))
        steps.append((f"{above}/{below}" if below > 0 else f"{above}/({below})", value))
    text = rf"\frac{{{polynomial(top)}}}{{({first})({second})}}"
    return rf"Write {text} as \frac{{a}}{{{first}}}+\frac{{b}}{{{second}}}.", steps, (a, b), f"split {top} {sorted((p, q))}"


def generate(rng: Random, config: RationalExpressionsConfig) -> Draft:
    """Draw the result; the question follows."""
    text, steps, (a, b), same_as = {"cancel": _cancel, "add": _add, "split": _split}[config.task](rng, config)
    return worked(f"{text} What is (a, b)?", steps, f"({a}, {b})", {"task": config.task}, same_as)


DOMAIN = Domain(
    name="rational_expressions",
    config=RationalExpressionsConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="math",
    levels=[
        {"task": "cancel"},
        {"task": "add"},
        {"task": "split"},
        {"task": "split", "largest": 30},
    ],
)
