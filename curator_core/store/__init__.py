"""The metrics database: one writer, any number of readers."""

from curator_core.formats.tabular import Row
from curator_core.store.export import export_file, export_rows, item_table, to_pandas
from curator_core.store.journal import JournalWriter, await_journals, journal_directory, read_journals
from curator_core.store.location import database_path
from curator_core.store.metrics import IndexMetrics, PipelineMetrics
from curator_core.store.reader import ItemRecord, JobUsage, MetricsStore, RunRecord
from curator_core.store.writer import StoreWriter

__all__ = [
    "IndexMetrics",
    "ItemRecord",
    "JobUsage",
    "JournalWriter",
    "MetricsStore",
    "PipelineMetrics",
    "Row",
    "RunRecord",
    "StoreWriter",
    "await_journals",
    "database_path",
    "export_file",
    "export_rows",
    "item_table",
    "journal_directory",
    "read_journals",
    "to_pandas",
]
