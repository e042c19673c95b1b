"""Days, months and the like in any calendar, and which steps of an item lie in each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cftime
import numpy as np
import numpy.typing as npt

from curator_core.domains.grid.axes import dated_dimensions
from curator_core.domains.grid.plain import plain, with_units_of_bounds
from curator_core.domains.grid.times import EPOCH_UNITS, MISSING, Instants, calendar_of, decode, label
from curator_core.filters.values import FieldError

if TYPE_CHECKING:
    import xarray as xr

_HOUR: Final = 3_600_000_000
_HOURS: Final = re.compile(r"(\d+)\s*h")
_DAY: Final = 24


def length_of(text: str) -> int | None:
    """Microseconds of a period of hours or days, such as ``6h``; ``None`` for none of one length."""
    found = _HOURS.fullmatch("24h" if text == "day" else "1h" if text == "hour" else text)
    return int(found[1]) * _HOUR if found is not None and int(found[1]) else None


def is_period(text: str) -> bool:
    """Whether there is such a period, which days are whole numbers of, or which is a month or a year."""
    length = length_of(text)
    return text in ("month", "year") or (length is not None and _DAY * _HOUR % length == 0)


@dataclass(frozen=True)
class Steps:
    """The times of a dataset, in order."""

    dim: str
    """Their dimension."""
    order: npt.NDArray[np.intp]
    """Where each is along it."""
    bounds: npt.NDArray[np.int64]
    """Begin and end of each, microseconds since 1970, ``(n, 2)``."""
    calendar: str
    """Of the times."""
    attributes: dict[str, Any]
    """Of their coordinate."""
    names: tuple[str, ...]
    """Names of coordinates that say nothing more than these times."""


def steps_of(dataset: xr.Dataset, step: str | None, *, is_end: bool) -> Steps:
    """The times of a dataset that has one dimension of them.

    Parameters
    ----------
    dataset
        With times as counts or dates.
    step
        Length of each, where bounds do not say it; by default the distance of times.
    is_end
        Whether times without bounds are the end of what they stand for, rather than its begin.

    Raises
    ------
    FieldError
        It has none, or several; a time is missing or there twice; steps are of several lengths, or of none.
    """
    known = _counts(dataset)
    dim, name, variable = times_of(dataset)
    instants = np.asarray(variable.values, np.int64)
    calendar = calendar_of(variable.attrs.get("calendar"))
    order = np.argsort(instants, kind="stable")
    bounds = known.get(str(variable.attrs.get("bounds", "")))
    names = tuple(dict.fromkeys([dim, name, *([str(variable.attrs["bounds"])] if bounds is not None else [])]))
    if bounds is not None:
        edges = np.sort(np.asarray(bounds.values, np.int64), axis=1)[order]
    else:
        edges = _without_bounds(name, instants[order], None if step is None else length_of(step), is_end=is_end)
    overlap = np.flatnonzero(edges[1:, 0] < edges[:-1, 1])
    if len(overlap):
        at = label(int(edges[overlap[0] + 1, 0]), calendar)
        raise FieldError(f"{name!r} has steps that overlap, or are there twice, at {at}")
    about = {key: text for key, text in dataset.variables[name].attrs.items() if key not in ("bounds", "actual_range")}
    return Steps(dim, order, edges, calendar, {**about, "units": EPOCH_UNITS, "calendar": calendar}, names)


def times_of(dataset: xr.Dataset) -> tuple[str, str, xr.Variable]:
    """The one dimension of time of a dataset, and the name and counts of what dates it, such as a valid time.

    Raises
    ------
    FieldError
        It has none, or several; or a time is missing.
    """
    known = _counts(dataset)
    dated = dated_dimensions({name: variable for name, variable in known.items() if variable.ndim})
    if len(dated) != 1:
        raise FieldError(f"it has {len(dated)} dimensions of time, {', '.join(dated) or 'none'}, and one is needed")
    ((dim, name),) = dated.items()
    if "valid_time" in known and known["valid_time"].dims == (dim,):
        name = "valid_time"
    if (np.asarray(known[name].values, np.int64) == MISSING).any():
        raise FieldError(f"{name!r} has times that are missing")
    return dim, name, known[name]


def _counts(dataset: xr.Dataset) -> dict[str, xr.Variable]:
    """Variables, of which those that may be times are counts."""
    variables = with_units_of_bounds({str(name): variable for name, variable in dataset.variables.items()})
    found = {}
    for name, variable in variables.items():
        is_small = variable.ndim <= 1 or (variable.ndim == 2 and variable.shape[1] == 2)  # noqa: PLR2004 - bounds
        found[name] = plain(name, variable) if is_small and variable.dtype.kind in "iufMO" else variable
    return found


def _without_bounds(name: str, instants: Instants, step: int | None, *, is_end: bool) -> npt.NDArray[np.int64]:
    distances = np.unique(np.diff(instants))
    if step is None:
        if len(distances) == 0:
            raise FieldError(f"{name!r} has one time and no bounds: say how long its step is with step=")
        step = int(distances.min())
        if (distances % max(step, 1)).any():
            raise FieldError(f"{name!r} has steps of several lengths and no bounds: say how long they are with step=")
    begin = instants - (step if is_end else 0)
    return np.stack([begin, begin + step], axis=1)


@dataclass(frozen=True)
class Periods:
    """Periods that steps lie in, one after the other."""

    first: npt.NDArray[np.intp]
    """Position of the first step of each."""
    bounds: npt.NDArray[np.int64]
    """Begin and end of each, microseconds since 1970, ``(n, 2)``."""
    covered: npt.NDArray[np.float64]
    """Share of each that steps cover."""


def periods_of(steps: Steps, period: str) -> Periods:
    """The periods of some steps, which lie in the one of their middle.

    Raises
    ------
    FieldError
        A step is longer than its period, or reaches out of it.
    """
    middle = steps.bounds[:, 0] + (steps.bounds[:, 1] - steps.bounds[:, 0]) // 2
    length = length_of(period)
    if length is not None:
        begin = middle // length * length
        bounds = np.stack([begin, begin + length], axis=1)
    else:
        bounds = _of_calendar(middle, period, steps.calendar)
    out = (steps.bounds[:, 0] < bounds[:, 0]) | (steps.bounds[:, 1] > bounds[:, 1])
    if out.any():
        at = int(out.argmax())
        raise FieldError(
            f"the step from {label(int(steps.bounds[at, 0]), steps.calendar)} to "
            f"{label(int(steps.bounds[at, 1]), steps.calendar)} is not within one {period}"
        )
    first = np.flatnonzero(np.diff(bounds[:, 0], prepend=bounds[0, 0] - 1))
    lengths = (steps.bounds[:, 1] - steps.bounds[:, 0]).astype(np.float64)
    own = bounds[first]
    return Periods(first, own, np.add.reduceat(lengths, first) / (own[:, 1] - own[:, 0]))


def _of_calendar(instants: Instants, period: str, calendar: str) -> npt.NDArray[np.int64]:
    dates = decode(instants, calendar)
    numbers = np.array([(date.year, date.month if period == "month" else 1) for date in dates])
    known: dict[tuple[int, int], tuple[int, int]] = {}
    for year, month in {(int(y), int(m)) for y, m in numbers}:
        after = (year + 1, 1) if period == "year" or month == 12 else (year, month + 1)  # noqa: PLR2004 - December
        known[year, month] = _instant(year, month, calendar), _instant(*after, calendar)
    return np.array([known[int(year), int(month)] for year, month in numbers], np.int64)


def _instant(year: int, month: int, calendar: str) -> int:
    return int(cftime.date2num(cftime.datetime(year, month, 1, calendar=calendar), EPOCH_UNITS, calendar))
