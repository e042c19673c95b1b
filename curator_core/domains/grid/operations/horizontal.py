"""Where the points of fields lie: on latitudes by longitudes, on a curved grid, or anywhere.

References
----------
CF conventions 1.11, chapter 4 (latitude, longitude) and section 5.2 (two-dimensional coordinates).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from curator_core.domains.grid.axes import axis_of
from curator_core.filters.values import FieldError

if TYPE_CHECKING:
    import xarray as xr

Floats = npt.NDArray[np.float64]
Horizontal = Literal["latitude", "longitude"]
Kind = Literal["regular", "curved", "points"]

_NAMES: Final = {"latitude": ("lat", "latitude", "nav_lat"), "longitude": ("lon", "longitude", "nav_lon")}
"""Of coordinates that have no units."""
_OTHER: Final = ("grid_latitude", "grid_longitude", "projection_y_coordinate", "projection_x_coordinate")
"""Standard names of coordinates on axes like those, which are no latitudes and longitudes."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The points on which some fields of a dataset lie."""

    latitude: str
    """Name of the latitudes."""
    longitude: str
    """Name of the longitudes."""
    dims: tuple[str, ...]
    """Dimensions of the points: of latitude and longitude on a regular grid, two of a curved one, one of points."""
    kind: Kind
    """``regular``: latitudes by longitudes; ``curved``: both along two dimensions; ``points``: both along one."""

    def degrees(self, dataset: xr.Dataset) -> tuple[Floats, Floats]:
        """Latitudes and longitudes in degrees, along their own dimensions, those of a curved grid along `dims`."""
        return self._degrees(dataset, self.latitude), self._degrees(dataset, self.longitude)

    def _degrees(self, dataset: xr.Dataset, name: str) -> Floats:
        variable = dataset.variables[name]
        if self.kind == "curved":
            variable = variable.transpose(*self.dims)
        values = in_degrees(variable.values, variable.attrs.get("units"))
        if not np.isfinite(values).all() and self.kind == "regular":
            raise FieldError(f"{name!r} has values that are missing")
        return values


def in_degrees(values: Any, units: object) -> Floats:  # noqa: ANN401 - an array
    """Angles in degrees, whose unit may be the radian."""
    found = np.asarray(values, np.float64)
    return np.degrees(found) if is_radian(units) else found


def is_radian(units: object) -> bool:
    """Whether a unit is the radian."""
    return str(units).strip().lower() in ("rad", "radian", "radians")


def grids_of(dataset: xr.Dataset) -> dict[Grid, list[str]]:
    """The grids of a dataset, with the names of the data on each; fields without places are left out.

    Raises
    ------
    FieldError
        A field has several latitudes or longitudes, none of which its attributes prefer.
    """
    found: dict[Grid, list[str]] = {}
    for name in map(str, dataset.data_vars):
        grid = grid_of(dataset, name)
        if grid is not None:
            found.setdefault(grid, []).append(name)
    return found


def required_grids(dataset: xr.Dataset) -> dict[Grid, list[str]]:
    """The same, of a dataset that has at least one grid.

    Raises
    ------
    FieldError
        It has none.
    """
    found = grids_of(dataset)
    if not found:
        shown = ", ".join(map(str, dataset.coords)) or "none"
        raise FieldError(
            f"no field has latitudes and longitudes, by their units or standard names; coordinates are {shown}. Leave "
            "it out, or name them with a filter of your own"
        )
    return found


def grid_of(dataset: xr.Dataset, name: str) -> Grid | None:
    """The grid that a field lies on; ``None`` where it has no latitudes or no longitudes."""
    latitude = _coordinate(dataset, name, "latitude")
    longitude = _coordinate(dataset, name, "longitude")
    if latitude is None or longitude is None:
        return None
    of_latitude, of_longitude = (tuple(map(str, dataset.variables[n].dims)) for n in (latitude, longitude))
    if len(of_latitude) == len(of_longitude) == 1:
        is_same = of_latitude == of_longitude
        dims = of_latitude if is_same else of_latitude + of_longitude
        return Grid(latitude, longitude, dims, "points" if is_same else "regular")
    if set(of_latitude) == set(of_longitude):
        return Grid(latitude, longitude, of_latitude, "curved")
    raise FieldError(
        f"field {name!r}: {latitude!r} lies along {of_latitude} and {longitude!r} along {of_longitude}: that is no grid"
    )


def _coordinate(dataset: xr.Dataset, name: str, axis: Horizontal) -> str | None:
    variable = dataset.variables[name]
    found = list(_candidates(dataset, name, axis))
    named = str(variable.attrs.get("coordinates", "")).split()
    for chosen in ([each for each in found if each in named], [each for each in found if each in variable.dims]):
        if len(chosen) == 1:
            return chosen[0]
    if len(found) > 1:
        raise FieldError(
            f"field {name!r} has several coordinates of {axis}, {', '.join(map(repr, found))}: let its attribute "
            "'coordinates' name one"
        )
    return found[0] if found else None


def _candidates(dataset: xr.Dataset, name: str, axis: Horizontal) -> Iterator[str]:
    dims = set(dataset.variables[name].dims)
    for key, variable in dataset.variables.items():
        if variable.ndim in (1, 2) and set(variable.dims) <= dims and key != name and _is_of(str(key), variable, axis):
            yield str(key)


def _is_of(name: str, variable: xr.Variable, axis: Horizontal) -> bool:
    if variable.dtype.kind not in "iuf" or variable.attrs.get("standard_name") in _OTHER:
        return False
    if axis_of(variable) == axis:
        return variable.attrs.get("standard_name") == axis or str(variable.attrs.get("units", "")).startswith("degree")
    return name.lower() in _NAMES[axis] and "units" not in variable.attrs


def require_no_mesh(dataset: xr.Dataset, dim: str) -> None:
    """Raise `FieldError` where a mesh says how points are connected, by their numbers."""
    for name, variable in dataset.variables.items():
        role = str(variable.attrs.get("cf_role", ""))
        if role == "mesh_topology" or role.endswith("_connectivity"):
            raise FieldError(
                f"{str(name)!r} numbers the points along {dim!r}, which would be others: choose fields without it first"
            )
