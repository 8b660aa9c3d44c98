"""Worked solutions line by line, where a step is no equation (those are worked.py's) but a row, a cell, a rule applied.

A domain reads its own prompt back, makes `Step`s of it, each with a slip that might happen there, and hands them to `written`.
Also what else several of these domains share: a program as a completion gives it, and answers near the right one.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple

from problems.seeding import content_hash
from problems.types import Problem, ProblemError, boxed, thinking


class Step(NamedTuple):
    """One line of work: what is asked, up to its "=" or ": ", and what comes out.

    `slip` is what might come out by mistake; "" where there is nothing to get wrong.
    """

    asked: str
    result: str
    slip: str = ""


def written(style: str, steps: Sequence[Step], answer: str, rng: Random) -> str:
    """Return a solution in `style`: the answer at once, after its steps, or after steps of which one is noticed and mended."""
    return boxed(answer) if style == "direct" else thinking(work(style, steps, rng), answer)


def work(style: str, steps: Sequence[Step], rng: Random) -> str:
    """Return the lines of `steps`; in style "checked" one of them is first written with its slip."""
    lines = [f"{step.asked}{step.result}" for step in steps]
    slips = [number for number, step in enumerate(steps) if step.slip not in ("", step.result)]
    if style == "checked" and slips:
        number = rng.choice(slips)
        lines[number] = f"{steps[number].asked}{steps[number].slip}? no: {lines[number]}"
    return "\n".join(lines)


def fenced(source: str) -> str:
    """Return a program as a completion gives it."""
    return f"```python\n{source}\n```"


def read_back(pattern: re.Pattern[str], problem: Problem, what: str) -> re.Match[str]:
    """Return the match of a whole prompt; raises ProblemError for a problem that is no `what` of the domain's own making."""
    match = pattern.fullmatch(problem.prompt)
    if match is None:
        raise ProblemError(f"problem {problem.id} ({problem.source}) is no {what}: {problem.prompt[:60]!r}")
    return match


def one_off(problem: Problem, rng: Random) -> str:
    """Return the number beside the right one."""
    return str(int(problem.reference or 0) + rng.choice([-1, 1]))


def swapped(items: Sequence[str], rng: Random) -> list[str]:
    """Return `items`, which are not all equal, with two unequal neighbours changed about."""
    place = rng.choice([i for i in range(len(items) - 1) if items[i] != items[i + 1]])
    return [*items[:place], items[place + 1], items[place], *items[place + 2 :]]


def nameless(names: Iterable[str], write: Callable[[Mapping[str, str]], str]) -> str:
    """Return a text that is the same for all puzzles that differ only in who bears which name: for `same_as`.

    `write` writes the puzzle with what it is given for each name, and sorts whatever has no order. Each name becomes a hash
    of the puzzle as it looks with that one marked; twice, so that it depends on the others' roles too. Different puzzles in
    which everybody has the same role may become equal, and only share a split then.
    """
    roles = dict.fromkeys(names, "_")
    for _ in range(2):
        roles = {name: content_hash(write({**roles, name: "*"})) for name in roles}
    return write(roles)


@lru_cache(maxsize=64)
def truth_column(number: int, variables: int) -> int:
    """Return a variable's column of the truth table as bits: bit r is its value in row r, where variable 0 changes slowest."""
    return sum(1 << row for row in range(2**variables) if row >> (variables - 1 - number) & 1)
