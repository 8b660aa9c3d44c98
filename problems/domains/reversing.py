"""A list, or a string without meaning, from its end to its start; words that mean something are in letters.py."""

import re
import string
from random import Random
from typing import Literal

from pydantic import Field

from problems.lines import Step, read_back, swapped, written
from problems.types import Domain, Draft, Problem, RangeFromTwo, SourceConfig

Kind = Literal["numbers", "letters"]
_PROMPT = re.compile(r'Reverse this (?:list: (\d+(?:, \d+)+)\. Separate them by commas\.|string: "([a-z]+)")', re.ASCII)


class ReversingConfig(SourceConfig):
    """Settings of `reversing`."""

    items: RangeFromTwo = Field(default=(4, 8), description="fewest and most numbers, or letters")
    kinds: tuple[Kind, ...] = Field(default=("numbers", "letters"), min_length=1, description="what is reversed, drawn evenly")
    largest: int = Field(default=99, ge=1, description="largest number")


def generate(rng: Random, config: ReversingConfig) -> Draft:
    """Draw a list or a string that is not the same backwards."""
    kind, count = rng.choice(config.kinds), rng.randint(*config.items)
    items: list[str] = []
    while items == items[::-1]:
        items = [
            rng.choice(string.ascii_lowercase) if kind == "letters" else str(rng.randint(0, config.largest))
            for _ in range(count)
        ]
    asked = f'string: "{"".join(items)}"' if kind == "letters" else f"list: {', '.join(items)}. Separate them by commas."
    return Draft(
        prompt=f"Reverse this {asked}",
        reference=("" if kind == "letters" else ", ").join(reversed(items)),
        difficulty={"kind": kind, "items": count},
    )


def _items(problem: Problem) -> tuple[list[str], str]:
    """Return the items of a prompt and what stands between them in the answer."""
    match = read_back(_PROMPT, problem, "list or string to reverse")
    return (match[1].split(", "), ", ") if match[1] else (list(match[2]), "")


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Number the items, then name them from the last number down."""
    items, between = _items(problem)
    count = len(items)
    steps = [Step("numbered: ", " ".join(f"{number}:{item}" for number, item in enumerate(items, start=1)))]
    for number in range(count, 0, -1):
        neighbour = items[number - 2] if number > 1 else items[1]
        steps.append(Step(f"{number}: ", items[number - 1], neighbour))
    return written(style, steps, between.join(reversed(items)), rng)


def perturb(problem: Problem, rng: Random) -> str:
    """Return the order as it was, or the right one with two neighbours changed about."""
    items, between = _items(problem)
    return between.join(rng.choice([items, swapped(items[::-1], rng)]))


DOMAIN = Domain(
    name="reversing",
    config=ReversingConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="exact",
    levels=[{"items": (3, 5)}, {"items": (6, 10)}, {"items": (12, 20)}, {"items": (24, 40), "largest": 999}],
)
