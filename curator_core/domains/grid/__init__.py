"""Grids: fields of weather, climate and oceans on regular and other grids.

Everything here needs the extra ``grid``; a name is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.errors import MissingDependencyError
from curator_core.moved import names_in

try:
    import xarray  # noqa: F401 - every module below needs it
except ImportError as exc:
    raise MissingDependencyError.of("xarray", "grid", "curator_core.domains.grid") from exc

if TYPE_CHECKING:
    from curator_core.domains.grid.dataset import GridDataset, slot_status
    from curator_core.domains.grid.fields.climatology import AnomalyFilter, ClimatologyFilter
    from curator_core.domains.grid.fields.derived import DerivedFilter
    from curator_core.domains.grid.fields.forcings import ForcingsFilter
    from curator_core.domains.grid.fields.tendencies import TendencyStatisticsFilter
    from curator_core.domains.grid.filters.accumulations import DeaccumulationFilter
    from curator_core.domains.grid.filters.calendars import CalendarFilter
    from curator_core.domains.grid.filters.names import NamesFilter
    from curator_core.domains.grid.filters.points import PointStatisticsFilter
    from curator_core.domains.grid.grib.sources import GRIBSource
    from curator_core.domains.grid.netcdf.sinks import NetCDFSink
    from curator_core.domains.grid.netcdf.year_sinks import NetCDFYearsSink
    from curator_core.domains.grid.operations.cropping import CropFilter
    from curator_core.domains.grid.operations.masking import MaskFilter
    from curator_core.domains.grid.operations.regridding import RegridFilter
    from curator_core.domains.grid.operations.resampling import ResampleFilter
    from curator_core.domains.grid.operations.thinning import ThinFilter
    from curator_core.domains.grid.sinks import GridZarrSink
    from curator_core.domains.grid.sources import NetCDFSource
    from curator_core.domains.grid.weather import write_grib_day, write_netcdf_day
    from curator_core.domains.grid.zarr_stores.sources import ZarrSource

__all__ = [
    "AnomalyFilter",
    "CalendarFilter",
    "ClimatologyFilter",
    "CropFilter",
    "DeaccumulationFilter",
    "DerivedFilter",
    "ForcingsFilter",
    "GRIBSource",
    "GridDataset",
    "GridZarrSink",
    "MaskFilter",
    "NamesFilter",
    "NetCDFSink",
    "NetCDFSource",
    "NetCDFYearsSink",
    "PointStatisticsFilter",
    "RegridFilter",
    "ResampleFilter",
    "TendencyStatisticsFilter",
    "ThinFilter",
    "ZarrSource",
    "slot_status",
    "write_grib_day",
    "write_netcdf_day",
]

_MODULES = {
    "AnomalyFilter": "curator_core.domains.grid.fields.climatology",
    "CalendarFilter": "curator_core.domains.grid.filters.calendars",
    "ClimatologyFilter": "curator_core.domains.grid.fields.climatology",
    "DerivedFilter": "curator_core.domains.grid.fields.derived",
    "ForcingsFilter": "curator_core.domains.grid.fields.forcings",
    "CropFilter": "curator_core.domains.grid.operations.cropping",
    "DeaccumulationFilter": "curator_core.domains.grid.filters.accumulations",
    "GRIBSource": "curator_core.domains.grid.grib.sources",
    "GridDataset": "curator_core.domains.grid.dataset",
    "GridZarrSink": "curator_core.domains.grid.sinks",
    "MaskFilter": "curator_core.domains.grid.operations.masking",
    "NamesFilter": "curator_core.domains.grid.filters.names",
    "NetCDFSink": "curator_core.domains.grid.netcdf.sinks",
    "NetCDFYearsSink": "curator_core.domains.grid.netcdf.year_sinks",
    "NetCDFSource": "curator_core.domains.grid.sources",
    "RegridFilter": "curator_core.domains.grid.operations.regridding",
    "ResampleFilter": "curator_core.domains.grid.operations.resampling",
    "TendencyStatisticsFilter": "curator_core.domains.grid.fields.tendencies",
    "ThinFilter": "curator_core.domains.grid.operations.thinning",
    "PointStatisticsFilter": "curator_core.domains.grid.filters.points",
    "ZarrSource": "curator_core.domains.grid.zarr_stores.sources",
    "slot_status": "curator_core.domains.grid.dataset",
    "write_grib_day": "curator_core.domains.grid.weather",
    "write_netcdf_day": "curator_core.domains.grid.weather",
}
__getattr__ = names_in(__name__, _MODULES)
