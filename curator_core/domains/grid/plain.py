"""Variables of an item in types that are stored: times as counts, texts as objects, numbers that mean themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from curator_core.datasets.aligned.axis import REFORM
from curator_core.datasets.aligned.codec import Array, grid_fill
from curator_core.datasets.aligned.schema import SchemaError, SlotArray
from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.axes import named_variables
from curator_core.domains.grid.times import EPOCH_UNITS, MISSING, calendar_of, counts_time, encode
from curator_core.formats.arrays import TEXT

if TYPE_CHECKING:
    import xarray as xr


def plain(name: str, variable: xr.Variable) -> xr.Variable:
    """A variable in a type that is stored: times as counts, texts as objects."""
    return _of_one_calendar(_stored(name, variable))


def _of_one_calendar(variable: xr.Variable) -> xr.Variable:
    """Times since the reform of the calendar are ``standard``, which they are in ``proleptic_gregorian``, too."""
    if variable.attrs.get("units") != EPOCH_UNITS or variable.attrs.get("calendar") != "proleptic_gregorian":
        return variable
    known = variable.values[variable.values != MISSING]
    if not (known >= REFORM).all():
        return variable
    return variable_of(variable.dims, variable.values, {**variable.attrs, "calendar": "standard"})


def _stored(name: str, variable: xr.Variable) -> xr.Variable:
    values, about = np.asarray(variable.values), variable.attrs
    _require_decoded(name, values, about)
    kind = values.dtype.kind
    if kind in "Mm" or (kind == "O" and values.size and hasattr(values.flat[0], "calendar")):
        values, about = _counts(values, about)
    elif kind in "SU" or (kind == "O" and all(isinstance(v, str) for v in values.flat)):
        values = (np.char.decode(values) if kind == "S" else values).astype(object)
    elif kind not in "biufc":
        raise SchemaError(f"{name!r} has values of type {values.dtype}, which cannot be stored.")
    elif counts_time(about.get("units")) and about["units"] != EPOCH_UNITS:
        calendar = calendar_of(about.get("calendar"))
        values = encode(values, about["units"], calendar)
        about = {**about, "units": EPOCH_UNITS, "calendar": calendar}
    else:
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return variable_of(variable.dims, values, about)


def flags(variable: xr.Variable) -> xr.Variable:
    """Truth values as small integers, which have a value for what is absent; others as they are."""
    if variable.dtype.kind != "b":
        return variable
    about = {"flag_values": [0, 1], "flag_meanings": "false true", **variable.attrs}
    return variable_of(variable.dims, variable.values.astype(np.int8), about)


def _counts(values: Any, attributes: Mapping[Any, Any]) -> tuple[Array, dict[Any, Any]]:  # noqa: ANN401 - of dates, too
    """Dates, or lengths of time, as microseconds."""
    if values.dtype.kind == "m":
        return values.astype("timedelta64[us]").astype(np.int64), {**attributes, "units": "microseconds"}
    about = {**attributes, "units": EPOCH_UNITS, "calendar": "proleptic_gregorian"}
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]").astype(np.int64), about
    import cftime  # noqa: PLC0415 - of dates alone

    calendar = calendar_of(values.flat[0].calendar)
    return np.asarray(cftime.date2num(values, EPOCH_UNITS, calendar), np.int64), {**about, "calendar": calendar}


def _require_decoded(name: str, values: Array, attributes: Mapping[Any, Any]) -> None:
    """Raise `SchemaError` where attributes say that values mean others, or that some of them are missing."""
    packed = [key for key in ("scale_factor", "add_offset") if key in attributes]
    fills = [attributes[key] for key in ("_FillValue", "missing_value") if key in attributes]
    is_number = values.dtype.kind in "iuf"
    is_filled = is_number and not counts_time(attributes.get("units")) and any(np.isin(values, f).any() for f in fills)
    if packed or is_filled:
        why = packed[0] if packed else f"values that are missing by its _FillValue, {fills[0]}"
        raise SchemaError(f"{name!r} has {why}: decode it first, as xarray.decode_cf does.")


def numbers(values: Array) -> Array:
    """Numbers in the widest type of their kind, so that items differ in no more than their values."""
    if values.dtype.kind == "u" and values.size and int(values.max()) > np.iinfo(np.int64).max:
        raise SchemaError(f"The slot {values.max()} is too large a number.")
    return np.asarray(values, np.float64 if values.dtype.kind == "f" else np.int64)


def with_units_of_bounds(variables: dict[str, xr.Variable]) -> dict[str, xr.Variable]:
    """The same, with units and calendar of times on their bounds, which need not say them (CF, 7.1)."""
    found = dict(variables)
    for variable in variables.values():
        units = variable.attrs.get("units")
        for name in named_variables(variable.attrs, ("bounds", "climatology")) if counts_time(units) else ():
            bounds = found.get(name)
            if bounds is not None and bounds.dtype.kind in "iuf" and "units" not in bounds.attrs:
                about = {key: variable.attrs[key] for key in ("units", "calendar") if key in variable.attrs}
                found[name] = variable_of(bounds.dims, bounds.values, {**bounds.attrs, **about})
    return found


def as_asked(values: Array, array: SlotArray) -> Array:
    """Values in the type in which they are stored.

    Raises
    ------
    SchemaError
        It does not hold them, or one of them would be taken for what is absent.
    """
    if array.dtype != TEXT and values.dtype != np.dtype(array.dtype):
        values = _cast(values, array)
    fill = grid_fill(array.dtype)
    if values.dtype.kind in "iu" and not counts_time(array.attributes.get("units")) and (values == fill).any():
        wider = "uint16" if array.dtype == "uint8" else f"int{min(64, 16 * values.dtype.itemsize)}"
        raise SchemaError(
            f"{array.name!r} has the value {fill}, which stands for what is absent in a dataset of {array.dtype}: give "
            f"the sink dtype={{{array.name!r}: {wider!r}}}."
        )
    return values


def _cast(values: Array, array: SlotArray) -> Array:
    """Values in the type that was asked for.

    Raises
    ------
    SchemaError
        It does not hold them: another whole number, or infinite.
    """
    with np.errstate(all="ignore"):
        found = values.astype(array.dtype)
    is_float = found.dtype.kind == values.dtype.kind == "f"
    changed = np.isinf(found) & np.isfinite(values) if is_float else found.astype(values.dtype) != values
    if changed.any():
        raise SchemaError(
            f"{array.name!r} has the value {values[changed].ravel()[0]}, which the type {array.dtype} that was asked "
            "for does not hold."
        )
    return found
