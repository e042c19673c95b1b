"""Shard files of Zarr v3 arrays, encoded and decoded whole, without the array library.

A shard file holds chunks one after another, then an index: offset and size of each chunk as two little-endian 64-bit
integers, and a CRC-32C of these. A chunk that is not there has 2⁶⁴ − 1 in both. Chunks are little-endian bytes, or
variable-length UTF-8, compressed by Zstandard: what the codecs ``sharding_indexed``, ``bytes`` or ``vlen-utf8``,
``zstd`` and ``crc32c`` of the Zarr v3 specification say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, Final

import numpy as np

from curator_core.errors import MissingDependencyError
from curator_core.formats.arrays import TEXT, Array, fill_value

try:
    import google_crc32c
    from numcodecs.vlen import VLenUTF8
    from numcodecs.zstd import Zstd
except ImportError as exc:
    raise MissingDependencyError.of("zarr", "zarr", "Reading and writing Zarr datasets") from exc

_ABSENT: Final = 2**64 - 1
_CRC_BYTES: Final = 4

DAMAGED = (ValueError, RuntimeError, LookupError, TypeError, OverflowError, MemoryError)
"""What decoding a damaged file can raise."""


def crc32c(data: bytes) -> int:
    """CRC-32C of some bytes, of RFC 3720."""
    return int(google_crc32c.value(data))


@dataclass(frozen=True, slots=True)
class ShardCodec:
    """How the rows of one array become shard files."""

    dtype: str
    """Name of a NumPy type, or `TEXT`."""
    row_shape: tuple[int, ...]
    """Shape of one row."""
    chunk_rows: int
    """Rows of a chunk."""
    shard_rows: int
    """Rows of a file, a multiple of `chunk_rows`."""
    level: int = 1
    """Level of the compression."""

    def encode(self, values: Array) -> Iterator[bytes]:
        """Shard files of some rows, ``(n_rows, *row_shape)``, the first row at the beginning of the first.

        The last chunk is filled up with fill values; chunks without a row are absent.
        """
        for start in range(0, len(values), self.shard_rows):
            yield self._shard(values[start : start + self.shard_rows])

    def _shard(self, values: Array) -> bytes:
        index = np.full((self.shard_rows // self.chunk_rows, 2), _ABSENT, "<u8")
        parts, size = [], 0
        for number, start in enumerate(range(0, len(values), self.chunk_rows)):
            part = encode_chunk(values[start : start + self.chunk_rows], self.dtype, self.chunk_rows, self.level)
            index[number] = size, len(part)
            size += len(part)
            parts.append(part)
        raw = index.tobytes()
        return b"".join([*parts, raw, crc32c(raw).to_bytes(_CRC_BYTES, "little")])

    def decode(self, data: bytes, n_rows: int) -> Array:
        """The first rows of a shard file.

        Raises
        ------
        ValueError
            The file is damaged.
        """
        index = self._index(data)
        found = []
        for number in range(-(-n_rows // self.chunk_rows)):
            offset, size = int(index[number, 0]), int(index[number, 1])
            if offset + size > len(data):
                raise ValueError(f"chunk {number} is missing")
            found.append(decode_chunk(data[offset : offset + size], self.dtype, (self.chunk_rows, *self.row_shape)))
        return (np.concatenate(found) if len(found) != 1 else found[0])[:n_rows] if found else self.empty()

    def decode_files(self, files: Iterable[bytes], n_rows: int) -> Array:
        """The first rows of consecutive shard files.

        Raises
        ------
        ValueError
            A file is damaged, or one is missing.
        """
        found, left = [self.empty()], n_rows
        for data in files:
            found.append(self.decode(data, min(left, self.shard_rows)))
            left -= len(found[-1])
        if left:
            raise ValueError(f"it has {left} rows less than its axis")
        return np.concatenate(found)

    def _index(self, data: bytes) -> np.ndarray[Any, np.dtype[np.uint64]]:
        n_bytes = 16 * (self.shard_rows // self.chunk_rows)
        raw, checksum = data[-n_bytes - _CRC_BYTES : -_CRC_BYTES], data[-_CRC_BYTES:]
        if len(raw) < n_bytes or crc32c(raw) != int.from_bytes(checksum, "little"):
            raise ValueError("its index is damaged")
        return np.frombuffer(raw, "<u8").reshape(-1, 2)

    def empty(self) -> Array:
        """No rows."""
        return np.empty((0, *self.row_shape), object if self.dtype == TEXT else self.dtype)


def encode_chunk(values: Array, dtype: str, chunk_rows: int, level: int) -> bytes:
    """One chunk of some rows, filled up to `chunk_rows`."""
    if len(values) < chunk_rows:
        whole: Array = np.full(
            (chunk_rows, *values.shape[1:]), fill_value(dtype), object if dtype == TEXT else np.dtype(dtype)
        )
        whole[: len(values)] = values
        values = whole
    ordered = np.ascontiguousarray(values, object if dtype == TEXT else np.dtype(dtype))
    raw = VLenUTF8().encode(ordered) if dtype == TEXT else ordered
    return bytes(_zstd(level).encode(raw))


def decode_chunk(data: bytes, dtype: str, shape: tuple[int, ...]) -> Array:
    """Rows of a chunk.

    Raises
    ------
    ValueError
        It is damaged.
    """
    raw = _zstd(1).decode(data)
    if dtype == TEXT:
        values: Array = VLenUTF8().decode(raw)
        if len(values) != prod(shape):
            raise ValueError(f"a chunk has {len(values)} texts, expected {prod(shape)}")
        values = values.reshape(shape)
    elif len(raw) != prod(shape) * np.dtype(dtype).itemsize:
        raise ValueError(f"a chunk has {len(raw)} bytes, which are not rows of {dtype}")
    else:
        values = np.frombuffer(raw, np.dtype(dtype)).reshape(shape)
    if len(values) != shape[0]:
        raise ValueError(f"a chunk has {len(values)} rows, expected {shape[0]}")
    return values


@lru_cache(maxsize=32)
def _zstd(level: int) -> Any:  # noqa: ANN401 - numcodecs has no types
    return Zstd(level=level)
