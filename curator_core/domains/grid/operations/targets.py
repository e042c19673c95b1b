"""Regular grids that fields are brought to: declared in degrees, or those of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr

from curator_core.domains.grid.operations.cells import latitude_edges, longitude_edges
from curator_core.domains.grid.operations.horizontal import Floats, Grid, grid_of
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError

_CIRCLE: Final = 360.0
_POLE: Final = 90.0
_AXES: Final[tuple[tuple[str, str], ...]] = (("latitude", "degrees_north"), ("longitude", "degrees_east"))
_FIELD: Final = "_places"


@dataclass(frozen=True)
class Target:
    """A grid of latitudes by longitudes."""

    grid: Grid
    """Names and dimensions of its coordinates."""
    coordinates: Mapping[str, xr.Variable]
    """Latitudes and longitudes, and their bounds."""

    def degrees(self) -> tuple[Floats, Floats]:
        """Latitudes and longitudes."""
        return self.grid.degrees(self._dataset())

    def edges(self) -> tuple[Floats, Floats]:
        """Edges of rows and columns, degrees, ``(n, 2)`` each."""
        dataset = self._dataset()
        return latitude_edges(dataset, self.grid), longitude_edges(dataset, self.grid)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        rows, columns = (len(values) for values in self.degrees())
        return rows, columns

    def digest(self) -> str:
        """What identifies it."""
        found = hashlib.sha256()
        for array in (*self.degrees(), *self.edges()):
            found.update(array.tobytes())
        return found.hexdigest()

    def _dataset(self) -> xr.Dataset:
        return xr.Dataset(coords=xr.Coordinates(dict(self.coordinates), indexes={}))


def declared(to: Mapping[str, Any], name: str) -> Target:
    """The grid that a mapping describes: ``step`` and ``poles``, or ``latitude`` and ``longitude``.

    Raises
    ------
    ConfigError
        It describes none.
    """
    if set(to) - {"poles"} == {"step"}:
        values = _global(to["step"], bool(to.get("poles", False)), name)
    elif set(to) == {"latitude", "longitude"}:
        values = [_values(axis, to[axis], name) for axis, _ in _AXES]
    else:
        raise ConfigError(
            f"{name}: to must be a file, {{step: degrees, poles: false}}, or have latitude and longitude; not {to!r}."
        )
    coordinates = {
        axis: xr.Variable(axis, given, {"standard_name": axis, "units": units, "bounds": f"{axis}_bnds"})
        for (axis, units), given in zip(_AXES, values, strict=True)
    }
    bare = {axis: xr.Variable(axis, each.values, {"units": each.attrs["units"]}) for axis, each in coordinates.items()}
    found = Target(Grid("latitude", "longitude", ("latitude", "longitude"), "regular"), bare)
    try:
        edges = found.edges()
    except FieldError as exc:
        raise ConfigError(f"{name}: {exc}.") from exc
    for (axis, _), bounds in zip(_AXES, edges, strict=True):
        coordinates[f"{axis}_bnds"] = xr.Variable((axis, "bnds"), bounds)
    return Target(found.grid, coordinates)


def _global(step: object, poles: bool, name: str) -> list[Floats]:  # noqa: FBT001 - as it is declared
    if not isinstance(step, int | float) or not 0 < step <= _POLE:
        raise ConfigError(f"{name}: step must be degrees, above 0 and at most 90, got {step!r}.")
    n_rows, n_columns = round(2 * _POLE / step), round(_CIRCLE / step)
    if abs(n_columns * step - _CIRCLE) > 1e-6 or n_columns != 2 * n_rows:  # noqa: PLR2004 - twice as many as rows
        raise ConfigError(f"{name}: 180 is no whole number of steps of {step!r} degrees.")
    longitudes = np.asarray(np.arange(n_columns) * (_CIRCLE / n_columns), np.float64)
    if poles:
        return [np.linspace(_POLE, -_POLE, n_rows + 1), longitudes]
    edge = _POLE / n_rows
    return [np.linspace(_POLE - edge, edge - _POLE, n_rows), longitudes]


def _values(axis: str, given: object, name: str) -> Floats:
    if isinstance(given, Mapping) and set(given) == {"first", "last", "step"}:
        first, last, step = (float(given[key]) for key in ("first", "last", "step"))
        n_steps = round(abs(last - first) / abs(step)) if step else 0
        if not n_steps or abs(n_steps * abs(step) - abs(last - first)) > 1e-6 * abs(step):
            raise ConfigError(f"{name}: {axis} does not reach {last:g} from {first:g} in steps of {step:g}.")
        values = np.linspace(first, last, n_steps + 1)
    elif isinstance(given, Sequence) and not isinstance(given, str):
        values = np.asarray(given, np.float64)
    else:
        raise ConfigError(f"{name}: {axis} must be a list, or have first, last and step; not {given!r}.")
    steps = np.diff(values)
    if values.ndim != 1 or len(values) < 2 or not ((steps > 0).all() or (steps < 0).all()):  # noqa: PLR2004
        raise ConfigError(f"{name}: {axis} must be several numbers, ascending or descending.")
    if (axis == "latitude" and np.abs(values).max() > _POLE) or np.ptp(values) >= _CIRCLE:
        raise ConfigError(f"{name}: {axis} reaches from {values.min():g} to {values.max():g}, which is too far.")
    return values


def of_file(dataset: xr.Dataset) -> Target:
    """The grid of a dataset that has one of latitudes by longitudes.

    Raises
    ------
    FieldError
        It has none, or several.
    """
    names = {str(name) for name in dataset.data_vars} or {_FIELD}
    if names == {_FIELD}:  # coordinates alone
        dataset = dataset.assign(
            {_FIELD: xr.DataArray(np.zeros(list(dataset.sizes.values())), dims=list(dataset.sizes))}
        )
    found = {grid for name in names if (grid := grid_of(dataset, name)) is not None}
    if len(found) != 1 or (grid := next(iter(found))).kind != "regular":
        kinds = ", ".join(sorted(grid.kind for grid in found)) or "none"
        raise FieldError(f"it has no single grid of latitudes by longitudes, but {kinds}")
    coordinates = {}
    for name in (grid.latitude, grid.longitude):
        variable = dataset.variables[name].to_base_variable()
        bounds = str(variable.attrs.get("bounds", ""))
        coordinates[name] = variable
        if bounds in dataset.variables:
            coordinates[bounds] = dataset.variables[bounds].to_base_variable()
    return Target(grid, coordinates)
