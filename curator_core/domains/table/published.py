"""A published dataset of tables: what it says of itself, and the rows of its items."""

from __future__ import annotations

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

FORMAT: Final = "curator-table"
FORMAT_VERSION: Final = 1
ITEMS: Final = f"{OWN_FOLDER}/items.parquet"
"""The table of items: key, version, fingerprint, split, segment, rows, schema."""
SEGMENTS: Final = f"{OWN_FOLDER}/segments.parquet"
"""The table of segments: id, rows, bytes, checksum."""


def segment_file(number: int, segment_id: str) -> str:
    """Name of the file of a segment: with its id, so that another version has other files under other names."""
    return f"{number:08d}-{segment_id}.parquet"


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
            text = f"The dataset {self.location.path} is damaged: {name} cannot be read: {exc}"
            raise ComponentError(text, file=self.location.path) from exc

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

    @cached_property
    def files(self) -> list[str]:
        """Name of the file of each segment, in order."""
        return [segment_file(number, name) for number, name in enumerate(self.segments["id"].to_pylist())]

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
        """First row of each item in the file of its segment."""
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
        table = self._read(self.files[int(self.segment_of[number])], columns)
        return table.slice(int(self.first_row_of[number]), int(self.n_rows_of[number]))
