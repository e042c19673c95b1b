"""Sources of grids: folders of NetCDF files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import xarray as xr

from curator_core.domains.grid.assembly import dataset_of, instants
from curator_core.domains.grid.decoding import DecodingError, require_room
from curator_core.domains.grid.netcdf.files import (
    attributes_of,
    chosen_group,
    inherited_variables,
    opened,
    stored_variables,
)
from curator_core.domains.grid.selection import ReadsVariables, Selection, wanted_variables
from curator_core.domains.grid.times import calendar_of, label
from curator_core.pipeline.annotations import SECRET, UNRECORDED
from curator_core.sources.files import FileItem, FileSource
from curator_core.storage.downloads import parsed_size


class NetCDFSource(ReadsVariables, FileSource[xr.Dataset]):
    """Grids from NetCDF files, of every format of the library: NetCDF-3, CDF-5, NetCDF-4 and HDF5 with dimensions.

    Each item is an ``xarray.Dataset`` in memory, decoded by itself: packed values are numbers, those that are missing,
    outside the valid range or never written are NaN, characters are text. Times are ``int64``, microseconds since 1970
    in their calendar, which ``xarray.decode_cf`` makes dates of. Coordinates and bounds come along.

    Parameters
    ----------
    root
        Folder to search, sub-folders included; a path, or a URL: ``file://``, ``s3://``, ``gs://``, ``az://``,
        ``https://``, ``http://``.
    pattern
        Glob pattern of the file names.
    variables
        Names of those that are read, with their coordinates; all by default.
    group
        Path of the group that they are in, such as ``/forecast``; needed where other groups than the root have any.
    item
        ``file``: every file is an item. ``time``: every step of its dimension of time is one, named after it, such as
        ``sst.nc#2015-01-16T12:00:00``. Remote files are downloaded to be listed then.
    fill_values
        What stands for missing values, by name of the variable, in place of what the files say; ``None`` where nothing
        is missing.
    max_size
        Largest size of an item in memory, decoded; a larger one fails before it is read.
    storage_options
        Credentials and the like for a URL, by obstore's names; otherwise, those of the environment.
    cache_size
        How much is kept of what was downloaded, such as ``20 GB``; see `CURATOR_DOWNLOAD_CACHE_SIZE`.

    Notes
    -----
    Packed integers of up to 16 bits become float32 if scale and offset are, and everything else that is packed float64;
    integers with missing values become float32 up to 16 bits, and float64 beyond. So the type of a variable follows
    from its attributes.

    The library reads zeros where a NetCDF-3 file is cut off; such a file is an item that fails.
    """

    name: ClassVar[str] = "netcdf"
    description: ClassVar[str] = "Grids from NetCDF files, decoded"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        root: str,
        pattern: str = "*.nc",
        variables: Sequence[str] | None = None,
        group: str | None = None,
        item: Literal["file", "time"] = "file",
        *,
        fill_values: Mapping[str, float | None] | None = None,
        max_size: int | str = "4 GB",
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
        cache_size: Annotated[int | str | None, UNRECORDED] = None,
    ) -> None:
        wanted = wanted_variables(variables, self.name)
        super().__init__(root, pattern, storage_options=storage_options, cache_size=cache_size)
        self._variables = wanted
        self._group = group
        self._by_time = item == "time"
        self._fill_values = dict(fill_values or {})
        self._max_size = parsed_size(max_size, "max_size")

    def splits(self) -> bool:
        return self._by_time

    def split(self, file: FileItem) -> Iterable[FileItem]:
        """The steps of a file, where they are asked for."""
        if not self._by_time:
            return [file]
        with opened(file.path) as root:
            selection = self._selection(chosen_group(root, self._group))
            _, labels = _labelled_steps(selection)
        return [file.part(name, step, step + 1) for step, name in enumerate(labels)]

    def read(self, item: FileItem) -> Iterator[xr.Dataset]:
        """Yield the dataset of a file, or of one of its steps."""
        with opened(item.path) as root:
            group = chosen_group(root, self._group)
            selection = self._selection(group)
            part = self._part(selection, item)
            require_room(selection.size(part), self._max_size)
            attributes = attributes_of(root) | attributes_of(group)
            stored = {name: variable.read(part) for name, variable in selection.variables.items()}
        yield dataset_of(selection, stored, attributes)

    def _selection(self, group: Any) -> Selection:  # noqa: ANN401 - netCDF4's
        own = stored_variables(group, self._fill_values)
        return Selection(own, inherited_variables(group, self._fill_values), self._variables)

    def _part(self, selection: Selection, item: FileItem) -> dict[str, slice]:
        if not self._by_time:
            return {}
        dim, labels = _labelled_steps(selection)
        if labels[item.start : item.stop] != [item.key.rpartition("#")[2]]:
            raise DecodingError("its times are others than when it was listed")
        return {dim: slice(item.start, item.stop)}


def _labelled_steps(selection: Selection) -> tuple[str, list[str]]:
    """The dimension of time, and the names of its steps."""
    dim, name = selection.steps()
    units, calendar = selection.times[name]
    variable = selection.variables[name]
    times = instants(variable, variable.read({}), units, calendar)
    return dim, [label(time, calendar_of(calendar)) for time in times.tolist()]
