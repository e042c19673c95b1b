"""A published ragged dataset, as the next publication reads it: tables, and the rows of single items."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curator_core.datasets.layout import FORMAT_VERSION, Arrays, Layout, RaggedFormat, Rows
from curator_core.datasets.parts import LazyArrays
from curator_core.datasets.tables import FINGERPRINT, Tables, assembled, specs
from curator_core.errors import ComponentError, ObjectStoreError
from curator_core.formats.arrays import ArraySpec, fill_value
from curator_core.formats.described import METADATA
from curator_core.formats.description import require_version
from curator_core.formats.zarr_metadata import UNREADABLE, chunk_key, read_table
from curator_core.storage.base import OutputLocation


def described(location: OutputLocation) -> dict[str, Any]:
    """The attributes of a dataset.

    Raises
    ------
    ComponentError
        There is no Zarr group.
    """
    try:
        attributes = json.loads(location.read(METADATA))["attributes"]
        if not isinstance(attributes, dict):
            raise TypeError("its attributes are none")
    except ObjectStoreError:  # no damage
        raise
    except UNREADABLE as exc:
        raise ComponentError(f"There is no Zarr group at {location.path}: {exc}", file=location.path) from exc
    return attributes


@dataclass(frozen=True, slots=True)
class SegmentPlace:
    """Where the rows of a segment lie in a dataset."""

    number: int
    """Its position."""
    shard: dict[str, int]
    """First shard by axis."""
    rows: dict[str, int]
    """Number of rows by axis."""
    absent: frozenset[str]
    """Arrays that have no files there."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows of an item lie in a dataset."""

    segment: SegmentPlace
    """Its segment."""
    offset: dict[str, int]
    """First row by axis, from the beginning of the segment."""
    rows: dict[str, int]
    """Number of rows by axis."""


class StoredRows:
    """Reads the rows of items from a dataset, given where they lie; what is read can be sent to another process.

    Parameters
    ----------
    location
        The dataset.
    ragged
        What the domain says of its datasets.
    layout
        How it is cut.
    arrays
        Its arrays.
    """

    def __init__(self, location: OutputLocation, ragged: RaggedFormat, layout: Layout, arrays: Arrays) -> None:
        self._location, self._ragged, self._layout, self._arrays = location, ragged, layout, arrays
        self._segment = -1
        self._kept: dict[str, npt.NDArray[Any]] = {}

    def read(self, place: Place, schema: str) -> Rows:
        """Rows of an item under its own schema; arrays are decoded when they are asked for.

        Raises
        ------
        ComponentError
            They are damaged.
        """
        layout, arrays = self._layout, self._arrays

        def reader(spec: ArraySpec) -> Any:  # noqa: ANN401 - a function of no arguments
            return lambda: self._decoded(spec, place)

        stored = Rows(
            place.rows[layout.main.name],
            LazyArrays({name: reader(spec) for name, spec in arrays.specs.items()}),
            {axis.name: self._decoded(layout.structure[axis.count], place) for axis in layout.children},
            LazyArrays({name: reader(layout.presence(name)) for name in arrays.partial}),
        )
        return self._ragged.restore(stored, schema, arrays)

    def _decoded(self, spec: ArraySpec, place: Place) -> npt.NDArray[Any]:
        axis, n_rows = spec.dims[0], place.rows[spec.dims[0]]
        if spec.name in place.segment.absent:
            dtype = object if spec.is_text else np.dtype(spec.dtype)
            return np.full((n_rows, *spec.row_shape), fill_value(spec.dtype), dtype)
        start = place.offset[axis]
        if n_rows == place.segment.rows[axis]:
            return self._of_segment(spec, place.segment)
        if self._segment != place.segment.number:  # of items that share one, each is asked for after the other
            self._segment, self._kept = place.segment.number, {}
        if spec.name not in self._kept:
            self._kept[spec.name] = self._of_segment(spec, place.segment)
        return self._kept[spec.name][start : start + n_rows]

    def _of_segment(self, spec: ArraySpec, segment: SegmentPlace) -> npt.NDArray[Any]:
        n_rows, codec = segment.rows[spec.dims[0]], self._layout.codec(spec)
        shards = self._layout.shards(spec, segment.shard[spec.dims[0]], n_rows)
        with reading(self._location, spec.name):
            return codec.decode_files((self._location.read(chunk_key(spec, number)) for number in shards), n_rows)


@contextmanager
def reading(location: OutputLocation, what: str) -> Iterator[None]:
    """Within, what damaged files raise is a `ComponentError` that names the dataset, and what cannot be read of it."""
    try:
        yield
    except ObjectStoreError:  # no damage
        raise
    except UNREADABLE as exc:
        reason = str(exc) or type(exc).__name__
        raise ComponentError(
            f"The dataset {location.path} is damaged: {what} cannot be read: {reason}.", file=location.path
        ) from exc


class PublishedRagged:
    """A published dataset of version 2.

    Parameters
    ----------
    location
        Where it is.
    ragged
        What the domain says of its datasets.

    Raises
    ------
    ComponentError
        It is another's, damaged, or of another version.
    """

    def __init__(self, location: OutputLocation, ragged: RaggedFormat) -> None:
        self._location = location
        self._ragged = ragged
        self._last: SegmentPlace | None = None
        attributes = described(location)
        found = attributes.get("format"), attributes.get("format_version")
        if found[0] != ragged.name:
            raise ComponentError(f"{location.path} is no dataset of {ragged.name!r}.", file=location.path)
        require_version(location.path, found[1], FORMAT_VERSION)
        with reading(location, "its description"):
            self.layout = Layout.from_description(attributes)
            self.names: list[str] = list(attributes["arrays"])
            self._n_items, self._n_segments = int(attributes["n_items"]), int(attributes["n_segments"])
            self._n_schemas, self._has_splits = int(attributes["n_schemas"]), "splits" in attributes

    @cached_property
    def tables(self) -> Tables:
        """Its items and segments, without fingerprints: the next publication is given these.

        Raises
        ------
        ComponentError
            They are damaged.
        """
        with reading(self._location, "the list of its items"):
            lengths = {"item": self._n_items, "segment": self._n_segments, "schema": self._n_schemas}
            found = {
                name: read_table(spec, lengths[spec.dims[0]], self._location.read)
                for name, spec in specs(self.layout, len(self.names), has_splits=self._has_splits).items()
                if name != FINGERPRINT
            }
            return assembled(found, self.layout)

    def versions(self) -> dict[str, str]:
        """Item version by key, in order.

        Raises
        ------
        ComponentError
            It is damaged, or holds an item twice.
        """
        found = dict(zip(self.tables.keys, self.tables.versions, strict=True))
        if len(found) < len(self.tables.keys):
            twice = next(key for key in found if self.tables.keys.count(key) > 1)
            raise ComponentError(
                f"The dataset is damaged: {self._location.path} holds items more than once, such as {twice!r}.",
                file=self._location.path,
            )
        return found

    def splits(self) -> dict[str, str]:
        """Split of each item by key; nothing where there are none.

        Raises
        ------
        ComponentError
            It is damaged.
        """
        return dict(zip(self.tables.keys, self.tables.splits, strict=False))

    @cached_property
    def arrays(self) -> Arrays:
        """The arrays that hold its items."""
        return self._ragged.joined(self.tables.used_schemas(self.layout.main.name))

    @cached_property
    def positions(self) -> dict[str, int]:
        """Position of each item by key."""
        return {key: number for number, key in enumerate(self.tables.keys)}

    @cached_property
    def _offsets(self) -> dict[str, Any]:
        """First row of each item, from the beginning of its segment, by axis."""
        tables = self.tables
        found = {}
        for axis in self.layout.axes:
            rows = tables.rows[axis.name]
            before = np.cumsum(tables.segment_rows[axis.name]) - tables.segment_rows[axis.name]
            found[axis.name] = np.cumsum(rows) - rows - before[tables.segment]
        return found

    def sizes(self, number: int) -> dict[str, int]:
        """Number of rows of an item, by axis."""
        return {name: int(rows[number]) for name, rows in self.tables.rows.items()}

    def checksum(self, segment: int, name: str) -> int:
        """Checksum of the files of an array in a segment; 0 where it has none."""
        return int(self.tables.checksums[segment, self.names.index(name)])

    def digest(self, number: int) -> bytes:
        """Checksums of all arrays in the segment of an item, and where it lies there."""
        offset = [int(rows[number]) for rows in self._offsets.values()]
        return bytes(self.tables.checksums[int(self.tables.segment[number])].tobytes()) + repr(offset).encode()

    def first_shard(self, segment: int, axis: str) -> int:
        """Number of the first shard of a segment on an axis."""
        return int(self.tables.shard[axis][segment])

    def lengths(self, segment: int, axis: str) -> npt.NDArray[Any]:
        """Number of rows on an axis of each sample in a segment.

        Raises
        ------
        ComponentError
            They are damaged.
        """
        spec, tables, main = self.layout.structure[self.layout.by_name[axis].count], self.tables, self.layout.main.name
        n_rows = int(tables.segment_rows[main][segment])
        shards = self.layout.shards(spec, self.first_shard(segment, main), n_rows)
        with reading(self._location, spec.name):
            files = (self._location.read(chunk_key(spec, number)) for number in shards)
            return self.layout.codec(spec).decode_files(files, n_rows)

    def keep(self, spec: ArraySpec, former: Iterable[int], numbers: Iterable[int], staged: Path) -> None:
        """Take files of an array into a staged dataset, given their numbers here and there.

        Raises
        ------
        ComponentError
            One is missing.
        """
        name = ""

        def names() -> Iterator[tuple[str, str]]:
            nonlocal name
            for number, other in zip(former, numbers, strict=True):
                name = chunk_key(spec, number)
                yield name, chunk_key(spec, other)

        try:
            self._location.keep_all(names(), staged)
        except FileNotFoundError as exc:
            raise ComponentError(
                f"The dataset is damaged: {self._location.path}: {name} is missing.", file=self._location.path
            ) from exc

    @cached_property
    def rows(self) -> StoredRows:
        """Reads the rows of its items."""
        return StoredRows(self._location, self._ragged, self.layout, self.arrays)

    def place(self, number: int) -> Place:
        """Where an item lies."""
        segment = int(self.tables.segment[number])
        if self._last is None or self._last.number != segment:  # items of one follow one another
            self._last = self._segment_place(segment)
        return Place(self._last, {name: int(rows[number]) for name, rows in self._offsets.items()}, self.sizes(number))

    def _segment_place(self, segment: int) -> SegmentPlace:
        tables = self.tables
        shard = {name: int(column[segment]) for name, column in tables.shard.items()}
        rows = {name: int(column[segment]) for name, column in tables.segment_rows.items()}
        absent = [name for name, digest in zip(self.names, tables.checksums[segment], strict=True) if not digest]
        return SegmentPlace(segment, shard, rows, frozenset(absent))
