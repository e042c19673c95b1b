"""A published dataset by year as an ``xarray.Dataset``."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from curator_core.domains.grid.netcdf.years import PublishedYears
from curator_core.errors import ComponentError
from curator_core.reading.readers import DatasetOpener


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
