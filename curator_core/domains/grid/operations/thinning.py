"""Filter that leaves every n-th point of grids, or means of n by n cells."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.operations.cells import heights, latitude_edges, longitude_edges, widths
from curator_core.domains.grid.operations.grid_filter import (
    GridFilter,
    as_floats,
    other_values,
    rebuilt,
    require_mean,
    with_method,
    without_references,
)
from curator_core.domains.grid.operations.horizontal import Floats, Grid, is_radian, require_no_mesh, required_grids
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError

if TYPE_CHECKING:
    import xarray as xr


class ThinFilter(GridFilter):
    """Every n-th point of grids, or the mean over n neighbours.

    Points that stay keep their values, coordinates and bounds. Means are those of a regular grid of latitudes by
    longitudes, weighted by the area of cells on the sphere; their cells reach over all of those that they are of, which
    new bounds say, and ``cell_methods`` ends in ``area: mean``. Other coordinates along these dimensions, such as areas
    of cells, are left out then.

    Parameters
    ----------
    every
        Number of points for each that stays, along all dimensions of the grid, or by dimension, of levels and times,
        too, where points are left out.
    method
        ``sample``: the first of them stays. ``mean``: their mean.
    boundary
        For ``mean``, where a length is no whole number of them: ``fail``, or ``trim`` the last points.
    min_valid
        For ``mean``: least share of the area that must have values; where there is less, the mean is missing.

    Raises
    ------
    ConfigError
        Nothing would be left out, or a share is none.
    """

    name: ClassVar[str] = "thin"
    description: ClassVar[str] = "Every n-th point of grids, or means of their neighbours"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        every: int | Mapping[str, int],
        method: Literal["sample", "mean"] = "sample",
        *,
        boundary: Literal["fail", "trim"] = "fail",
        min_valid: float = 0.5,
    ) -> None:
        numbers = list(every.values()) if isinstance(every, Mapping) else [every]
        if not numbers or any(number < 1 for number in numbers) or max(numbers) == 1:
            raise ConfigError(f"{self.name}: every must be numbers of points, some of them larger than 1.")
        if not 0.0 < min_valid <= 1.0:
            raise ConfigError(f"{self.name}: min_valid must be above 0 and at most 1, got {min_valid!r}.")
        self._every, self._method, self._boundary, self._min_valid = every, method, boundary, min_valid

    def wanted(self) -> Collection[str]:
        return list(self._every) if isinstance(self._every, Mapping) else ()

    def names_in(self, fields: Any) -> Collection[str]:  # noqa: ANN401 - fields of a dataset
        """Of dimensions, too."""
        known = fields.known()
        return dict.fromkeys([*known, *(dim for name in known for dim in fields.dims(name))])

    def changed(self, dataset: xr.Dataset) -> xr.Dataset:
        steps = self._steps(dataset)
        if self._method == "mean":
            return self._means(dataset, steps)
        for dim in steps:
            require_no_mesh(dataset, dim)
        cut = dataset.isel({dim: slice(None, None, n) for dim, n in steps.items()})
        variables = {str(name): variable.to_base_variable() for name, variable in cut.variables.items()}
        for variable in variables.values():
            if steps.keys() & set(variable.dims):
                variable.attrs.pop("actual_range", None)
        return rebuilt(dataset, variables, moved=True)

    def _steps(self, dataset: xr.Dataset) -> dict[str, int]:
        if isinstance(self._every, Mapping):
            return {dim: n for dim, n in self._every.items() if dim in dataset.sizes}
        return {dim: self._every for grid in required_grids(dataset) for dim in grid.dims}

    def _means(self, dataset: xr.Dataset, steps: Mapping[str, int]) -> xr.Dataset:
        grids = required_grids(dataset)
        known = {dim for grid in grids if grid.kind == "regular" for dim in grid.dims}
        if other := [dim for dim in steps if dim not in known]:
            raise FieldError(
                f"{other[0]!r} is no dimension of a grid of latitudes by longitudes, of which alone there are means "
                "here: regrid to such a grid first, or use method='sample'"
            )
        areas: dict[str, Floats] = {}
        places: dict[str, xr.Variable] = {}
        for grid in grids:
            for axis, dim in enumerate(grid.dims) if grid.kind == "regular" else ():
                if dim in steps and dim not in areas:
                    edges = (latitude_edges, longitude_edges)[axis](dataset, grid)
                    areas[dim] = (heights, widths)[axis](edges)
                    places |= self._coarse(dataset, grid, axis, edges, steps[dim])
        variables, gone = dict(places), set()
        for name, variable in dataset.variables.items():
            if not steps.keys() & set(variable.dims):
                variables.setdefault(str(name), variable.to_base_variable())
            elif name in dataset.data_vars:
                variables[str(name)] = self._mean(str(name), variable, steps, areas)
            elif name not in places:
                gone.add(str(name))
        for variable in variables.values():
            variable.attrs = without_references(variable.attrs, gone)
        return rebuilt(dataset, variables, moved=True)

    def _coarse(self, dataset: xr.Dataset, grid: Grid, axis: int, edges: Floats, n: int) -> dict[str, xr.Variable]:
        """The middle of each group of cells, and its bounds."""
        name, dim = (grid.latitude, grid.longitude)[axis], grid.dims[axis]
        n_groups = self._n_groups(dim, len(edges), n)
        groups = edges[: n_groups * n].reshape(n_groups, n, 2)
        bounds = np.stack([groups[..., 0].min(axis=1), groups[..., 1].max(axis=1)], axis=1)
        if is_radian(dataset.variables[name].attrs.get("units")):
            bounds = np.radians(bounds)
        about = dataset.variables[name]
        named = str(about.attrs.get("bounds") or f"{name}_bnds")
        known = dataset.variables.get(named)
        bounds_dim = "bnds" if known is None else str(known.dims[-1])
        kind = about.dtype if about.dtype.kind == "f" else np.dtype(np.float64)
        return {
            name: variable_of(dim, bounds.mean(axis=1).astype(kind), {**other_values(about), "bounds": named}),
            named: variable_of((dim, bounds_dim), bounds.astype(kind), {} if known is None else known.attrs),
        }

    def _n_groups(self, dim: str, size: int, n: int) -> int:
        if size < n or (size % n and self._boundary == "fail"):
            raise FieldError(
                f"{dim!r} has {size:,} points, which is no whole number of {n}: crop it, trim it with "
                "boundary='trim', or use method='sample'"
            )
        return size // n

    def _mean(self, name: str, variable: xr.Variable, steps: Mapping[str, int], areas: Mapping[str, Floats]) -> Any:  # noqa: ANN401 - a variable
        require_mean(name, variable, "leave it out with select")
        given = as_floats(name, variable)
        values = given.astype(np.float64)
        weight = np.ones(values.shape)
        for axis, dim in enumerate(map(str, variable.dims)):
            if dim in steps:
                n_kept = self._n_groups(dim, values.shape[axis], steps[dim]) * steps[dim]
                values, weight = (array.take(np.arange(n_kept), axis=axis) for array in (values, weight))
                weight = weight * areas[dim][:n_kept].reshape([-1 if i == axis else 1 for i in range(values.ndim)])
        is_valid = ~np.isnan(values)
        total, valid, found = weight, weight * is_valid, np.where(is_valid, values, 0.0) * weight
        for axis, dim in enumerate(map(str, variable.dims)):
            if dim in steps:
                starts = np.arange(0, values.shape[axis], steps[dim])
                total, valid, found = (np.add.reduceat(each, starts, axis=axis) for each in (total, valid, found))
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(valid >= self._min_valid * total * (1 - 1e-12), found / valid, np.nan)
        method = "area: mean" if len([dim for dim in variable.dims if dim in steps]) > 1 else None
        along = next(str(dim) for dim in variable.dims if dim in steps)
        about = with_method(other_values(variable), method or f"{along}: mean")
        return variable_of(variable.dims, means.astype(given.dtype), about, variable.encoding)
