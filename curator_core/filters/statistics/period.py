"""The steps of datasets between two dates."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from curator_core.errors import ConfigError
from curator_core.filters.values.fields import FieldError
from curator_core.filters.values.kinds import DatasetFields, fields_of
from curator_core.pipeline.splits.dates import PARTS, calendar_of, instant, span

if TYPE_CHECKING:
    import xarray as xr

_PLAIN_UNITS, _PLAIN_CALENDAR = "microseconds since 1970-01-01", "proleptic_gregorian"
"""Of ``datetime64``."""


class Period:
    """The steps of datasets from one date to another, both of which are in it: ``2015`` is the whole year.

    Parameters
    ----------
    ends
        First and last date; ``None`` for no end.

    Raises
    ------
    ConfigError
        One is no date of any calendar, or they are the wrong way round.
    """

    def __init__(self, ends: Sequence[str | int | None]) -> None:
        if isinstance(ends, str) or len(ends) != 2:  # noqa: PLR2004 - first and last
            raise ConfigError(f"a period must be its first and its last date, not {ends!r}")
        self._ends = ["" if end is None else str(end) for end in ends]
        spans = []
        for calendar in ("all_leap", "360_day"):  # which have all dates that others have
            with suppress(ConfigError):
                spans.append(self._span(calendar))
        start, stop = spans[0] if spans else self._span("gregorian")
        if start >= stop:
            raise ConfigError(f"the period {list(ends)!r} ends before it starts")

    def _span(self, calendar: str) -> tuple[float, float]:
        first, last = self._ends
        start = span(first, calendar)[0] if first else -np.inf
        return start, span(last, calendar)[1] if last else np.inf

    def of(self, value: object) -> xr.Dataset | None:
        """The steps of a dataset that lie in the period; ``None`` where none does.

        Raises
        ------
        FieldError
            It is no dataset, has no time, or a date of the period is none of its calendar.
        """
        fields = fields_of(value)
        if not isinstance(fields, DatasetFields):
            raise FieldError(f"a period= is one of datasets with times, and {fields.what} have none")
        dataset: xr.Dataset = fields.dataset
        name = _time_of(dataset)
        times = dataset[name].variable
        is_in = self._contains(times)
        if not is_in.any():
            return None
        return dataset.isel({name: np.flatnonzero(is_in)}) if times.ndim else dataset

    def _contains(self, times: xr.Variable) -> np.ndarray[Any, np.dtype[np.bool_]]:
        import cftime

        values, units, named = times.values, times.attrs.get("units"), times.attrs.get("calendar", "standard")
        if values.dtype.kind == "M":
            values, units, named = values.astype("M8[us]").astype(np.int64), _PLAIN_UNITS, _PLAIN_CALENDAR
        dates = cftime.num2date(np.atleast_1d(values), units, named, only_use_cftime_datetimes=True)
        try:
            calendar = calendar_of(str(named))
            start, stop = self._span(calendar)
        except ConfigError as exc:
            raise FieldError(f"the period is none of its calendar: {exc}") from exc
        given: list[dict[str, str | None]] = [
            {part: str(getattr(date, part)) for part in PARTS} for date in dates.tolist()
        ]
        seconds = np.array([instant(parts, calendar, str(parts)) for parts in given])
        return np.asarray((seconds >= start) & (seconds < stop))


def _time_of(dataset: xr.Dataset) -> str:
    """Name of what dates the steps of a dataset: the coordinate of a dimension, else a single time."""
    known = [str(name) for name, found in dataset.coords.items() if _counts_time(found.variable)]
    along = [name for name in known if dataset[name].dims == (name,)]
    found = along or [name for name in known if not dataset[name].dims]
    if len(found) != 1:
        raise FieldError(f"a period= needs steps of one time, and it has {', '.join(found) or 'none'}")
    return found[0]


def _counts_time(variable: xr.Variable) -> bool:
    if variable.dtype.kind == "M":
        return True
    import cftime

    with suppress(ValueError, KeyError, TypeError):
        cftime.num2date(0, str(variable.attrs["units"]), variable.attrs.get("calendar", "standard"))
        return True
    return False
