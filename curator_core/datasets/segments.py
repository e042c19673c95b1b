"""Segments: runs of items that share shard files, cut by what is in them alone, and encoded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import overload

import numpy as np

from curator_core.datasets.layout import Arrays, Integers, Layout, RaggedFormat, Rows, stored_arrays, structure
from curator_core.formats.arrays import Array, ArraySpec, fill_value
from curator_core.formats.shard_files import ShardCodec


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of items, and where its rows lie."""

    id: str
    """Hash of its items and of how they are stored: the same files, byte for byte."""
    start: int
    """Position of its first item."""
    stop: int
    """Position after its last item."""
    rows: Mapping[str, int]
    """Number of rows by axis."""
    shard: Mapping[str, int]
    """Number of its first shard by axis."""

    @property
    def items(self) -> slice:
        """Positions of its items."""
        return slice(self.start, self.stop)


class Segments(Sequence[Segment]):
    """All segments of a dataset: numbers and ids alone stay in memory, for there may be millions.

    Parameters
    ----------
    layout
        How the dataset is cut.
    ids
        Id of each segment.
    n_items
        Number of items of each.
    rows
        Number of rows of each item by axis.
    """

    def __init__(self, layout: Layout, ids: list[str], n_items: Integers, rows: Mapping[str, Integers]) -> None:
        self.ids, self.n_items = ids, n_items
        self._stops = np.concatenate([[0], np.cumsum(n_items)])
        self._rows = {a.name: summed(rows[a.name], self._stops) for a in layout.axes}
        taken = {a.name: -(-self._rows[a.name] // a.shard_rows) for a in layout.axes}
        self._shards = {name: np.concatenate([[0], np.cumsum(numbers)]) for name, numbers in taken.items()}

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, number: int) -> Segment: ...
    @overload
    def __getitem__(self, number: slice) -> list[Segment]: ...
    def __getitem__(self, number: int | slice) -> Segment | list[Segment]:
        if isinstance(number, slice):
            return [self[n] for n in range(*number.indices(len(self)))]
        n = range(len(self))[number]
        rows = {name: int(column[n]) for name, column in self._rows.items()}
        shards = {name: int(column[n]) for name, column in self._shards.items()}
        return Segment(self.ids[n], int(self._stops[n]), int(self._stops[n + 1]), rows, shards)

    def rows(self, axis: str) -> Integers:
        """Number of rows of each on an axis."""
        return self._rows[axis]

    def first_shards(self, axis: str) -> Integers:
        """Number of the first shard of each on an axis."""
        return self._shards[axis][:-1]

    def n_shards(self, axis: str) -> int:
        """Number of shards on an axis."""
        return int(self._shards[axis][-1])


def summed(values: Integers, stops: Integers) -> Integers:
    """Sums of consecutive values, given 0 and the position after the last one of each."""
    total: Integers = np.concatenate([[0], np.cumsum(values)])
    found: Integers = total[stops[1:]] - total[stops[:-1]]
    return found


def cut(keys: Iterable[str], rows: Mapping[str, Integers], layout: Layout) -> Integers:
    """Number of items of each segment, given key and rows of the items in their order.

    A boundary stands before an item whose key says so, and before one with which the segment would need a second file
    on an axis. So a boundary moves others at most up to the next one that a key makes.
    """
    if layout.items_per_segment == 1:
        return np.ones(len(rows[layout.main.name]), np.int64)
    found, own = list[int](), [0] * len(layout.axes)
    limits = [axis.shard_rows for axis in layout.axes]
    columns = (rows[axis.name].tolist() for axis in layout.axes)
    for key, *sizes in zip(keys, *columns, strict=True):
        total = [n + more for n, more in zip(own, sizes, strict=True)]
        is_full = any(n > limit for n, limit in zip(total, limits, strict=True))
        if not found or is_full or _hash(key) % layout.items_per_segment == 0:
            found.append(0)
            total = sizes
        found[-1] += 1
        own = total
    return np.array(found, np.int64)


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def segment_id(items: Iterable[tuple[str, str]], layout: Layout) -> str:
    """Id of the segment of some items, given key and version of each: a hash of these as JSON, and of the layout."""
    pairs = (f"[{encode_basestring_ascii(key)}, {encode_basestring_ascii(version)}]" for key, version in items)
    text = ", ".join([encode_basestring_ascii(layout.signature), *pairs])
    return hashlib.sha256(f"[{text}]".encode()).hexdigest()[:32]


class SegmentEncoder:
    """Encodes the items of a segment, one array after the other.

    Parameters
    ----------
    ragged
        What the domain says of its datasets.
    arrays
        The arrays of the dataset.
    """

    def __init__(self, ragged: RaggedFormat, arrays: Arrays) -> None:
        self._ragged, self._layout, self._joined = ragged, ragged.layout, arrays
        self.stored = stored_arrays(ragged.layout, arrays)
        """What can be encoded, by name."""

    def encode(self, items: Sequence[tuple[Rows, str]], names: Sequence[str]) -> Iterator[tuple[str, list[bytes]]]:
        """Name and shard files of some arrays; no files where no item has a value.

        Parameters
        ----------
        items
            Rows and schema of each item of the segment.
        names
            Which arrays.
        """
        rows = [found for found, _ in items]
        fields = [name for name in self._joined.specs if {name, self._layout.presence(name).name} & set(names)]
        pieces = [self._ragged.convert(found, schema, self._joined, fields) for found, schema in items]
        for name in names:
            yield name, self._files(self.stored[name], rows, pieces)

    def _files(self, spec: ArraySpec, rows: list[Rows], pieces: list[Rows]) -> list[bytes]:
        values = self._values(spec, rows, pieces)
        if values is None:
            return []
        codec = self._layout.codec(spec)
        is_constant = spec.dtype == "bool" and not spec.row_shape and bool(values.all())
        return list(_true_files(codec, len(values)) if is_constant else codec.encode(values))

    def _values(self, spec: ArraySpec, rows: list[Rows], pieces: list[Rows]) -> Array | None:
        """Values of an array in a segment; ``None`` where no item has it."""
        name = spec.name
        if name in self._layout.structure:
            return np.concatenate([structure(self._layout, r)[name] for r in rows])
        field = name if name in self._joined.specs else name.removeprefix("present/")
        if not any(field in piece.values for piece in pieces):
            return None
        if field != name:
            return np.concatenate([_presence(piece, field) for piece in pieces])
        return np.concatenate(
            [piece.values[name] if name in piece.values else _missing(spec, piece) for piece in pieces]
        )


def _presence(piece: Rows, field: str) -> Array:
    if field not in piece.values:
        return np.zeros(piece.n_rows, bool)
    return piece.present[field] if field in piece.present else np.ones(piece.n_rows, bool)


def _missing(spec: ArraySpec, piece: Rows) -> Array:
    shape = (piece.n_on(spec.dims[0]), *spec.row_shape)
    return np.full(shape, fill_value(spec.dtype), object if spec.is_text else np.dtype(spec.dtype))


@lru_cache(maxsize=1024)
def _true_files(codec: ShardCodec, n_rows: int) -> tuple[bytes, ...]:
    """The files of an array of flags that are all set: of every segment, and often of the same length."""
    return tuple(codec.encode(np.ones(n_rows, bool)))
