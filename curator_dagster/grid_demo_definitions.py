"""The code location of the demo of grids: weather from NetCDF and GRIB files to two Zarr datasets.

``workspace.yaml`` names this module. Its files lie in ``demo/grid``, or in ``grid`` of ``$CURATOR_DEMO_DIR``; what it
publishes may go to a folder of a bucket, ``$CURATOR_DEMO_OUTPUT``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import Definitions

from curator_core import Pipeline
from curator_dagster.definitions import build_curation_defs, curation_executor

if TYPE_CHECKING:
    from dagster import JobDefinition

SURFACE, LEVELS = "weather_surface", "weather_levels"
"""Names of the curations."""
REFUSED = {"from-a-model-1.nc": "noleap", "from-a-model-2.nc": "360_day"}
"""Calendars of files that the input has, and that do not belong into the dataset."""
PRELOAD = [
    __name__,
    *(f"curator_core.domains.grid.{part}" for part in ("sources", "grib.sources", "sinks")),
    *(f"curator_core.filters.{part}" for part in ("statistics.filter", "units", "nonfinite", "checks")),
    *("cf_xarray.units", "datasketches", "pyarrow.parquet", "zarr", "matplotlib.figure", "PIL.Image"),
]
"""Modules that the steps' processes find loaded."""


def weather_directory() -> Path:
    """Folder of the demo's input and outputs."""
    return Path(os.environ.get("CURATOR_DEMO_DIR", "demo")) / "grid"


def weather_output() -> str:
    """Folder or URL of what the demo publishes."""
    return os.environ.get("CURATOR_DEMO_OUTPUT") or str(weather_directory() / "output")


def weather_dataset(name: str) -> str:
    """Path or URL of a dataset."""
    output = weather_output()
    return f"{output}/{name}.icechunk" if "://" in output else f"{output}/{name}.zarr"


def surface_pipeline() -> Pipeline[Any]:
    """NetCDF files → units, checks, statistics → a dataset with a place for every six hours."""
    from curator_core.domains.grid import NetCDFSource
    from curator_core.filters.checks import ValueChecksFilter
    from curator_core.filters.nonfinite import NonFiniteFilter
    from curator_core.filters.statistics import StatisticsFilter
    from curator_core.filters.units import UnitsFilter

    filters = [
        UnitsFilter({"t2m": "K", "msl": "Pa"}),
        NonFiniteFilter(),
        ValueChecksFilter(f"{weather_output()}/surface_checks.json", {"t2m": {"range": [180, 340]}}),
        StatisticsFilter(f"{weather_output()}/surface_statistics.parquet"),
    ]
    return _pipeline(NetCDFSource(str(weather_directory() / "input" / "surface")), filters, "surface")


def levels_pipeline() -> Pipeline[Any]:
    """GRIB files → checks, statistics level by level → a dataset with a place for every six hours."""
    from curator_core.domains.grid import GRIBSource
    from curator_core.filters.nonfinite import NonFiniteFilter
    from curator_core.filters.statistics import StatisticsFilter

    statistics = StatisticsFilter(f"{weather_output()}/levels_statistics.parquet", by=["isobaricInhPa"])
    source = GRIBSource(str(weather_directory() / "input" / "levels"))
    return _pipeline(source, [NonFiniteFilter(), statistics], "levels")


def _pipeline(source: Any, filters: list[Any], name: str) -> Pipeline[Any]:  # noqa: ANN401 - of grids
    from curator_core.domains.grid import GridZarrSink

    axes = {"time": {"start": "2021-01-01", "frequency": "6h"}}
    sink = GridZarrSink(weather_dataset(name), axes, chunks={"time": 4}, shards={"time": 4}, dtype="float32")
    return Pipeline(source, filters, sink, db_file=weather_directory() / f"{name}.db", resume=True)


_SETTINGS: dict[str, Any] = {
    "executor": curation_executor(PRELOAD),
    "batch_size": 16,  # a step takes longer to start than to curate as many files
    "prune": True,
    "group_name": "weather",
}
defs = Definitions.merge(
    build_curation_defs(SURFACE, surface_pipeline, max_missing=len(REFUSED), **_SETTINGS),
    build_curation_defs(LEVELS, levels_pipeline, **_SETTINGS),
)


def surface_refresh() -> JobDefinition:
    """The refresh job of the surface, for `dagster.reconstructable`."""
    return defs.resolve_job_def(f"{SURFACE}_refresh")


def levels_refresh() -> JobDefinition:
    """The refresh job of the levels, for `dagster.reconstructable`."""
    return defs.resolve_job_def(f"{LEVELS}_refresh")
