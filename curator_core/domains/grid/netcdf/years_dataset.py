"""A published dataset by year as an ``xarray.Dataset``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from curator_core.datasets.aligned.slots import NOBODY, slots_of_split
from curator_core.domains.grid.dataset import warn_of_mixed
from curator_core.domains.grid.netcdf.years import PublishedYears
from curator_core.errors import ComponentError
from curator_core.reading.readers import DatasetOpener, require_split


class YearsDataset(DatasetOpener):
    """Opens what `NetCDFYearsSink` wrote."""

    @classmethod
    def open(cls, path: Path) -> xr.Dataset:
        """All years, one after another; values are read when they are asked for.

        Raises
        ------
        ComponentError
            It is damaged, or there are several files, and no dask, with which xarray opens these.
        """
        published = PublishedYears(path)
        files = [published.file(year) for year in published.years]
        if not files:
            raise ComponentError(f"The dataset {path} has no steps.", file=str(path))
        try:
            return cls._opened(files)
        except ImportError as exc:
            raise ComponentError(
                f"{path} has {len(files)} files, which xarray opens together with dask: pip install "
                "'curator-dagster[dask]', or open one of them.",
                file=str(path),
            ) from exc
        except (OSError, ValueError) as exc:
            raise ComponentError(f"The dataset {path} cannot be opened: {exc}", file=str(path)) from exc

    @classmethod
    def open_split(cls, path: Path, split: str) -> xr.Dataset:
        """The steps of one split: those that items give, all of which are in it; others are left out, which is logged.

        Raises
        ------
        UnknownNameError
            No item is in the split.
        ConfigError
            The dataset has no splits.
        ComponentError
            As for `open`.
        """
        published, whole = PublishedYears(path), cls.open(path)
        splits = [str(item["split"]) for item in published.items]
        require_split(split, sorted({name for name in splits if name}), path)
        first, n_steps = {}, 0
        for year, about in published.years.items():
            first[year], n_steps = n_steps, n_steps + int(about["n_steps"])
        owner = np.full((n_steps, 2), NOBODY, np.int64)  # an item of the split, and one of another
        for number, item in enumerate(published.items):
            for year, runs in item["years"].items():
                for start, stop in runs:
                    owner[first[year] + start : first[year] + stop, int(splits[number] != split)] = number
        is_in, is_mixed = slots_of_split(owner, splits, split)
        dim = published.head(published.items[0]).dim
        if is_mixed.any():
            warn_of_mixed(dim, int(is_mixed.sum()), split)
        return whole.isel({dim: np.flatnonzero(is_in)})

    @staticmethod
    def _opened(files: list[Path]) -> xr.Dataset:
        if len(files) == 1:
            return xr.open_dataset(files[0], engine="netcdf4")
        found: xr.Dataset = xr.open_mfdataset(
            files,
            engine="netcdf4",
            combine="by_coords",
            data_vars="minimal",
            coords="minimal",
            compat="equals",
            join="exact",
            combine_attrs="drop_conflicts",
        )
        return found
