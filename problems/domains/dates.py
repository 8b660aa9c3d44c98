"""The number of days from one date to another: months of different length, leap years."""

import datetime
import re
from random import Random

from pydantic import Field

from problems.days import DATE, Days, Years, draw_dates, from_words, in_words, stretches
from problems.lines import Step, one_off, read_back, written
from problems.types import Domain, Draft, Problem, ProblemError, SourceConfig

_PROMPT = re.compile(rf"How many days is it from ({DATE}) to ({DATE})\? The first day does not count, the last one does\.")


class DatesConfig(SourceConfig):
    """Settings of `dates`."""

    days: Days = Field(default=(10, 365), description="fewest and most days between the dates")
    years: Years = Field(default=(1950, 2049), description="first and last year of the earlier date")


def generate(rng: Random, config: DatesConfig) -> Draft:
    """Draw two dates."""
    start, end = draw_dates(rng, config.days, config.years)
    days = (end - start).days
    return Draft(
        prompt=f"How many days is it from {in_words(start)} to {in_words(end)}? "
        "The first day does not count, the last one does.",
        reference=str(days),
        difficulty={"months": (end.year - start.year) * 12 + end.month - start.month},
    )


def _dates(problem: Problem) -> tuple[datetime.date, datetime.date]:
    match = read_back(_PROMPT, problem, "question of days between dates")
    start, end = from_words(match[1]), from_words(match[2])
    if start is None or end is None or not start < end:
        raise ProblemError(f"problem {problem.id} ({problem.source}) asks for no days between dates: {problem.prompt[:60]!r}")
    return start, end


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Count to the end of the month, month by month (year by year), and into the last month, with a running sum."""
    total, steps = 0, list[Step]()
    for what, days in stretches(*_dates(problem)):
        steps.append(
            Step(f"{what}: {days}, {total}+{days}=", str(total + days), str(total + days + rng.choice([-10, -1, 1, 10])))
        )
        total += days
    return written(style, steps, str(total), rng)


DOMAIN = Domain(
    name="dates",
    config=DatesConfig,
    generate=generate,
    solve=solve,
    perturb=one_off,
    verifier="word_problem",
    levels=[{"days": (5, 60)}, {"days": (60, 365)}, {"days": (366, 3650)}],
)
