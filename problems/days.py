"""Days between dates as one counts them by hand, month by month: what the domains about dates share.

Dates are those of the Gregorian calendar, also before it was used.
"""

import datetime
import re
from calendar import monthrange
from collections.abc import Iterator
from random import Random
from typing import Annotated

from pydantic import AfterValidator

from problems.types import PositiveRange

FIRST_YEAR, LAST_YEAR, MOST_DAYS = 1000, 8999, 100_000  # so that every year has four digits


def _in_the_calendar(years: tuple[int, int]) -> tuple[int, int]:
    if years[0] < FIRST_YEAR or years[1] > LAST_YEAR:
        raise ValueError(f"years must lie within {FIRST_YEAR} and {LAST_YEAR}, found {years}")
    return years


def _not_for_ever(days: tuple[int, int]) -> tuple[int, int]:
    if days[1] > MOST_DAYS:
        raise ValueError(f"days must be {MOST_DAYS:,} at most, found {days}")
    return days


Years = Annotated[PositiveRange, AfterValidator(_in_the_calendar)]
Days = Annotated[PositiveRange, AfterValidator(_not_for_ever)]
DATE = r"\d{1,2} [A-Z][a-z]+ \d{4}"
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November")
MONTHS = (*_MONTHS, "December")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def draw_dates(rng: Random, days: tuple[int, int], years: tuple[int, int]) -> tuple[datetime.date, datetime.date]:
    """Draw a date of `years` and one so many days after it."""
    start = datetime.date(rng.randint(*years), 1, 1) + datetime.timedelta(days=rng.randrange(365))
    return start, start + datetime.timedelta(days=rng.randint(*days))


def in_words(date: datetime.date) -> str:
    """Return `17 May 2024`."""
    return f"{date.day} {MONTHS[date.month - 1]} {date.year}"


def from_words(text: str) -> datetime.date | None:
    """Return the date of `17 May 2024`, or None where there is no such day."""
    match = re.fullmatch(r"(\d{1,2}) ([A-Z][a-z]+) (\d{4})", text, re.ASCII)
    if match is None or match[2] not in MONTHS:
        return None
    try:
        return datetime.date(int(match[3]), MONTHS.index(match[2]) + 1, int(match[1]))
    except ValueError:
        return None


def stretches(start: datetime.date, end: datetime.date) -> Iterator[tuple[str, int]]:
    """Yield (what it is, its days) for the stretches of time that lead from `start` to a later `end`.

    The rest of the first month, whole months and years, and the days of the last month.
    """
    if (start.year, start.month) == (end.year, end.month):
        yield f"{start.day} to {end.day} {MONTHS[start.month - 1]}", end.day - start.day
        return
    year, month = start.year, start.month
    days = monthrange(year, month)[1]
    yield f"{start.day} to {days} {MONTHS[month - 1]}", days - start.day
    year, month = _next_month(year, month)
    while (year, month) != (end.year, end.month):
        if month == 1 and year < end.year:
            yield str(year), (datetime.date(year + 1, 1, 1) - datetime.date(year, 1, 1)).days
            year += 1
        else:
            yield f"{MONTHS[month - 1]} {year}", monthrange(year, month)[1]
            year, month = _next_month(year, month)
    yield f"{MONTHS[month - 1]} {year} up to the {end.day}.", end.day


def _next_month(year: int, month: int) -> tuple[int, int]:
    return (year, month + 1) if month < 12 else (year + 1, 1)
