"""How the values of a variable are stored in a file: type, packing, what is missing, compression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from curator_core.datasets.aligned.schema import SchemaError
from curator_core.domains.grid.decoding import UNWRITTEN, Array, DecodingError, Packing
from curator_core.domains.grid.times import EPOCH_UNITS, MISSING
from curator_core.errors import ConfigError

if TYPE_CHECKING:
    import xarray as xr

_KNOWN: Final = ("dtype", "scale_factor", "add_offset", "_FillValue", "complevel", "chunksizes")
_SECOND: Final = 1_000_000
SECONDS: Final = "seconds since 1970-01-01"
"""What times are counted in where all of a file are whole seconds: other tools know no microseconds."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A variable as it is written."""

    values: Array
    """As they stand in the file."""
    fill: Any
    """What stands for missing values; ``None`` for nothing."""
    attributes: dict[str, Any]
    """As the file has them, without what stands for missing values."""


def checked(encoding: Mapping[str, Mapping[str, Any]], component: str) -> dict[str, dict[str, Any]]:
    """The encoding of variables by name.

    Raises
    ------
    ConfigError
        It asks for something that is not known, or contradicts itself.
    """
    for name, wanted in encoding.items():
        for key in wanted:
            if key not in _KNOWN:
                raise ConfigError(f"{component}: encoding of {name!r}: {key!r} is none of {', '.join(_KNOWN)}.")
        is_packed = "scale_factor" in wanted or "add_offset" in wanted
        try:
            dtype = np.dtype(wanted.get("dtype", "f8"))
        except TypeError as exc:
            raise ConfigError(f"{component}: encoding of {name!r}: {exc}.") from None
        if dtype.kind not in "iuf" or dtype == np.float16:
            raise ConfigError(f"{component}: encoding of {name!r}: NetCDF has no numbers of type {dtype}.")
        if is_packed and dtype.kind == "f":
            raise ConfigError(f"{component}: encoding of {name!r}: packed values need a dtype of integers, as int16.")
        _require_numbers(name, wanted, dtype, component)
        if wanted.get("scale_factor", 1) == 0:
            raise ConfigError(f"{component}: encoding of {name!r}: a scale_factor of 0 keeps nothing of the values.")
    return {name: dict(wanted) for name, wanted in encoding.items()}


def _require_numbers(name: str, wanted: Mapping[str, Any], dtype: np.dtype[Any], component: str) -> None:
    chunks = wanted.get("chunksizes", {})
    if not isinstance(chunks, Mapping) or not all(type(size) is int and size > 0 for size in chunks.values()):
        raise ConfigError(f"{component}: encoding of {name!r}: chunksizes are lengths by dimension, not {chunks!r}.")
    for key in ("scale_factor", "add_offset", "_FillValue"):
        number = wanted.get(key, 1)
        if isinstance(number, bool) or not isinstance(number, int | float | np.number):
            raise ConfigError(f"{component}: encoding of {name!r}: {key} {number!r} is no number.")
        if key != "_FillValue" and not np.isfinite(number):
            raise ConfigError(f"{component}: encoding of {name!r}: {key} is {number!r}.")
    fill = wanted.get("_FillValue", 0)
    if dtype.kind in "iu" and (fill != fill or not np.iinfo(dtype).min <= fill <= np.iinfo(dtype).max):  # noqa: PLR0124
        raise ConfigError(f"{component}: encoding of {name!r}: {dtype} has no _FillValue {fill!r}.")
    if wanted.get("complevel", 1) not in range(10):
        raise ConfigError(f"{component}: encoding of {name!r}: complevel {wanted['complevel']!r} is none of 0 to 9.")


def counts_seconds(variables: Mapping[str, xr.Variable]) -> bool:
    """Whether all times are whole seconds."""
    times = [v.values[v.values != MISSING] for v in variables.values() if v.attrs.get("units") == EPOCH_UNITS]
    return all(not (values % _SECOND).any() for values in times)


def stored(name: str, variable: xr.Variable, wanted: Mapping[str, Any], *, in_seconds: bool) -> Stored:
    """A variable as it is to be written.

    Parameters
    ----------
    name
        Its name, for messages.
    variable
        Decoded.
    wanted
        Its encoding.
    in_seconds
        Whether times are counted in seconds.

    Raises
    ------
    SchemaError
        Its values cannot be read again as they are.
    """
    values = np.asarray(variable.values)
    about = {str(k): attribute(v) for k, v in variable.attrs.items() if k not in ("_FillValue", "missing_value")}
    _require_writable(name, values, is_coordinate=variable.dims == (name,))
    is_time = about.get("units") == EPOCH_UNITS
    if is_time or values.dtype.kind not in "iuf":
        if wanted.keys() & {"dtype", "scale_factor", "add_offset", "_FillValue"} or values.dtype.kind == "c":
            what = "times" if is_time else f"values of type {values.dtype}"
            raise SchemaError(f"{name!r} has {what}, which cannot be encoded as other numbers.")
        return _times(values, about, in_seconds=in_seconds) if is_time else Stored(values, None, about)
    is_coordinate = variable.dims == (name,)
    if "scale_factor" in wanted or "add_offset" in wanted:
        found = _packed(name, values, wanted, about)
        _require_readable(name, values, found, is_coordinate=is_coordinate)
        return found
    cast = _cast(name, values, wanted)
    if (
        cast.dtype.kind in "iu"
        and not np.iinfo(cast.dtype).min <= wanted.get("_FillValue", 0) <= np.iinfo(cast.dtype).max
    ):
        raise SchemaError(f"{name!r} is of type {cast.dtype}, which has no _FillValue {wanted['_FillValue']!r}.")
    fill = wanted.get("_FillValue", np.nan if cast.dtype.kind == "f" and not is_coordinate else None)
    found = _floats(name, cast, fill, about) if cast.dtype.kind == "f" else Stored(cast, fill, about)
    _require_readable(name, cast, found, is_coordinate=is_coordinate)
    return found


def _require_writable(name: str, values: Array, *, is_coordinate: bool) -> None:
    """Raise `SchemaError` for what NetCDF has no place for, and would write otherwise."""
    if "/" in name:
        raise SchemaError(f"{name!r} would be a variable of another group: rename it.")
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:  # noqa: PLR2004 - bytes of the widest in a file
        raise SchemaError(f"{name!r} has values of type {values.dtype}: cast them to float64.")
    if values.dtype.kind == "O" and any("\0" in text for text in values.flat):
        raise SchemaError(f"{name!r} has a text with a null character, where NetCDF ends it.")
    if is_coordinate and values.dtype.kind == "f" and np.isnan(values).any():
        raise SchemaError(f"{name!r}: a coordinate of its dimension is missing.")


def _require_readable(name: str, values: Array, found: Stored, *, is_coordinate: bool) -> None:
    """Raise `SchemaError` where readers would not find the values again: a fill value, a valid range, a type."""
    kind = f"{found.values.dtype.kind}{found.values.dtype.itemsize}"
    about = found.attributes if found.fill is None else {**found.attributes, "_FillValue": found.fill}
    packing = Packing(name, found.values.dtype, about, is_coordinate, UNWRITTEN.get(kind))
    half = abs(found.attributes.get("scale_factor", 1)) * (0.5 + 1e-9) if packing.is_packed else 0.0
    try:
        again = packing.values(found.values)
    except DecodingError as exc:
        raise SchemaError(f"{name!r} could not be read again: {exc}.") from exc
    with np.errstate(all="ignore"):
        is_same = (again == values) | (np.abs(again - values) <= half)
    is_same |= (again != again) & (values != values)  # noqa: PLR0124 - NaN
    if not is_same.all():
        raise SchemaError(
            f"{name!r} has the value {values[~is_same].ravel()[0]}, which is read as {again[~is_same].ravel()[0]} from "
            f"a file with its attributes and type {found.values.dtype}: give encoding={{{name!r}: {{'dtype': ...}}}}, "
            "or another _FillValue; or leave the attribute away."
        )


def chunk_lengths(name: str, wanted: Mapping[str, int], dims: Sequence[str], sizes: Mapping[str, int]) -> list[int]:
    """Lengths of a chunk along the dimensions of a variable: those that are wanted, and else the whole dimension.

    Raises
    ------
    SchemaError
        The variable has no such dimension.
    """
    for dim in wanted:
        if dim not in dims:
            raise SchemaError(
                f"{name!r} has no dimension {dim!r}, of which chunksizes speak: it has {', '.join(dims)}."
            )
    return [min(int(wanted.get(dim, sizes[dim])), sizes[dim]) for dim in dims]


def _times(values: Array, about: dict[str, Any], *, in_seconds: bool) -> Stored:
    missing = values == MISSING
    if in_seconds:
        values, about = np.where(missing, MISSING, values // _SECOND), {**about, "units": SECONDS}
    return Stored(values, np.int64(MISSING) if missing.any() else None, about)


def _floats(name: str, values: Array, fill: Any, about: dict[str, Any]) -> Stored:  # noqa: ANN401 - a number
    missing = np.isnan(values)
    if fill is None or np.isnan(fill):
        return Stored(values, None if fill is None else values.dtype.type(fill), about)
    fill = values.dtype.type(fill)
    if (values == fill).any():
        raise SchemaError(f"{name!r} has the value {fill}, which its encoding has for what is missing.")
    return Stored(np.where(missing, fill, values), fill, about)


def _cast(name: str, values: Array, wanted: Mapping[str, Any]) -> Array:
    own = np.dtype(np.float32) if values.dtype == np.float16 else values.dtype  # which NetCDF has not
    dtype = np.dtype(wanted.get("dtype", own))
    if dtype == values.dtype:
        return values
    with np.errstate(all="ignore"):
        found = values.astype(dtype)
    is_float = found.dtype.kind == values.dtype.kind == "f"
    changed = np.isinf(found) & np.isfinite(values) if is_float else found.astype(values.dtype) != values
    if changed.any():
        raise SchemaError(f"{name!r} has the value {values[changed].ravel()[0]}, which {dtype} does not hold.")
    return found


def _packed(name: str, values: Array, wanted: Mapping[str, Any], about: dict[str, Any]) -> Stored:
    """Whole numbers of a step, none further off than half of it."""
    scale, offset = float(wanted.get("scale_factor", 1.0)), float(wanted.get("add_offset", 0.0))
    dtype = np.dtype(wanted.get("dtype", "i2"))
    info = np.iinfo(dtype)
    fill = int(wanted.get("_FillValue", info.max if dtype.kind == "u" else info.min))
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)
    with np.errstate(all="ignore"):
        steps = np.rint((values.astype(np.float64) - offset) / scale)
    bad = ~missing & ~((steps >= info.min) & (steps <= info.max) & (steps != fill))
    if bad.any():
        held = sorted((info.min * scale + offset, info.max * scale + offset))
        raise SchemaError(
            f"{name!r} has the value {values[bad].ravel()[0]}, and {dtype} with its scale_factor and add_offset holds "
            f"{held[0]:g} to {held[1]:g}, without {fill} for what is missing: choose others in encoding."
        )
    found = np.where(missing, fill, steps).astype(dtype)
    return Stored(found, dtype.type(fill), {**about, "scale_factor": scale, "add_offset": offset})


def attribute(value: Any) -> Any:  # noqa: ANN401 - whatever libraries give
    """An attribute as NetCDF takes it."""
    if isinstance(value, bool | np.bool_):
        return np.int8(value)
    if isinstance(value, str | bytes | int | float | np.number):
        return value
    if isinstance(value, list | tuple | np.ndarray) and np.asarray(value).dtype.kind in "iuf":
        return np.asarray(value)
    if isinstance(value, list | tuple | np.ndarray) and all(isinstance(one, str) for one in value):
        return [str(one) for one in value]
    return str(value)
