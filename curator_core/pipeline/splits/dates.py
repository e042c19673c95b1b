"""Dates of keys and periods, in the calendars of the CF conventions, as seconds."""

from __future__ import annotations

import re
from typing import Final

from curator_core.errors import ConfigError

_DAY: Final = 86_400
_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_CALENDARS: Final = {
    "": "gregorian",
    "standard": "gregorian",
    "gregorian": "gregorian",
    "proleptic_gregorian": "gregorian",
    "noleap": "noleap",
    "365_day": "noleap",
    "all_leap": "all_leap",
    "366_day": "all_leap",
    "360_day": "360_day",
    "julian": "julian",
}
CALENDARS: Final = tuple(name for name in _CALENDARS if name)
"""Names of the calendars."""

PARTS: Final = ("year", "month", "day", "hour", "minute", "second")
"""Parts of a date, the longest first."""
_FIRST: Final = (0, 1, 1, 0, 0, 0)
_TIME: Final = r"[T ](?P<hour>\d\d)(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d))?)?"
_DATE: Final = re.compile(rf"(?P<year>\d{{4}})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)(?:{_TIME})?)?)?")
IN_KEYS: Final = rf"(?P<year>\d{{4}})-(?P<month>\d\d)(?:-(?P<day>\d\d)(?:{_TIME})?)?"
"""Finds a date in a key, of which year and month are there at least."""
_LENGTH: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)")
_UNITS: Final = {"s": 1, "min": 60, "h": 3600, "d": _DAY, "w": 7 * _DAY}


def calendar_of(name: str) -> str:
    """The calendar of a name.

    Raises
    ------
    ConfigError
        There is none.
    """
    if name not in _CALENDARS:
        raise ConfigError(f"The calendar {name!r} is none of {', '.join(CALENDARS)}.")
    return _CALENDARS[name]


def span(text: str, calendar: str) -> tuple[float, float]:
    """Start and end of what a date names, seconds: ``2015`` is a year, ``2015-12-31`` a day, in a calendar.

    Raises
    ------
    ConfigError
        It is no date of the calendar.
    """
    found = _DATE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is no date, such as 2015, 2015-12-31 or 2015-12-31T18:00.")
    given = [int(found[part]) for part in PARTS if found[part] is not None]
    return _seconds(given, calendar, text), _seconds(_next(given, calendar), calendar, text)


def instant(parts: dict[str, str | None], calendar: str, text: str) -> float:
    """A date whose parts are given by name, seconds; those that are not are the first.

    Raises
    ------
    ConfigError
        It is none of the calendar.
    """
    first = dict(zip(PARTS, _FIRST, strict=True))
    return _seconds([int(parts.get(part) or first[part]) for part in PARTS], calendar, text)


def seconds_of(length: str) -> float:
    """A length of time, such as ``7d``, ``36h``, ``30min``; empty for none.

    Raises
    ------
    ConfigError
        It is none.
    """
    if not length:
        return 0.0
    found = _LENGTH.fullmatch(length.strip())
    if found is None:
        raise ConfigError(f"{length!r} is no length of time, such as 7d, 36h or 30min.")
    return float(found[1]) * _UNITS[found[2]]


def _seconds(given: list[int], calendar: str, text: str) -> float:
    year, month, day, hour, minute, second = [*given, *_FIRST[len(given) :]]
    if not (1 <= month <= 12 and 1 <= day <= _n_days(year, month, calendar)):  # noqa: PLR2004 - months
        raise ConfigError(f"{text!r} is no date of the calendar {calendar}.")
    if hour > 23 or minute > 59 or second > 59:  # noqa: PLR2004 - of a day
        raise ConfigError(f"{text!r} is no time of a day.")
    return _days(year, month, day, calendar) * _DAY + hour * 3600.0 + minute * 60.0 + second


def _next(given: list[int], calendar: str) -> list[int]:
    """The date after one, in its last part."""
    later = [*given[:-1], given[-1] + 1]
    ends = (None, 12, _n_days(given[0], given[1], calendar) if len(given) > 1 else 0, 23, 59, 59)
    for at in range(len(later) - 1, 0, -1):
        end = ends[at]
        if end is not None and later[at] > end:
            later[at] = _FIRST[at]
            later[at - 1] += 1
    return later


def _is_leap(year: int, calendar: str) -> bool:
    if calendar in ("all_leap", "noleap"):
        return calendar == "all_leap"
    is_fourth = year % 4 == 0
    return is_fourth if calendar == "julian" else is_fourth and (year % 100 != 0 or year % 400 == 0)


def _n_days(year: int, month: int, calendar: str) -> int:
    if calendar == "360_day":
        return 30
    if not 1 <= month <= 12:  # noqa: PLR2004 - months
        return 31
    return _LENGTHS[month - 1] + (month == 2 and _is_leap(year, calendar))  # noqa: PLR2004 - February


def _days(year: int, month: int, day: int, calendar: str) -> int:
    """Days since the year 0."""
    before = sum(_n_days(year, each, calendar) for each in range(1, month)) + day - 1
    past = year - 1
    leaps = {
        "360_day": -5 * year,
        "noleap": 0,
        "all_leap": year,
        "julian": past // 4 + 1,
        "gregorian": past // 4 - past // 100 + past // 400 + 1,
    }
    return 365 * year + leaps[calendar] + before
