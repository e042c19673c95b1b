"""Rows of an array of a dataset in a folder, read straight from its files.

An array library reads through a pool of threads or an event loop, which takes milliseconds for a few rows and does not
survive a fork. This reader needs none: the index of a shard is read once and kept with its open file, and of the file
only the chunks that are asked for are read, with one call to the system each. Chunks of numbers that are not compressed
are not even read whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import prod
from typing import Any, Final

import numpy as np

from curator_core.errors import MissingDependencyError
from curator_core.formats.arrays import Array, fill_value
from curator_core.formats.dataset_files import DatasetFiles, ShardFile
from curator_core.formats.selection import Selection
from curator_core.formats.shard_layout import ShardLayout

try:
    from numcodecs.vlen import VLenUTF8
    from numcodecs.zstd import decompress
except ImportError as exc:
    raise MissingDependencyError.of("numcodecs", "zarr", "Reading Zarr datasets") from exc

_TEXTS: Final = VLenUTF8()
_NO_CHUNK: Final = 2**64 - 1
_UNDECODABLE = (ValueError, RuntimeError, TypeError, MemoryError, OverflowError)
_TEXT_BYTES = 64  # of a string beside its characters
_FEW = 2
_UNLAID = (ValueError, TypeError, LookupError, AttributeError)


class ShardReader:
    """Reads rows of one array.

    Parameters
    ----------
    files
        The folder of the dataset.
    name
        Path of the array in it.
    absent
        Shards that were not written because no row in them has a value; any other that is missing is damage.
    described
        Its metadata, where they are known.

    Raises
    ------
    ComponentError
        There is no such array, or it is of a form that curator does not write.
    """

    def __init__(
        self,
        files: DatasetFiles,
        name: str,
        *,
        absent: Collection[int] = (),
        described: Mapping[str, Any] | None = None,
    ) -> None:
        found = files.described(name) if described is None else described
        try:
            self.layout = ShardLayout.parse(found)
        except _UNLAID as exc:
            raise files.damaged(f"its array {name!r} cannot be read: {str(exc) or type(exc).__name__}") from exc
        self.name = name
        self._files = files
        self._dtype: np.dtype[Any] = np.dtype(object if self.layout.is_text else self.layout.dtype)
        self._row_shape = self.layout.shape[1:]
        self._n_chunks = self.layout.shard_rows // self.layout.chunk_rows if self.layout.is_sharded else None
        self._absent = frozenset(absent)
        self._is_raw = not (self.layout.is_compressed or self.layout.is_text)
        self._kept = files.dear_chunks if self._dtype.kind in "iuO" else files.chunks
        self._empty = np.empty((0, *self._row_shape), self._dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return self.layout.shape

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of what is decoded at once."""
        return self.layout.chunks

    @property
    def dtype(self) -> str:
        """Name of a NumPy type, or ``"string"``."""
        return self.layout.dtype

    def rows(self, start: int, stop: int) -> Array:
        """Rows from `start` to `stop`, ``(stop - start, *shape)``, strings as an object array; do not change them.

        Raises
        ------
        ComponentError
            A file of the array is missing or damaged.
        """
        return self.take([(start, stop)])

    def take(self, runs: Selection | Iterable[tuple[int, int]]) -> Array:
        """Rows of several runs, each from a start to a stop, one after the other; do not change them.

        Raises
        ------
        ComponentError
            A file of the array is missing or damaged.
        """
        wanted = runs if isinstance(runs, Selection) else Selection(runs)
        if (outside := wanted.outside(self.layout.shape[0])) is not None:
            raise self._files.damaged(f"rows {outside[0]} to {outside[1]} are not in its array {self.name!r}")
        if wanted.is_scattered and not self._is_raw:
            return self._spread(wanted)
        pieces = wanted.pieces(self.layout.chunk_rows)
        if self._is_raw:
            data = b"".join([self._bytes(*piece) for piece in pieces])
            return np.frombuffer(data, self._dtype).reshape(-1, *self._row_shape)
        parts = [self._part(*piece, keep=len(pieces) <= _FEW) for piece in pieces]
        return parts[0] if len(parts) == 1 else np.concatenate([self._empty, *parts])

    def _spread(self, wanted: Selection) -> Array:
        """Rows of a selection, each chunk looked at once."""
        found = np.empty((wanted.n_rows, *self._row_shape), self._dtype)
        size = self.layout.chunk_rows
        for number, places, within in wanted.groups(size):
            found[places] = self._part(number, 0, size, keep=len(places) < size)[within]
        return found

    @property
    def n_files(self) -> int:
        """Number of files, those that are absent among them."""
        return -(-self.layout.shape[0] // self.layout.shard_rows)

    def require_files(self) -> None:
        """Make sure that all files of the array are there, and not empty.

        Raises
        ------
        ComponentError
            One is not; the message names it.
        """
        for shard in range(self.n_files):
            if shard not in self._absent:
                self._files.require(self._file(shard))

    def _shard(self, number: int) -> ShardFile:
        found = self._files.shards.get((self.name, number))
        if found is None:
            found = self._files.opened(self._file(number), self._n_chunks)
            self._files.shards.add((self.name, number), found)
        return found

    def _file(self, shard: int) -> str:
        return f"{self.name}/{self.layout.file(shard)}"

    def _part(self, number: int, start: int, stop: int, *, keep: bool) -> Array:
        """Rows of one chunk, which is decoded; a whole one among many is not kept, nobody asks for it again soon."""
        if self._absent and number // (self._n_chunks or 1) in self._absent:
            return self._fill(stop - start)
        key = (self.name, number)
        values: Array | None = self._kept.get(key)
        if values is None:
            values, n_bytes = self._decoded(number)
            if keep or stop - start < len(values):
                self._kept.add(key, values, n_bytes)
        return values[start:stop]

    def _fill(self, n_rows: int) -> Array:
        return np.full((n_rows, *self._row_shape), fill_value(self.layout.dtype), self._dtype)

    def _decoded(self, number: int) -> tuple[Array, int]:
        """A chunk, and its size."""
        size = self.layout.chunk_rows
        raw = self._bytes(number, 0, size)
        try:
            data = decompress(raw) if self.layout.is_compressed else raw
            if not self.layout.is_text:
                return np.frombuffer(data, self._dtype).reshape(size, *self._row_shape), len(data)
            texts: Array = _TEXTS.decode(data)
        except _UNDECODABLE as exc:
            raise self._damaged(number, f"cannot be decoded: {str(exc) or type(exc).__name__}") from exc
        n_texts = size * prod(self._row_shape)
        if len(texts) != n_texts:
            raise self._damaged(number, f"holds {len(texts)} texts, not {n_texts}")
        texts.flags.writeable = False
        return texts.reshape(size, *self._row_shape), len(data) + _TEXT_BYTES * n_texts

    def _bytes(self, number: int, start: int, stop: int) -> bytes:
        """What the file holds of a chunk: all, or where chunks are not compressed the rows from `start` to `stop`."""
        shard, position = divmod(number, self._n_chunks or 1)
        if shard in self._absent:  # of numbers that are not compressed
            return self._fill(stop - start).tobytes()
        opened = self._shard(shard)
        offset, length = opened.extents[2 * position], opened.extents[2 * position + 1]
        if offset == length == _NO_CHUNK:
            raise self._damaged(number, "is not there")
        if self._is_raw:
            if length != self.layout.chunk_rows * self.layout.row_bytes:
                raise self._damaged(number, f"holds {length} bytes")
            offset, length = offset + start * self.layout.row_bytes, (stop - start) * self.layout.row_bytes
        try:
            data = opened.read(offset, length)
        except (OSError, OverflowError, MemoryError) as exc:
            raise self._damaged(number, f"cannot be read: {str(exc) or type(exc).__name__}") from exc
        if len(data) != length:
            raise self._damaged(number, "is cut off")
        return data

    def _damaged(self, number: int, what: str) -> Exception:
        shard, position = divmod(number, self._n_chunks or 1)
        return self._files.damaged_file(self._file(shard), f"has a chunk ({position}) that {what}")
