"""A published dataset of grids as an ``xarray.Dataset``."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from curator_core.domains.grid.pinned_store import PinnedStore
from curator_core.errors import ComponentError
from curator_core.formats.described import CHECKSUMS
from curator_core.reading.readers import DatasetOpener
from curator_core.storage.objects.mirror import readable_folder

_OWN = ("curator", "format", "format_version", "content_hash", CHECKSUMS)


class GridDataset(DatasetOpener):
    """Opens what `GridZarrSink` wrote; values are read when they are asked for."""

    @classmethod
    def open(cls, path: Path) -> xr.Dataset:
        """The dataset, of the version that lies at a path, to the end: also when another one is published meanwhile.

        A step that no item gave is NaN, or a fill value; `slot_status` says which those are.

        Raises
        ------
        ComponentError
            There is no dataset.
        """
        try:
            found: xr.Dataset = xr.open_zarr(PinnedStore(path), chunks=None, consolidated=True)
        except (ValueError, LookupError, TypeError) as exc:
            raise ComponentError(f"The dataset {path} is damaged: {exc}", file=str(path)) from exc
        found.attrs = {name: value for name, value in found.attrs.items() if name not in _OWN}
        return found


def slot_status(path: str | Path, dim: str | None = None) -> xr.Dataset:
    """Which steps of which variables are there: states and numbers of values, by step and variable.

    Steps of several dimensions, such as reference times and lead times, are along each of them.

    Parameters
    ----------
    path
        Folder of the dataset, or a repository.
    dim
        The dimension of the slots, which there is one of.
    """
    store = PinnedStore(readable_folder(path))
    whole = xr.open_zarr(store, chunks=None, consolidated=True)
    axis = whole.attrs["curator"]["axis"]
    slot = dim or axis["name"]
    table = xr.open_zarr(store, group=f"slots/{slot}", chunks=None, consolidated=False).load()
    dims = [slot, *(inner[0] for inner in axis.get("inner", ()))]
    shape = [whole.sizes[each] for each in dims]
    tables = {
        name: ((*dims, "variable"), found.values.reshape(*shape, -1), found.attrs) for name, found in table.items()
    }
    times = {each: whole[each] for each in dims}
    return xr.Dataset(tables, {**times, "variable": table["variable"]})
