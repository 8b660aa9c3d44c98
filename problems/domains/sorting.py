"""Sorting numbers, also below zero, or short strings by the alphabet, upwards or downwards."""

import re
import string
from collections.abc import Sequence
from random import Random
from typing import Literal

from pydantic import Field, model_validator

from problems.lines import Step, read_back, swapped, written
from problems.types import Domain, Draft, PositiveRange, Problem, RangeFromTwo, SourceConfig

Kind = Literal["numbers", "strings"]
_FIRST_LETTERS = "aeiou"  # few, so that the second and third must decide
_PROMPT = re.compile(
    r"Sort these (?:numbers from the (smallest|largest) to the (?:largest|smallest): (-?\d+(?:, -?\d+)+)"
    r"|strings alphabetically, from (first|last) to (?:last|first): ([a-z]+(?:, [a-z]+)+))\. Separate them by commas\.",
    re.ASCII,
)


class SortingConfig(SourceConfig):
    """Settings of `sorting`."""

    items: RangeFromTwo = Field(default=(4, 7), description="fewest and most things to sort")
    kinds: tuple[Kind, ...] = Field(default=("numbers", "strings"), min_length=1, description="what is sorted, drawn evenly")
    largest: int = Field(default=99, description="largest number; the smallest is as far below zero")
    letters: PositiveRange = Field(default=(2, 4), description="fewest and most letters of a string")

    @model_validator(mode="after")
    def _are_enough(self) -> "SortingConfig":
        if self.largest < self.items[1]:
            raise ValueError(f"largest must be at least {self.items[1]}, as many as there may be numbers; found {self.largest}")
        if len(_FIRST_LETTERS) * 26 ** (self.letters[1] - 1) < 4 * self.items[1]:
            raise ValueError(f"letters must allow more different strings than {self.items[1]}; found {self.letters}")
        return self


def _draw(rng: Random, kind: Kind, config: SortingConfig) -> str:
    if kind == "numbers":
        return str(rng.randint(-config.largest, config.largest))
    return rng.choice(_FIRST_LETTERS) + "".join(rng.choices(string.ascii_lowercase, k=rng.randint(*config.letters) - 1))


def generate(rng: Random, config: SortingConfig) -> Draft:
    """Draw different things and a direction."""
    kind, count, up = rng.choice(config.kinds), rng.randint(*config.items), rng.random() < 0.5
    items: list[str] = []
    while len(items) < count:
        item = _draw(rng, kind, config)
        if item not in items:
            items.append(item)
    ends = ("smallest", "largest") if kind == "numbers" else ("first", "last")
    start, end = ends if up else ends[::-1]
    order = f"from the {start} to the {end}" if kind == "numbers" else f"alphabetically, from {start} to {end}"
    return Draft(
        prompt=f"Sort these {kind} {order}: {', '.join(items)}. Separate them by commas.",
        same_as=" ".join([start, *sorted(items)]),
        reference=", ".join(_in_order(items, start)),
        difficulty={"kind": kind, "items": count},
    )


def _in_order(items: Sequence[str], start: str) -> list[str]:
    up = sorted(items, key=int) if start in ("smallest", "largest") else sorted(items)
    return up[::-1] if start in ("largest", "last") else up


def _asked(problem: Problem) -> tuple[list[str], str]:
    """Return the things to sort and which of them comes first."""
    match = read_back(_PROMPT, problem, "list to sort")
    return (match[2] or match[4]).split(", "), match[1] or match[3]


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Take the first of what is left, again and again."""
    left, start = _asked(problem)
    order, steps = _in_order(left, start), list[Step]()
    for number, item in enumerate(order[:-1]):
        steps.append(Step(f"{start} of {', '.join(left)}: ", item, order[number + 1]))
        left = [other for other in left if other != item]
    return written(style, steps, ", ".join(order), rng)


def perturb(problem: Problem, rng: Random) -> str:
    """Return the other direction, two neighbours changed about, or the list without one of its items."""
    order = _in_order(*_asked(problem))
    return ", ".join(rng.choice([order[::-1], swapped(order, rng), order[:-1]]))


DOMAIN = Domain(
    name="sorting",
    config=SortingConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="exact",
    levels=[
        {"items": (3, 4), "largest": 50},
        {"items": (5, 7)},
        {"items": (8, 12), "largest": 999},
        {"items": (14, 20), "largest": 9999, "letters": (3, 6)},
    ],
)
