"""Systems of linear equations with one solution: `Solve 2x+3y=7, x-y=1 for (x, y).`

Worked out by elimination without fractions: rows are multiplied across, and each new coefficient is a step.
"""

from random import Random

from pydantic import Field

from problems.formulas import Equality, monomial, product_of, sum_of
from problems.types import Domain, Draft, SourceConfig
from problems.worked import drawn, nonzero, perturb, solve, worked

_NAMES = "xyz"
Rows = list[list[int]]  # of each equation the coefficients, and last the number on the right


class LinearSystemsConfig(SourceConfig):
    """Settings of `linear_systems`."""

    unknowns: int = Field(default=2, ge=2, le=3, description="how many unknowns and equations")
    largest: int = Field(default=5, ge=2, description="largest coefficient, without its sign")
    largest_solution: int = Field(default=9, ge=2, description="largest value of an unknown, without its sign")


def _eliminated(rows: Rows) -> tuple[list[Equality], Rows]:
    """Return the steps to a triangle of equations, and those; one that starts with 0 cannot be solved."""
    steps: list[Equality] = []
    triangle = [rows[0]]
    while len(rows) > 1:
        pivot, *others = rows
        rows = []
        for row in others:
            new = [pivot[0] * one - row[0] * above for one, above in zip(row[1:], pivot[1:], strict=True)]
            for one, above, value in zip(row[1:], pivot[1:], new, strict=True):
                steps.append((sum_of([product_of([pivot[0], one]), product_of([-row[0], above])]), value))
            rows.append(new)
        triangle.append(rows[0])
    return steps, triangle


def _put_in(triangle: Rows, solution: list[int]) -> list[Equality]:
    """Return the steps that find each unknown, the last one first."""
    steps: list[Equality] = []
    for place in reversed(range(len(triangle))):
        first, *others, right = triangle[place]
        rest = right - sum(one * value for one, value in zip(others, solution[place + 1 :], strict=True))
        if others:
            known = [product_of([-one, value]) for one, value in zip(others, solution[place + 1 :], strict=True)]
            steps.append((sum_of([right, *known]), rest))
        steps.append((f"{_NAMES[place]}={rest}/{first}" if first > 0 else f"{_NAMES[place]}={rest}/({first})", solution[place]))
    return steps


def _equation(row: list[int]) -> str:
    terms = [monomial(one, 1, name) for one, name in zip(row[:-1], _NAMES, strict=False) if one]
    return f"{sum_of(terms)}={row[-1]}"


def generate(rng: Random, config: LinearSystemsConfig) -> Draft:
    """Draw the solution and the coefficients; the numbers on the right follow."""
    solution = [rng.randint(-config.largest_solution, config.largest_solution) for _ in range(config.unknowns)]

    def rows(rng: Random) -> Rows:
        coefficients = [[nonzero(rng, config.largest) for _ in solution] for _ in solution]
        return [[*row, sum(a * x for a, x in zip(row, solution, strict=True))] for row in coefficients]

    system = drawn(rng, rows, lambda made: all(row[0] for row in _eliminated(made)[1]))
    steps, triangle = _eliminated(system)
    equations = list(map(_equation, system))
    names = ", ".join(_NAMES[: config.unknowns])
    return worked(
        f"Solve {', '.join(equations)} for ({names}).",
        [*steps, *_put_in(triangle, solution)],
        f"({', '.join(map(str, solution))})",
        {"unknowns": config.unknowns},
        same_as=", ".join(sorted(equations)),
    )


DOMAIN = Domain(
    name="linear_systems",
    config=LinearSystemsConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="math",
    levels=[
        {"largest": 3},
        {"largest": 9, "largest_solution": 20},
        {"unknowns": 3},
    ],
)
