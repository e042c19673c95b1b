"""Values of a Zarr array that were written: what stands for chunks that were not is never taken for data."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from zarr import Array as ZarrArray
from zarr.core.array import AsyncArray

from curator_core.domains.grid.decoding import Array, DecodingError

_SHOWN = 3
"""Chunks that a message names."""


class WrittenArray:
    """An array whose chunks must have been written.

    Zarr reads the fill value where there is no chunk, in a shard, too. Here other values stand in its place, first one
    and, where that is found, another: what changes with them was never written.

    Parameters
    ----------
    name
        Of the variable, for messages.
    array
        The array.
    may_lack
        Whether chunks were left out on purpose, where all values are the fill value.
    """

    def __init__(self, name: str, array: ZarrArray[Any], *, may_lack: bool) -> None:
        self._name, self._array = name, array
        self._stand_ins = () if may_lack else _stand_ins(array.dtype)

    def __call__(self, index: tuple[slice, ...]) -> Array:
        """Read values.

        Raises
        ------
        DecodingError
            A chunk was never written, or cannot be decoded.
        """
        if not self._stand_ins:
            return self._read(self._array, index)
        first, second = self._stand_ins
        values = self._read(_filled_with(self._array, first), index)
        suspects = np.asarray(values == first)
        if not suspects.any():
            return values
        absent = suspects & np.asarray(self._read(_filled_with(self._array, second), index) == second)
        if absent.any():
            raise self._unwritten(absent, index)
        return values

    def _read(self, array: ZarrArray[Any], index: tuple[slice, ...]) -> Array:
        try:
            return np.asarray(array[index])
        except Exception as exc:
            reason = str(exc) or type(exc).__name__
            raise DecodingError(f"variable {self._name!r} cannot be read: {reason}") from exc

    def _unwritten(self, absent: npt.NDArray[np.bool_], index: tuple[slice, ...]) -> DecodingError:
        array = self._array
        cut = array.chunks
        starts = [part.indices(length)[0] for part, length in zip(index, array.shape, strict=True)]
        found = [(at + start) // size for at, start, size in zip(absent.nonzero(), starts, cut, strict=True)]
        chunks = np.unique(np.stack(found, axis=1), axis=0) if found else np.zeros((1, 0), np.int64)
        names = ", ".join(self._chunk_name(tuple(chunk)) for chunk in islice(chunks.tolist(), _SHOWN))
        more = ", …" if len(chunks) > _SHOWN else ""
        n_all = prod(-(-length // size) for length, size in zip(array.shape, cut, strict=True))
        n_values = int(np.count_nonzero(absent))
        return DecodingError(
            f"variable {self._name!r}: {n_values:,} of {absent.size:,} values were never written: chunks {names}{more} "
            f"of its {n_all:,} are not there. Write them, or leave the variable out with variables=; if chunks were "
            f"left out on purpose, where all values are the fill value {array.fill_value!s}, say so with "
            f"sparse=[{self._name!r}]"
        )

    def _chunk_name(self, chunk: tuple[int, ...]) -> str:
        array = self._array
        shards = array.shards
        if shards is None:
            return f"{self._name}/{array.metadata.encode_chunk_key(chunk)}"
        shard = tuple(at * size // big for at, size, big in zip(chunk, array.chunks, shards, strict=True))
        return f"{'.'.join(map(str, chunk))} in {self._name}/{array.metadata.encode_chunk_key(shard)}"


def _filled_with(array: ZarrArray[Any], value: object) -> ZarrArray[Any]:
    """The same array, in which another value stands for what was never written."""
    known = array.async_array
    metadata: Any = replace(known.metadata, fill_value=value)
    return ZarrArray(AsyncArray(metadata=metadata, store_path=known.store_path, config=known.config))


def _stand_ins(dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """Two values of a type that are rarely written."""
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return dtype.type(info.max - 12), dtype.type(info.max - 34)
    if dtype.kind in "fc":
        return dtype.type(-1.17e-5), dtype.type(2.93e-5)
    if dtype.kind in "Mm":
        return tuple(np.array(number, np.int64).view(dtype)[()] for number in (1234567, 7654321))
    if dtype.kind == "b":
        return np.False_, np.True_
    return (b"\x01", b"\x02") if dtype.kind == "S" else ("\x01", "\x02")
