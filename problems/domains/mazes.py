"""The length of the shortest path through a maze. Several paths may be shortest, so their length is asked for, a unique number.

The work is a breadth-first search: which cells can be reached in 1 step, in 2 steps, and so on.
"""

import re
from collections.abc import Sequence
from random import Random

from pydantic import Field

from problems.lines import Step, one_off, read_back, written
from problems.types import Domain, Draft, Problem, ProblemError, RangeFromTwo, SourceConfig

_WALL, _FREE, _START, _GOAL = "#", ".", "S", "G"
_SIZES, _TRIES = 10, 1000  # sizes drawn, and mazes of each: 2 x 200 cells hardly ever have a path as long as they are wide
_PROMPT = re.compile(
    r"How many steps long is the shortest path from S to G\? A step goes up, down, left or right; # is a wall\."
    r"\n([.#SG]+(?:\n[.#SG]+)*)"
)


class MazesConfig(SourceConfig):
    """Settings of `mazes`."""

    size: RangeFromTwo = Field(default=(5, 8), description="fewest and most rows, and columns")
    walls: float = Field(default=0.3, ge=0, le=0.4, description="chance that a cell is a wall")


def _layers(rows: Sequence[str], start: tuple[int, int]) -> list[list[tuple[int, int]]]:
    """Return the cells, (row, column) from 0, that are 0, 1, 2, ... steps from `start`."""
    free = {(row, column) for row, cells in enumerate(rows) for column, cell in enumerate(cells) if cell != _WALL}
    free.discard(start)
    layers = [[start]]
    while layers[-1]:
        layer: list[tuple[int, int]] = []
        for row, column in layers[-1]:
            for cell in ((row - 1, column), (row, column - 1), (row, column + 1), (row + 1, column)):
                if cell in free:
                    free.remove(cell)
                    layer.append(cell)
        layers.append(layer)
    return layers[:-1]


def _draw(rng: Random, config: MazesConfig) -> tuple[list[str], list[list[tuple[int, int]]]]:
    """Draw walls and a start until the farthest cell is no nearer than the maze is wide; return the rows and `_layers`."""
    for _ in range(_SIZES):
        height, width = rng.randint(*config.size), rng.randint(*config.size)
        for _ in range(_TRIES):
            rows = ["".join(_WALL if rng.random() < config.walls else _FREE for _ in range(width)) for _ in range(height)]
            layers = _layers(rows, (rng.randrange(height), rng.randrange(width)))
            if len(layers) > max(height, width):
                return rows, layers
    raise ProblemError(
        f"mazes found no path as long as the maze is wide in {_SIZES * _TRIES} tries ({config.size}, walls {config.walls}): "
        "fewer walls, or sizes nearer to each other"
    )


def generate(rng: Random, config: MazesConfig) -> Draft:
    """Draw walls, a start, how long the path shall be, and a goal so far away."""
    rows, layers = _draw(rng, config)
    start = layers[0][0]
    length = rng.randrange(2, len(layers))
    marks = {start: _START, rng.choice(layers[length]): _GOAL}
    picture = "\n".join(
        "".join(marks.get((row, column), cell) for column, cell in enumerate(cells)) for row, cells in enumerate(rows)
    )
    return Draft(
        prompt="How many steps long is the shortest path from S to G? "
        f"A step goes up, down, left or right; # is a wall.\n{picture}",
        reference=str(length),
        difficulty={"rows": len(rows), "columns": len(rows[0])},
    )


def _named(cells: Sequence[tuple[int, int]]) -> str:
    return " ".join(f"{row + 1},{column + 1}" for row, column in cells)


def solve(problem: Problem, style: str, rng: Random) -> str:
    """List the cells (row,column) by how many steps away they are, until the goal is among them."""
    rows = read_back(_PROMPT, problem, "maze")[1].split("\n")
    places = {cell: (row, rows[row].index(cell)) for cell in (_START, _GOAL) for row in range(len(rows)) if cell in rows[row]}
    if len(places) < 2:
        raise ProblemError(f"problem {problem.id} ({problem.source}) has a maze without S and G")
    steps = [Step("S is at ", _named([places[_START]])), Step("G is at ", _named([places[_GOAL]]))]
    for length, cells in enumerate(_layers(rows, places[_START])[1:], start=1):
        row, column = rng.choice(cells)
        slip = [*cells, (row + 1, column + 1)]  # a step aslant is none
        steps.append(Step(f"{length}: ", _named(cells), _named(slip)))
        if places[_GOAL] in cells:
            return written(style, steps, str(length), rng)
    raise ProblemError(f"problem {problem.id} ({problem.source}) has a maze without a path from S to G")


DOMAIN = Domain(
    name="mazes",
    config=MazesConfig,
    generate=generate,
    solve=solve,
    perturb=one_off,
    verifier="word_problem",
    levels=[{"size": (5, 6)}, {"size": (7, 9)}, {"size": (10, 13), "walls": 0.35}],
)
