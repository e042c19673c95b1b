"""Sink of tables: one dataset of Parquet files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import pyarrow as pa

from curator_core.domains.table.fields import TableFields
from curator_core.domains.table.published import PublishedTables
from curator_core.domains.table.publishing import publish_tables
from curator_core.domains.table.written import TableLayout, stored_form
from curator_core.errors import ConfigError
from curator_core.filters.values.fields import Array
from curator_core.pipeline.annotations import ADDED, SECRET
from curator_core.pipeline.components import MergeItem, Variable
from curator_core.sinks.datasets import DatasetSink
from curator_core.storage.locations import location_of
from curator_core.storage.objects.delta.location import DeltaLocation
from curator_core.storage.outputs import check_output_path


class ParquetSink(DatasetSink[pa.Table]):
    """Writes one dataset of Parquet files: a folder that pandas, DuckDB and Spark read as one table, or a Delta table.

    Every item is a file, which is written once: a publication writes what changed and links the rest. Types are those
    in which the values of all items fit exactly; a column that some items lack is null there, which is logged. Where
    there is no such type, as for text and numbers, nothing is published.

    Parameters
    ----------
    output_path
        Folder of the dataset, ending in ``.parquet``; or a Delta table, ending in ``.delta``, here or in a bucket. That
        has no times of day and no durations, and keeps times to the microsecond.
    items_per_segment
        Items that share a file, on average: 1 where items are megabytes, more where they are small.
    sort_by
        Columns by which the rows of each item are sorted, missing values last; as they come by default.
    partition_by
        Columns of text, integers, dates or truth values after which folders are named, as Hive does:
        ``region=EU/year=2020``. What items of a segment have in one of them is one file.
    compression
        Of the pages: ``zstd``, ``snappy``, ``lz4``, ``gzip``, ``brotli`` or ``none``.
    row_group_rows
        Rows that a reader loads at once, and of which the file holds the smallest and largest values.
    storage_options
        Credentials and settings for what is published in the output's folder of a bucket, by obstore's names, such as
        ``aws_secret_access_key`` and ``endpoint``; in place of those of the environment. They are stored nowhere.

    Raises
    ------
    ConfigError
        A number or codec is none, or no folder is named after a column.
    """

    name: ClassVar[str] = "parquet_dataset"
    description: ClassVar[str] = "Tables as one dataset of Parquet files"
    checks_arguments: ClassVar[bool] = True
    shard_suffix: ClassVar[str] = ".parquet"

    def __init__(
        self,
        output_path: str,
        items_per_segment: int = 1,
        *,
        sort_by: Sequence[str] = (),
        partition_by: Annotated[Sequence[str], ADDED] = (),
        compression: str = "zstd",
        row_group_rows: int = 262_144,
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
    ) -> None:
        super().__init__(output_path, storage_options)
        try:
            self._layout = TableLayout(
                items_per_segment,
                row_group_rows,
                compression=compression,
                sort_by=tuple(sort_by),
                partition_by=tuple(partition_by),
            )
        except ConfigError as exc:
            raise ConfigError(f"{self.name}: {exc}") from None

    def check(self) -> None:
        """Raise `ConfigError` when the output cannot be written, or when something else stands there."""
        if self._is_delta:
            check_output_path(self._output, ".delta", self.name)
            self._require_own()
            return
        if "://" in self._output:
            raise ConfigError(
                f"{self.name}: {self._output!r} must be a folder of this machine, or a Delta table: name it "
                f"{self._output.removesuffix('.parquet')}.delta."
            )
        location = location_of(self._output)
        if not (location.exists() and "" not in location.objects()):  # a folder, as the one before was
            check_output_path(self._output, ".parquet", self.name)
        self._require_own()

    @property
    def _is_delta(self) -> bool:
        return DeltaLocation.is_meant(self._output)

    def write_shard(self, items: Iterator[pa.Table], path: str) -> None:
        """Write the rows of an item.

        Raises
        ------
        ComponentError
            They are no tables, of other columns, or of values after which no folder is named.
        """
        self._layout.write(stored_form(items, self._layout), path)

    def _published(self, output_path: str) -> PublishedTables:
        return PublishedTables(location_of(output_path).pinned())

    def merge_items(self, items: Sequence[MergeItem], previous: str | None, output_path: str) -> None:
        """Write a new dataset from parts and from the previous dataset.

        Raises
        ------
        MergeError
            A part, or an item of the previous dataset, is missing or damaged; or a column has no common type.
        """
        publish_tables(self._layout, items, previous, Path(output_path), is_delta=self._is_delta)

    def describe(self, output_path: str) -> dict[str, int | float | str]:
        """Numbers of rows, columns and files."""
        published = self._published(output_path)
        found = published.attributes
        return {"n_rows": found["n_rows"], "n_columns": len(found["columns"]), "n_files": len(published.files)}

    def n_rows(self, output_path: str) -> int:
        return self._published(output_path).n_rows

    def schema(self, output_path: str) -> list[Variable]:
        published = self._published(output_path)
        return [
            Variable(column.name, str(column.type), ("row",), (published.n_rows,), (), _unit(column.metadata))
            for column in published.schema
        ]

    def values(self, output_path: str, names: Collection[str]) -> Iterator[tuple[str, str, Array]]:
        published = self._published(output_path)
        for number, key in enumerate(published.keys):
            fields = TableFields(published.rows_of(number, list(names)))
            for name in names:
                values, missing = fields.present(name), fields.missing(name)
                yield key, name, values if missing is None else values[~missing]


def _unit(metadata: Mapping[bytes, bytes] | None) -> str:
    return (metadata or {}).get(b"units", b"").decode("utf-8", "replace")
