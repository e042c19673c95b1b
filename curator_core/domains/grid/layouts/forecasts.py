"""Datasets of items along the slots of a layout: reference times and lead times, valid times, members."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Final

import numpy as np
import xarray as xr

from curator_core.datasets.aligned.axis import unit_of
from curator_core.datasets.aligned.codec import Array
from curator_core.datasets.aligned.schema import SchemaError
from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.axes import axis_of, time_of
from curator_core.domains.grid.layouts.declared import INIT, LEAD, MEMBER, SECOND, VALID, Arrangement
from curator_core.domains.grid.plain import plain, with_units_of_bounds
from curator_core.domains.grid.times import EPOCH_UNITS, MISSING, counts_time, label, length_of

_REFERENCE: Final = "forecast_reference_time"
_PERIOD: Final = "forecast_period"
_STARTS: Final = "_start"


class _Times:
    """What of a dataset says which forecast its values are of."""

    def __init__(self, variables: Mapping[str, xr.Variable], arrangement: Arrangement, slot: str) -> None:
        self._variables = variables
        names = self._names(arrangement, slot)
        self.names = {name for name in names.values() if name is not None}
        known = {what: variables[name] for what, name in names.items() if name is not None}
        self.dims = tuple(dict.fromkeys(str(dim) for variable in known.values() for dim in variable.dims))
        sizes = {str(d): n for v in known.values() for d, n in zip(v.dims, v.shape, strict=True)}
        self.shape = tuple(sizes[dim] for dim in self.dims)
        self.values = {what: self._everywhere(variable) for what, variable in known.items()}
        dated = next((v for what, v in known.items() if what in ("init", "valid")), None)
        self.attributes = (
            {} if dated is None else {k: dated.attrs[k] for k in ("units", "calendar") if k in dated.attrs}
        )
        self.bounds_of_valid = str(known["valid"].attrs.get("bounds", "")) if "valid" in known else ""
        """Name of the bounds of the valid times; empty where there are none."""

    def _names(self, arrangement: Arrangement, slot: str) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        if arrangement.layout is None:
            found["valid"] = slot if slot in self._variables else time_of(slot, self._variables)
            if found["valid"] is None:
                raise SchemaError(f"The item has no coordinate {slot!r}: name one with axes=.")
        else:
            found["init"] = self._one("a reference time", lambda v: v.attrs.get("standard_name") == _REFERENCE, [INIT])
            found["lead"] = self._one("a lead time", _is_lead, [LEAD, "step", "leadtime"])
            found["valid"] = self._one("a valid time", lambda v: _is_date(v) and not _is_reference(v), [VALID, "time"])
            if sum(name is not None for name in found.values()) < 2:  # noqa: PLR2004 - the third is their sum
                raise SchemaError(
                    "The item is no forecast: of its reference time (standard_name forecast_reference_time), lead time "
                    "(forecast_period) and valid time (time) two must be there, with these attributes; it has "
                    f"{', '.join(repr(name) for name in found.values() if name) or 'none'}."
                )
        if arrangement.members:
            found["member"] = self._one("a member", lambda v: axis_of(v) == "member", [MEMBER, "realization", "member"])
            if found["member"] is None:
                raise SchemaError("The item has no member: a coordinate with the standard_name 'realization'.")
        return found

    def _one(self, what: str, is_it: Any, names: list[str]) -> str | None:  # noqa: ANN401 - a function
        bounds = {variable.attrs.get("bounds") for variable in self._variables.values()}
        found = [name for name, variable in self._variables.items() if is_it(variable) and name not in bounds]
        named = [name for name in names if name in found]
        if len(found) > 1 and not named:
            raise SchemaError(f"The item has more than one coordinate for {what}: {', '.join(map(repr, found))}.")
        return named[0] if named else found[0] if found else None

    def _everywhere(self, variable: xr.Variable) -> Array:
        order = [dim for dim in self.dims if dim in variable.dims]
        shape = [n if dim in variable.dims else 1 for dim, n in zip(self.dims, self.shape, strict=True)]
        return np.asarray(np.broadcast_to(variable.transpose(*order).values.reshape(shape), self.shape).ravel())

    def forecasts(self) -> tuple[Array, Array]:
        """Reference times, in microseconds, and lead times, in seconds, of every combination."""
        found = self.values
        if "lead" in found:
            lead_name = next(n for n in self.names if _is_lead(self._variables[n]))
            unit = length_of(self._variables[lead_name].attrs.get("units")) or 1
            ahead = np.rint(found["lead"].astype(np.float64) * unit).astype(np.int64)
        else:
            ahead = found["valid"] - found["init"]
        init = found["init"] if "init" in found else found["valid"] - ahead
        if {"init", "lead", "valid"} <= found.keys() and not np.array_equal(init + ahead, found["valid"]):
            raise SchemaError("Its valid times are not its reference times and lead times together.")
        if (init == MISSING).any() or (ahead % SECOND).any():
            raise SchemaError("A reference time is missing, or a lead time is no whole number of seconds.")
        return init, ahead // SECOND


def _is_date(variable: xr.Variable) -> bool:
    return counts_time(variable.attrs.get("units"))


def _is_reference(variable: xr.Variable) -> bool:
    return variable.attrs.get("standard_name") == _REFERENCE


def _is_lead(variable: xr.Variable) -> bool:
    return variable.attrs.get("standard_name") == _PERIOD and length_of(variable.attrs.get("units")) is not None


def arranged(dataset: xr.Dataset, arrangement: Arrangement, slot: str) -> xr.Dataset | None:
    """A dataset of an item along the slots, whose coordinate are their codes; ``None`` where it has none of them.

    Parameters
    ----------
    dataset
        As sources give it.
    arrangement
        How it lies along the slots.
    slot
        The dimension of the slots.

    Raises
    ------
    SchemaError
        It is no forecast, or none of an ensemble; a lead time or member has no slot, or two steps have one.
    """
    given = with_units_of_bounds({str(name): variable for name, variable in dataset.variables.items()})
    variables = {name: plain(name, variable) for name, variable in given.items()}
    times = _Times(variables, arrangement, slot)
    outer, within, kept, more = _places(times, arrangement)
    if not len(kept):
        return None
    unit, n_within = unit_of(times.attributes), prod(len(inner.values) for inner in arrangement.inner)
    if arrangement.inner and (outer.dtype.kind != "i" or (outer % unit).any()):
        raise SchemaError(f"A value of {slot!r} is no whole number, or second.")
    codes = outer // unit * n_within + within if arrangement.inner else outer
    order = _order(codes, kept, times, arrangement)
    coordinates: dict[str, Any] = {slot: variable_of((slot,), codes[order], times.attributes)}
    coordinates |= {name: variable_of((slot,), values[order], about) for name, (values, about) in more.items()}
    data: dict[str, xr.Variable] = {}
    left_out = times.names if arrangement.layout is None else {*times.names, VALID, LEAD, INIT}
    bounds = times.bounds_of_valid if arrangement.layout == "forecast" else ""
    for name, variable in variables.items():
        if name in left_out or name in coordinates:
            continue
        is_data = name in dataset.data_vars and name != bounds
        found = _stacked(name, variable, times, slot, order, is_data=is_data)
        (data if is_data else coordinates)[f"{VALID}_bnds" if name == bounds else name] = found
    return xr.Dataset(data, xr.Coordinates(coordinates, indexes={}), dataset.attrs)


def _places(times: _Times, arrangement: Arrangement) -> tuple[Array, Array, Array, dict[str, tuple[Array, Any]]]:
    """Outer coordinate and position within of every combination, which of them are kept, and more coordinates."""
    more: dict[str, tuple[Array, Any]] = {}
    if arrangement.layout is None:
        outer = times.values["valid"]
        within, kept = np.zeros(len(outer), np.int64), np.arange(len(outer))
    else:
        outer, ahead = times.forecasts()
        within, kept = np.zeros(len(outer), np.int64), np.arange(len(outer))
        if arrangement.layout == "forecast":
            within = _found("lead time", ahead, arrangement.leads, "leads=")
        else:
            first, last = arrangement.lead_range or (0, 0)
            is_in = np.isin(ahead, arrangement.leads) if arrangement.leads else (ahead >= first) & (ahead <= last)
            kept = np.flatnonzero(is_in)
            about = {**times.attributes, "standard_name": _REFERENCE}
            more = {INIT: (outer, about), LEAD: (ahead, {"units": "seconds", "standard_name": _PERIOD})}
            outer = outer + ahead * SECOND
    if arrangement.members:
        numbers = times.values["member"].astype(np.int64)
        within = within * len(arrangement.members) + _found("member", numbers, arrangement.members, "members=")
    return outer, within, kept, more


def _found(what: str, values: Array, known: tuple[int, ...], argument: str) -> Array:
    places = np.searchsorted(known, values).clip(0, len(known) - 1)
    unknown = np.asarray(known)[places] != values
    if unknown.any():
        value = int(values[unknown][0])
        shown = f"{value / 3600:g} h" if what == "lead time" else value
        raise SchemaError(
            f"The {what} {shown} has no slot: it is none of {argument} Declare it there, for a dataset of its own, or "
            "leave the item out."
        )
    return np.asarray(places)


def _order(codes: Array, kept: Array, times: _Times, arrangement: Arrangement) -> Array:
    """Positions of the slots, rising; of several for one, that of the shortest lead time where it is taken."""
    if arrangement.layout is None:
        rank = np.zeros(len(codes), np.int64)
        init = rank
    else:
        init, rank = times.forecasts()
    order = kept[np.lexsort((rank[kept], codes[kept]))]
    same = np.flatnonzero(np.diff(codes[order]) == 0)
    if not len(same):
        return order
    one, other = order[same[0]], order[same[0] + 1]
    if arrangement.layout != "time" or (init[one], rank[one]) == (init[other], rank[other]):
        raise SchemaError("The item has a step twice: name what tells its steps apart, or leave it out.")
    if not arrangement.takes_shortest:
        valid = label(int(init[one] + rank[one] * SECOND), str(times.attributes.get("calendar", "standard")))
        raise SchemaError(
            f"The item has {valid} twice: {rank[one] / 3600:g} h and {rank[other] / 3600:g} h ahead. Narrow leads=, or "
            "take the shortest with duplicate='last'."
        )
    return np.asarray(order[np.concatenate([[True], np.diff(codes[order]) != 0])])


def _stacked(name: str, variable: xr.Variable, times: _Times, slot: str, order: Array, *, is_data: bool) -> xr.Variable:
    """A variable along the slots, where it lies along one of their dimensions or is a field or a time of the item."""
    along = [dim for dim in times.dims if dim in variable.dims]
    is_moving = bool(along) or is_data or _is_date(variable) or name.endswith(_STARTS)
    if not is_moving or (not along and times.dims):
        return variable
    if is_data and len(along) < len(times.dims):
        lacking = [dim for dim in times.dims if dim not in along]
        raise SchemaError(f"{name!r} lies along {along[0]!r} and not along {lacking[0]!r}: curate it by itself.")
    rest = [str(dim) for dim in variable.dims if dim not in along]
    values = variable.transpose(*along, *rest).values
    sizes = [n if dim in along else 1 for dim, n in zip(times.dims, times.shape, strict=True)]
    n_rest = values.shape[len(along) :]
    whole = np.broadcast_to(values.reshape(*sizes, *n_rest), (*times.shape, *n_rest))
    about = {**variable.attrs, "units": EPOCH_UNITS} if _is_date(variable) else variable.attrs
    return variable_of((slot, *rest), whole.reshape(-1, *n_rest)[order], about)
