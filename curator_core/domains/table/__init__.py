"""Tables: rows of named columns, from CSV, Parquet, JSON lines and Feather files.

Everything here needs the extra ``table``; a name is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.errors import MissingDependencyError
from curator_core.moved import names_in

try:
    import pyarrow as pa  # noqa: F401 - every module below needs it
except ImportError as exc:
    raise MissingDependencyError.of("pyarrow", "table", "curator_core.domains.table") from exc

if TYPE_CHECKING:
    from curator_core.domains.table.checks import TableChecksFilter
    from curator_core.domains.table.csv_files.sources import CSVSource
    from curator_core.domains.table.dataset import TableDataset
    from curator_core.domains.table.json_lines.sources import JSONLinesSource
    from curator_core.domains.table.parquet_files import ParquetSource
    from curator_core.domains.table.sinks import ParquetSink
    from curator_core.domains.table.sources import FeatherSource
    from curator_core.domains.table.zarr_arrays.sinks import TableZarrSink

__all__ = [
    "CSVSource",
    "FeatherSource",
    "JSONLinesSource",
    "ParquetSink",
    "ParquetSource",
    "TableChecksFilter",
    "TableDataset",
    "TableZarrSink",
]

_MODULES = {
    "CSVSource": "curator_core.domains.table.csv_files.sources",
    "FeatherSource": "curator_core.domains.table.sources",
    "JSONLinesSource": "curator_core.domains.table.json_lines.sources",
    "ParquetSink": "curator_core.domains.table.sinks",
    "TableChecksFilter": "curator_core.domains.table.checks",
    "TableDataset": "curator_core.domains.table.dataset",
    "TableZarrSink": "curator_core.domains.table.zarr_arrays.sinks",
    "ParquetSource": "curator_core.domains.table.parquet_files",
}
__getattr__ = names_in(__name__, _MODULES)
