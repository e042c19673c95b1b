"""Filter that keeps a box of grids: of latitudes, longitudes, levels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.operations.grid_filter import GridFilter, rebuilt
from curator_core.domains.grid.operations.horizontal import Floats, Grid, is_radian, require_no_mesh, required_grids
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError

if TYPE_CHECKING:
    import xarray as xr

_CIRCLE: Final = 360.0
_NORTHERNMOST: Final = 90.0
Positions = npt.NDArray[np.intp]


class CropFilter(GridFilter):
    """Keeps the points of a box, and some levels.

    Points on the edge of the box are in it. Longitudes are those from west to east, also across the date line or
    Greenwich, whether files count from -180 or from 0; on a grid of latitudes by longitudes they come in this order,
    numbered from the western edge, and a meridian that is there twice comes once. Of a curved grid the smallest block
    of rows and columns is kept that has all points of the box.

    Parameters
    ----------
    latitude
        Southern and northern edge, degrees.
    longitude
        Western and eastern edge, degrees; ``[170, -170]`` lies across the date line.
    levels
        Values of coordinates that are kept, in this order, such as ``{"level": [850, 500]}``, in the unit of the file.
    ranges
        Least and largest value that is kept, by coordinate.

    Raises
    ------
    ConfigError
        Nothing is cropped, or an edge is none.
    """

    name: ClassVar[str] = "crop"
    description: ClassVar[str] = "Grids within a box of latitudes and longitudes, and on some levels"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        latitude: Sequence[float] | None = None,
        longitude: Sequence[float] | None = None,
        *,
        levels: Mapping[str, Sequence[float]] | None = None,
        ranges: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self._latitude = None if latitude is None else self._pair("latitude", latitude)
        self._longitude = None if longitude is None else self._pair("longitude", longitude, is_ordered=False)
        self._levels = {name: np.asarray(values, np.float64) for name, values in (levels or {}).items()}
        self._ranges = {name: self._pair(f"ranges[{name!r}]", pair) for name, pair in (ranges or {}).items()}
        if self._latitude is None and self._longitude is None and not self._levels and not self._ranges:
            raise ConfigError(f"{self.name}: give latitude, longitude, levels or ranges.")
        if self._latitude is not None and not -_NORTHERNMOST <= self._latitude[0] <= self._latitude[1] <= _NORTHERNMOST:
            raise ConfigError(f"{self.name}: latitude must lie between -90 and 90, got {list(self._latitude)!r}.")
        for name, values in self._levels.items():
            if not len(values) or len(np.unique(values)) < len(values) or name in self._ranges:
                raise ConfigError(f"{self.name}: levels[{name!r}] must name different values, and ranges not the same.")

    def _pair(self, what: str, given: Sequence[float], *, is_ordered: bool = True) -> tuple[float, float]:
        if len(given) != 2 or not np.isfinite(given).all() or (is_ordered and given[0] > given[1]):  # noqa: PLR2004
            raise ConfigError(f"{self.name}: {what} must be two numbers, the smaller first, got {list(given)!r}.")
        return float(given[0]), float(given[1])

    def wanted(self) -> Collection[str]:
        return [*self._levels, *self._ranges]

    def changed(self, dataset: xr.Dataset) -> xr.Dataset:
        positions: dict[str, Positions] = {}
        shifts: dict[str, Floats] = {}
        if self._latitude is not None or self._longitude is not None:
            for grid in required_grids(dataset):
                found = self._regular(dataset, grid, shifts) if grid.kind == "regular" else self._block(dataset, grid)
                for dim, kept in found.items():
                    if not np.array_equal(positions.setdefault(dim, kept), kept):
                        raise FieldError(
                            f"grids of the item share {dim!r}, of which the box has other points on each: choose "
                            "fields of one grid first"
                        )
        for name in (*self._levels, *self._ranges):
            if name in dataset.variables:
                dim, kept = self._along(name, dataset.variables[name])
                positions[dim] = kept
        return _taken(dataset, positions, shifts)

    def _regular(self, dataset: xr.Dataset, grid: Grid, shifts: dict[str, Floats]) -> dict[str, Positions]:
        latitudes, longitudes = grid.degrees(dataset)
        found: dict[str, Positions] = {}
        if self._latitude is not None:
            slack = _slack(dataset.variables[grid.latitude])
            is_in = (latitudes >= self._latitude[0] - slack) & (latitudes <= self._latitude[1] + slack)
            found[grid.dims[0]] = _some(np.flatnonzero(is_in), "latitude", self._latitude, latitudes)
        if self._longitude is not None:
            slack = _slack(dataset.variables[grid.longitude])
            offset, reach = _eastward(longitudes, self._longitude, slack)
            order = np.argsort(offset, kind="stable")
            order = order[offset[order] <= reach + slack]
            order = order[np.diff(offset[order], prepend=-_CIRCLE) > slack]
            if len(order) > 1 and offset[order[-1]] - offset[order[0]] >= _CIRCLE - slack:  # the first meridian again
                order = order[:-1]
            found[grid.dims[1]] = _some(order, "longitude", self._longitude, longitudes)
            turns = np.rint((self._longitude[0] + offset - longitudes) / _CIRCLE)
            shifts[grid.dims[1]] = _CIRCLE * turns[order]
        return found

    def _block(self, dataset: xr.Dataset, grid: Grid) -> dict[str, Positions]:
        latitudes, longitudes = grid.degrees(dataset)
        is_in = np.isfinite(latitudes) & np.isfinite(longitudes)
        if self._latitude is not None:
            slack = _slack(dataset.variables[grid.latitude])
            is_in &= (latitudes >= self._latitude[0] - slack) & (latitudes <= self._latitude[1] + slack)
        if self._longitude is not None:
            slack = _slack(dataset.variables[grid.longitude])
            offset, reach = _eastward(longitudes, self._longitude, slack)
            is_in &= offset <= reach + slack
        if not is_in.any():
            raise FieldError(f"no point of the grid lies in {self._shown()}")
        if grid.kind == "points":
            require_no_mesh(dataset, grid.dims[0])
            return {grid.dims[0]: np.flatnonzero(is_in)}
        rows, columns = (np.flatnonzero(is_in.any(axis=axis)) for axis in (1, 0))
        return {dim: np.arange(found[0], found[-1] + 1) for dim, found in zip(grid.dims, (rows, columns), strict=True)}

    def _shown(self) -> str:
        edges = {"latitude": self._latitude, "longitude": self._longitude}
        return " and ".join(f"{name} {list(pair)}" for name, pair in edges.items() if pair is not None)

    def _along(self, name: str, variable: xr.Variable) -> tuple[str, Positions]:
        if variable.ndim != 1:
            raise FieldError(f"{name!r} has the dimensions {variable.dims}: levels and ranges are along a single one")
        values = np.asarray(variable.values, np.float64)
        dim = str(variable.dims[0])
        if name in self._ranges:
            low, high = self._ranges[name]
            return dim, _some(np.flatnonzero((values >= low) & (values <= high)), name, (low, high), values)
        wanted = self._levels[name]
        is_same = np.isclose(values[None], wanted[:, None], rtol=1e-6, atol=0.0)
        for value, same in zip(wanted, is_same, strict=True):
            if np.count_nonzero(same) != 1:
                raise FieldError(
                    f"{name!r} has the value {value:g} {np.count_nonzero(same)} times; it has {_listed(values)}"
                )
        return dim, is_same.argmax(axis=1)


def _taken(dataset: xr.Dataset, positions: Mapping[str, Positions], shifts: Mapping[str, Floats]) -> xr.Dataset:
    """Some points of a dataset, whose longitudes are counted otherwise by whole turns."""
    cut = dataset.isel(positions)
    variables = {str(name): variable.to_base_variable() for name, variable in cut.variables.items()}
    for variable in variables.values():
        if positions.keys() & set(variable.dims):
            variable.attrs.pop("actual_range", None)
    for dim, shift in shifts.items():
        for grid in (each for each in required_grids(cut) if each.kind == "regular" and each.dims[1] == dim):
            bounds = str(variables[grid.longitude].attrs.get("bounds", ""))
            radians = is_radian(variables[grid.longitude].attrs.get("units"))
            for name in (grid.longitude, bounds):
                if name in variables and shift.any():
                    variables[name] = _shifted(variables[name], dim, np.radians(shift) if radians else shift)
    return rebuilt(dataset, variables, moved=True)


def _shifted(variable: xr.Variable, dim: str, shift: Floats) -> xr.Variable:
    along = shift.reshape([-1 if each == dim else 1 for each in variable.dims])
    values = (np.asarray(variable.values, np.float64) + along).astype(variable.dtype)
    return variable_of(variable.dims, values, variable.attrs, variable.encoding)


def _eastward(longitudes: Floats, edges: tuple[float, float], slack: float) -> tuple[Floats, float]:
    """How far east of the western edge each longitude is, and the eastern edge; degrees."""
    west, east = edges
    reach = _CIRCLE if east - west >= _CIRCLE or east == west else (east - west) % _CIRCLE
    offset = (longitudes - west) % _CIRCLE
    return np.where(offset > _CIRCLE - slack, offset - _CIRCLE, offset), reach


def _slack(variable: xr.Variable) -> float:
    """By how much a coordinate may lie outside for the rounding of its type, degrees."""
    return 2.0 * float(np.spacing(np.float32(_CIRCLE))) if variable.dtype.itemsize <= 4 else 1e-9  # noqa: PLR2004


def _some(kept: Positions, what: str, edges: tuple[float, float], values: Floats) -> Positions:
    if not len(kept):
        raise FieldError(f"no {what} of the grid lies in {list(edges)}; it has {_listed(values)}")
    return kept


def _listed(values: Any) -> str:  # noqa: ANN401 - an array
    shown = [f"{value:g}" for value in np.ravel(values)[:8]]
    return ", ".join(shown) + (f", … {np.ravel(values)[-1]:g}" if np.size(values) > len(shown) else "")
