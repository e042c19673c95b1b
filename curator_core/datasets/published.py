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
from curator_core.datasets.tables import Tables, assembled, specs
from curator_core.errors import ComponentError, ConfigError
from curator_core.formats.arrays import ArraySpec, fill_value
from curator_core.formats.shard_files import DAMAGED
from curator_core.formats.zarr_metadata import METADATA, chunk_key, read_table
from curator_core.storage.base import OutputLocation

_UNREADABLE = (*DAMAGED, OSError, RecursionError, AttributeError, ConfigError)


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
    except _UNREADABLE as exc:
        raise ComponentError(f"There is no Zarr group at {location.path}: {exc}", file=location.path) from exc
    return attributes


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item lies in a dataset."""

    segment: int
    """Position of its segment."""
    offset: dict[str, int]
    """First row by axis, from the beginning of the segment."""
    rows: dict[str, int]
    """Number of rows by axis."""


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
        attributes = described(location)
        found = attributes.get("format"), attributes.get("format_version")
        if found[0] != ragged.name:
            raise ComponentError(f"{location.path} is no dataset of {ragged.name!r}.", file=location.path)
        if found[1] != FORMAT_VERSION:
            raise ComponentError(
                f"{location.path} has format version {found[1]!r}, this version of curator reads {FORMAT_VERSION}.",
                file=location.path,
            )
        with self._reading("its description"):
            self.layout = Layout.from_description(attributes)
            self.names: list[str] = list(attributes["arrays"])
            self._n_items, self._n_segments = int(attributes["n_items"]), int(attributes["n_segments"])
            self._n_schemas = int(attributes["n_schemas"])

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        try:
            yield
        except _UNREADABLE as exc:
            reason = str(exc) or type(exc).__name__
            raise ComponentError(
                f"The dataset {self._location.path} is damaged: {what} cannot be read: {reason}.",
                file=self._location.path,
            ) from exc

    @cached_property
    def tables(self) -> Tables:
        """Its items and segments.

        Raises
        ------
        ComponentError
            They are damaged.
        """
        with self._reading("the list of its items"):
            lengths = {"item": self._n_items, "segment": self._n_segments, "schema": self._n_schemas}
            found = {
                name: read_table(spec, lengths[spec.dims[0]], self._location.read)
                for name, spec in specs(self.layout, len(self.names)).items()
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

    @cached_property
    def arrays(self) -> Arrays:
        """The arrays that hold its items."""
        tables, main = self.tables, self.layout.main.name
        used = dict.fromkeys(t for t, n in zip(tables.schemas, tables.rows[main].tolist(), strict=True) if n)
        return self._ragged.joined(list(used))

    @cached_property
    def _items(self) -> dict[str, int]:
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

    def find(self, key: str, version: str) -> int | None:
        """Position of an item; ``None`` where it is not in the dataset, or in another version."""
        number = self._items.get(key)
        return number if number is not None and self.tables.versions[number] == version else None

    def sizes(self, number: int) -> dict[str, int]:
        """Number of rows of an item, by axis."""
        return {name: int(rows[number]) for name, rows in self.tables.rows.items()}

    def checksum(self, segment: int, name: str) -> int:
        """Checksum of the files of an array in a segment; 0 where it has none."""
        return int(self.tables.checksums[segment, self.names.index(name)])

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
        with self._reading(spec.name):
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

    def read(self, number: int) -> Rows:
        """Rows of an item under its own schema; arrays are decoded when they are asked for.

        Raises
        ------
        ComponentError
            They are damaged.
        """
        arrays, layout = self.arrays, self.layout
        place = Place(
            int(self.tables.segment[number]),
            {name: int(offset[number]) for name, offset in self._offsets.items()},
            self.sizes(number),
        )

        def reader(spec: ArraySpec) -> Any:  # noqa: ANN401 - a function of no arguments
            return lambda: self._decoded(spec, place)

        stored = Rows(
            place.rows[layout.main.name],
            LazyArrays({name: reader(spec) for name, spec in arrays.specs.items()}),
            {axis.name: self._decoded(layout.structure[axis.count], place) for axis in layout.children},
            LazyArrays({name: reader(layout.presence(name)) for name in arrays.partial}),
        )
        return self._ragged.restore(stored, self.tables.schemas[number], arrays)

    def _decoded(self, spec: ArraySpec, place: Place) -> npt.NDArray[Any]:
        axis, codec = self.layout.by_name[spec.dims[0]], self.layout.codec(spec)
        start, n_rows = place.offset[axis.name], place.rows[axis.name]
        total = int(self.tables.segment_rows[axis.name][place.segment])
        with self._reading(spec.name):
            if not self.tables.checksums[place.segment, self.names.index(spec.name)]:
                dtype = object if spec.is_text else np.dtype(spec.dtype)
                return np.full((n_rows, *spec.row_shape), fill_value(spec.dtype), dtype)
            found = [codec.empty()]
            first = int(self.tables.shard[axis.name][place.segment])
            for shard in range(start // axis.shard_rows, -(-(start + n_rows) // axis.shard_rows)):
                rows = min(total - shard * axis.shard_rows, axis.shard_rows)
                found.append(codec.decode(self._location.read(chunk_key(spec, first + shard)), rows))
            skipped = start - start // axis.shard_rows * axis.shard_rows
            return np.concatenate(found)[skipped : skipped + n_rows]
