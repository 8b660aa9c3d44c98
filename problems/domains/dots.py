"""Counting dots in rows, alone or among circles: a probe of how a model sees what its tokenizer lumps together."""

import re
from random import Random

from pydantic import Field

from problems.lines import Step, one_off, read_back, written
from problems.types import Domain, Draft, PositiveRange, Problem, SourceConfig

_DOT, _CIRCLE = ".", "o"
_PROMPT = re.compile(r"How many dots are there in all\?(?: Circles are no dots\.)?\n([.o]+(?:\n[.o]+)*)")


class DotsConfig(SourceConfig):
    """Settings of `dots`."""

    rows: PositiveRange = Field(default=(2, 4), description="fewest and most rows")
    marks: PositiveRange = Field(default=(3, 12), description="fewest and most dots and circles in a row")
    circles: float = Field(default=0.2, ge=0, le=0.9, description="chance that a mark is a circle")


def generate(rng: Random, config: DotsConfig) -> Draft:
    """Draw rows of dots and circles."""
    rows = []
    for _ in range(rng.randint(*config.rows)):
        marks = rng.randint(*config.marks)
        rows.append("".join(_CIRCLE if rng.random() < config.circles else _DOT for _ in range(marks)))
    picture = "\n".join(rows)
    rule = " Circles are no dots." if _CIRCLE in picture else ""
    return Draft(
        prompt=f"How many dots are there in all?{rule}\n{picture}",
        same_as="\n".join(sorted(rows)),
        reference=str(picture.count(_DOT)),
        difficulty={"rows": len(rows), "marks": sum(map(len, rows))},
    )


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Number the dots of each row and go on from its last number in the next, with a circle written as what it is."""
    total, steps = 0, list[Step]()
    for number, row in enumerate(read_back(_PROMPT, problem, "picture of dots")[1].split("\n"), start=1):
        said = []
        for mark in row:
            total += mark == _DOT
            said.append(str(total) if mark == _DOT else _CIRCLE)
        steps.append(Step(f"row {number}: {' '.join(said)}, so far ", str(total), str(total + rng.choice([-1, 1]))))
    return written(style, steps, str(total), rng)


DOMAIN = Domain(
    name="dots",
    config=DotsConfig,
    generate=generate,
    solve=solve,
    perturb=one_off,
    verifier="word_problem",
    levels=[
        {"rows": (1, 2), "marks": (4, 12), "circles": 0.1},
        {"rows": (3, 4), "marks": (6, 20)},
        {"rows": (5, 8), "marks": (10, 40), "circles": 0.3},
    ],
)
