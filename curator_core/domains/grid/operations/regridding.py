"""Filter that brings grids to a regular one."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.axes import named_variables
from curator_core.domains.grid.operations.cells import corners, latitude_edges, longitude_edges
from curator_core.domains.grid.operations.files import GridFile
from curator_core.domains.grid.operations.grid_filter import (
    GridFilter,
    as_floats,
    other_values,
    rebuilt,
    require_mean,
    with_method,
    without_references,
)
from curator_core.domains.grid.operations.horizontal import Grid, required_grids
from curator_core.domains.grid.operations.targets import Target, declared, of_file
from curator_core.domains.grid.operations.triangles import scipy_module
from curator_core.domains.grid.operations.weights import Method, Weights, weights
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError

if TYPE_CHECKING:
    import xarray as xr

logger = logging.getLogger("curator")

_KEPT: Final = 8
"""Grids whose weights a worker keeps."""
_OF_GRID: Final = ("GRIB_gridType", "grid_mapping", "coordinates", "cell_measures")


class RegridFilter(GridFilter):
    """Brings fields to a grid of latitudes by longitudes, from any: another such, a curved one, or points.

    Weights are computed once for each grid, and used for every field on it. Values that are missing are left out of a
    mean, where enough of the others are there. Longitudes go around the globe, and rows reach the poles. Components of
    vectors are taken one by one, as numbers. Fields become floating-point numbers.

    Parameters
    ----------
    to
        The grid: ``{step: 1.5}``, of the globe, in cells of so many degrees, with ``poles: true`` such that the first
        and last rows are the poles; ``{latitude: …, longitude: …}``, each a list, or ``{first: 75, last: 30, step:
        0.25}``; or a NetCDF or GRIB file, or a Zarr store, with the grid, of which the content counts.
    method
        ``nearest``: the value of the nearest point, also of flags. ``bilinear``: between the four points around, of a
        curved grid and of points between three; between the last row and the pole, towards its mean. ``conservative``:
        the mean over the cell, weighted by area, so that the integral over the sphere stays; of a curved grid and of
        points, where the bounds of their coordinates are the corners of cells.
    min_valid
        Least share of the weights that must have values; where there is less, the value is missing. Of a cell, that is
        the share of its area.

    Raises
    ------
    ConfigError
        There is no such grid, or a share is none.

    Notes
    -----
    Fields whose units and names say that they are directions have no mean, nor have flags: ``nearest`` takes them.
    Of a few cells that have no area, as some of NEMO's on land, each item says in a warning how many are left out; of
    more than 2 in 100, it fails.
    """

    name: ClassVar[str] = "regrid"
    description: ClassVar[str] = "Grids brought to a regular one"
    checks_arguments: ClassVar[bool] = True

    def __init__(self, to: str | Mapping[str, Any], method: Method = "bilinear", *, min_valid: float = 0.5) -> None:
        if not 0.0 < min_valid <= 1.0:
            raise ConfigError(f"{self.name}: min_valid must be above 0 and at most 1, got {min_valid!r}.")
        self._file = GridFile(to, f"{self.name}: to") if isinstance(to, str) else None
        self._target = None if isinstance(to, str) else declared(to, self.name)
        self._method, self._min_valid = method, min_valid
        self._read: tuple[str, Target] | None = None
        self._weights: dict[str, Weights] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_read": None, "_weights": {}}

    def file_identities(self) -> Mapping[str, str]:
        """What identifies the file with the grid, if there is one."""
        return {} if self._file is None else {"to": self._file.identity()}

    def check(self) -> None:
        """Raise `ConfigError` where the file cannot be read, `MissingDependencyError` where SciPy is not installed."""
        self.file_identities()
        scipy_module("sparse")

    def changed(self, dataset: xr.Dataset) -> xr.Dataset:
        target = self._target or self._of_file()
        grids = required_grids(dataset)
        dims = {dim for grid in grids for dim in grid.dims}
        of_field = {name: grid for grid, names in grids.items() for name in names}
        found = {grid: self._found(dataset, grid, target) for grid in grids}
        for text in dict.fromkeys(text for each in found.values() for text in each.left_out):
            logger.warning("%s: %s", self.name, text)
        made: dict[str, xr.Variable] = {}
        for name in map(str, dataset.data_vars):
            variable = dataset.variables[name].to_base_variable()
            if name in of_field:
                made[name] = self._regridded(dataset, name, of_field[name], target, found[of_field[name]])
            elif dims & set(variable.dims):
                raise FieldError(
                    f"field {name!r} lies along {tuple(variable.dims)}, and not on the whole grid: leave it out with "
                    "select"
                )
            else:
                made[name] = variable
        coordinates = {
            str(n): v.to_base_variable() for n, v in dataset.coords.variables.items() if not dims & set(v.dims)
        }
        gone = {str(name) for name in dataset.coords} - coordinates.keys()
        kept = {name: each for name, each in coordinates.items() if self._is_used(name, dataset, made)}
        for variable in kept.values():
            variable.attrs = without_references(variable.attrs, gone)
        taken = [name for name in target.coordinates if name in made or name in kept]
        if taken:
            raise FieldError(f"{taken[0]!r} of the item is named like a coordinate of the grid: rename it with select")
        return rebuilt(dataset, {**kept, **target.coordinates, **made}, moved=True)

    def _of_file(self) -> Target:
        assert self._file is not None  # noqa: S101 - there is a target, or a file
        found, content = self._file.dataset()
        if self._read is None or self._read[0] != content:
            try:
                self._read = content, of_file(found)
            except FieldError as exc:
                raise FieldError(f"the file with the grid: {exc}") from exc
        return self._read[1]

    def _is_used(self, name: str, dataset: xr.Dataset, made: Mapping[str, xr.Variable]) -> bool:
        """Whether something still needs a coordinate without dimensions, such as what described a projection."""
        if "grid_mapping_name" not in dataset.variables[name].attrs:
            return True
        return any(name in named_variables(variable.attrs, ("grid_mapping",)) for variable in made.values())

    def _regridded(self, dataset: xr.Dataset, name: str, grid: Grid, target: Target, found: Weights) -> xr.Variable:
        variable = dataset.variables[name].to_base_variable()
        if self._method != "nearest":
            require_mean(name, variable, "use method='nearest', or leave it out with select")
        given = as_floats(name, variable)
        others = [str(dim) for dim in variable.dims if dim not in grid.dims]
        axes = [variable.dims.index(dim) for dim in (*others, *grid.dims)]
        n_points = int(np.prod([dataset.sizes[dim] for dim in grid.dims]))
        flat = given.transpose(axes).reshape(-1, n_points)
        regridded = found.apply(flat, self._min_valid)
        shape = [dataset.sizes[dim] for dim in others]
        about = {key: text for key, text in other_values(variable).items() if key not in _OF_GRID}
        if self._method == "conservative":
            about = with_method(about, "area: mean")
        values = regridded.reshape(*shape, *target.shape).astype(given.dtype)
        return variable_of((*others, *target.grid.dims), values, about)

    def _found(self, dataset: xr.Dataset, grid: Grid, target: Target) -> Weights:
        key = hashlib.sha256(f"{grid.kind} {self._method} {target.digest()}".encode())
        for values in grid.degrees(dataset):
            key.update(f"{values.shape}".encode())
            key.update(values.tobytes())
        if self._method == "conservative":
            is_regular = grid.kind == "regular"
            found = (latitude_edges(dataset, grid), longitude_edges(dataset, grid)) if is_regular else None
            for edges in found or corners(dataset, grid):
                key.update(edges.tobytes())
        digest = key.hexdigest()
        if digest not in self._weights:
            if len(self._weights) >= _KEPT:
                self._weights.clear()
            self._weights[digest] = weights(dataset, grid, target, self._method)
        return self._weights[digest]
