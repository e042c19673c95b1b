"""Sparse weights that bring fields from one grid to another.

References
----------
First-order conservative remapping: P. W. Jones, Mon. Wea. Rev. 127, 2204 (1999). The value at a pole is the mean of the
row next to it, as the default of ESMF's bilinear regridding has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from curator_core.domains.grid.operations.cells import corners, heights, latitude_edges, longitude_edges, widths
from curator_core.domains.grid.operations.horizontal import Floats, Grid
from curator_core.domains.grid.operations.polygons import overlaps
from curator_core.domains.grid.operations.targets import Target
from curator_core.domains.grid.operations.triangles import (
    located,
    of_points,
    of_rows,
    scipy_module,
    spacings,
    tree_of,
    unit_vectors,
)
from curator_core.filters.values import FieldError

if TYPE_CHECKING:
    import xarray as xr

Method = Literal["nearest", "bilinear", "conservative"]

_CIRCLE: Final = 360.0
_POLE: Final = 90.0
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class Weights:
    """How much of each point of a grid is in each point of another."""

    matrix: Any
    """Sparse, of the points of the target by those of the source."""
    covered: Floats
    """Share of each point of the target that the source covers."""
    left_out: tuple[str, ...] = ()
    """Which cells of the source are left out, and why."""

    def apply(self, values: npt.NDArray[Any], min_valid: float) -> Floats:
        """Fields at the points of the target, ``(m, n)``, of fields at those of the source; NaN is missing."""
        is_valid = ~np.isnan(values)
        if is_valid.all():
            found, share = (self.matrix @ values.T).T, self.covered[None]
        else:
            found = (self.matrix @ np.where(is_valid, values, 0.0).T).T
            share = (self.matrix @ is_valid.T.astype(np.float64)).T
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(share >= max(min_valid - _ROUNDING, _ROUNDING), found / share, np.nan)


def weights(dataset: xr.Dataset, grid: Grid, target: Target, method: Method) -> Weights:
    """Weights from a grid of a dataset to another one.

    Raises
    ------
    FieldError
        The method does not take such a grid.
    """
    left_out: tuple[str, ...] = ()
    if method == "nearest":
        found = _nearest(dataset, grid, target)
    elif method == "conservative" and grid.kind == "regular":
        found = _conservative(dataset, grid, target)
    elif method == "conservative":
        found, left_out = _of_corners(dataset, grid, target)
    elif grid.kind == "regular":
        found = _bilinear(dataset, grid, target)
    else:
        found = _linear(dataset, grid, target)
    matrix = found.tocsr()
    matrix.sum_duplicates()
    covered = np.asarray(matrix.sum(axis=1)).ravel()
    if not covered.any():
        raise FieldError("no point of the grid that is wanted lies within that of the field")
    return Weights(matrix, covered, left_out)


def _sparse(rows: Any, columns: Any, shares: Any, shape: tuple[int, int]) -> Any:  # noqa: ANN401 - arrays, a matrix
    return scipy_module("sparse").coo_matrix((np.ravel(shares), (np.ravel(rows), np.ravel(columns))), shape=shape)


def _places(target: Target) -> Floats:
    latitudes, longitudes = np.meshgrid(*target.degrees(), indexing="ij")
    return unit_vectors(latitudes, longitudes)


def _points(dataset: xr.Dataset, grid: Grid) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Points of a grid on the unit sphere that have a place, and their numbers."""
    latitudes, longitudes = grid.degrees(dataset)
    if grid.kind == "regular":
        latitudes, longitudes = np.meshgrid(latitudes, longitudes, indexing="ij")
    known = np.flatnonzero(np.isfinite(latitudes).ravel() & np.isfinite(longitudes).ravel())
    if not len(known):
        raise FieldError(
            f"{grid.latitude!r} and {grid.longitude!r} are missing everywhere, so that no point has a place"
        )
    return unit_vectors(latitudes, longitudes)[known], known


def _nearest(dataset: xr.Dataset, grid: Grid, target: Target) -> Any:  # noqa: ANN401 - a matrix
    if grid.kind == "regular":
        latitudes, longitudes = grid.degrees(dataset)
        kept = meridians(longitudes)
        across = _nearest_1d(latitudes, latitude_edges(dataset, grid), target.degrees()[0])
        along = _nearest_1d(longitudes[kept], longitude_edges(dataset, grid)[kept], target.degrees()[1], turns=True)
        every = _sparse(np.arange(len(kept)), kept, np.ones(len(kept)), (len(kept), len(longitudes)))
        return scipy_module("sparse").kron(across, along @ every.tocsr())
    points, numbers = _points(dataset, grid)
    wanted = _places(target)
    tree = tree_of(points)
    distance, chosen = tree.query(wanted)
    found, at = np.unique(chosen, return_inverse=True)
    near = np.flatnonzero(distance <= spacings(tree, points[found])[at] + _ROUNDING)
    shape = len(wanted), _size(dataset, grid)
    return _sparse(near, numbers[chosen[near]], np.ones(len(near)), shape)


def _nearest_1d(values: Floats, edges: Floats, wanted: Floats, *, turns: bool = False) -> Any:  # noqa: ANN401 - a matrix
    """The nearest of values within the edges of their cells."""
    distance = wanted[:, None] - values[None]
    if turns:
        distance = (distance + _CIRCLE / 2) % _CIRCLE - _CIRCLE / 2
    chosen = np.abs(distance).argmin(axis=1)
    at = values[chosen] + distance[np.arange(len(wanted)), chosen]
    slack = 1e-6 * float(np.median(np.ptp(edges, axis=1)))
    inside = np.flatnonzero((at >= edges[chosen, 0] - slack) & (at <= edges[chosen, 1] + slack))
    return _sparse(inside, chosen[inside], np.ones(len(inside)), (len(wanted), len(values))).tocsr()


def _linear(dataset: xr.Dataset, grid: Grid, target: Target) -> Any:  # noqa: ANN401 - a matrix
    """Between the corners of triangles, of a curved grid or of points."""
    points, numbers = _points(dataset, grid)
    wanted = _places(target)
    shape = len(wanted), _size(dataset, grid)
    if grid.kind == "curved" and len(numbers) == shape[1]:
        rows, columns = grid.degrees(dataset)[0].shape
        triangles = of_rows((rows, columns))
    else:
        triangles = of_points(points)
    corners, shares = located(triangles, points, wanted)
    inside = np.flatnonzero(corners[:, 0] >= 0)
    return _sparse(np.repeat(inside, 3), numbers[corners[inside]], shares[inside], shape)


def _bilinear(dataset: xr.Dataset, grid: Grid, target: Target) -> Any:  # noqa: ANN401 - a matrix
    latitudes, longitudes = grid.degrees(dataset)
    wanted = target.degrees()
    columns = meridians(longitudes)
    is_round = _is_round(longitudes[columns])
    along = _linear_1d(longitudes, columns, wanted[1], period=_CIRCLE if is_round else None)
    order = np.argsort(latitudes, kind="stable")
    across = _linear_1d(latitudes, order, wanted[0])
    kron = scipy_module("sparse").kron
    found = kron(across, along)
    if is_round:
        mean = np.zeros((len(wanted[1]), len(longitudes)))
        mean[:, columns] = 1.0 / len(columns)
        for row, sign in ((order[-1], 1.0), (order[0], -1.0)):
            own, polar = _towards_pole(latitudes, row, sign, wanted[0])
            found = found + kron(own, along) + kron(polar, scipy_module("sparse").coo_matrix(mean))
    return found


def _towards_pole(latitudes: Floats, row: int, sign: float, wanted: Floats) -> tuple[Any, Any]:
    """Weights of the last row, and of its mean, in the rows between it and the pole."""
    gap = _POLE - sign * latitudes[row]
    beyond = np.flatnonzero(sign * wanted > sign * latitudes[row] + _ROUNDING)
    share = (sign * wanted[beyond] - sign * latitudes[row]) / gap if gap > 0 else np.zeros(len(beyond))
    shape = len(wanted), len(latitudes)
    at = np.full(len(beyond), row)
    return _sparse(beyond, at, 1.0 - share, shape), _sparse(beyond, at, share, shape)


def _linear_1d(values: Floats, order: npt.NDArray[np.intp], wanted: Floats, period: float | None = None) -> Any:  # noqa: ANN401 - a matrix
    """Linear interpolation between neighbours; none outside, but for the rounding of coordinates."""
    known, first = values[order], wanted
    if period is not None:
        first = known[0] + (wanted - known[0]) % period
        known, order = np.append(known, known[0] + period), np.append(order, order[0])
    elif np.ptp(values) < _CIRCLE and (first.max() > known[-1] or first.min() < known[0]):
        first = _turned(first, known[0], known[-1])
    slack = 1e-6 * float(np.median(np.diff(known))) if len(known) > 1 else 1e-6
    inside = np.flatnonzero((first >= known[0] - slack) & (first <= known[-1] + slack))
    shape = len(wanted), len(values)
    if len(known) == 1:
        return _sparse(inside, np.full(len(inside), order[0]), np.ones(len(inside)), shape)
    at = np.clip(first[inside], known[0], known[-1])
    after = np.clip(np.searchsorted(known, at, side="right"), 1, len(known) - 1)
    share = (at - known[after - 1]) / (known[after] - known[after - 1])
    rows = np.concatenate([inside, inside])
    return _sparse(rows, np.concatenate([order[after - 1], order[after]]), np.concatenate([1.0 - share, share]), shape)


def _turned(wanted: Floats, low: float, high: float) -> Floats:
    """Angles by whole turns nearer to a range, where they lie in it then."""
    turned = low + (wanted - low) % _CIRCLE
    return np.where(turned <= high, turned, wanted)


def meridians(longitudes: Floats) -> npt.NDArray[np.intp]:
    """Columns from west to east, without those that are there twice, a turn apart.

    Raises
    ------
    FieldError
        Longitudes are not monotonic within a turn.
    """
    steps = np.diff(longitudes)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise FieldError("longitudes are not monotonic: crop the grid, which puts them in order")
    order = np.argsort(longitudes, kind="stable")
    spacing = float(np.median(np.abs(steps))) if len(steps) else _CIRCLE
    kept = longitudes[order] < longitudes[order[0]] + _CIRCLE - 1e-3 * spacing
    return np.asarray(order[kept], np.intp)


def _is_round(longitudes: Floats) -> bool:
    """Whether columns, from west to east, go all around the globe."""
    if len(longitudes) < 2:  # noqa: PLR2004 - two have a spacing
        return False
    spacing = float(np.median(np.diff(longitudes)))
    return float(longitudes[0] + _CIRCLE - longitudes[-1]) <= 1.5 * spacing


def _conservative(dataset: xr.Dataset, grid: Grid, target: Target) -> Any:  # noqa: ANN401 - a matrix
    rows, columns = target.edges()
    edges = latitude_edges(dataset, grid)
    sines, wanted = np.sin(np.radians(edges)), np.sin(np.radians(rows))
    sparse = scipy_module("sparse")
    across = _overlap(wanted, sines) / heights(rows)[:, None]
    _, longitudes = grid.degrees(dataset)
    kept = meridians(longitudes)
    given = longitude_edges(dataset, grid)[kept]
    turns = np.arange(-2, 3) * _CIRCLE
    start = given[:, 0].min()
    shifted = columns - _CIRCLE * np.floor((columns[:, :1] - start) / _CIRCLE)
    along = np.zeros((len(columns), len(longitudes)))
    along[:, kept] = sum(_overlap(shifted, given + turn) for turn in turns)
    along /= (columns[:, 1] - columns[:, 0])[:, None]
    return sparse.kron(sparse.coo_matrix(across), sparse.coo_matrix(along))


def _of_corners(dataset: xr.Dataset, grid: Grid, target: Target) -> tuple[Any, tuple[str, ...]]:
    """Conservative weights of cells of any shape, and which are left out."""
    rows, columns = target.edges()
    latitudes, longitudes = grid.degrees(dataset)
    centres = latitudes.ravel(), longitudes.ravel()
    targets, cells, areas, left_out = overlaps(corners(dataset, grid), centres, rows, columns)
    whole = np.outer(heights(rows), widths(columns)).ravel()
    return _sparse(targets, cells, areas / whole[targets], (len(whole), _size(dataset, grid))), left_out


def _overlap(wanted: Floats, given: Floats) -> Floats:
    """Length that intervals have in common, ``(n, m)``."""
    low = np.maximum(wanted[:, None, 0], given[None, :, 0])
    high = np.minimum(wanted[:, None, 1], given[None, :, 1])
    return np.asarray(np.clip(high - low, 0.0, None), np.float64)


def _size(dataset: xr.Dataset, grid: Grid) -> int:
    size = 1
    for dim in grid.dims:
        size *= dataset.sizes[dim]
    return size
