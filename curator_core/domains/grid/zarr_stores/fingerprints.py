"""Content identities of parts of a Zarr store, from its metadata and the identities of its objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import zarr

_SMALL = 1 << 23
"""Bytes of a coordinate of which the values count: it is written anew with every step that is added."""


class Identities:
    """What the items of a store depend on.

    Parameters
    ----------
    arrays
        Arrays that are read, by name.
    dims
        Their dimensions.
    objects
        Identities of the objects of the store by key; ``None`` where they cannot be listed.
    coordinates
        Names of those that are no data.
    along
        The dimension that items are parts of; ``None`` where the whole is one item.
    """

    def __init__(
        self,
        arrays: Mapping[str, zarr.Array[Any]],
        dims: Mapping[str, tuple[str, ...]],
        objects: Mapping[str, str] | None,
        coordinates: Collection[str],
        along: str | None,
    ) -> None:
        self._objects = objects
        self._cut: list[tuple[zarr.Array[Any], int, Any]] = []
        whole = hashlib.blake2b(digest_size=16)
        for name, array in arrays.items():
            axis = dims[name].index(along) if along in dims[name] else None
            whole.update(_described(name, array, axis))
            values = np.asarray(array[...]) if name in coordinates and array.nbytes <= _SMALL else None
            if axis is not None:
                self._cut.append((array, axis, values))
            elif values is not None:
                whole.update(repr(values.tolist()).encode())
            else:
                self._add(whole, array, {})
        self._whole = whole.hexdigest()

    def of(self, start: int, stop: int) -> str:
        """Identity of the steps from one to another."""
        digest = hashlib.blake2b(self._whole.encode(), digest_size=16)
        for array, axis, values in self._cut:
            if values is not None:
                index = (slice(None),) * axis + (slice(start, stop),)
                digest.update(repr(values[index].tolist()).encode())
            else:
                size = (array.shards or array.chunks)[axis]
                self._add(digest, array, {axis: range(start // size, -(-stop // size))})
        return digest.hexdigest()

    def _add(self, digest: Any, array: zarr.Array[Any], chosen: Mapping[int, range]) -> None:  # noqa: ANN401 - a hash
        if self._objects is not None:
            for key in _keys(array, chosen):
                digest.update(f"{key}={self._objects.get(key)};".encode())


def _keys(array: zarr.Array[Any], chosen: Mapping[int, range]) -> Iterator[str]:
    """Keys of the objects that hold the chunks of an array."""
    cut = array.shards or array.chunks
    counts = [range(-(-length // size)) for length, size in zip(array.shape, cut, strict=True)]
    for place in product(*(chosen.get(axis, every) for axis, every in enumerate(counts))):
        name = array.metadata.encode_chunk_key(place)
        yield f"{array.path}/{name}" if array.path else name


def _described(name: str, array: zarr.Array[Any], axis: int | None) -> bytes:
    """Metadata of an array without its length along the items."""
    found = dict(array.metadata.to_dict())
    found["shape"] = [None if at == axis else length for at, length in enumerate(array.shape)]
    return f"{name}:{json.dumps(found, sort_keys=True, default=str)}".encode()
