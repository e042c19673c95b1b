"""How arrays were cut and written formerly: rows one after another, by the array library, without padding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from curator_core.formats.arrays import Array, ArraySpec, fill_value

_TEXT_CHUNKS_PER_SHARD = 16


def create_group(path: Path, attributes: Mapping[str, Any]) -> zarr.Group:
    """Make a dataset's folder."""
    return zarr.create_group(str(path), zarr_format=3, attributes=dict(attributes))


def pack_texts(values: Array) -> tuple[Array, Array]:
    """Strings as bytes, and the number of bytes of each: exact, where NumPy's own type would lose zeros at the end."""
    texts = [text.encode("utf-8", "surrogatepass") for text in values.tolist()]
    return np.frombuffer(b"".join(texts), np.uint8), np.array([len(text) for text in texts], np.int64)


def unpack_texts(data: Array, lengths: Array) -> Array:
    """Strings of `pack_texts`, as an object array."""
    raw = data.tobytes()
    values = np.empty(len(lengths), object)
    for i, (stop, length) in enumerate(zip(np.cumsum(lengths).tolist(), lengths.tolist(), strict=True)):
        values[i] = raw[stop - length : stop].decode("utf-8", "surrogatepass")
    return values


@dataclass(frozen=True, slots=True)
class Chunking:
    """Sizes of the pieces in which an array is stored."""

    chunk_rows: int
    """Rows that a reader loads at once."""
    shard_rows: int
    """Rows per file, a multiple of `chunk_rows`."""

    def fitted(self, n_rows: int) -> Chunking:
        """For an array with `n_rows`: no larger than it needs."""
        chunk_rows = max(1, min(self.chunk_rows, n_rows))
        return Chunking(chunk_rows, chunk_rows * -(-max(1, min(self.shard_rows, n_rows)) // chunk_rows))

    def for_text(self) -> Chunking:
        """Strings, JSON above all, can be large: their chunks have 1/128 of the rows that those of numbers have."""
        chunk_rows = max(1, self.chunk_rows // 128)
        return Chunking(chunk_rows, chunk_rows * _TEXT_CHUNKS_PER_SHARD)


class ArrayWriter:
    """Appends rows to a new array, a whole file at a time.

    Parameters
    ----------
    group
        Where the array is created.
    spec
        Its name, and what its rows are.
    n_rows
        How many will come.
    chunking
        How arrays of numbers are cut.
    """

    def __init__(self, group: zarr.Group, spec: ArraySpec, n_rows: int, chunking: Chunking) -> None:
        sizes = (chunking.for_text() if spec.is_text else chunking).fitted(n_rows)
        self._array = group.create_array(
            spec.name,
            shape=(n_rows, *spec.row_shape),
            chunks=(sizes.chunk_rows, *spec.row_shape),
            shards=(sizes.shard_rows, *spec.row_shape),
            dtype=spec.dtype,
            compressors=ZstdCodec(level=1) if spec.is_text else None,
            fill_value=fill_value(spec.dtype),
            dimension_names=spec.dims,
            attributes=dict(spec.attributes),
            config={"write_empty_chunks": True},  # so that a missing file is damage, and found as such
        )
        self._shard_rows = sizes.shard_rows
        self._pending: list[Array] = []
        self._n_pending = 0
        self._n_written = 0

    def append(self, values: Array) -> None:
        """Add rows of shape ``(n_rows, *shape)``."""
        while len(values):
            part = values[: self._shard_rows - self._n_pending]
            self._pending.append(part)
            self._n_pending += len(part)
            if self._n_pending == self._shard_rows:
                self._write()
            values = values[len(part) :]

    def close(self) -> None:
        """Write what remains."""
        if self._n_pending:
            self._write()

    def _write(self) -> None:
        block = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
        self._array[self._n_written : self._n_written + len(block)] = block
        self._n_written += len(block)
        self._pending, self._n_pending = [], 0
