"""A published dataset of grids as an ``xarray.Dataset``."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import xarray as xr

from curator_core.datasets.aligned.slots import slots_of_split
from curator_core.domains.grid.pinned_store import PinnedStore
from curator_core.errors import ComponentError
from curator_core.formats.described import CHECKSUMS
from curator_core.reading.readers import DatasetOpener, require_split
from curator_core.storage.objects.mirror import readable_folder

logger = logging.getLogger("curator")

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
        return _without_own(_whole(PinnedStore(path)))

    @classmethod
    def open_split(cls, path: Path, split: str) -> xr.Dataset:
        """The steps of one split, of the version that lies at a path: those that items give, all of which are in it.

        Steps that have values of items in other splits, too, are left out, which is logged.

        Raises
        ------
        UnknownNameError
            No item is in the split.
        ConfigError
            The dataset has no splits.
        ComponentError
            There is no dataset.
        """
        store = PinnedStore(path)
        whole = _whole(store)
        splits = xr.open_zarr(store, group="items", chunks=None, consolidated=False)["split"].values.tolist()
        require_split(split, sorted({name for name in splits if name}), path)
        slot = whole.attrs["curator"]["axis"]["name"]
        owner = xr.open_zarr(store, group=f"slots/{slot}", chunks=None, consolidated=False)["item"].values
        is_in, is_mixed = slots_of_split(owner.reshape(whole.sizes[slot], -1), splits, split)
        if is_mixed.any():
            warn_of_mixed(slot, int(is_mixed.sum()), split)
        return _without_own(whole).isel({slot: np.flatnonzero(is_in)})


def warn_of_mixed(dim: str, n_steps: int, split: str) -> None:
    """Say that steps are in no split, as they have values of items in several."""
    logger.warning(
        "%d steps of %r have values of items in other splits than %r, too, and are left out. Put the items of one "
        "time into one split, with SplitByTime or SplitByGroup.",
        n_steps,
        dim,
        split,
    )


def _whole(store: PinnedStore) -> xr.Dataset:
    try:
        found: xr.Dataset = xr.open_zarr(store, chunks=None, consolidated=True)
    except (ValueError, LookupError, TypeError) as exc:
        raise ComponentError(f"The dataset {store.path} is damaged: {exc}", file=str(store.path)) from exc
    return found


def _without_own(dataset: xr.Dataset) -> xr.Dataset:
    """A dataset without what curator says of it."""
    dataset.attrs = {name: value for name, value in dataset.attrs.items() if name not in _OWN}
    return dataset


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
