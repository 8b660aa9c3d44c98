"""The weekday of a date, given the weekday of another one: days between dates, modulo seven."""

import re
from random import Random

from pydantic import Field

from problems.days import DATE, WEEKDAYS, Days, Years, draw_dates, from_words, in_words, stretches
from problems.lines import Step, read_back, written
from problems.types import Domain, Draft, Problem, ProblemError, SourceConfig

_PROMPT = re.compile(rf"({DATE}) is a ({'|'.join(WEEKDAYS)})\. Which day of the week is ({DATE})\?")


class WeekdaysConfig(SourceConfig):
    """Settings of `weekdays`."""

    days: Days = Field(default=(10, 365), description="fewest and most days between the dates")
    years: Years = Field(default=(1950, 2049), description="first and last year of the earlier date")
    backwards: float = Field(
        default=0.3, ge=0, le=1, description="chance that the later date is the one whose weekday is given"
    )


def generate(rng: Random, config: WeekdaysConfig) -> Draft:
    """Draw two dates and which of them is given with its weekday."""
    given, wanted = draw_dates(rng, config.days, config.years)
    if rng.random() < config.backwards:
        given, wanted = wanted, given
    return Draft(
        prompt=f"{in_words(given)} is a {WEEKDAYS[given.weekday()]}. Which day of the week is {in_words(wanted)}?",
        reference=WEEKDAYS[wanted.weekday()],
        checks={"ignore_case": True},
        difficulty={"days": abs((wanted - given).days)},
    )


def solve(problem: Problem, style: str, rng: Random) -> str:
    """Count from the earlier date to the later, throwing out sevens at each stretch; then go on, or back, by what is left."""
    match = read_back(_PROMPT, problem, "question of weekdays")
    given, wanted = from_words(match[1]), from_words(match[3])
    if given is None or wanted is None or given == wanted:
        raise ProblemError(f"problem {problem.id} ({problem.source}) names no two days: {problem.prompt[:60]!r}")
    left, steps = 0, list[Step]()
    for what, days in stretches(min(given, wanted), max(given, wanted)):
        after = (left + days) % 7
        steps.append(Step(f"{what}: {days}, {left}+{days}={left + days}, modulo 7: ", str(after), str((after + 1) % 7)))
        left = after
    sign, way = (1, "after") if given < wanted else (-1, "before")
    number = (WEEKDAYS.index(match[2]) + sign * left) % 7
    steps.append(Step(f"{left} days {way} {match[2]}: ", WEEKDAYS[number], WEEKDAYS[(number + sign) % 7]))
    return written(style, steps, WEEKDAYS[number], rng)


def perturb(problem: Problem, rng: Random) -> str:
    """Return another weekday."""
    return rng.choice([day for day in WEEKDAYS if day != problem.reference])


DOMAIN = Domain(
    name="weekdays",
    config=WeekdaysConfig,
    generate=generate,
    solve=solve,
    perturb=perturb,
    verifier="exact",
    levels=[
        {"days": (2, 45), "backwards": 0.0},
        {"days": (30, 365)},
        {"days": (366, 7300), "years": (1900, 2099)},
    ],
)
