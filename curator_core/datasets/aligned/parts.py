"""Parts: the slots of one item as encoded chunks, written by the worker that processed it.

A part is one file: a mark, the chunks one after another, the values of the fixed arrays, the table of chunks, the head
as JSON and its length. Where the worker knows the slots, its chunks are those of the dataset: publishing copies them.
Shards that the item fills are files of their own, beside that one in a folder: publishing links them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from curator_core.datasets.aligned.axis import SlotAxis
from curator_core.datasets.aligned.codec import Array, grid_fill
from curator_core.datasets.aligned.schema import Rows, Schema, SlotArray
from curator_core.datasets.aligned.whole_shards import WholeShard, WholeShardWriter, shard_file, windows_of
from curator_core.errors import MergeError
from curator_core.formats.arrays import TEXT
from curator_core.formats.shard_files import DAMAGED, crc32c

PART_SUFFIX: Final = ".part"
_MARK: Final = b"curator grid part 2\n"
_REST: Final = "rest"
"""In a folder, the file that is not a shard."""
_LENGTH_BYTES: Final = 8
_TAIL_BYTES: Final = 1 << 16
_IN_REST: Final = -1
_UNREADABLE: Final = (*DAMAGED, OSError, EOFError, AttributeError)


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive rows of an item that lie in one chunk."""

    row: int
    """First row."""
    n_rows: int
    """Number of rows."""
    offset: int
    """Where the first one lies in the chunk."""


def spatial_chunks(array: SlotArray) -> list[tuple[slice, ...]]:
    """The pieces into which the cells of a slot are cut, in C order."""
    ranges = [
        [slice(start, min(start + size, n)) for start in range(0, n, size)]
        for size, n in zip(array.chunk[1:], array.row_shape, strict=True)
    ]
    return list(product(*ranges))


def write_part(
    path: str | Path, schema: Schema, rows: Rows, level: int, axis: SlotAxis | None = None, *, config_hash: str = ""
) -> None:
    """Write the part of one item to a new file, or folder.

    Parameters
    ----------
    path
        Where.
    schema
        What the item is made of; its arrays have chunks.
    rows
        Its slots.
    level
        Level of Zstandard.
    axis
        The axis of the dataset, where it is known.
    config_hash
        Of the configuration by which it was processed.
    """
    positions = None if axis is None else axis.positions(rows.slots)
    runs = {name: _runs(len(rows.slots), positions, array) for name, array in schema.arrays.items()}
    windows = {} if axis is None or positions is None else _windows(schema, rows, positions, axis.n_declared)
    folder = Path(path)
    if windows:
        folder.mkdir()
    whole = WholeShardWriter(folder, level)
    with (folder / _REST if windows else folder).open("wb") as file:
        file.write(_MARK)
        index: list[tuple[int, int, int, int]] = []
        for name, array in schema.arrays.items():
            found = _written_whole(whole, array, rows.values[name], windows.get(name, ()))
            for run, cell, data in _pieces(array, rows.values[name], runs[name], level, found):
                place = found.get((run, cell))
                if place is None:
                    place = (_IN_REST, file.tell(), len(data), crc32c(data))
                    file.write(data)
                index.append(place)
        pieces = np.array(index, "<i8").reshape(-1, 4)
        _write_tail(file, schema, rows, runs, pieces, level=level, config_hash=config_hash, whole=whole.shards)
    whole.sync()


def _windows(
    schema: Schema, rows: Rows, positions: npt.NDArray[np.int64], n_slots: int | None
) -> dict[str, list[tuple[int, int, int]]]:
    """Shards that the item fills, by array."""
    found = {name: windows_of(array, positions, rows.n_cells[name], n_slots) for name, array in schema.arrays.items()}
    return {name: windows for name, windows in found.items() if windows}


def _written_whole(
    writer: WholeShardWriter, array: SlotArray, values: Array, windows: Sequence[tuple[int, int, int]]
) -> dict[tuple[int, int], tuple[int, int, int, int]]:
    """Where the chunks in shards are, by first row and cells."""
    return {(row, cell): at for window in windows for row, cell, at in writer.write(array, values, window)}


def _runs(n_rows: int, positions: npt.NDArray[np.int64] | None, array: SlotArray) -> list[Run]:
    size = array.chunk[0]
    if positions is None:
        return [Run(row, min(size, n_rows - row), 0) for row in range(0, n_rows, size)]
    chunks = positions // size
    is_first = np.concatenate([[True], (np.diff(positions) != 1) | (np.diff(chunks) != 0)])
    starts = np.flatnonzero(is_first).tolist()
    return [
        Run(start, stop - start, int(positions[start] % size))
        for start, stop in zip(starts, [*starts[1:], n_rows], strict=True)
    ]


def _pieces(
    array: SlotArray, values: Array, runs: Sequence[Run], level: int, written: Collection[tuple[int, int]]
) -> Iterator[tuple[int, int, bytes]]:
    """First row, cells and content of every chunk; without the content of those that are written already."""
    codec, cells = array.codec(level), spatial_chunks(array)
    for run in runs:
        block = values[run.row : run.row + run.n_rows]
        for number, cut in enumerate(cells):
            is_there = (run.row, number) in written
            yield run.row, number, b"" if is_there else codec.encode(block[(slice(None), *cut)], run.offset)


def _write_tail(
    file: BinaryIO,
    schema: Schema,
    rows: Rows,
    runs: Mapping[str, list[Run]],
    index: Array,
    *,
    level: int,
    config_hash: str,
    whole: Sequence[WholeShard],
) -> None:
    begin = file.tell()
    texts: dict[str, Any] = {}
    for name, fixed in schema.fixed.items():
        if fixed.values.dtype.kind in "OU":
            texts[name] = fixed.values.tolist()
        else:
            file.write(np.ascontiguousarray(fixed.values).tobytes())
    file.write(np.ascontiguousarray(rows.slots).tobytes())
    file.writelines(np.asarray(rows.n_cells[name], "<i8").tobytes() for name in schema.arrays)
    file.write(index.tobytes())
    head = {
        "schema": schema.described(),
        "digest": schema.digest,
        "attributes": {name: dict(found) for name, found in schema.attributes_of.items()},
        "fixed": {n: [f.values.dtype.str, list(f.values.shape)] for n, f in schema.fixed.items() if n not in texts},
        "texts": texts,
        "n_rows": len(rows.slots),
        "runs": {name: [[r.row, r.n_rows, r.offset] for r in found] for name, found in runs.items()},
        "provisional": {
            n: np.flatnonzero(flags).tolist() for n, flags in sorted(rows.provisional.items()) if flags.any()
        },
        "n_pieces": len(index),
        "begin": begin,
        "level": level,
        "config_hash": config_hash,
        "whole": [shard.described() for shard in whole],
    }
    text = json.dumps(head).encode()
    file.write(text + len(text).to_bytes(_LENGTH_BYTES, "little"))


class Part:
    """The part of one item, to be read.

    Parameters
    ----------
    path
        The file, or folder.

    Raises
    ------
    MergeError
        It is missing or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._rest = self.path / _REST if self.path.is_dir() else self.path
        try:
            self._head, tail = self._read_tail()
            self._unpack(tail)
        except _UNREADABLE as exc:
            raise self.unreadable(exc) from exc

    def _read_tail(self) -> tuple[dict[str, Any], bytes]:
        with self._rest.open("rb") as file:
            if file.read(len(_MARK)) != _MARK:
                raise ValueError("it is no part")
            size = file.seek(0, 2)
            file.seek(max(len(_MARK), size - _TAIL_BYTES))
            tail = file.read()
            length = int.from_bytes(tail[-_LENGTH_BYTES:], "little")
            if length > size:
                raise ValueError("it is cut off")
            if length + _LENGTH_BYTES > len(tail):
                file.seek(size - length - _LENGTH_BYTES)
                tail = file.read()
            head = json.loads(tail[-length - _LENGTH_BYTES : -_LENGTH_BYTES])
            file.seek(head["begin"])
            return head, file.read(size - head["begin"] - length - _LENGTH_BYTES)

    def _unpack(self, tail: bytes) -> None:
        head, position = self._head, 0
        values: dict[str, Array] = {}
        self.digest: str = head["digest"]
        self.level: int = head["level"]
        self.config_hash: str = head["config_hash"]

        def take(dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
            nonlocal position
            found = np.frombuffer(tail, dtype, prod(shape), position).reshape(shape)
            position += found.nbytes
            return found

        for name, (dtype, shape) in head["fixed"].items():
            values[name] = take(dtype, tuple(shape))
        for name, text in head["texts"].items():
            values[name] = np.array(text, object)
        n_rows = int(head["n_rows"])
        dtype = head["schema"]["slot"][1]
        self.slots = take("<i8" if dtype == TEXT else np.dtype(dtype).str, (n_rows,))
        self.n_cells = {name: take("<i8", (n_rows,)) for name in head["schema"]["arrays"]}
        self._index = take("<i8", (head["n_pieces"], 4))
        self.provisional = {name: np.isin(np.arange(n_rows), found) for name, found in head["provisional"].items()}
        self._values = values

    @cached_property
    def schema(self) -> Schema:
        """What the item is made of."""
        return Schema.assembled(self._head["schema"], self._head["attributes"], self._values)

    @cached_property
    def runs(self) -> dict[str, list[Run]]:
        """Runs of rows by array."""
        return {name: [Run(*run) for run in found] for name, found in self._head["runs"].items()}

    @cached_property
    def starts(self) -> dict[str, npt.NDArray[np.int64]]:
        """First row of every run, by array."""
        return {name: np.array([run.row for run in runs], np.int64) for name, runs in self.runs.items()}

    @cached_property
    def _first_piece(self) -> dict[tuple[str, int], int]:
        """Number of the first piece of a run, by array and row."""
        found, number = {}, 0
        for name, runs in self.runs.items():
            n_cells = len(spatial_chunks(self.schema.arrays[name]))
            for run in runs:
                found[name, run.row] = number
                number += n_cells
        return found

    @cached_property
    def whole(self) -> dict[tuple[str, tuple[int, ...]], tuple[WholeShard, Path]]:
        """The shards that it has as files, by array and position."""
        found = map(WholeShard.from_description, self._head["whole"])
        return {(s.array, s.position): (s, shard_file(self.path, number)) for number, s in enumerate(found)}

    def unreadable(self, error: Exception) -> MergeError:
        """Build the error for a part that cannot be read because of another `error`."""
        return MergeError(
            f"Shard {self.path} cannot be read ({type(error).__name__}: {error}); process its item again."
        )

    def piece(self, name: str, run: Run, cell: int) -> bytes:
        """The encoded chunk of a run, by the position of its cells.

        Raises
        ------
        MergeError
            It is not what was written.
        """
        try:
            number, offset, size, checksum = self._index[self._first_piece[name, run.row] + cell].tolist()
            with (self._rest if number == _IN_REST else shard_file(self.path, number)).open("rb") as file:
                file.seek(offset)
                data = file.read(size)
            if len(data) != size or crc32c(data) != checksum:
                raise ValueError(f"its values of {name!r} are not what was written")
        except _UNREADABLE as exc:
            raise self.unreadable(exc) from exc
        return data

    def decoded(self, name: str, run: Run, cell: int) -> Array:
        """The rows of a run, by the position of their cells."""
        array = self.schema.arrays[name]
        try:
            chunk = array.codec(self.level).decode(self.piece(name, run, cell))
        except DAMAGED as exc:
            raise self.unreadable(exc) from exc
        cut = spatial_chunks(array)[cell]
        return chunk[(slice(run.offset, run.offset + run.n_rows), *(slice(0, c.stop - c.start) for c in cut))]

    def rows(self) -> Rows:
        """All that is in it."""
        return Rows(self.slots, {n: self._whole(n) for n in self.schema.arrays}, self.n_cells, self.provisional)

    def _whole(self, name: str) -> Array:
        array = self.schema.arrays[name]
        dtype = object if array.dtype == TEXT else np.dtype(array.dtype)
        values: Array = np.full((len(self.slots), *array.row_shape), grid_fill(array.dtype), dtype)
        for run in self.runs[name]:
            for cell, cut in enumerate(spatial_chunks(array)):
                values[(slice(run.row, run.row + run.n_rows), *cut)] = self.decoded(name, run, cell)
        return values
