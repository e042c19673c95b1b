"""Filter that gives the times of grids in another calendar, by their dates."""

from __future__ import annotations

import logging
from collections.abc import Collection
from itertools import combinations
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import cftime
import numpy as np
import numpy.typing as npt

from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.axes import named_variables
from curator_core.domains.grid.operations.grid_filter import GridFilter, rebuilt
from curator_core.domains.grid.plain import plain, with_units_of_bounds
from curator_core.domains.grid.times import (
    CALENDARS,
    EPOCH_UNITS,
    MISSING,
    Instants,
    TimeError,
    calendar_of,
    counts_time,
    decode,
    label,
)
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError

if TYPE_CHECKING:
    import xarray as xr

logger = logging.getLogger("curator")

_DAY: Final = 86_400_000_000
_LONGEST_GAP: Final = 12
"""Days: in 1582, ten dates were left out of the standard calendar."""


class CalendarFilter(GridFilter):
    """Times in another calendar: every step keeps its date and time of day, and its values.

    So that datasets of several calendars can be joined, or compared day by day. Days that the former calendar does not
    have are missing steps in the new one, and no values are made for them. Bounds follow: one whose date there is not
    is the begin of the next date.

    Parameters
    ----------
    calendar
        The calendar, by its name in the CF conventions: ``standard``, ``noleap``, ``360_day``, ….
    absent
        What is done with a step whose date the calendar does not have, such as 30 February or, without leap years, 29
        February: ``fail``, so does the item, or ``drop``, it is left out, which is logged.

    Raises
    ------
    ConfigError
        There is no such calendar.
    """

    name: ClassVar[str] = "calendar"
    description: ClassVar[str] = "Times in another calendar, with the same dates"
    checks_arguments: ClassVar[bool] = True

    def __init__(self, calendar: str, *, absent: Literal["fail", "drop"] = "fail") -> None:
        try:
            self._calendar = calendar_of(calendar or "none")
        except TimeError:
            raise ConfigError(f"{self.name}: {calendar!r} is none of {', '.join(sorted(CALENDARS))}.") from None
        self._absent = absent

    def changed(self, dataset: xr.Dataset) -> xr.Dataset | None:
        variables = with_units_of_bounds({str(name): v.to_base_variable() for name, v in dataset.variables.items()})
        times = {name: plain(name, variable) for name, variable in variables.items() if _is_time(variable)}
        if not times:
            raise FieldError("it has no times, which have a calendar")
        edges = {edge for each in times.values() for edge in named_variables(each.attrs, ("bounds", "climatology"))}
        is_kept: dict[str, npt.NDArray[np.bool_]] = {}
        for name, variable in times.items():
            former = calendar_of(variable.attrs.get("calendar"))
            instants = np.asarray(variable.values, np.int64)
            found = _with_same_dates(instants, former, self._calendar, is_edge=name in edges)
            is_there = (found != MISSING) | (instants == MISSING)
            if not is_there.all():
                self._require_steps(name, variable, label(int(instants[~is_there][0]), former))
                dim = str(variable.dims[0])
                is_kept[dim] = is_kept.get(dim, np.ones(dataset.sizes[dim], np.bool_)) & is_there
            about = {**variable.attrs, "units": EPOCH_UNITS, "calendar": self._calendar}
            variables[name] = variable_of(variable.dims, found, about)
        kept = {dim: np.flatnonzero(is_there) for dim, is_there in is_kept.items()}
        for dim, is_there in is_kept.items():
            logger.warning(
                "%s: %d of %d steps of %r have dates that %s does not have, and are left out",
                self.name,
                int((~is_there).sum()),
                is_there.size,
                dim,
                self._calendar,
            )
        made = rebuilt(dataset, variables).isel(kept)
        _require_same_leads(rebuilt(dataset, {**variables, **times}).isel(kept), made, set(times) - edges)
        return made if all(made.sizes[dim] for dim in kept) else None

    def _require_steps(self, name: str, variable: xr.Variable, date: str) -> None:
        """Raise unless steps with dates that are not there are to be left out, and can be."""
        if self._absent == "fail" or variable.ndim != 1:
            raise FieldError(
                f"{name!r}: {self._calendar} has no {date}. Leave such steps out with absent='drop', or keep the "
                "calendar"
            )


def _is_time(variable: xr.Variable) -> bool:
    is_date = variable.dtype.kind == "O" and variable.size and hasattr(variable.values.flat[0], "calendar")
    return variable.dtype.kind == "M" or bool(is_date) or counts_time(variable.attrs.get("units"))


def _with_same_dates(instants: Instants, former: str, calendar: str, *, is_edge: bool) -> Instants:
    """Times with the dates that others have in another calendar; where there is no such date, `MISSING`.

    Of edges of intervals, it is the begin of the next date that there is.
    """
    days, clock = np.divmod(instants, _DAY)
    known, positions = np.unique(days, return_inverse=True)
    found, is_next = (np.zeros(len(known), kind) for kind in (np.int64, np.bool_))
    for number, day in enumerate(known.tolist()):
        later = _LONGEST_GAP if is_edge else 0
        starts = (_start(decode(np.asarray((day + n) * _DAY), former), calendar) for n in range(later + 1))
        at, start = next(((n, s) for n, s in enumerate(starts) if s is not None), (0, MISSING))
        found[number], is_next[number] = start, at > 0
    starts_of, is_moved = found[positions].reshape(days.shape), is_next[positions].reshape(days.shape)
    is_there = (starts_of != MISSING) & (instants != MISSING)
    return np.asarray(np.where(is_there, starts_of + np.where(is_moved, 0, clock), MISSING), np.int64)


def _start(date: cftime.datetime, calendar: str) -> int | None:
    """Begin of a date in another calendar; ``None`` where there is none."""
    try:
        same = cftime.datetime(date.year, date.month, date.day, calendar=calendar)
    except ValueError:
        return None
    return int(cftime.date2num(same, EPOCH_UNITS, calendar))


def _require_same_leads(before: xr.Dataset, after: xr.Dataset, times: Collection[str]) -> None:
    """Raise where two times of one step have another distance now, as that of a forecast from its reference."""
    for first, second in combinations(sorted(set(times) & set(map(str, before.coords))), 2):
        former, now = (each[second].variable - each[first].variable for each in (before, after))
        if not np.array_equal(former.values, now.values):
            raise FieldError(
                f"{first!r} and {second!r} would have other distances, as lead times, in the other calendar: keep the "
                "calendar"
            )
