"""Sink for grids: one NetCDF-4 file per year."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import xarray as xr

from curator_core.domains.grid.netcdf.encoding import checked
from curator_core.domains.grid.netcdf.heads import TEXT
from curator_core.domains.grid.netcdf.joining import Joined
from curator_core.domains.grid.netcdf.publishing_years import publish_years
from curator_core.domains.grid.netcdf.year_files import YearFormat
from curator_core.domains.grid.netcdf.year_parts import write_part
from curator_core.domains.grid.netcdf.years import PublishedYears
from curator_core.errors import ComponentError, ConfigError
from curator_core.pipeline.components import MergeItem, Variable
from curator_core.sinks.datasets import DatasetSink
from curator_core.storage.locations import location_of

_OTHERS: Final = (".nc", ".zarr", ".icechunk", ".parquet")


class NetCDFYearsSink(DatasetSink[xr.Dataset]):
    """Grids as NetCDF-4 files, one per year: the steps of all items whose time lies in it, in the order of time.

    A publication writes the years that changed and links the others. The years are those of the items' calendar; a
    file has the steps that items gave, and no others. Items that share a year may have other variables; those that
    both have must mean the same, on one grid. A variable that no item gave at some steps of a file is missing there.
    One step of a variable given by two items is an error that names both, and nothing is published.

    Parameters
    ----------
    output_path
        Folder of the files, which are named ``2001.nc``.
    dim
        The dimension of time; the only one by default.
    encoding
        How variables are stored, as `NetCDFSink` takes it.
    compression_level
        Level of deflate, 0 to 9, of all variables that ``encoding`` says nothing of.

    Raises
    ------
    ConfigError
        The encoding or level is none.
    """

    name: ClassVar[str] = "netcdf_years"
    description: ClassVar[str] = "Grids as NetCDF-4 files, one per year"
    checks_arguments: ClassVar[bool] = True
    shard_suffix: ClassVar[str] = ".part"

    def __init__(
        self,
        output_path: str,
        dim: str | None = None,
        *,
        encoding: Mapping[str, Mapping[str, Any]] | None = None,
        compression_level: int = 1,
    ) -> None:
        super().__init__(output_path)
        self._dim = dim
        self._format = YearFormat(checked(encoding or {}, self.name), compression_level)
        if compression_level not in range(10):
            raise ConfigError(f"{self.name}: compression_level {compression_level} is none of 0 to 9.")

    def check(self) -> None:
        """Raise `ConfigError` when the folder cannot be written, or when something else stands there."""
        if "://" in self._output or Path(self._output).suffix in _OTHERS:
            raise ConfigError(f"{self.name}: {self._output!r} must be the name of a folder of this machine.")
        location_of(self._output).check(f"{self.name}: output")
        self._require_own()

    def write_shard(self, items: Iterator[xr.Dataset], path: str) -> None:
        """Write the steps of an item, a file for each of its years.

        Raises
        ------
        ComponentError
            Its values cannot be read again as they are, or it has no dimension of time.
        """
        try:
            write_part(Path(path), Joined(items), self._dim, self._format)
        except ComponentError as exc:
            if exc.component is not None:  # of a source or filter, which the values come from
                raise
            raise ComponentError(f"{self.name}: {exc}", component=self.name) from exc

    def _published(self, output_path: str) -> PublishedYears:
        return PublishedYears(output_path)

    def merge_items(self, items: Sequence[MergeItem], previous: str | None, output_path: str) -> None:
        """Write a new dataset from parts and from the previous dataset.

        Raises
        ------
        MergeError
            A part, or an item of the previous dataset, is missing or damaged; or items of one year do not go together.
        """
        publish_years(self._format, items, previous, Path(output_path))

    def describe(self, output_path: str) -> dict[str, int | float | str]:
        """Numbers of files and steps."""
        found = PublishedYears(output_path).attributes
        return {"n_files": len(found["years"]), "n_steps": found["n_steps"]}

    def n_rows(self, output_path: str) -> int:
        return int(PublishedYears(output_path).attributes["n_steps"])

    def schema(self, output_path: str) -> list[Variable]:
        published = PublishedYears(output_path)
        found: dict[str, Variable] = {}
        for item in published.items:
            head = published.head(item)
            sizes = {**head.sizes, head.dim: int(published.attributes["n_steps"])}
            for name, about in head.variables.items():
                shape = tuple(sizes[dim] for dim in about.dims)
                dtype = "string" if about.dtype == TEXT else str(np.dtype(about.dtype))
                unit, words = (about.attributes.get(key, "") for key in ("units", "long_name"))
                found.setdefault(name, Variable(name, dtype, about.dims, shape, (), str(unit), str(words)))
        return list(found.values())
