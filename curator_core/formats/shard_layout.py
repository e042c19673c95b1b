"""How an array lies in its files, from its ``zarr.json``: what a reader without an array library has to know."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from curator_core.formats.arrays import TEXT

_INDEX_CODECS = ["bytes", "crc32c"]
_TIMES = {"numpy.datetime64": "M8", "numpy.timedelta64": "m8"}
_CODECS: Mapping[tuple[str, ...], bool] = {
    ("bytes",): False,
    ("bytes", "zstd"): True,
    ("vlen-utf8",): False,
    ("vlen-utf8", "zstd"): True,
}
"""Codecs of a chunk, and whether it is compressed."""


@dataclass(frozen=True)
class ShardLayout:
    """An array cut along its rows: into chunks, of which several may share a file.

    References
    ----------
    Zarr v3 core specification; its codecs ``sharding_indexed`` (index at the end), ``bytes``, ``vlen-utf8``, ``zstd``.
    """

    shape: tuple[int, ...]
    """Shape of the whole array."""
    dtype: str
    """Name of a NumPy type, or `TEXT`."""
    chunk_rows: int
    """Rows that are decoded at once."""
    shard_rows: int
    """Rows in a file."""
    is_sharded: bool
    """Whether a file ends with the index of its chunks; otherwise it is one chunk."""
    is_compressed: bool
    """Whether chunks are Zstandard frames."""

    @classmethod
    def parse(cls, metadata: Mapping[str, Any]) -> ShardLayout:
        """Layout of an array.

        Raises
        ------
        ValueError, TypeError, LookupError
            The metadata are damaged, or describe an array of another form.
        """
        shape = _sizes(metadata["shape"])
        file_shape = _sizes(metadata["chunk_grid"]["configuration"]["chunk_shape"])
        codecs = metadata["codecs"]
        is_sharded = _names(codecs) == ("sharding_indexed",)
        chunk_shape = file_shape
        if is_sharded:
            sharding = codecs[0]["configuration"]
            chunk_shape, codecs = _sizes(sharding["chunk_shape"]), sharding["codecs"]
            if [*_names(sharding["index_codecs"])] != _INDEX_CODECS or sharding.get("index_location", "end") != "end":
                raise ValueError("its shards have another index")
        is_whole = shape and shape[1:] == file_shape[1:] == chunk_shape[1:]
        if not is_whole or not chunk_shape[0] or file_shape[0] % chunk_shape[0] or file_shape[0] < chunk_shape[0]:
            raise ValueError(f"shape {shape} is cut into {file_shape} and {chunk_shape}, not along its rows alone")
        if metadata["chunk_key_encoding"] not in (_KEYS, {"name": "default"}):
            raise ValueError("its files have other names")
        return cls(
            shape=shape,
            dtype=_dtype(metadata["data_type"], codecs),
            chunk_rows=chunk_shape[0],
            shard_rows=file_shape[0],
            is_sharded=is_sharded,
            is_compressed=_CODECS[_names(codecs)],
        )

    @property
    def is_text(self) -> bool:
        """Whether rows are strings rather than numbers."""
        return self.dtype == TEXT

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of what is decoded at once."""
        return (self.chunk_rows, *self.shape[1:])

    @cached_property
    def chunks_per_shard(self) -> int:
        """Number of chunks in a file."""
        return self.shard_rows // self.chunk_rows

    @cached_property
    def row_bytes(self) -> int:
        """Size of a row of numbers."""
        return 0 if self.is_text else np.dtype(self.dtype).itemsize * prod(self.shape[1:])

    def file(self, shard: int) -> str:
        """Where a shard lies in the folder of the array."""
        return "/".join(["c", str(shard), *("0" for _ in self.shape[1:])])


_KEYS = {"name": "default", "configuration": {"separator": "/"}}


def _sizes(values: Sequence[object]) -> tuple[int, ...]:
    if not all(type(value) is int and value >= 0 for value in values):
        raise ValueError(f"{values!r:.60} are no sizes")
    return tuple(values)  # type: ignore[arg-type]


def _names(codecs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(codec["name"] for codec in codecs)


def _dtype(data_type: Any, codecs: Sequence[Mapping[str, Any]]) -> str:  # noqa: ANN401 - JSON
    """Name of the type of an array."""
    first = codecs[0]
    if (data_type == TEXT) != (first["name"] == "vlen-utf8"):
        raise ValueError(f"{data_type!r} is encoded as {first['name']!r}")
    if data_type == TEXT:
        return TEXT
    if first.get("configuration", {}).get("endian", sys.byteorder) != sys.byteorder:
        raise ValueError("its numbers have another byte order")
    if isinstance(data_type, str):
        return np.dtype(data_type).name
    kind, settings = data_type["name"], data_type["configuration"]
    if kind in _TIMES:
        unit = "" if settings["unit"] == "generic" else f"[{settings['scale_factor']}{settings['unit']}]"
        return np.dtype(_TIMES[kind] + unit).str[1:]
    if kind == "null_terminated_bytes":
        return f"S{settings['length_bytes']}"
    if kind == "fixed_length_utf32":
        return f"U{settings['length_bytes'] // 4}"
    raise ValueError(f"its type {kind!r} is none that is written here")
