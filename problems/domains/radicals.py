r"""Simplifying square roots, alone, multiplied and added: `\sqrt{8}+\sqrt{18}` is `5\sqrt{2}`, and (5, 2) is asked for.

The numbers are asked for, since a root equals its simplest form. They are unique: b is as small as possible.
"""

import re
from functools import cache
from random import Random
from typing import Literal

from pydantic import Field

from problems.formulas import Equality, product_of, square_part, sum_of
from problems.types import Domain, Draft, SourceConfig
from problems.worked import drawn, nonzero, perturb, solve, worked

_ROOT = re.compile(r"-?\\sqrt\{\d+\}")
_ASKED = r"as a\sqrt{b} with integers a and b, b as small as possible. What is (a, b)?"


class RadicalsConfig(SourceConfig):
    """Settings of `radicals`."""

    form: Literal["root", "product", "sum"] = Field(default="root", description="what is simplified")
    largest: int = Field(default=12, ge=3, description="largest factor that comes out of a root")
    largest_inside: int = Field(default=30, ge=6, description="largest number that stays under a root")
    terms: int = Field(default=2, ge=2, le=4, description="how many roots a sum has")


def _simplified(number: int) -> tuple[list[Equality], int, int]:
    """Return the steps, what comes out of the root of `number`, and what stays."""
    outside = square_part(number)
    inside = number // outside**2
    steps: list[Equality] = [(f"{number}", product_of([outside**2, inside])), (rf"\sqrt{{{outside**2}}}", outside)]
    return steps, outside, inside


@cache
def _without_squares(largest: int) -> tuple[int, ...]:
    """Return the numbers from 2 on that no square divides."""
    return tuple(number for number in range(2, largest + 1) if square_part(number) == 1)


def _inside(rng: Random, config: RadicalsConfig) -> int:
    return rng.choice(_without_squares(config.largest_inside))


def _root(rng: Random, config: RadicalsConfig) -> tuple[str, list[Equality], int, int]:
    number = rng.randint(2, config.largest) ** 2 * _inside(rng, config)
    return rf"\sqrt{{{number}}}", *_simplified(number)


def _product(rng: Random, config: RadicalsConfig) -> tuple[str, list[Equality], int, int]:
    shared = rng.randint(2, config.largest)  # else hardly any product has a square in it
    one, other = drawn(
        rng,
        lambda rng: (shared * _inside(rng, config), shared * _inside(rng, config)),
        lambda pair: square_part(pair[0] * pair[1]) ** 2 != pair[0] * pair[1],
    )
    steps, outside, inside = _simplified(one * other)
    return rf"\sqrt{{{one}}}*\sqrt{{{other}}}", [(product_of([one, other]), one * other), *steps], outside, inside


def _sum(rng: Random, config: RadicalsConfig) -> tuple[str, list[Equality], int, int]:
    inside = _inside(rng, config)
    outside = drawn(
        rng, lambda rng: [nonzero(rng, config.largest) for _ in range(config.terms)], lambda factors: sum(factors) != 0
    )
    text = sum_of(f"{'-' if one < 0 else ''}\\sqrt{{{one * one * inside}}}" for one in outside)
    steps: list[Equality] = []
    for one in outside:
        steps += _simplified(one * one * inside)[0]
    return text, [*steps, (sum_of(outside), sum(outside))], sum(outside), inside


def generate(rng: Random, config: RadicalsConfig) -> Draft:
    """Draw the roots so that they can be simplified to one."""
    text, steps, outside, inside = {"root": _root, "product": _product, "sum": _sum}[config.form](rng, config)
    same_as = f"{config.form} {sorted(_ROOT.findall(text))}"
    return worked(f"Write {text} {_ASKED}", steps, f"({outside}, {inside})", {"form": config.form}, same_as)


DOMAIN = Domain(
    name="radicals",
    config=RadicalsConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="math",
    levels=[
        {"form": "root", "largest": 25},
        {"form": "product", "largest": 15},
        {"form": "sum"},
        {"form": "sum", "terms": 4, "largest": 20, "largest_inside": 40},
    ],
)
