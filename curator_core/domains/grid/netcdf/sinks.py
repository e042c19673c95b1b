"""Sink for grids: one NetCDF-4 file per item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import xarray as xr

from curator_core.datasets.aligned.schema import SchemaError
from curator_core.domains.grid.netcdf.encoding import Stored, attribute, checked, chunk_lengths, counts_seconds
from curator_core.domains.grid.netcdf.files import created
from curator_core.domains.grid.netcdf.joining import Joined
from curator_core.errors import ComponentError, ConfigError
from curator_core.formats.item_files import ItemFiles
from curator_core.pipeline.components import Sink, Source
from curator_core.storage.atomic import published


class NetCDFSink(Sink[xr.Dataset]):
    """Grids as NetCDF-4 files, one per item, with the attributes, coordinates and bounds of their sources.

    Values that are read again are those that were written, missing ones included. Times are whole seconds, or
    microseconds, since 1970 in the calendar of the item. What an item gives in several datasets, such as a GRIB file
    with variables on different levels, is one file: a dimension with other values has a name of its own, ``level_2``.

    Parameters
    ----------
    folder
        Where the files go; created when absent.
    template
        Name of an item's file, which lies in the folder or below: ``{key}`` is the key of the item, ``{stem}`` the key
        without the suffix of its file, ``{part}`` what comes after ``#`` in the key.
    encoding
        How variables are stored, by name: ``dtype``; ``scale_factor`` and ``add_offset`` to pack them as whole numbers;
        ``_FillValue``; ``complevel``; ``chunksizes``, lengths by dimension. An item without the variable, or with
        values that it does not hold, fails.
    compression_level
        Level of deflate, 0 to 9, of all variables that ``encoding`` says nothing of.
    """

    name: ClassVar[str] = "netcdf_files"
    description: ClassVar[str] = "Grids as NetCDF-4 files, one per item"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        folder: str,
        template: str = "{stem}.nc",
        *,
        encoding: Mapping[str, Mapping[str, Any]] | None = None,
        compression_level: int = 1,
    ) -> None:
        self._files = ItemFiles(folder, template, self.name)
        self._encoding = checked(encoding or {}, self.name)
        self._level = compression_level
        if compression_level not in range(10):
            raise ConfigError(f"{self.name}: compression_level {compression_level} is none of 0 to 9.")

    def check(self) -> None:
        """Raise `ConfigError` when the folder is no local one that can be written to."""
        self._files.check()

    def set_source(self, source: Source[xr.Dataset]) -> None:
        self._files.set_source(source)

    def __call__(self, items: Iterator[xr.Dataset], index: int) -> list[str]:
        """Write the file of an item: it is there whole, or not at all.

        Raises
        ------
        ComponentError
            Its values cannot be read again as they are, or its name is no file's in the folder.
        """
        try:
            path = self._files.path(index)
            joined = Joined(items)
            path.parent.mkdir(parents=True, exist_ok=True)
            with published(path) as temporary:
                self._write(joined, temporary)
        except ComponentError as exc:
            if exc.component is not None:  # of a source or filter, which the values come from
                raise
            raise ComponentError(f"{self.name}: {exc}", component=self.name) from exc
        return [str(path)]

    def _write(self, joined: Joined, path: Path) -> None:
        unknown = self._encoding.keys() - joined.variables.keys()
        if unknown:
            raise SchemaError(f"The item has no {min(unknown)!r}, of which encoding speaks: it has {_listed(joined)}.")
        known = joined.encoded(self._encoding, in_seconds=counts_seconds(joined.variables))
        try:
            with created(path) as file:
                file.setncatts({"Conventions": "CF-1.11"} | {k: attribute(v) for k, v in joined.attributes.items()})
                for dim, size in joined.sizes.items():
                    file.createDimension(dim, size)
                for name, found in known.items():
                    self._write_variable(file, name, joined, found)
        except (RuntimeError, AttributeError, ValueError) as exc:
            if isinstance(exc, ComponentError):
                raise
            raise SchemaError(f"NetCDF cannot write it: {exc}.") from exc

    def _write_variable(self, file: Any, name: str, joined: Joined, found: Stored) -> None:  # noqa: ANN401 - netCDF4's
        dims = [str(dim) for dim in joined.variables[name].dims]
        wanted = self._encoding.get(name, {})
        is_text = found.values.dtype.kind == "O"
        is_cut = bool(dims) and not is_text
        level = wanted.get("complevel", self._level) if is_cut else 0
        chunks = wanted.get("chunksizes")
        variable = file.createVariable(
            name,
            str if is_text else found.values.dtype,
            dims,
            fill_value=found.fill,
            compression="zlib" if level else None,
            complevel=level,
            shuffle=bool(level),
            fletcher32=is_cut,
            chunksizes=None if chunks is None else chunk_lengths(name, chunks, dims, joined.sizes),
        )
        variable.set_auto_maskandscale(False)
        variable.setncatts(found.attributes)
        variable[...] = found.values


def _listed(joined: Joined) -> str:
    return ", ".join(map(repr, joined.variables))
