"""A published dataset of tables: what it says of itself, and the rows of its items."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from curator_core.domains.table.written import TableLayout, schema_of_text
from curator_core.errors import ComponentError, ObjectStoreError
from curator_core.formats.description import OWN_FOLDER, described_as
from curator_core.storage.base import OutputLocation
from curator_core.storage.local import LocalLocation
from curator_core.storage.objects.delta.partitions import partition_values

FORMAT: Final = "curator-table"
FORMAT_VERSION: Final = 1
ITEMS: Final = f"{OWN_FOLDER}/items.parquet"
"""The table of items: key, version, fingerprint, split, segment, rows, schema."""
SEGMENTS: Final = f"{OWN_FOLDER}/segments.parquet"
"""The table of the files of segments: id of the segment, rows, bytes, checksum."""
ORDER: Final = f"{OWN_FOLDER}/order"
"""Folder of the order of the rows of segments that are in several files."""


def segment_file(number: int, segment_id: str, folder: str = "") -> str:
    """Name of a file of a segment: with its id, so that another version has other files under other names."""
    if not folder:
        return f"{number:08d}-{segment_id}.parquet"
    own = hashlib.sha256(f"{segment_id} {folder}".encode()).hexdigest()[:32]  # also where folders differ in case alone
    return f"{folder}/{number:08d}-{own}.parquet"


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file of a dataset of tables."""

    name: str
    segment: int
    """Position of its segment."""
    folder: str
    """Folder of a partition, or `ORDER`; empty where there are no partitions."""
    n_rows: int
    n_bytes: int
    checksum: str


class PublishedTables:
    """A published dataset of tables.

    Parameters
    ----------
    location
        Where it is.

    Raises
    ------
    ComponentError
        There is none, it is another's, damaged, or of another version.
    """

    def __init__(self, location: OutputLocation) -> None:
        self.location = location
        attributes = described_as(location, FORMAT, "dataset of tables", FORMAT_VERSION)
        self.attributes: dict[str, Any] = attributes
        self.layout = TableLayout.from_description(attributes)
        self.schema = schema_of_text(attributes["schema"])
        self.schemas = [schema_of_text(text) for text in attributes["schemas"]]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.attributes["n_rows"])

    def content_hash(self) -> str:
        """Hash of what differs between versions."""
        return str(self.attributes["content_hash"])

    @cached_property
    def items(self) -> pa.Table:
        """The table of items, in order.

        Raises
        ------
        ComponentError
            It is damaged.
        """
        return self._table(ITEMS)

    @cached_property
    def segments(self) -> pa.Table:
        """The table of segments, in order.

        Raises
        ------
        ComponentError
            It is damaged.
        """
        return self._table(SEGMENTS)

    def _table(self, name: str) -> pa.Table:
        return self._read(name, None)

    def source(self, name: str) -> Path | pa.NativeFile:
        """What a file is read from: in a folder its path, else its content, which is fetched.

        Raises
        ------
        FileNotFoundError
            There is no such file in the place.
        """
        if isinstance(self.location, LocalLocation):
            return Path(self.location.readable_path) / name
        return pa.BufferReader(self.location.read(name))

    def _read(self, name: str, columns: list[str] | None) -> pa.Table:
        try:
            source = self.source(name)
            is_path = isinstance(source, Path)
            return parquet.read_table(
                source,
                columns=columns,
                page_checksum_verification=True,
                partitioning=None,
                use_threads=is_path,  # threads that let bytes of Python go abort a Python that ends meanwhile
                pre_buffer=is_path,
            )
        except ObjectStoreError:  # no damage
            raise
        except (OSError, pa.ArrowException) as exc:
            raise self._damaged(f"{name} cannot be read: {exc}") from exc

    def _damaged(self, why: str) -> ComponentError:
        path = self.location.path
        return ComponentError(f"The dataset {path} is damaged: {why}", file=path)

    @cached_property
    def keys(self) -> list[str]:
        """Key of each item, in order."""
        return [str(key) for key in self.items["key"].to_pylist()]

    @cached_property
    def positions(self) -> dict[str, int]:
        """Position of each item by key.

        Raises
        ------
        ComponentError
            One is there twice.
        """
        found = {key: number for number, key in enumerate(self.keys)}
        if len(found) < len(self.keys):
            twice = next(key for number, key in enumerate(self.keys) if found[key] != number)
            path = self.location.path
            raise ComponentError(f"The dataset {path} is damaged: it holds {twice!r} twice.", file=path)
        return found

    def by_key(self, column: str) -> dict[str, Any]:
        """A column of the table of items by key."""
        return dict(zip(self.positions, self.items[column].to_pylist(), strict=True))

    def versions(self) -> dict[str, str]:
        """Item version by key, in order."""
        return self.by_key("version")

    def splits(self) -> dict[str, str]:
        """Split by key; empty of items in none."""
        return self.by_key("split")

    @property
    def n_segments(self) -> int:
        """Number of segments."""
        return int(self.attributes["n_segments"])

    @cached_property
    def every_file(self) -> list[TableFile]:
        """The files of the segments, in their order."""
        table = self.segments
        is_partitioned = bool(self.layout.partition_by)
        numbers = table["segment"].to_pylist() if is_partitioned else range(len(table))
        folders = table["folder"].to_pylist() if is_partitioned else [""] * len(table)
        names = map(segment_file, numbers, table["id"].to_pylist(), folders)
        about = (table[column].to_pylist() for column in ("n_rows", "n_bytes", "checksum"))
        return [TableFile(*one) for one in zip(names, numbers, folders, *about, strict=True)]

    @cached_property
    def files(self) -> list[str]:
        """Names of the files that hold rows, in order: one for each segment, or for each of its partitions."""
        return [file.name for file in self.every_file if file.folder != ORDER]

    def files_of(self, segment: int) -> list[TableFile]:
        """The files that hold the rows of a segment."""
        return [file for file in self._by_segment.get(segment, ()) if file.folder != ORDER]

    @cached_property
    def _by_segment(self) -> dict[int, list[TableFile]]:
        found: dict[int, list[TableFile]] = {}
        for file in self.every_file:
            found.setdefault(file.segment, []).append(file)
        return found

    @cached_property
    def n_rows_of(self) -> npt.NDArray[np.int64]:
        """Number of rows of each item."""
        return np.asarray(self.items["n_rows"].to_numpy(), np.int64)

    @cached_property
    def segment_of(self) -> npt.NDArray[np.int64]:
        """Position of the segment of each item."""
        return np.asarray(self.items["segment"].to_numpy(), np.int64)

    @cached_property
    def first_row_of(self) -> npt.NDArray[np.int64]:
        """First row of each item in its segment."""
        starts = np.cumsum(self.n_rows_of) - self.n_rows_of
        first = np.searchsorted(self.segment_of, self.segment_of)
        return np.asarray(starts - starts[first] if len(starts) else starts, np.int64)

    def rows_of(self, number: int, columns: list[str] | None = None) -> pa.Table:
        """Rows of an item, as the dataset stores them.

        Raises
        ------
        ComponentError
            They are damaged.
        """
        segment = int(self.segment_of[number])
        start, n_rows = int(self.first_row_of[number]), int(self.n_rows_of[number])
        if self.layout.partition_by:
            return self.in_order(self.pieces(segment, range(start, start + n_rows), columns), columns)
        return self._read(self.files[segment], columns).slice(start, n_rows)

    def pieces(
        self, segment: int, rows: range, columns: list[str] | None = None, names: Collection[str] | None = None
    ) -> Iterator[tuple[npt.NDArray[np.int64], pa.Table]]:
        """Rows of a segment that is partitioned, file by file: positions in the segment, and the rows.

        Parameters
        ----------
        segment
            Position of the segment.
        rows
            Which of its rows, without gaps.
        columns
            Names of those that are wanted; all by default.
        names
            Files that are read; all by default.

        Raises
        ------
        ComponentError
            They are damaged.
        """
        files, owner = self.files_of(segment), self._owner(segment)
        in_files = np.argsort(owner, kind="stable")
        sizes = np.bincount(owner, minlength=len(files)).tolist()
        if sizes != [file.n_rows for file in files]:
            raise self._damaged(f"{ORDER} says of other rows where those of segment {segment} are")
        for file, end in zip(files, np.cumsum(sizes).tolist(), strict=True):
            own = in_files[end - file.n_rows : end]
            first, last = np.searchsorted(own, [rows.start, rows.stop]).tolist()
            if first < last and (names is None or file.name in names):
                yield own[first:last], self._of_partition(file, columns).slice(first, last - first)

    def _owner(self, segment: int) -> npt.NDArray[np.int16]:
        """Which of the files of a segment has each row."""
        files = self._by_segment.get(segment, [])
        order = next((file for file in files if file.folder == ORDER), None)
        if order is None:
            return np.zeros(sum(file.n_rows for file in files), np.int16)
        return np.asarray(self._read(order.name, None)["folder"].to_numpy(), np.int16)

    def _of_partition(self, file: TableFile, columns: list[str] | None) -> pa.Table:
        names = self.schema.names if columns is None else columns
        texts = partition_values(file.folder)
        stored = [name for name in names if name not in texts]
        table = self._read(file.name, stored) if stored else None
        if table is not None and table.num_rows != file.n_rows:
            raise self._damaged(f"{file.name} has {table.num_rows:,} rows, not {file.n_rows:,}")
        found = []
        for name in names:
            if table is None or name in texts:
                found.append(pa.repeat(partition_value(texts[name], self.schema.field(name).type), file.n_rows))
            else:
                found.append(table[name])
        return pa.table(found, schema=pa.schema([self.schema.field(name) for name in names]))

    def in_order(self, pieces: Iterator[tuple[npt.NDArray[np.int64], pa.Table]], columns: list[str] | None) -> pa.Table:
        """What `pieces` gives as one table, in the order of the segment."""
        found = list(pieces)
        if not found:
            return self.schema.empty_table().select(self.schema.names if columns is None else columns)
        table = pa.concat_tables([piece for _, piece in found])
        positions = np.concatenate([own for own, _ in found])
        return table if len(found) == 1 else table.take(pa.array(np.argsort(positions)))


def partition_value(text: str | None, kind: pa.DataType) -> pa.Scalar:
    """The value of a column that the name of a folder says."""
    return pa.scalar(None, kind) if text is None else pa.array([text]).cast(kind)[0]
