"""Sequences whose rule is said: the n-th term of arithmetic, geometric, quadratic and Fibonacci-like ones.

`The sequence 2, 5, 8, 11, ... is arithmetic. What is its 20th term?` A finite list alone goes on in any way one likes, so the
rule is always named.
"""

from itertools import pairwise
from random import Random
from typing import Literal

from pydantic import Field

from problems.formulas import Equality, ordinal, product_of, sum_of
from problems.types import Domain, Draft, PositiveRange, SourceConfig
from problems.worked import nonzero, perturb, solve, worked

Rule = Literal["arithmetic", "geometric", "quadratic", "additive"]
_RULES: dict[Rule, str] = {
    "arithmetic": "is arithmetic: its terms differ by the same number",
    "geometric": "is geometric: each term is the same multiple of the one before",
    "quadratic": "has differences that are arithmetic: they grow by the same number each time",
    "additive": "goes on so that each term is the sum of the two before it",
}


class SequencesConfig(SourceConfig):
    """Settings of `sequences`."""

    rules: tuple[Rule, ...] = Field(default=("arithmetic",), min_length=1, description="rules to draw from")
    ahead: PositiveRange = Field(
        default=(1, 1), description="how many terms behind the last one shown is asked for, from and to"
    )
    shown: int = Field(default=4, ge=4, description="how many terms are shown")
    largest: int = Field(default=20, ge=4, description="largest first term and difference, without its sign")
    largest_ratio: int = Field(default=4, ge=2, description="largest ratio of a geometric sequence, without its sign")


def _arithmetic(rng: Random, config: SequencesConfig, n: int) -> tuple[list[int], list[Equality]]:
    first, difference = rng.randint(-config.largest, config.largest), nonzero(rng, config.largest)
    terms = [first + difference * k for k in range(n)]
    steps: list[Equality] = [(sum_of([terms[1], -first]), difference), (product_of([n - 1, difference]), (n - 1) * difference)]
    return terms, [*steps, (sum_of([first, (n - 1) * difference]), terms[-1])]


def _geometric(rng: Random, config: SequencesConfig, n: int) -> tuple[list[int], list[Equality]]:
    ratio = rng.choice([-1, 1]) * rng.randint(2, config.largest_ratio)
    terms = [nonzero(rng, config.largest)]
    while len(terms) < n:
        terms.append(terms[-1] * ratio)
    steps: list[Equality] = [(f"{terms[1]}/{terms[0]}" if terms[0] > 0 else f"{terms[1]}/({terms[0]})", ratio)]
    return terms, [*steps, *((product_of([terms[k - 1], ratio]), terms[k]) for k in range(config.shown, n))]


def _quadratic(rng: Random, config: SequencesConfig, n: int) -> tuple[list[int], list[Equality]]:
    terms, difference = [rng.randint(-config.largest, config.largest)], nonzero(rng, config.largest)
    growth = nonzero(rng, max(2, config.largest // 3))
    while len(terms) < n:
        terms.append(terms[-1] + difference + growth * (len(terms) - 1))
    differences = [after - before for before, after in pairwise(terms)]
    steps: list[Equality] = [(sum_of([terms[k + 1], -terms[k]]), differences[k]) for k in range(config.shown - 1)]
    steps.append((sum_of([differences[1], -differences[0]]), growth))
    for k in range(config.shown, n):
        steps.append((sum_of([differences[k - 2], growth]), differences[k - 1]))
        steps.append((sum_of([terms[k - 1], differences[k - 1]]), terms[k]))
    return terms, steps


def _additive(rng: Random, config: SequencesConfig, n: int) -> tuple[list[int], list[Equality]]:
    terms = [nonzero(rng, config.largest), nonzero(rng, config.largest)]
    while len(terms) < n:
        terms.append(terms[-2] + terms[-1])
    return terms, [(sum_of([terms[k - 2], terms[k - 1]]), terms[k]) for k in range(config.shown, n)]


def generate(rng: Random, config: SequencesConfig) -> Draft:
    """Draw a rule, its numbers and which term is asked for."""
    rule = rng.choice(config.rules)
    n = config.shown + rng.randint(*config.ahead)
    makers = {"arithmetic": _arithmetic, "geometric": _geometric, "quadratic": _quadratic, "additive": _additive}
    terms, steps = makers[rule](rng, config, n)
    shown = ", ".join(map(str, terms[: config.shown]))
    return worked(
        f"The sequence {shown}, ... {_RULES[rule]}. What is its {ordinal(n)} term?",
        steps,
        terms[-1],
        {"rule": rule, "ahead": n - config.shown},
    )


DOMAIN = Domain(
    name="sequences",
    config=SequencesConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    levels=[
        {"rules": ("arithmetic",)},
        {"rules": ("arithmetic", "geometric", "additive"), "ahead": (1, 4)},
        {"rules": ("geometric", "quadratic", "additive"), "ahead": (2, 6)},
        {"rules": ("arithmetic", "quadratic", "additive"), "ahead": (8, 14), "largest": 100},
    ],
)
