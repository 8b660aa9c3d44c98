"""Counting: choosing, arranging, words with repeated letters, sums of whole numbers, paths on a grid, committees of two groups.

`In how many ways can 3 of 10 books be chosen?` is 120. Whatever the story, the same numbers are the same problem.
"""

from collections import Counter
from collections.abc import Iterable
from math import comb, perm, prod
from random import Random
from typing import Literal

from pydantic import Field

from problems.formulas import Equality
from problems.types import Domain, Draft, SourceConfig
from problems.worked import drawn, perturb, solve, worked

Task = Literal["choose", "arrange", "letters", "sums", "paths", "committee"]
Asked = tuple[str, list[Equality], int, str]  # prompt, steps, answer, what makes it the same problem as another
_THINGS = ("books", "cards", "pupils", "colours", "stamps", "cities")


class CombinatoricsConfig(SourceConfig):
    """Settings of `combinatorics`."""

    tasks: tuple[Task, ...] = Field(default=("choose", "arrange"), min_length=1, description="what is counted")
    largest: int = Field(default=14, ge=8, description="largest number of things")
    largest_chosen: int = Field(default=4, ge=3, le=7, description="largest number of things taken out of them")


def _product(numbers: Iterable[int]) -> tuple[str, int]:
    numbers = list(numbers)
    return "*".join(map(str, numbers)), prod(numbers)


def _binomial(n: int, k: int) -> list[Equality]:
    """Return the steps to n over k: the product above, that below, their quotient."""
    above, below = _product(range(n, n - k, -1)), _product(range(k, 0, -1))
    return [above, below, (f"{above[1]}/{below[1]}", comb(n, k))]


def _n_and_k(rng: Random, config: CombinatoricsConfig) -> tuple[int, int]:
    n = rng.randint(5, config.largest)
    return n, rng.randint(2, min(config.largest_chosen, n - 2))


def _choose(rng: Random, config: CombinatoricsConfig) -> Asked:
    n, k = _n_and_k(rng, config)
    return f"In how many ways can {k} of {n} {rng.choice(_THINGS)} be chosen?", _binomial(n, k), comb(n, k), f"{n} {k}"


def _arrange(rng: Random, config: CombinatoricsConfig) -> Asked:
    n, k = _n_and_k(rng, config)
    things = rng.choice(_THINGS)
    question = f"In how many ways can {k} of {n} {things} be put in a row, where the order counts?"
    return question, [_product(range(n, n - k, -1))], perm(n, k), f"{n} {k}"


def _letters(rng: Random, config: CombinatoricsConfig) -> Asked:
    """Ask for the arrangements of letters of which some are alike."""
    counts = drawn(
        rng,
        lambda rng: [rng.randint(1, config.largest_chosen) for _ in range(rng.randint(3, 4))],
        lambda counts: 5 <= sum(counts) <= 10 and max(counts) > 1,
    )
    word = [
        letter for letter, count in zip(rng.sample("ABCDEHKLMNORST", len(counts)), counts, strict=True) for _ in range(count)
    ]
    rng.shuffle(word)
    repeated = [count for count in Counter(word).values() if count > 1]
    above = _product(range(len(word), 0, -1))
    below = _product(number for count in repeated for number in range(count, 0, -1))
    answer = above[1] // below[1]
    return (
        f"How many different rows can be made of all the letters {', '.join(word)}?",
        [above, below, (f"{above[1]}/{below[1]}", answer)],
        answer,
        str(sorted(counts)),
    )


def _sums(rng: Random, config: CombinatoricsConfig) -> Asked:
    """Ask for the solutions of x+y+z=n in whole numbers from 0 or from 1 on."""
    count, total, least = rng.randint(3, config.largest_chosen + 1), rng.randint(6, config.largest + 6), rng.randint(0, 1)
    names = "+".join("abcdefgh"[:count])
    top = total - 1 if least else total + count - 1
    steps: list[Equality] = [(f"{total}-1" if least else f"{total}+{count}-1", top), *_binomial(top, count - 1)]
    question = f"How many solutions does {names}={total} have in whole numbers that are all at least {least}?"
    return question, steps, comb(top, count - 1), f"{count} {total} {least}"


def _paths(rng: Random, config: CombinatoricsConfig) -> Asked:
    right, up = rng.randint(2, config.largest - 2), rng.randint(2, config.largest_chosen + 2)
    question = f"How many paths lead from (0, 0) to ({right}, {up}) in steps of one to the right or one up?"
    least = min(right, up)
    steps: list[Equality] = [(f"{right}+{up}", right + up), *_binomial(right + up, least)]
    return question, steps, comb(right + up, up), str(sorted((right, up)))


def _committee(rng: Random, config: CombinatoricsConfig) -> Asked:
    women, men = (rng.randint(4, config.largest - 2) for _ in range(2))
    k, m = (rng.randint(2, min(config.largest_chosen, number - 1)) for number in (women, men))
    one, other = comb(women, k), comb(men, m)
    steps = [*_binomial(women, k), *_binomial(men, m), (f"{one}*{other}", one * other)]
    question = f"A committee of {k} women and {m} men is chosen from {women} women and {men} men. In how many ways?"
    return question, steps, one * other, str(sorted(((women, k), (men, m))))


def generate(rng: Random, config: CombinatoricsConfig) -> Draft:
    """Draw a task and its numbers."""
    task = rng.choice(config.tasks)
    makers = {
        "choose": _choose,
        "arrange": _arrange,
        "letters": _letters,
        "sums": _sums,
        "paths": _paths,
        "committee": _committee,
    }
    prompt, steps, answer, numbers = makers[task](rng, config)
    return worked(prompt, steps, answer, {"task": task}, same_as=f"{task} {numbers}")


DOMAIN = Domain(
    name="combinatorics",
    config=CombinatoricsConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    levels=[
        {"tasks": ("choose", "arrange"), "largest": 40},
        {"tasks": ("letters", "paths"), "largest": 40},
        {"tasks": ("sums", "committee"), "largest": 16},
        {"tasks": ("letters", "sums", "paths", "committee"), "largest": 20, "largest_chosen": 5},
    ],
)
