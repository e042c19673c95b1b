"""A published dataset of tables, to be read: as Arrow, pandas, or batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
from pyarrow import dataset as arrow_dataset
from pyarrow import parquet

from curator_core.domains.table.opened import OpenedTables
from curator_core.domains.table.published import PublishedTables
from curator_core.errors import ComponentError, ConfigError, DatasetReplacedError, ObjectStoreError, UnknownNameError
from curator_core.reading.pinned import PinnedReader
from curator_core.reading.readers import DatasetOpener, require_split
from curator_core.storage.objects.mirror import readable_folder

if TYPE_CHECKING:
    import pandas as pd

R = TypeVar("R")


class TableDataset(DatasetOpener):
    """A dataset that `ParquetSink` wrote; nothing is read before it is asked for.

    The version that was opened is read to the end: when another one is published, it is read where it is kept. A file
    of a Delta table is fetched when it is first read, and read on this machine from then on.

    Parameters
    ----------
    path
        Folder of the dataset, or a Delta table, such as ``s3://bucket/name.delta``.
    split
        The split whose items are read; all by default.

    Raises
    ------
    ComponentError
        There is no such dataset, or it is damaged.
    UnknownNameError
        No item is in the split.
    ConfigError
        The dataset has no splits.
    """

    def __init__(self, path: str | Path, split: str | None = None) -> None:
        self._pinned = PinnedReader(_opened, readable_folder(path))
        self._numbers = self._items_of(split)

    @classmethod
    def open(cls, path: Path) -> TableDataset:
        """The dataset that lies at a path."""
        return cls(path)

    @classmethod
    def open_split(cls, path: Path, split: str) -> TableDataset:
        """The items of one split of the dataset that lies at a path."""
        return cls(path, split)

    def _items_of(self, split: str | None) -> list[int] | None:
        if split is None:
            return None
        splits = self._read(lambda published: published.items["split"].to_pylist())
        require_split(split, sorted({name for name in splits if name}), self._pinned.path)
        return [number for number, name in enumerate(splits) if name == split]

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self._pinned.reader.schema

    def __len__(self) -> int:
        """Number of rows."""
        if self._numbers is None:
            return self._pinned.reader.n_rows
        return int(self._read(lambda published: published.n_rows_of[self._numbers].sum()))

    def items(self) -> pa.Table:
        """The items: key, version, fingerprint and split of each, and its number of rows.

        Raises
        ------
        ComponentError
            The dataset is damaged.
        """
        names = ["key", "version", "fingerprint", "split", "n_rows"]
        table = self._read(lambda published: published.items).select(names)
        return table if self._numbers is None else table.take(pa.array(self._numbers, pa.int64()))

    def item(self, key: str) -> pa.Table:
        """Rows of an item.

        Raises
        ------
        UnknownNameError
            There is no such item.
        ComponentError
            They are damaged.
        """

        def rows(published: OpenedTables) -> pa.Table:
            if key not in published.positions:
                raise UnknownNameError.of("item", key, published.positions)
            return published.rows_of(published.positions[key])

        return self._read(rows)

    def to_arrow(self) -> arrow_dataset.Dataset:
        """The files, those of a Delta table fetched, as a ``pyarrow.dataset.Dataset``, which reads where they lie now.

        Raises
        ------
        ConfigError
            Items of other splits are in the same files.
        """
        return self._read(self._arrow)

    def _arrow(self, published: OpenedTables) -> arrow_dataset.Dataset:
        files = published.files
        if self._numbers is not None:
            segments = published.segment_of[self._numbers]
            if len(segments) != int(np.isin(published.segment_of, segments).sum()):
                raise ConfigError(
                    "Items of other splits are in the same files: read batches() or to_table(), or write the dataset "
                    "with items_per_segment=1."
                )
            files = [file.name for number in dict.fromkeys(segments.tolist()) for file in published.files_of(number)]
        return published.arrow(files)

    def to_table(self, columns: Sequence[str] | None = None, filter: Any = None) -> pa.Table:  # noqa: A002, ANN401 - as pyarrow has it
        """Read rows into memory.

        Parameters
        ----------
        columns
            Names of those that are wanted; all by default.
        filter
            Which rows, as a ``pyarrow.compute.Expression``.

        Raises
        ------
        UnknownNameError
            There is no such column.
        ComponentError
            The dataset is damaged.
        """
        self._require(columns)
        if self._numbers is None:
            return self._read(lambda published: published.table(_names(columns), filter))
        names = self.schema.names if columns is None else list(columns)
        found = list(self.batches(columns, filter))
        return pa.concat_tables(found) if found else self.schema.empty_table().select(names)

    def to_pandas(self, columns: Sequence[str] | None = None, filter: Any = None) -> pd.DataFrame:  # noqa: A002, ANN401
        """Read rows into a data frame, see `to_table`; integers of which some are missing are pandas' ``Int64``."""
        import pandas as pd  # noqa: PLC0415 - an extra

        table = self.to_table(columns, filter)
        nullable = {c.name for c in table.schema if pa.types.is_integer(c.type) and table[c.name].null_count}
        frame = table.select([n for n in table.column_names if n not in nullable]).to_pandas()
        for name in nullable:
            kind = table.schema.field(name).type
            capital = f"{'UInt' if str(kind).startswith('u') else 'Int'}{kind.bit_width}"
            values = table[name].fill_null(0).to_numpy()
            frame[name] = pd.Series(values, dtype=capital).mask(table[name].is_null().to_numpy())
        ordered: pd.DataFrame = frame[table.column_names]
        return ordered

    def batches(self, columns: Sequence[str] | None = None, filter: Any = None) -> Iterator[pa.Table]:  # noqa: A002, ANN401
        """Read rows piece by piece, in order: a row group at a time, or, where the dataset is partitioned, a segment.

        Parameters
        ----------
        columns, filter
            As of `to_table`.

        Raises
        ------
        UnknownNameError
            There is no such column.
        ComponentError
            The dataset is damaged.
        """
        self._require(columns)
        published = self._pinned.reader
        numbers = range(len(published.keys)) if self._numbers is None else self._numbers
        wanted = np.zeros(len(published.keys), np.bool_)
        wanted[list(numbers)] = True
        for segment in range(published.n_segments):
            own = np.flatnonzero(published.segment_of == segment)
            keep = np.repeat(wanted[own], published.n_rows_of[own])
            if keep.any():
                yield from self._of_segment(segment, keep, columns, filter)

    def _of_segment(self, segment: int, keep: Any, columns: Sequence[str] | None, condition: Any) -> Iterator[pa.Table]:  # noqa: ANN401
        if self._pinned.reader.layout.partition_by:
            table = self._read(lambda published: published.of_segment(segment, _names(columns), condition, keep))
            if table.num_rows:
                yield table
            return
        sizes = self._read(lambda published: _group_sizes(published, segment))
        start = 0
        for group, size in enumerate(sizes):
            rows, start = keep[start : start + size], start + size
            if rows.any():
                table = self._read(lambda p, group=group: _group(p, segment, group))  # type: ignore[misc]
                table = table if rows.all() else table.filter(pa.array(rows))
                table = table if condition is None else table.filter(condition)
                if table.num_rows:
                    yield table if columns is None else table.select(list(columns))

    def _require(self, columns: Sequence[str] | None) -> None:
        for name in columns or ():
            if name not in self.schema.names:
                raise UnknownNameError.of("column", name, self.schema.names)

    def _read(self, read: Callable[[OpenedTables], R]) -> R:
        """Read something of the version that was opened, wherever it lies."""

        def reading(published: OpenedTables) -> R:
            try:
                return read(published)
            except FileNotFoundError as exc:
                raise DatasetReplacedError(f"{exc} is there no more", file=published.location.path) from exc
            except ComponentError as exc:
                if isinstance(exc.__cause__, FileNotFoundError):
                    raise DatasetReplacedError(str(exc), file=published.location.path) from exc
                raise
            except ObjectStoreError:  # no damage
                raise
            except (OSError, pa.ArrowException) as exc:
                path = published.location.path
                raise ComponentError(f"The dataset {path} is damaged, or cannot be read so: {exc}", file=path) from exc

        return self._pinned.read(reading)


def _opened(path: Path, _: int) -> OpenedTables:
    return OpenedTables(path)


def _names(columns: Sequence[str] | None) -> list[str] | None:
    return None if columns is None else list(columns)


def _group_sizes(published: PublishedTables, segment: int) -> list[int]:
    metadata = parquet.read_metadata(published.source(published.files[segment]))
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


def _group(published: PublishedTables, segment: int, group: int) -> pa.Table:
    with parquet.ParquetFile(published.source(published.files[segment]), page_checksum_verification=True) as opened:
        return opened.read_row_group(group)
