"""Filter that makes values missing outside a mask."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.operations.aligning import aligned
from curator_core.domains.grid.operations.files import GridFile
from curator_core.domains.grid.operations.grid_filter import GridFilter, as_floats, other_values, rebuilt
from curator_core.domains.grid.operations.horizontal import grid_of
from curator_core.domains.grid.times import counts_time
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError


class MaskFilter(GridFilter):
    """Makes values missing, as NaN, outside a mask: land, ice, a basin, where another field is large.

    The mask is a variable of a file, or of the item itself. Its values hold where they are neither zero nor missing, or
    where they lie within `at_least` and `at_most`, or are one of `values`. A mask of a file lies on the points of the
    field; it may have more of them, the latitudes in another order, and longitudes counted from elsewhere.

    The content of the file is part of the configuration: where it changes, all items are processed again.

    Parameters
    ----------
    variable
        Name of the mask.
    file
        NetCDF or GRIB file, or Zarr store, that it is in; by default the item.
    at_least, at_most
        Least and largest value of the mask where values stay.
    values
        Values of the mask where values stay, such as those of a flag.
    invert
        Whether values stay where they would be masked, and the other way round; where the mask is missing, they never
        stay.
    fields
        Names of the fields that are masked; by default all data that have the dimensions of the mask, which stays as it
        is.

    Raises
    ------
    ConfigError
        Both a range and `values` are given.
    """

    name: ClassVar[str] = "mask"
    description: ClassVar[str] = "Values outside a mask as missing"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        variable: str,
        file: str | None = None,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        values: Sequence[float] | None = None,
        invert: bool = False,
        fields: Sequence[str] | None = None,
    ) -> None:
        if values is not None and (not values or at_least is not None or at_most is not None):
            raise ConfigError(f"{self.name}: give values, at least one, or at_least and at_most, not both.")
        if fields is not None and not fields:
            raise ConfigError(f"{self.name}: fields names none; leave it out for all of them.")
        self._variable, self._file = variable, None if file is None else GridFile(file, f"{self.name}: file")
        if any(end is not None and math.isnan(end) for end in (at_least, at_most)):
            raise ConfigError(f"{self.name}: at_least and at_most must be numbers: nothing is above or below NaN.")
        self._range, self._values, self._invert = (at_least, at_most), values, invert
        self._fields = None if fields is None else tuple(fields)

    def file_identities(self) -> Mapping[str, str]:
        """What identifies the file with the mask, if there is one."""
        return {} if self._file is None else {"file": self._file.identity()}

    def check(self) -> None:
        """Raise `ConfigError` where the file cannot be read."""
        self.file_identities()

    def wanted(self) -> Collection[str]:
        return [*(self._fields or ()), *([self._variable] if self._file is None else [])]

    def changed(self, dataset: xr.Dataset) -> xr.Dataset:
        given = dataset if self._file is None else self._file.dataset([self._variable])[0]
        if self._variable not in given.variables:
            return dataset
        given = given.assign({self._variable: given.variables[self._variable].copy(data=self._kept(given))})
        variables = {str(name): variable.to_base_variable() for name, variable in dataset.variables.items()}
        masked = list(self._masked(dataset, given.variables[self._variable]))
        for name in masked:
            before = variables[name]
            keeps = self._here(given, dataset, name)
            if not keeps.any():
                raise FieldError(f"field {name!r}: the mask {self._variable!r} leaves none of its values")
            made = np.where(keeps, as_floats(name, before), np.nan)
            about = _of_type(other_values(before), made.dtype)
            variables[name] = variable_of(before.dims, made, about, before.encoding)
        if not masked and self._fields is None:
            raise FieldError(f"no field has the dimensions of the mask {self._variable!r}")
        return rebuilt(dataset, variables)

    def _kept(self, given: xr.Dataset) -> npt.NDArray[np.bool_]:
        mask = np.asarray(given.variables[self._variable].values)
        if mask.dtype.kind not in "biuf":
            raise FieldError(f"the mask {self._variable!r} has no numbers, but {mask.dtype}")
        low, high = self._range
        if self._values is not None:
            found = np.isin(mask, self._values)
        elif low is None and high is None:
            found = mask != 0
        else:
            with np.errstate(invalid="ignore"):
                found = (mask >= (-np.inf if low is None else low)) & (mask <= (np.inf if high is None else high))
        found = ~found if self._invert else found
        return np.asarray(found & ~np.isnan(mask) if mask.dtype.kind == "f" else found, np.bool_)

    def _masked(self, dataset: xr.Dataset, mask: xr.Variable) -> Iterator[str]:
        """Names of the fields that are masked."""
        if self._fields is not None:
            yield from (name for name in self._fields if name in dataset.variables)
            return
        n_long = sum(size > 1 for size in mask.shape)
        for name in map(str, dataset.data_vars):
            variable = dataset.variables[name]
            if self._file is None and name == self._variable:
                continue
            is_covered = set(mask.dims) <= set(variable.dims) if self._file is None else variable.ndim >= n_long
            if is_covered and not counts_time(variable.attrs.get("units")) and self._has_places(dataset, name):
                yield name

    def _has_places(self, dataset: xr.Dataset, name: str) -> bool:
        """Whether a field can lie on the grid of a mask of a file."""
        return self._file is None or grid_of(dataset, name) is not None

    def _here(self, given: xr.Dataset, dataset: xr.Dataset, name: str) -> npt.NDArray[np.bool_]:
        """Where values of a field stay."""
        target = dataset.variables[name]
        if self._file is not None:
            return np.asarray(np.broadcast_to(aligned(given, self._variable, dataset, name), target.shape))
        mask = given.variables[self._variable]
        if not set(mask.dims) <= set(target.dims):
            raise FieldError(f"field {name!r} has the dimensions {target.dims}, and the mask {mask.dims}")
        return np.asarray(xr.broadcast(xr.DataArray(mask), xr.DataArray(target))[0].transpose(*target.dims))


def _of_type(attributes: dict[str, Any], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Attributes whose numbers are of the type of the values, as those of flags have to be."""
    for key in ("flag_values", "flag_masks"):
        if key in attributes:
            attributes[key] = np.asarray(attributes[key]).astype(dtype)
    return attributes
