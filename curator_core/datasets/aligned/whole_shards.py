"""Shards that one item fills: the worker writes the file that the dataset will have, and publishing links it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from curator_core.datasets.aligned.codec import Array, write_shard_file
from curator_core.datasets.aligned.schema import SlotArray
from curator_core.formats.shard_files import crc32c
from curator_core.storage.atomic import link_or_copy, sync

WHOLE_BYTES: Final = 1 << 20
"""A smaller shard is copied when it is published: many small files are slow."""
Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class WholeShard:
    """A file of an array that one item fills."""

    array: str
    """Name of the array."""
    position: tuple[int, ...]
    """Which file of it."""
    row: int
    """First slot of the item in it."""
    n_rows: int
    """Number of its slots in it."""
    size: int
    """Bytes of the file."""
    checksum: int
    """Of its content."""

    def described(self) -> list[Any]:
        """What `from_description` takes, as JSON."""
        return list(astuple(self))

    @classmethod
    def from_description(cls, given: Sequence[Any]) -> Self:
        """The one that `described` describes."""
        array, position, row, n_rows, size, checksum = given
        return cls(array, tuple(position), row, n_rows, size, checksum)

    def place(self, source: Path, target: Path) -> int:
        """Put its file into a dataset, by a link, and give its checksum.

        Raises
        ------
        ValueError
            It is not what was written.
        """
        found = source.stat().st_size
        if found != self.size:
            raise ValueError(f"{source.name} has {found:,} bytes of {self.size:,}")
        target.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(source, target)
        return self.checksum


def windows_of(array: SlotArray, positions: Index, n_cells: Index, n_slots: int | None) -> list[tuple[int, int, int]]:
    """Shards along the slots that an item fills: number, first slot of the item, and number of its slots.

    Parameters
    ----------
    array
        The array.
    positions
        Those of the item's slots on the axis, rising.
    n_cells
        How many values the item has in each.
    n_slots
        Where the axis ends; ``None`` where it grows.
    """
    size = array.shard[0]
    if array.row_bytes * size < WHOLE_BYTES:
        return []
    found = []
    for number in np.unique(positions // size).tolist():
        stop = (number + 1) * size if n_slots is None else min((number + 1) * size, n_slots)
        first, end = np.searchsorted(positions, (number * size, stop)).tolist()
        if end - first == stop - number * size and bool((n_cells[first:end] > 0).all()):
            found.append((number, first, end - first))
    return found


def shard_file(folder: Path, number: int) -> Path:
    """Where a part keeps a shard."""
    return folder / f"{number}.shard"


class WholeShardWriter:
    """Writes shards of one item, and gives the places of their chunks.

    Parameters
    ----------
    folder
        Of the part.
    level
        Level of Zstandard.
    """

    def __init__(self, folder: Path, level: int) -> None:
        self._folder, self._level = folder, level
        self.shards: list[WholeShard] = []

    def write(self, array: SlotArray, values: Array, window: tuple[int, int, int]) -> Iterator[tuple[int, int, Any]]:
        """Write the files of a window; gives row, cells, and number, offset, size and crc of each chunk."""
        number, row, n_rows = window
        grid = array.codec(self._level).grid
        shape = [-(-n // size) for n, size in zip(array.row_shape, array.chunk[1:], strict=True)]
        for place in product(*(range(-(-n // size)) for n, size in zip(array.row_shape, array.shard[1:], strict=True))):
            chunks = _Chunks(array, values[row : row + n_rows], self._level)
            calls: list[Callable[[], bytes] | None] = []
            for first, *at in product(*map(range, grid)):
                cell = [p * g + n for p, g, n in zip(place, grid[1:], at, strict=True)]
                is_there = first * array.chunk[0] < n_rows and all(n < end for n, end in zip(cell, shape, strict=True))
                flat = int(np.ravel_multi_index(cell, shape)) if is_there and cell else 0
                calls.append(chunks.chunk(first * array.chunk[0], flat, cell) if is_there else None)
            path = shard_file(self._folder, len(self.shards))
            checksum = write_shard_file(path, calls)
            for start, flat, (offset, size, crc) in chunks.written:
                yield row + start, flat, (len(self.shards), offset, size, crc)
            shard = WholeShard(array.name, (number, *place), row, n_rows, path.stat().st_size, checksum)
            self.shards.append(shard)

    def sync(self) -> None:
        """Make the files durable, so that they need not be when they are published."""
        for number in range(len(self.shards)):
            sync(shard_file(self._folder, number))


class _Chunks:
    """The chunks of one file, encoded one after another."""

    def __init__(self, array: SlotArray, values: Array, level: int) -> None:
        self._array, self._values, self._codec = array, values, array.codec(level)
        self._offset = 0
        self.written: list[tuple[int, int, tuple[int, int, int]]] = []

    def chunk(self, start: int, flat: int, cell: Sequence[int]) -> Callable[[], bytes]:
        """Function that gives a chunk; it begins at a row, and at a position of the cells."""
        cut = [slice(n * size, (n + 1) * size) for n, size in zip(cell, self._array.chunk[1:], strict=True)]

        def encoded() -> bytes:
            data = self._codec.encode(self._values[(slice(start, start + self._array.chunk[0]), *cut)])
            self.written.append((start, flat, (self._offset, len(data), crc32c(data))))
            self._offset += len(data)
            return data

        return encoded
