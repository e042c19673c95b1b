"""Grids in a file that a filter reads beside the items: a mask, a target grid, a climatology."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from curator_core.domains.grid.grib.sources import GRIBSource
from curator_core.domains.grid.sources import NetCDFSource
from curator_core.domains.grid.zarr_stores.sources import ZarrSource
from curator_core.errors import ComponentError
from curator_core.pipeline.components import Source
from curator_core.storage.pinned import PinnedFile

if TYPE_CHECKING:
    import xarray as xr

_GRIB: Final = (".grib", ".grib1", ".grib2", ".grb", ".grb1", ".grb2", ".gb2")


class GridFile:
    """A file of grids, decoded as the sources decode it, once per process and content.

    Parameters
    ----------
    path
        A NetCDF or GRIB file, or a Zarr store that ends in ``.zarr``.
    what
        What needs it, for messages: ``mask: file``.
    """

    def __init__(self, path: str, what: str) -> None:
        self._path, self._what = path, what
        self._pinned = PinnedFile(path, what)
        self._held: tuple[str, tuple[str, ...] | None, xr.Dataset] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def identity(self) -> str:
        """What identifies its content; see `PinnedFile.identity`."""
        return self._pinned.identity()

    def dataset(self, variables: Sequence[str] | None = None) -> tuple[xr.Dataset, str]:
        """Some of its variables, or all, and what identifies its content.

        Raises
        ------
        ComponentError
            It cannot be read, changed since the run began, or has several grids of which one must be chosen.
        """
        content = self._pinned.confirmed()
        wanted = None if variables is None else tuple(variables)
        if self._held is None or self._held[:2] != (content, wanted):
            self._held = content, wanted, self._read(wanted)
            self._pinned.confirmed()
        return self._held[2], content

    def _read(self, variables: tuple[str, ...] | None) -> xr.Dataset:
        try:
            found = list(self._source(variables)[0])
        except ComponentError as exc:
            raise ComponentError(f"{self._what}: {exc}", file=self._path) from exc
        if len(found) != 1:
            names = ", ".join(repr(str(next(iter(each.data_vars)))) for each in found)
            raise ComponentError(
                f"{self._what}: {self._path!r} has {len(found)} datasets, of {names}, and one is needed: name the "
                "variable, or give a file with one grid.",
                file=self._path,
            )
        return found[0]

    def _source(self, variables: tuple[str, ...] | None) -> Source[xr.Dataset]:
        path = self._pinned.path
        if path.suffix == ".zarr":
            return ZarrSource(str(path), variables=variables, sparse=True)
        pattern = glob.escape(path.name)
        if path.suffix.lower() in _GRIB:
            return GRIBSource(str(path.parent), pattern, variables=variables)
        return NetCDFSource(str(path.parent), pattern, variables=variables)
