"""Stored values, decoded, as one dataset."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from curator_core.domains.grid.decoding import ENCODING, Array, Attributes, DecodingError, text, text_of
from curator_core.domains.grid.selection import Selection
from curator_core.domains.grid.stored import StoredVariable
from curator_core.domains.grid.times import EPOCH_UNITS, MISSING, TimeError, calendar_of, encode, label, rounded


def dataset_of(selection: Selection, stored: Mapping[str, Array], attributes: Attributes) -> xr.Dataset:
    """Decode the stored values of a selection, each by itself, before anything is joined.

    Raises
    ------
    DecodingError
        Values of a variable cannot be decoded.
    """
    decoded = {name: _variable(selection, name, values) for name, values in stored.items()}
    coordinates = selection.coordinates()
    data = {name: variable for name, variable in decoded.items() if name not in coordinates}
    others = {name: variable for name, variable in decoded.items() if name in coordinates}
    return xr.Dataset(data, xr.Coordinates(others, indexes={}), attributes)


def variable_of(
    dims: str | Sequence[Hashable],
    values: npt.ArrayLike,
    attributes: Mapping[Any, Any] | None = None,
    encoding: Mapping[Any, Any] | None = None,
) -> xr.Variable:
    """Values in memory as a variable, taken as they are: asked to look at them, xarray imports dask, 0.4 s of a worker.

    Parameters
    ----------
    dims
        Names of the dimensions.
    values
        Along them; no dates, which are counts here.
    attributes
        What is said of them.
    encoding
        How a file stored them.
    """
    return xr.Variable(dims, np.asarray(values), attributes, encoding, fastpath=True)


def instants(variable: StoredVariable, values: Array, units: str, calendar: object) -> Array:
    """Stored times as microseconds since 1970.

    Raises
    ------
    DecodingError
        One cannot be decoded, or a step of a dimension has none.
    """
    packing = variable.packing
    if values.dtype.kind not in "iuf":
        raise DecodingError(f"variable {variable.name!r}: its units are {units!r}, but it holds no numbers")
    numbers = packing.values(values) if packing.is_packed else packing.as_meant(values)
    missing = None if packing.is_packed else packing.missing(numbers)
    absent = ~np.isfinite(numbers) | (False if missing is None else missing)
    if variable.is_coordinate and absent.any():
        step = int(np.flatnonzero(absent)[0])
        raise DecodingError(
            f"variable {variable.name!r}: the time of step {step} is missing, or was never written "
            f"({numbers[step]!s} {units})"
        )
    found = np.full(numbers.shape, MISSING, np.int64)
    try:
        found[~absent] = encode(numbers[~absent], units, calendar)
    except TimeError as exc:
        raise DecodingError(f"variable {variable.name!r}: {exc}") from exc
    if len(variable.dims) == 1:
        _require_exact(variable.name, numbers[~absent], units, found[~absent], calendar)
    return found


def _require_exact(name: str, values: Array, units: str, instants: Array, calendar: object) -> None:
    """Raise `DecodingError` where the times of steps were rounded to what their type holds."""
    lost = rounded(values, units, instants)
    if lost.any():
        step = int(lost.argmax())
        raise DecodingError(
            f"variable {name!r}: its times are {values.dtype} in {units!r}, which holds none between "
            f"{float(values[step])} and {float(np.nextafter(values[step], np.inf, dtype=values.dtype))}, so that "
            f"{label(int(instants[step]), calendar_of(calendar))} may be another time: write them as float64"
        )


def _variable(selection: Selection, name: str, values: Array) -> xr.Variable:
    variable = selection.variables[name]
    attributes = {key: value for key, value in variable.attributes.items() if key not in ENCODING}
    encoding: dict[str, Any] = {key: value for key, value in variable.attributes.items() if key in ENCODING}
    encoding |= {"dtype": variable.dtype, **variable.encoding}
    if name in selection.times:
        units, calendar = selection.times[name]
        encoding = {"source_units": units, "source_calendar": calendar}
        decoded = instants(variable, values, units, calendar)
        attributes |= {"units": EPOCH_UNITS, "calendar": calendar_of(calendar)}
        if (decoded == MISSING).any():
            attributes["_FillValue"] = np.int64(MISSING)
    elif variable.is_text:
        decoded = _text(values, str(attributes.pop("_Encoding", "utf-8")))
    else:
        decoded = variable.packing.values(values)
    if variable.is_coordinate and decoded.dtype.kind == "f" and np.isnan(decoded).any():
        n_missing = int(np.isnan(decoded).sum())
        raise DecodingError(
            f"variable {name!r}: a coordinate of its dimension is missing, or was never written: {n_missing:,} of "
            f"{decoded.size:,}. Choose variables that do not lie along it, with variables=, or mend the file"
        )
    return variable_of(variable.decoded_dims, decoded, attributes, encoding)


def _text(values: Array, encoding: str) -> Array:
    if values.dtype == np.dtype("S1"):
        return text(values, encoding)
    flat = [text_of(item, encoding) for item in values.ravel().tolist()]
    return np.array(flat, dtype=np.str_).reshape(values.shape) if flat else np.full(values.shape, "", "U1")
