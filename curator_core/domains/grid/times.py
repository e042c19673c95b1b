"""Times of grids: whole microseconds since 1970 in a calendar, whatever a file counts in.

References
----------
CF conventions 1.11, section 4.4: time coordinate and calendars. Absolute times (``day as %Y%m%d.%f``) are those of the
Climate Data Operators.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import cftime
import numpy as np
import numpy.typing as npt

Instants = npt.NDArray[np.int64]

EPOCH_UNITS = "microseconds since 1970-01-01"
"""What every time of a grid is counted in; with its calendar, xarray decodes it."""

MISSING = np.iinfo(np.int64).min
"""In place of a time that is not known."""

_CALENDARS = MappingProxyType(
    {
        "": "standard",
        "gregorian": "standard",
        "standard": "standard",
        "proleptic_gregorian": "proleptic_gregorian",
        "365_day": "noleap",
        "noleap": "noleap",
        "366_day": "all_leap",
        "all_leap": "all_leap",
        "360_day": "360_day",
        "360": "360_day",
        "julian": "julian",
    }
)
CALENDARS = frozenset(_CALENDARS.values())
"""Calendars by the names of the CF conventions, one for each."""

_SECOND = 1_000_000
_NAMES = {
    _SECOND // 1000: "milliseconds millisecond millisec millisecs msec msecs ms",
    1: "microseconds microsecond microsec microsecs us",
    _SECOND: "seconds second secs sec s",
    60 * _SECOND: "minutes minute mins min",
    3600 * _SECOND: "hours hour hrs hr h",
    86_400 * _SECOND: "days day d",
    7 * 86_400 * _SECOND: "weeks week",
}
_LENGTHS = {name: length for length, names in _NAMES.items() for name in names.split()}
_MONTHS = {"months": 1, "month": 1, "mons": 1, "mon": 1, "years": 12, "year": 12, "yrs": 12, "yr": 12}
_NANOSECONDS = frozenset({"nanoseconds", "nanosecond", "nanosec", "nanosecs", "ns"})

_SINCE = re.compile(r"\s*([A-Za-z]+)\s+(?:since|after|from)\s+(\S.*?)\s*", re.IGNORECASE)
_REFERENCE = re.compile(
    r"(?P<year>[+-]?\d{1,5})(?:[-/](?P<month>\d{1,2})(?:[-/](?P<day>\d{1,2}))?)?|"
    r"(?P<packed>\d{8})"
)
_CLOCK = re.compile(r"[T\s,]+(?P<hour>\d{1,2})(?:h|:(?P<minute>\d{1,2})(?::(?P<second>\d{1,2}(?:\.\d*)?))?)?")
_ZONE = re.compile(r"\s*(?:Z|UTC?|GMT|00?:00|(?P<sign>[+-])(?P<hours>\d{1,2}):?(?P<minutes>\d{2})?)", re.IGNORECASE)
_ABSOLUTE = re.compile(r"\s*(day|month|year)s?\s+as\s+(%Y(?:%m(?:%d)?)?)(?:\.%f)?\s*", re.IGNORECASE)


class TimeError(ValueError):
    """Times cannot be decoded; says why."""


def counts_time(units: object) -> bool:
    """Whether `units` count time from a date, or are dates written as numbers: ``hours since 1900-01-01``."""
    if not isinstance(units, str):
        return False
    since = _SINCE.fullmatch(units)
    if since is not None:
        return since[1].lower() in _LENGTHS or since[1].lower() in _MONTHS or since[1].lower() in _NANOSECONDS
    return _ABSOLUTE.fullmatch(units) is not None


def length_of(unit: object) -> int | None:
    """Microseconds of a unit of time, such as ``hours``; ``None`` for any other text."""
    return _LENGTHS.get(str(unit).strip().lower())


def duration(text: str) -> int:
    """Microseconds of a length of time such as ``24h``.

    Raises
    ------
    ValueError
        It is none.
    """
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = length_of(text[len(digits) :])
    if unit is None or not digits.isdigit():
        raise ValueError(f"{text!r} is no length of time, such as '24h'")
    return int(digits) * unit


def calendar_of(name: object) -> str:
    """CF's name of a calendar; ``standard`` for none.

    Raises
    ------
    TimeError
        There is no such calendar.
    """
    known = _CALENDARS.get(str("" if name is None else name).strip().lower())
    if known is None:
        raise TimeError(f"its calendar {name!r} is none of {', '.join(sorted(CALENDARS))}")
    return known


def encode(values: npt.NDArray[Any], units: str, calendar: object = None) -> Instants:
    """Times that a file counts in `units`, as microseconds since 1970 in its calendar.

    A value as near to a whole second as its type allows is that second. Months and years are those of the calendar;
    a fraction is one of the month, or year, in progress.

    Parameters
    ----------
    values
        Numbers of any shape, all of them finite.
    units
        For which `counts_time` holds.
    calendar
        As the file names it.

    Raises
    ------
    TimeError
        There is no such calendar, or date in it, or a time is too far away.
    """
    name = calendar_of(calendar)
    if values.dtype.kind not in "iuf" or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        raise TimeError(f"a time in {units!r} is no number")
    since = _SINCE.fullmatch(units)
    try:
        if since is None:
            return _absolute(values, units, name)
        return _since(values, since[1].lower(), since[2], name)
    except (OverflowError, TypeError, ValueError) as exc:
        raise exc if isinstance(exc, TimeError) else TimeError(f"{units!r} in the calendar {name}: {exc}") from exc


def rounded(values: npt.NDArray[Any], units: str, instants: Instants) -> npt.NDArray[np.bool_]:
    """Which times may be others than were meant, since their type has no others near: float32 in long counts.

    Those whose neighbours in the type are seconds away, and which are no whole minutes; and dates that are written as
    numbers, whose neighbours are other days.

    Parameters
    ----------
    values, units
        As `encode` takes them.
    instants
        What it gives.
    """
    since = _SINCE.fullmatch(units)
    if values.dtype.kind != "f" or (since is not None and since[1].lower() not in _LENGTHS):
        return np.zeros(values.shape, np.bool_)
    spacing = np.spacing(np.abs(values)).astype(np.float64)
    if since is None:
        return np.asarray(spacing >= 1)
    is_coarse = spacing * _LENGTHS[since[1].lower()] >= 2 * _SECOND
    return np.asarray(is_coarse & (instants % (60 * _SECOND) != 0))


def decode(instants: Instants, calendar: str) -> Any:  # noqa: ANN401 - an array of cftime's, or one of them
    """Dates of `cftime`, of times that `encode` gave."""
    return cftime.num2date(instants, EPOCH_UNITS, calendar, only_use_cftime_datetimes=True)


def label(instant: int, calendar: str) -> str:
    """A time for keys and people: ``2015-01-16T12:00:00``."""
    date = cftime.num2date(instant, EPOCH_UNITS, calendar, only_use_cftime_datetimes=True)
    return str(date.isoformat(timespec="microseconds" if date.microsecond else "seconds"))


def _since(values: npt.NDArray[Any], unit: str, reference: str, calendar: str) -> Instants:
    start = _reference_date(reference, calendar)
    if unit in _MONTHS:
        return _in_months(values, _MONTHS[unit], start, calendar)
    if unit in _NANOSECONDS:
        rounded = values // 1000 + (values % 1000 >= 500)  # noqa: PLR2004 - half a microsecond
        return _instant(start, calendar) + _counted(rounded, 1)
    return _whole_seconds(_instant(start, calendar) + _counted(values, _LENGTHS[unit]), _resolution(values, unit))


def _reference_date(reference: str, calendar: str) -> Any:  # noqa: ANN401 - one of cftime's
    """The date that times are counted from, of which cftime would leave out an hour without minutes and the like."""
    whole = re.fullmatch(f"(?:{_REFERENCE.pattern})(?:{_CLOCK.pattern})?(?:{_ZONE.pattern})?", reference, re.IGNORECASE)
    if whole is None or (whole["sign"] and not whole["hour"]):
        raise TimeError(f"{reference!r} is no date: write it as 2001-01-31 or 2001-01-31 12:00:00")
    packed = whole["packed"] or ""
    year, month, day = (packed[:4], packed[4:6], packed[6:]) if packed else whole.group("year", "month", "day")
    date = f"{year}-{month or 1}-{day or 1} {whole['hour'] or 0}:{whole['minute'] or 0}:{whole['second'] or 0}"
    start = cftime.num2date(0, f"days since {date}", calendar, only_use_cftime_datetimes=True)
    ahead = timedelta(hours=int(whole["hours"] or 0), minutes=int(whole["minutes"] or 0))
    return start + ahead if whole["sign"] == "-" else start - ahead


def _instant(date: Any, calendar: str) -> int:  # noqa: ANN401 - one of cftime's
    return int(cftime.date2num(date, EPOCH_UNITS, calendar))


def _counted(values: npt.NDArray[Any], length: int) -> Instants:
    """Microseconds of so many units, rounded once."""
    if values.size and float(np.abs(values.astype(np.float64)).max()) * length > 2**62:
        raise TimeError("a time is more than 140,000 years away: it is damaged, or was never written")
    if values.dtype.kind in "iu":
        return values.astype(np.int64) * length
    numbers = values.astype(np.float64)
    whole = np.floor(numbers)
    return whole.astype(np.int64) * length + np.rint((numbers - whole) * length).astype(np.int64)


def _resolution(values: npt.NDArray[Any], unit: str) -> npt.NDArray[np.float64]:
    """Distance of two neighbours of a value in its type, in microseconds."""
    if values.dtype.kind != "f":
        return np.zeros(values.shape)
    return np.asarray(2.0 * np.spacing(np.abs(values)) * _LENGTHS[unit], np.float64)


def _whole_seconds(instants: Instants, resolution: npt.NDArray[np.float64]) -> Instants:
    nearest = (instants + _SECOND // 2) // _SECOND * _SECOND
    is_near = np.abs(instants - nearest) <= np.minimum(resolution, _SECOND // 1000)
    return np.asarray(np.where(is_near, nearest, instants), np.int64)


def _in_months(values: npt.NDArray[Any], length: int, start: Any, calendar: str) -> Instants:  # noqa: ANN401 - cftime's
    def after(n_units: int) -> int:
        year, month = divmod((start.year * 12 + start.month - 1) + n_units * length, 12)
        return _instant(start.replace(year=year, month=month + 1), calendar)

    return _in_progress(values.astype(np.float64), after)


def _in_progress(values: npt.NDArray[np.float64], start_of: Callable[[int], int]) -> Instants:
    """Times in units of different lengths, of which `start_of` gives the start: a fraction is one of its unit."""
    whole = np.floor(values).astype(np.int64)
    starts: dict[int, int] = {}
    for n_units in np.unique(whole).tolist():
        starts[n_units] = start_of(n_units)
        if (values > whole)[whole == n_units].any():
            starts[n_units + 1] = start_of(n_units + 1)
    instants = [
        starts[n] + round((v - n) * (starts.get(n + 1, starts[n]) - starts[n]))
        for v, n in zip(values.ravel().tolist(), whole.ravel().tolist(), strict=True)
    ]
    return np.array(instants, np.int64).reshape(values.shape)


def _absolute(values: npt.NDArray[Any], units: str, calendar: str) -> Instants:
    found = _ABSOLUTE.fullmatch(units)
    assert found is not None  # noqa: S101 - `counts_time` holds
    unit = found[1].lower()
    if len(found[2]) != len({"day": "%Y%m%d", "month": "%Y%m", "year": "%Y"}[unit]):
        raise TimeError(f"{units!r} does not say its {unit}")

    def start_of(number: int) -> int:
        return _instant(_date(number, unit, calendar), calendar)

    if unit != "day":
        return _in_progress(values.astype(np.float64), start_of)
    days = np.floor(values).astype(np.int64)
    starts = {day: start_of(day) for day in np.unique(days).tolist()}
    midnight = np.array([starts[day] for day in days.ravel().tolist()], np.int64).reshape(days.shape)
    fractions = values.astype(np.float64) - days
    return _whole_seconds(midnight + _counted(fractions, _LENGTHS["day"]), _resolution(values, "day"))


def _date(number: int, unit: str, calendar: str) -> Any:  # noqa: ANN401 - one of cftime's
    """The date that digits stand for: of year, month and day, as far as the unit goes."""
    sign, digits = (-1 if number < 0 else 1), abs(number)
    day = month = 1
    if unit == "day":
        digits, day = divmod(digits, 100)
    if unit in ("day", "month"):
        digits, month = divmod(digits, 100)
    return cftime.datetime(sign * digits, month, day, calendar=calendar)
