"""Sink of tables: one Zarr dataset with an array for each column."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import pyarrow as pa

from curator_core.datasets.layout import Axis, Layout
from curator_core.datasets.parts import PART_SUFFIX, Part, write_part
from curator_core.datasets.published import PublishedRagged
from curator_core.datasets.publishing import publish_ragged
from curator_core.domains.table.written import TableLayout, schema_text, stored_form
from curator_core.domains.table.zarr_arrays.columns import ROW, OtherTypesError, TableFormat, own_schema, rows_of
from curator_core.errors import ConfigError, MergeError
from curator_core.formats.arrays import Array
from curator_core.pipeline.annotations import SECRET
from curator_core.pipeline.components import MergeItem, Variable
from curator_core.sinks.datasets import DatasetSink
from curator_core.storage.locations import location_of
from curator_core.storage.outputs import check_output_path

_CHUNK_ROWS, _SHARD_ROWS = 16_384, 1_048_576


class TableZarrSink(DatasetSink[pa.Table]):
    """Writes one Zarr dataset of tables: an array for each column, with a row for each row.

    Numbers, truth values and times keep their types, texts are texts. Where values of
    a column are missing, ``present/{column}`` says of which rows. Types are those in which the values of all items fit
    exactly. A column of another kind, such as lists, fails its item.

    `open_dataset` gives a `RaggedDataset`, whose samples are the rows.

    Parameters
    ----------
    output_path
        Folder of the dataset, ending in ``.zarr``; or a repository, ending in ``.icechunk``, here or in a bucket.
    items_per_segment
        Items that share files, on average: 1 where items are megabytes, more where they are small.
    chunk_rows
        Rows that a reader loads at once.
    shard_rows
        Rows of a file, a multiple of `chunk_rows`.
    storage_options
        Credentials and settings for what is published in the output's folder of a bucket, by obstore's names, such as
        ``aws_secret_access_key`` and ``endpoint``; in place of those of the environment. They are stored nowhere.

    Raises
    ------
    ConfigError
        The sizes do not fit.
    """

    name: ClassVar[str] = "table_zarr"
    description: ClassVar[str] = "Tables as one Zarr dataset with an array for each column"
    checks_arguments: ClassVar[bool] = True
    shard_suffix: ClassVar[str] = PART_SUFFIX

    def __init__(
        self,
        output_path: str,
        items_per_segment: int = 1,
        *,
        chunk_rows: int = _CHUNK_ROWS,
        shard_rows: int = _SHARD_ROWS,
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
    ) -> None:
        super().__init__(output_path, storage_options)
        try:
            self._format = TableFormat(Layout((Axis(ROW, chunk_rows, shard_rows),), items_per_segment))
        except ConfigError as exc:
            raise ConfigError(f"{self.name}: {exc}") from None

    def check(self) -> None:
        """Raise `ConfigError` when the output cannot be written, or when something else stands there."""
        check_output_path(self._output, ".zarr", self.name)
        self._require_own()

    def write_shard(self, items: Iterator[pa.Table], path: str) -> None:
        """Write the rows of an item.

        Raises
        ------
        ComponentError
            They are no tables, of other columns, or a column cannot be an array.
        """
        table = stored_form(items, TableLayout())
        schema = own_schema(table)  # before values, which are those of arrays
        write_part(path, self._format, rows_of(table), schema_text(schema))

    def merge_items(self, items: Sequence[MergeItem], previous: str | None, output_path: str) -> None:
        """Write a new dataset from parts and from the previous dataset.

        Raises
        ------
        MergeError
            A part, or an item of the previous dataset, is missing or damaged; or a column has no common type.
        """
        try:
            publish_ragged(self._format, items, previous, Path(output_path))
        except OtherTypesError as exc:
            key = self._first_with(exc.schema, items, previous)
            raise MergeError(
                f"The item {key!r} does not go with the others: {exc}. Correct it, or give the column one type with "
                "schema= of its source or a filter."
            ) from exc

    def _first_with(self, schema: str, items: Sequence[MergeItem], previous: str | None) -> str | None:
        """Key of the first item with a schema."""
        before = None if previous is None else self._published(previous)
        for item in items:
            if item.shard is not None:
                own = Part(item.shard).schema
            else:
                assert before is not None  # noqa: S101 - or the item would have been missing before
                own = before.tables.schema_of(before.positions[item.key])
            if own == schema:
                return item.key
        return None

    def describe(self, output_path: str) -> dict[str, int | float | str]:
        """Numbers of rows and columns."""
        return {"n_rows": self.n_rows(output_path), "n_columns": len(self._published(output_path).arrays.specs)}

    def n_rows(self, output_path: str) -> int:
        return int(self._published(output_path).tables.rows[ROW].sum())

    def schema(self, output_path: str) -> list[Variable]:
        published = self._published(output_path)
        n_rows, chunks = int(published.tables.rows[ROW].sum()), (published.layout.main.chunk_rows,)
        return [
            Variable(spec.name, spec.dtype, spec.dims, (n_rows,), chunks, spec.attributes.get("units", ""))
            for spec in published.arrays.specs.values()
        ]

    def values(self, output_path: str, names: Collection[str]) -> Iterator[tuple[str, str, Array]]:
        published = self._published(output_path)
        for number, key in enumerate(published.tables.keys):
            rows = published.rows.read(published.place(number), published.tables.schema_of(number))
            for name in names:
                if name in rows.values:
                    values, present = rows.values[name], rows.present.get(name)
                    yield key, name, values if present is None else values[present]

    def _published(self, output_path: str) -> PublishedRagged:
        return PublishedRagged(location_of(output_path), self._format)
