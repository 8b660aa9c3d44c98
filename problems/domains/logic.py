"""Propositional logic: how many assignments of true and false make a formula true?

Every connective stands in parentheses of its own, so no precedence needs to be known. The work is a truth table, row by row.
"""

import re
from collections.abc import Mapping
from random import Random

from pydantic import Field, model_validator

from problems.lines import Step, nameless, one_off, read_back, truth_column, written
from problems.types import Domain, Draft, PositiveRange, Problem, ProblemError, RangeFromTwo, SourceConfig

_VARIABLES = "ABCDEF"
_PROMPT = re.compile(
    r"Each of ([A-F](?:, [A-F])*) is true or false\. In how many of the \d+ cases is this true: (.+)\?", re.ASCII
)
_INNERMOST = re.compile(r"\((not )?(\w+) (and|or|implies|xor) (not )?(\w+)\)")
_TRIES = 12  # at a formula near the count that was drawn beforehand; else middling counts would be most


class LogicConfig(SourceConfig):
    """Settings of `logic`."""

    variables: RangeFromTwo = Field(default=(3, 4), description="fewest and most variables, 6 at most")
    leaves: PositiveRange = Field(default=(4, 6), description="fewest and most places of variables in the formula")

    @model_validator(mode="after")
    def _fit(self) -> "LogicConfig":
        if self.variables[1] > min(len(_VARIABLES), self.leaves[0]):
            raise ValueError(f"variables must be {len(_VARIABLES)} at most, and no more than leaves; found {self.variables}")
        return self


def _apply(left: int, connective: str, right: int, every: int) -> int:
    """Return the column of a connective from those of its sides; `every` has a bit for each row."""
    return {"and": left & right, "or": left | right, "implies": (every ^ left) | right, "xor": left ^ right}[connective]


def _formula(rng: Random, leaves: list[tuple[str, int]], every: int) -> tuple[str, int]:
    """Join `leaves`, variables and their columns, into a formula; return its text and column."""
    if len(leaves) == 1:
        return leaves[0]
    cut = rng.randint(1, len(leaves) - 1)
    connective, text, columns = rng.choice(["and", "or", "implies", "xor"]), list[str](), list[int]()
    for side in (leaves[:cut], leaves[cut:]):
        said, column = _formula(rng, side, every)
        denied = rng.random() < 0.3
        text.append(f"not {said}" if denied else said)
        columns.append(every ^ column if denied else column)
    return f"({text[0]} {connective} {text[1]})", _apply(columns[0], connective, columns[1], every)


def generate(rng: Random, config: LogicConfig) -> Draft:
    """Draw how many cases shall be true, and formulas until one has about so many; never all or none."""
    count = rng.randint(*config.variables)
    every, wanted = (1 << 2**count) - 1, rng.randint(1, 2**count - 1)
    variables = [(_VARIABLES[number], truth_column(number, count)) for number in range(count)]
    text, column, tries = "", 0, 0
    while column in (0, every) or (abs(column.bit_count() - wanted) > 2**count // 16 and tries < _TRIES):
        more = max(0, rng.randint(*config.leaves) - count)
        leaves = [*variables, *rng.choices(variables, k=more)]
        rng.shuffle(leaves)
        (text, column), tries = _formula(rng, leaves, every), tries + 1
    names = ", ".join(_VARIABLES[:count])
    return Draft(
        prompt=f"Each of {names} is true or false. In how many of the {2**count} cases is this true: {text}?",
        same_as=nameless(_VARIABLES[:count], lambda names: _sorted(text, names)),
        reference=str(column.bit_count()),
        difficulty={"variables": count, "connectives": text.count("(")},
    )


def _sorted(formula: str, names: Mapping[str, str]) -> str:
    """Return a formula with other names, and the sides sorted of each connective but "implies"."""
    texts = dict(names)
    for number, part in enumerate(_parts(formula), start=1):
        sides = [f"{denied or ''}{texts[side]}" for denied, side in (part.group(1, 2), part.group(4, 5))]
        if part[3] != "implies":
            sides.sort()
        texts[f"f{number}"] = f"({sides[0]} {part[3]} {sides[1]})"
    return texts[f"f{number}"]


def _parts(formula: str) -> list[re.Match[str]]:
    """Return the connectives of a formula from the innermost outwards; part n may name an earlier one as f1, f2, ..."""
    parts: list[re.Match[str]] = []
    while (part := _INNERMOST.search(formula)) is not None:
        parts.append(part)
        formula = f"{formula[: part.start()]}f{len(parts)}{formula[part.end() :]}"
    if formula != f"f{len(parts)}" or not parts:
        raise ProblemError(f"cannot read the formula {formula[:60]!r}: expected not, and, or, implies, xor in parentheses")
    return parts


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Name the parts of the formula, work them out row by row, and count."""
    match = read_back(_PROMPT, problem, "question of a truth table")
    names, parts = match[1].split(", "), _parts(match[2])
    steps = [Step(f"f{number}: ", part[0]) for number, part in enumerate(parts, start=1)]
    total = 0
    for row in range(2 ** len(names)):
        values = {name: row >> (len(names) - 1 - place) & 1 for place, name in enumerate(names)}
        given = " ".join(f"{name}={value}" for name, value in values.items())
        for number, part in enumerate(parts, start=1):
            left, right = (values[part[side]] ^ (part[side - 1] is not None) for side in (2, 5))
            values[f"f{number}"] = _apply(left, part[3], right, 1)
        total += values[f"f{len(parts)}"]
        found = " ".join(f"f{number}={values[f'f{number}']}" for number in range(1, len(parts) + 1))
        steps.append(Step(f"{given}: {found}, so far ", str(total), str(total + 1)))
    return written(style, steps, str(total), rng)


DOMAIN = Domain(
    name="logic",
    config=LogicConfig,
    generate=generate,
    solve=solve,
    perturb=one_off,
    levels=[
        {"variables": (3, 3), "leaves": (4, 5)},
        {"variables": (4, 4), "leaves": (4, 6)},
        {"variables": (5, 5), "leaves": (6, 9)},
    ],
)
