"""Chunks and shard files of arrays that are cut along several axes, each chunk encoded by itself.

The files are those of `curator_core.formats.shard_files`, whose chunks are cut along rows alone. Chunks stand in the
file in C order of their positions; one that is absent takes 16 bytes of the index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from curator_core.formats.arrays import TEXT, fill_value
from curator_core.formats.shard_files import crc32c, decode_chunk, encode_chunk

Array: TypeAlias = npt.NDArray[Any]
"""Numbers, or strings as objects."""

_ABSENT: Final = 2**64 - 1
_CRC_BYTES: Final = 4


def grid_fill(dtype: str) -> object:
    """What stands in a slot without a value: NaN, the extreme of an integer type, ``False`` or an empty string."""
    if dtype == TEXT or np.dtype(dtype).kind not in "iu":
        return fill_value(dtype)
    limits = np.iinfo(dtype)
    return int(limits.min or limits.max)


def folded(length: int, inner: Sequence[int]) -> tuple[int, ...] | None:
    """A run of slots as a block of a dimension and of others within it; ``None`` where it is none.

    Parameters
    ----------
    length
        Number of slots, from the beginning of a block.
    inner
        Lengths of the dimensions within, the last one fastest.
    """
    if not inner:
        return (length,)
    if length % prod(inner) == 0:
        return (length // prod(inner), *inner)
    rest = folded(length, inner[1:])
    return None if rest is None or inner[0] % rest[0] else (1, *rest)


@dataclass(frozen=True)
class GridCodec:
    """How the values of one array become chunks and shard files."""

    dtype: str
    """Name of a NumPy type, or `TEXT`."""
    chunk: tuple[int, ...]
    """Shape of a chunk."""
    shard: tuple[int, ...]
    """Shape of what a file holds, a multiple of `chunk` along every axis."""
    level: int
    """Level of Zstandard."""

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks in a file along every axis."""
        return tuple(s // c for s, c in zip(self.shard, self.chunk, strict=True))

    @cached_property
    def n_chunks(self) -> int:
        """Number of chunks in a file."""
        return prod(self.grid)

    def empty(self) -> Array:
        """A chunk without a value."""
        dtype = object if self.dtype == TEXT else np.dtype(self.dtype)
        return np.full(self.chunk, grid_fill(self.dtype), dtype)

    def encode(self, values: Array, offset: int = 0) -> bytes:
        """A chunk with some values, which begin at a row of it, and at the beginning of its other axes."""
        if values.shape != self.chunk:
            whole = self.empty()
            whole[(slice(offset, offset + len(values)), *(slice(0, n) for n in values.shape[1:]))] = values
            values = whole
        if self.dtype == TEXT:
            values = values.ravel()
        return encode_chunk(values, self.dtype, len(values), self.level)

    def decode(self, data: bytes) -> Array:
        """The values of a chunk.

        Raises
        ------
        ValueError
            It is damaged.
        """
        if self.dtype == TEXT:
            return decode_chunk(data, TEXT, (prod(self.chunk),)).reshape(self.chunk)
        return decode_chunk(data, self.dtype, self.chunk)

    def chunks(self, data: bytes) -> ShardChunks:
        """The chunks of a shard file.

        Raises
        ------
        ValueError
            Its index is damaged.
        """
        n_bytes = 16 * self.n_chunks
        raw, checksum = data[-n_bytes - _CRC_BYTES : -_CRC_BYTES], data[-_CRC_BYTES:]
        if len(raw) < n_bytes or crc32c(raw) != int.from_bytes(checksum, "little"):
            raise ValueError("its index is damaged")
        return ShardChunks(data, np.frombuffer(raw, "<u8").reshape(-1, 2))


@dataclass(frozen=True, slots=True)
class ShardChunks:
    """The chunks of one shard file, as they are stored."""

    data: bytes
    """The file."""
    index: Any
    """Offset and size of each chunk."""

    def __getitem__(self, number: int) -> bytes | None:
        """A chunk by its position in C order; ``None`` for one that is absent.

        Raises
        ------
        ValueError
            It is cut off.
        """
        offset, size = int(self.index[number, 0]), int(self.index[number, 1])
        if offset == _ABSENT:
            return None
        if offset + size > len(self.data):
            raise ValueError(f"chunk {number} is missing")
        return self.data[offset : offset + size]


def write_shard_file(path: Path, chunks: Sequence[Any]) -> int:
    """Write a shard file chunk by chunk, and give its checksum.

    Parameters
    ----------
    path
        The file to create.
    chunks
        By position in C order, a function that gives the bytes of the chunk; ``None`` for one that is absent.
    """
    index = np.full((len(chunks), 2), _ABSENT, "<u8")
    size, digest = 0, hashlib.blake2b(digest_size=8)
    with path.open("wb") as file:
        for number, chunk in enumerate(chunks):
            if chunk is None:
                continue
            data = chunk()
            index[number] = size, len(data)
            size += len(data)
            digest.update(data)
            file.write(data)
        raw = index.tobytes()
        raw += crc32c(raw).to_bytes(_CRC_BYTES, "little")
        digest.update(raw)
        file.write(raw)
    return int.from_bytes(digest.digest(), "little")
