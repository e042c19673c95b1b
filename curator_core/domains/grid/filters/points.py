"""Filter that gathers statistics at every point of a grid on the way through."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.filters.point_moments import PointMoments, PointState
from curator_core.errors import ComponentError, ConfigError, MergeError
from curator_core.filters.shards import using_shard
from curator_core.filters.statistics.split import OfOneSplit
from curator_core.pipeline.annotations import UNRECORDED
from curator_core.pipeline.components import ShardedFilter
from curator_core.storage.outputs import check_output_path

_METHODS = {"mean": "mean", "variance": "variance", "std": "standard_deviation", "min": "minimum", "max": "maximum"}
"""CF's names of what the columns are."""
_CONVENTIONS: Final = "CF-1.11"
_NO_FILL: Final = {"_FillValue": None}
_FOLDERS: Final = (".zarr", ".icechunk")
Stored: TypeAlias = tuple[str, tuple[str, ...], npt.NDArray[Any], Mapping[str, str]]
"""Name, dimensions, values and attributes of what is written."""


class PointStatisticsFilter(OfOneSplit, ShardedFilter[xr.Dataset]):
    """Statistics of every variable at every point of a grid, as a NetCDF file or Zarr; values pass unchanged.

    The output has six variables for each of the source, here ``t``: ``t_count``, finite numbers, and ``t_mean``,
    ``t_variance``, ``t_std`` (``ddof=0``), ``t_min``, ``t_max``, NaN where there are none. Items are joined in their
    order, so that the output is the same whatever ran where; mean and variance are right to about 13 digits.

    Of every item, five numbers are kept for each point and variable: for items of one step that is more than the item.

    Parameters
    ----------
    output_path
        The file, ending in ``.nc``; or the folder, ending in ``.zarr``, or repository, ending in ``.icechunk``.
    keep
        Dimensions that are kept, such as ``["latitude", "longitude"]``: the statistics are over all others. A variable
        has those of them that it lies along, and is left out where there are none. All items are on one grid.
    fields
        Names of the variables; all of numbers by default.
    split
        Take in the items of this split only, by the pipeline's rule where it has one, else `split_of`; all by default.
        What is kept of an item is the same for every split, so this is no part of the configuration.

    Raises
    ------
    ConfigError
        No dimension is kept.
    """

    name: ClassVar[str] = "point_statistics"
    description: ClassVar[str] = "Mean, variance and extremes at every point of a grid"
    checks_arguments: ClassVar[bool] = True
    shard_suffix: ClassVar[str] = ".npz"

    def __init__(
        self,
        output_path: str,
        keep: Sequence[str],
        fields: Sequence[str] | None = None,
        *,
        split: Annotated[str | None, UNRECORDED] = None,
    ) -> None:
        if isinstance(keep, str) or not keep:
            raise ConfigError(f"{self.name}: keep names dimensions, such as [latitude, longitude], not {keep!r}.")
        self._output_path = str(output_path)
        self._keep = tuple(keep)
        if fields is not None and not fields:
            raise ConfigError(f"{self.name}: fields names none; leave it out for all of them.")
        self._fields = None if fields is None else tuple(fields)
        self._split = split
        self._state = PointState({}, {})

    @property
    def output_path(self) -> str:
        return self._output_path

    def check(self) -> None:
        """Raise `ConfigError` when the output cannot be written."""
        if not self._output_path.endswith((".nc", *_FOLDERS)):
            raise ConfigError(f"{self.name}: output {self._output_path!r} must end in '.nc' or '.zarr'.")
        check_output_path(self._output_path, ".zarr" if self._is_folder else ".nc", self.name)

    def __call__(self, items: Generator[xr.Dataset, None, None]) -> Generator[xr.Dataset, None, None]:
        """Pass datasets on and take in their numbers.

        Raises
        ------
        ComponentError
            A variable that was asked for is not there, is no number, or lies along nothing that is kept; or none does.
        """
        self._state = PointState({}, {})  # here, not in the generator, which may never be started
        return self._observe(items, self._state)

    def _observe(self, items: Iterator[xr.Dataset], state: PointState) -> Generator[xr.Dataset, None, None]:
        for position, dataset in enumerate(items):
            try:
                state.merge(self._state_of(dataset))
            except ValueError as exc:
                raise ComponentError(f"{self.name}: value {position}: {exc}.", component=self.name) from exc
            yield dataset

    def _state_of(self, dataset: xr.Dataset) -> PointState:
        found = {}
        for name in map(str, dataset.data_vars) if self._fields is None else self._fields:
            if name not in dataset.data_vars:
                raise ValueError(f"it has no variable {name!r}")
            variable = dataset.variables[name]
            dims = tuple(map(str, variable.dims))
            fault = None if variable.dtype.kind in "iuf" else f"is no number: {variable.dtype}"
            if not set(dims) & set(self._keep):
                fault = f"lies along {', '.join(dims) or 'nothing'}, and none of {', '.join(self._keep)}"
            if fault is None:
                units = str(variable.attrs.get("units", ""))
                found[name] = PointMoments.of(variable.values, dims, self._keep, units)
            elif self._fields is not None:
                raise ValueError(f"variable {name!r} {fault}")
        if not found:
            raise ValueError(f"no variable of numbers lies along {', '.join(self._keep)}; it has {dict(dataset.sizes)}")
        kept = {dim for moments in found.values() for dim in moments.dims}
        places = {dim: dataset.variables[dim] for dim in sorted(kept) if dim in dataset.coords}
        return PointState(found, {dim: (_plain(place.values), _texts(place.attrs)) for dim, place in places.items()})

    def write_shard(self, path: str) -> None:
        """Write the state of the last index, the same bytes for the same values."""
        Path(path).write_bytes(self._state.to_bytes())

    def merge(self, shard_paths: Sequence[str], output_path: str) -> None:
        self.merge_contents((Path(path).read_bytes() for path in shard_paths), output_path)

    def merge_contents(self, contents: Iterable[bytes], output_path: str) -> None:
        """Join the states of all indices into the output.

        Raises
        ------
        MergeError
            A shard is damaged, or items are on different grids or in different units.
        """
        merged = PointState({}, {})
        for position, content in enumerate(contents):
            with using_shard(position, self.name):
                merged.merge(PointState.from_bytes(content))
        unseen = set(self._keep) - {dim for field in merged.fields.values() for dim in field.dims}
        if merged.fields and unseen:
            raise MergeError(
                f"{self.name}: no variable has the dimension {min(unseen)!r} that keep= names: correct it."
            )
        write = _write_zarr if self._is_folder else _write_netcdf
        write(merged, Path(output_path))

    @property
    def _is_folder(self) -> bool:
        return self._output_path.endswith(_FOLDERS)


def _plain(values: Any) -> Any:  # noqa: ANN401 - an array
    return values.astype(str) if values.dtype.kind == "O" else values


def _texts(attributes: Any) -> dict[str, str]:  # noqa: ANN401 - xarray's
    return {str(name): value for name, value in attributes.items() if isinstance(value, str) and name != "bounds"}


def _coordinates(state: PointState) -> Iterator[Stored]:
    for dim, (values, about) in sorted(state.places.items()):
        yield dim, (dim,), values, about


def _columns(state: PointState) -> Iterator[Stored]:
    for name, field in sorted(state.fields.items()):
        over = "".join(f"{dim}: " for dim in field.over)
        for what, column in field.columns().items():
            about = {"cell_methods": over + _METHODS[what]} if field.over and what in _METHODS else {}
            if field.units and what in _METHODS:
                about["units"] = f"({field.units})2" if what == "variance" else field.units
            yield f"{name}_{what}", field.dims, column, about


def _write_netcdf(state: PointState, path: Path) -> None:
    from curator_core.domains.grid.netcdf.files import created  # noqa: PLC0415 - loads the library, for the file alone

    with created(path) as file:
        file.Conventions = _CONVENTIONS
        for field in state.fields.values():
            for dim, length in zip(field.dims, field.count.shape, strict=True):
                if dim not in file.dimensions:
                    file.createDimension(dim, length)
        for name, dims, values, about in _coordinates(state):
            place = file.createVariable(name, str if values.dtype.kind == "U" else values.dtype, dims)
            place.setncatts(about)
            place[:] = values.astype(object) if values.dtype.kind == "U" else values
        for name, dims, values, about in _columns(state):
            fill = np.nan if values.dtype.kind == "f" else None
            made = file.createVariable(name, values.dtype, dims, fill_value=fill)
            made.setncatts(about)
            made[...] = values


def _write_zarr(state: PointState, path: Path) -> None:
    coordinates = {
        name: variable_of(dims, values.astype(object) if values.dtype.kind == "U" else values, about, _NO_FILL)
        for name, dims, values, about in _coordinates(state)
    }
    columns = {name: variable_of(dims, values, about) for name, dims, values, about in _columns(state)}
    found = xr.Dataset(columns, xr.Coordinates(coordinates, indexes={}), {"Conventions": _CONVENTIONS})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata", UserWarning)  # which xarray reads, as others do
        found.to_zarr(path, mode="w-", zarr_format=3, consolidated=True)
