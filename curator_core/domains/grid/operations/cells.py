"""Cells around the points of a regular grid: their edges, and shares of the sphere that they cover."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from curator_core.domains.grid.operations.horizontal import Floats, Grid, in_degrees
from curator_core.filters.values import FieldError

if TYPE_CHECKING:
    import xarray as xr

_CIRCLE: Final = 360.0
_POLE: Final = 90.0
_TWO: Final = 2
_SLACK: Final = 1e-6
"""Degrees by which rounding takes a corner beyond a pole."""


def latitude_edges(dataset: xr.Dataset, grid: Grid) -> Floats:
    """Southern and northern edge of each row, degrees, ``(n, 2)``: the bounds of the file, else half way between rows.

    The outermost rows without bounds reach as far beyond their points as to their neighbours, and no farther than the
    pole; to the pole where less than half a row is left, as on a Gaussian grid.

    Raises
    ------
    FieldError
        Latitudes are not monotonic, or there is a single one without bounds.
    """
    given = _bounds(dataset, grid.latitude)
    if given is not None:
        return np.clip(given, -_POLE, _POLE)
    latitudes = grid.degrees(dataset)[0]
    found = midpoints(latitudes, grid.latitude)
    for row, sign in ((int(latitudes.argmax()), 1.0), (int(latitudes.argmin()), -1.0)):
        edge = found[row].max() if sign > 0 else found[row].min()
        if _POLE - sign * edge < np.ptp(found[row]) / 2:  # of a Gaussian grid, whose rows are spaced almost evenly
            found[row, 1 if sign > 0 else 0] = sign * _POLE
    return np.clip(found, -_POLE, _POLE)


def longitude_edges(dataset: xr.Dataset, grid: Grid) -> Floats:
    """Western and eastern edge of each column, degrees, ``(n, 2)``, as those of latitudes."""
    given = _bounds(dataset, grid.longitude)
    return midpoints(grid.degrees(dataset)[1], grid.longitude) if given is None else given


def _bounds(dataset: xr.Dataset, name: str) -> Floats | None:
    about = dataset.variables[name]
    bounds = dataset.variables.get(about.attrs.get("bounds"))
    if bounds is None or bounds.ndim != _TWO or bounds.shape[-1] != _TWO or bounds.dims[0] != about.dims[0]:
        return None
    found = in_degrees(bounds.values, bounds.attrs.get("units", about.attrs.get("units")))
    return np.sort(found, axis=1)


def corners(dataset: xr.Dataset, grid: Grid) -> tuple[Floats, Floats]:
    """Latitudes and longitudes of the corners of the cells of a curved grid, or of points, degrees, ``(n, n_corners)``.

    They are the bounds of the coordinates (CF, 7.1).

    Raises
    ------
    FieldError
        The file has none.
    """
    found = []
    for name in (grid.latitude, grid.longitude):
        about = dataset.variables[name]
        bounds = dataset.variables.get(about.attrs.get("bounds"))
        others = [] if bounds is None else [dim for dim in bounds.dims if dim not in grid.dims]
        if bounds is None or len(others) != 1 or bounds.ndim != len(grid.dims) + 1 or bounds.shape[-1] <= _TWO:
            raise FieldError(
                f"{name!r} has no bounds with the corners of its cells, along {grid.dims} and one dimension more, so "
                "that cells have no area: use method='bilinear' or 'nearest'"
            )
        values = bounds.transpose(*grid.dims, *others).values
        angles = in_degrees(values, bounds.attrs.get("units", about.attrs.get("units")))
        found.append(angles.reshape(-1, values.shape[-1]))
    latitudes, longitudes = found
    if latitudes.shape != longitudes.shape or (np.abs(latitudes) > _POLE + _SLACK).any():
        raise FieldError(
            f"the bounds of {grid.latitude!r} and {grid.longitude!r} have {latitudes.shape[1]} and "
            f"{longitudes.shape[1]} corners, and latitudes up to {np.nanmax(np.abs(latitudes)):g} degrees"
        )
    return latitudes, longitudes


def midpoints(values: Floats, name: str) -> Floats:
    """Edges half way between values, which are monotonic, in ascending order of each cell: ``(n, 2)``.

    Raises
    ------
    FieldError
        They are not monotonic, or there is a single one.
    """
    if len(values) < _TWO:
        raise FieldError(f"{name!r} has a single value and no bounds, so that nobody knows how wide its cell is")
    steps = np.diff(values)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise FieldError(f"{name!r} is not monotonic, so that its cells have no edges half way between")
    between = (values[1:] + values[:-1]) / 2
    edges = np.concatenate([[values[0] - steps[0] / 2], between, [values[-1] + steps[-1] / 2]])
    return np.sort(np.stack([edges[:-1], edges[1:]], axis=1), axis=1)


def heights(edges: Floats) -> Floats:
    """Share of the way from pole to pole, along the axis of the globe, that rows cover: twice the share of its area.

    The area of a zone is proportional to the difference of the sines of its latitudes (Archimedes).
    """
    south, north = np.sin(np.radians(edges)).T
    return np.asarray(north - south, np.float64)


def widths(edges: Floats) -> Floats:
    """Width of columns, radians."""
    return np.asarray(np.radians(edges[:, 1] - edges[:, 0]), np.float64)
