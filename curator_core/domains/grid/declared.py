"""Axes that are declared: ``{"time": {"start": …, "end": …, "frequency": …, "calendar": …}}``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import cftime
import numpy as np
import xarray as xr

from curator_core.datasets.aligned.axis import REFORM, SlotAxis
from curator_core.datasets.aligned.keyed.axis import key_axis
from curator_core.domains.grid.times import EPOCH_UNITS, TimeError, calendar_of
from curator_core.errors import ConfigError

KEYS: Final = "keys"
"""Values of an axis on which every item has one slot, named by its key."""
_KNOWN: Final = ("start", "end", "frequency", "calendar", "values", "units")
SLOT: Final = "time"
"""The dimension of the slots, where none is named."""


def slot_axis(axes: Mapping[str, Mapping[str, Any]] | None) -> tuple[str | None, SlotAxis | None]:
    """The dimension of the slots where it is named, and its axis where one is declared.

    Parameters
    ----------
    axes
        By the one dimension that a dataset grows along: ``start``, ``frequency`` (as pandas writes it: ``6h``, ``1D``,
        ``MS``), ``end`` and ``calendar``; or ``values``, with ``units``; as ``values`` the word ``keys``: a slot for
        every item. An empty mapping declares the dimension alone.

    Raises
    ------
    ConfigError
        There is no such axis.
    """
    if axes is None:
        return None, None
    if len(axes) != 1:
        raise ConfigError(
            f"axes must name the one dimension that the dataset grows along, such as {SLOT!r}; not {axes!r}."
        )
    ((name, given),) = axes.items()
    unknown = [key for key in given if key not in _KNOWN]
    if unknown:
        raise ConfigError(f"axes[{name!r}] has {unknown[0]!r}; it takes {', '.join(_KNOWN)}.")
    if not given:
        return name, None
    if given.get("values") == KEYS:
        if len(given) > 1:
            raise ConfigError(
                f"axes[{name!r}] of keys has no other values: leave {max(given.keys() - {'values'})!r} out."
            )
        return name, key_axis(name)
    if "values" in given:
        values, attributes = _listed(name, given)
        return name, SlotAxis(name, values, None, is_even=False, is_declared=True, attributes=attributes)
    return name, _times(name, given)


def _listed(name: str, given: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
    """Values that are given one by one, as numbers or dates, and their attributes."""
    if isinstance(given["values"], str):
        raise ConfigError(f"axes[{name!r}] has values that are a list, or the word {KEYS!r}, not {given['values']!r}.")
    values = list(given["values"])
    if any(isinstance(value, str | date) for value in values):
        try:
            calendar = calendar_of(given.get("calendar"))
            counts = np.array([_instant(str(value), calendar) for value in values], np.int64)
        except (ValueError, TypeError) as exc:
            raise ConfigError(f"axes[{name!r}] has values that are no times: {exc}") from exc
        return counts, _reference(counts, calendar)
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "iuf" or numbers.ndim != 1:
        raise ConfigError(f"axes[{name!r}] has values that are neither numbers nor dates: {values[:3]!r}.")
    attributes = {"units": str(given["units"])} if "units" in given else {}
    return numbers.astype(np.float64 if numbers.dtype.kind == "f" else np.int64), attributes


def _instant(text: str, calendar: str) -> int:
    """A date in a calendar as microseconds since 1970."""
    (found,) = xr.date_range(text, periods=1, calendar=calendar, use_cftime=True).values
    return int(cftime.date2num(found, EPOCH_UNITS, calendar))


def _reference(counts: Any, calendar: str) -> dict[str, str]:  # noqa: ANN401 - an array of times
    """Units and calendar of times, as items have them."""
    is_late = calendar == "proleptic_gregorian" and bool((counts >= REFORM).all())
    return {"units": EPOCH_UNITS, "calendar": "standard" if is_late else calendar}


def _times(name: str, given: Mapping[str, Any]) -> SlotAxis:
    missing = [key for key in ("start", "frequency") if key not in given]
    if missing:
        raise ConfigError(f"axes[{name!r}] needs {missing[0]!r}: as in {{'start': '2020-01-01', 'frequency': '6h'}}.")
    try:
        calendar = calendar_of(given.get("calendar"))
        bounds = {"end": str(given["end"])} if "end" in given else {"periods": 3}
        dates = xr.date_range(
            str(given["start"]), **bounds, freq=str(given["frequency"]), calendar=calendar, use_cftime=True
        )
        counts = np.asarray(cftime.date2num(dates.values, EPOCH_UNITS, calendar), np.int64)
    except (ValueError, TypeError, TimeError) as exc:
        raise ConfigError(f"axes[{name!r}] describes no times: {exc}") from exc
    if not len(counts):
        raise ConfigError(f"axes[{name!r}] has no time between its start and its end.")
    attributes = _reference(counts, calendar)
    if len(counts) > 1 and len(np.unique(np.diff(counts))) == 1:
        n_slots = len(counts) if "end" in given else None
        return SlotAxis(name, counts[:2], n_slots, is_declared=True, attributes=attributes)
    if "end" not in given:
        raise ConfigError(f"axes[{name!r}] needs an end: steps of {given['frequency']!r} are not of one length.")
    return SlotAxis(name, counts, is_even=False, is_declared=True, attributes=attributes)
