"""Dates and days of the week in words: `June 20`, `the 20th of June, 2021`, `on Monday`."""

import re
from typing import NamedTuple

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_DAYS = (
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
)  # fmt: skip
_NUMBER_OF_MONTH = {name: number for number, name in enumerate(_MONTHS, 1)}
_NUMBER_OF_MONTH |= {name[:3]: number for number, name in enumerate(_MONTHS, 1)} | {"sept": 9}
_SHORT_DAYS = {"mon": "monday", "tue": "tuesday", "tues": "tuesday", "wed": "wednesday", "thu": "thursday", "thur": "thursday",
               "thurs": "thursday", "fri": "friday", "sat": "saturday", "sun": "sunday"}  # fmt: skip
_IN_FRONT = re.compile(r"^(?:it\s+(?:is|was|will be)\s+)?(?:on\s+)?(?:an?\s+)?(?:the\s+)?(?:date\s+is\s+)?")
_DAY = r"(?P<day>\d{1,2})\s*(?:\^?\s*(?:st|nd|rd|th))?"
_MONTH = r"(?P<month>[a-z]{3,9})\.?"
_YEAR = r"(?:\s*,?\s*(?P<year>\d{4}))?"
_WEEKDAY = r"(?:(?P<weekday>[a-z]{3,9})\.?\s*,?\s+(?:the\s+)?)?"
_FORMS = (
    re.compile(rf"{_WEEKDAY}{_MONTH}\s+(?:the\s+)?{_DAY}{_YEAR}"),
    re.compile(rf"{_WEEKDAY}{_DAY}\s+(?:of\s+)?{_MONTH}{_YEAR}"),
)


class Date(NamedTuple):
    """A day of a month; the year and the day of the week may be left out."""

    month: int
    day: int
    year: int | None
    weekday: str | None


def day_of_week(text: str) -> str | None:
    """Return the name of the day that `text` (small letters) says, or None."""
    word = _IN_FRONT.sub("", text.strip(" .")).strip(" .")
    word = _SHORT_DAYS.get(word, word)
    return word if word in _DAYS else None


def date(text: str) -> Date | None:
    """Return the date that `text` (small letters) says, or None."""
    if len(text) > 60:
        return None
    words = _IN_FRONT.sub("", text.strip(" .")).strip(" .")
    for form in _FORMS:
        match = form.fullmatch(words)
        if match is None or match["month"] not in _NUMBER_OF_MONTH or not 1 <= int(match["day"]) <= 31:
            continue
        weekday = day_of_week(match["weekday"]) if match["weekday"] else None
        if match["weekday"] and weekday is None:
            continue
        return Date(_NUMBER_OF_MONTH[match["month"]], int(match["day"]), int(match["year"]) if match["year"] else None, weekday)
    return None


def same_dates(one: Date, other: Date) -> bool:
    """Tell whether two dates are the same day; what only one of them says is taken as understood."""
    if (one.month, one.day) != (other.month, other.day):
        return False
    return all(left == right or left is None or right is None for left, right in zip(one[2:], other[2:], strict=True))
