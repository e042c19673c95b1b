"""Where the values of a GRIB field are: dimensions, latitudes and longitudes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import eccodes
import numpy as np
import numpy.typing as npt

from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.decoding import DecodingError
from curator_core.domains.grid.grib.headers import key_of

if TYPE_CHECKING:
    import xarray as xr

_REGULAR = frozenset({"regular_ll", "regular_gg"})
_SPECTRAL = "sh"
_MISSING = 1e20  # what ecCodes gives in place of missing values
_NONE = 2**31 - 1  # of a number that a message does not give

GRID_NAME = "grid"
"""The coordinate that says which grid it is, where messages do not say where its points are."""

Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid that fields share."""

    kind: str
    """ecCodes' ``gridType``."""
    dims: tuple[str, ...]
    """Its dimensions: latitude and longitude, y and x, or values that stand in no rows."""
    shape: tuple[int, ...]
    """Its length along each of them."""
    by_column: bool
    """Whether neighbours in a message stand in one column."""
    alternates: bool
    """Whether every other row, or column, runs backwards."""
    coordinates: dict[str, xr.Variable]
    """Latitude and longitude; none of spectral coefficients; of a grid without places, which one it is."""

    @property
    def is_unplaced(self) -> bool:
        """Whether messages do not say where its points are."""
        return GRID_NAME in self.coordinates

    def arranged(self, values: Values) -> Values:
        """Values of a message, as an array of the grid's shape."""
        if len(self.shape) == 1:
            return values
        rows = values.reshape(self.shape[::-1] if self.by_column else self.shape)
        if self.alternates:
            rows = rows.copy()
            rows[1::2] = rows[1::2, ::-1]
        return rows.T if self.by_column else rows


def grid_of(handle: int, definition: bytes) -> Grid:
    """The grid of a field.

    Parameters
    ----------
    handle
        Of its message.
    definition
        The section that defines the grid.

    Raises
    ------
    DecodingError
        ecCodes does not know it.
    """
    kind = key_of(handle, "gridType")
    if kind is None:
        raise DecodingError("its grid is none that ecCodes knows")
    n_points = int(key_of(handle, "numberOfDataPoints", 0))
    columns, rows = (int(key_of(handle, key, _NONE) or _NONE) for key in ("Ni", "Nj"))
    is_matrix = kind != _SPECTRAL and columns * rows == n_points
    dims: tuple[str, ...] = ("values",)
    if is_matrix:
        dims = ("latitude", "longitude") if kind in _REGULAR else ("y", "x")
    n_values = int(key_of(handle, "numberOfValues", n_points)) if kind == _SPECTRAL else n_points
    shape = (rows, columns) if is_matrix else (n_values,)  # of points: values do not count those a bitmap leaves out
    by_column = bool(key_of(handle, "jPointsAreConsecutive", 0))
    alternates = bool(key_of(handle, "alternativeRowScanning", 0))
    grid = Grid(str(kind), dims, shape, by_column, alternates, {})
    if kind != _SPECTRAL and not eccodes.codes_is_defined(handle, "latitudes"):
        grid.coordinates[GRID_NAME] = _identity(handle, str(kind), definition)
    elif kind != _SPECTRAL:
        straight = replace(grid, alternates=False)  # ecCodes gives places in the order of rows that do not alternate
        places = {name: straight.arranged(_places(handle, f"{name}s", shape)) for name in ("latitude", "longitude")}
        grid.coordinates.update(_coordinates(dims, places))
    return grid


def _identity(handle: int, kind: str, definition: bytes) -> xr.Variable:
    """Which grid it is: the same text for the same cells, so that fields of others do not stand beside them."""
    about: dict[str, Any] = {"long_name": "the grid, of which messages do not have latitudes and longitudes"}
    numbers = [str(key_of(handle, key, "")) for key in ("uuidOfHGrid", "numberOfGridUsed", "numberOfGridInReference")]
    if numbers[0].strip("0"):
        about |= dict(zip(("uuid", "number_of_grid_used", "number_of_grid_in_reference"), numbers, strict=True))
        text = " ".join([kind, *numbers])
    else:
        text = f"{kind} {sha256(definition).hexdigest()[:16]}"
    return variable_of((), np.array(text, np.str_), about)


def values_of(handle: int) -> Values:
    """Values of a field, in the order of the message; NaN where its bitmap or packing says that there are none."""
    can_miss = bool(key_of(handle, "bitmapPresent", 0) or key_of(handle, "missingValueManagementUsed", 0))
    if can_miss:
        eccodes.codes_set(handle, "missingValue", _MISSING)
    values = np.asarray(eccodes.codes_get_array(handle, "values", float))  # some packings have no other type
    if can_miss:
        values[values == _MISSING] = np.nan
    return values


def _places(handle: int, key: str, shape: tuple[int, ...]) -> Values:
    values = np.asarray(eccodes.codes_get_array(handle, key, float))
    if values.size != np.prod(shape):
        raise DecodingError(f"it has {values.size:,} {key} for {np.prod(shape):,} values")
    return values


def _coordinates(dims: tuple[str, ...], places: dict[str, Values]) -> dict[str, xr.Variable]:
    attributes = {
        "latitude": {"units": "degrees_north", "standard_name": "latitude"},
        "longitude": {"units": "degrees_east", "standard_name": "longitude"},
    }
    if dims == ("latitude", "longitude"):
        along = {"latitude": places["latitude"][:, 0], "longitude": places["longitude"][0]}
        return {n: variable_of((n,), np.ascontiguousarray(v), attributes[n]) for n, v in along.items()}
    return {n: variable_of(dims, np.ascontiguousarray(v), attributes[n]) for n, v in places.items()}
