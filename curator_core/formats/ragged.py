"""Items of different lengths in one Zarr group: rows of all items one after another, and where each item begins.

=================  ==================  =======================================================
array              shape               meaning
=================  ==================  =======================================================
one per spec       ``(n_rows, ...)``   values of all items, in the order of the items
``items/key``      ``(n_items,)``      key of each item
``items/version``  ``(n_items,)``      hash of its key, fingerprint and configuration
``items/offsets``  ``(n_items + 1,)``  rows of item k: ``offsets[k]:offsets[k + 1]``
=================  ==================  =======================================================
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from curator_core.errors import ComponentError, MergeError
from curator_core.formats.arrays import TEXT, Array, ArraySpec, Chunking
from curator_core.formats.zarr_arrays import (
    ArrayReader,
    ArrayWriter,
    create_group,
    find_array,
    open_group,
    settled_on_error,
)
from curator_core.pipeline.components import MergeItem, Variable

CHUNKING: Final = Chunking(65_536, 1_048_576)
"""How arrays are cut unless another way is asked for."""
_ITEM_ARRAYS: Final = (
    ArraySpec("items/key", TEXT, ("item",)),
    ArraySpec("items/version", TEXT, ("item",)),
    ArraySpec("items/offsets", "int64", ("item_bound",)),
)

Rows = Mapping[str, Array]
"""Values of one item by name of the array, all with as many rows."""


def merge_ragged(
    specs: Sequence[ArraySpec],
    items: Sequence[MergeItem],
    previous: str | Path | None,
    path: str | Path,
    read_shard: Callable[[Path], Rows],
    *,
    attributes: Mapping[str, Any] | None = None,
    chunking: Chunking = CHUNKING,
) -> None:
    """Write the dataset of some items, from shards and from the dataset before; what `ShardedSink.merge_items` needs.

    Shards are read twice, once for their length, so that no more than one item is in memory.

    Parameters
    ----------
    specs
        The arrays.
    items
        The items; those without a shard are taken from `previous`.
    previous
        The dataset before, if any.
    path
        Folder to create.
    read_shard
        Reads the rows of one item.
    attributes
        What is said of the group, such as format and version.
    chunking
        How arrays are cut into chunks and files.

    Raises
    ------
    MergeError
        An item has neither a shard nor a place in the previous dataset, or its rows do not fit `specs`.
    """
    before = None if previous is None else RaggedDataset(previous, specs)

    def rows(item: MergeItem) -> Rows:
        if item.shard is not None:
            return _checked(read_shard(item.shard), specs, item)
        if before is None or before.versions().get(item.key) != item.version:
            raise MergeError(f"Item {item.key!r} has no shard and is not in the previous dataset; process it again.")
        return before.rows(item.key)

    sizes = [len(rows(item)[specs[0].name]) for item in items]
    with settled_on_error():
        group = create_group(Path(path), attributes or {})
        writers = {spec.name: ArrayWriter(group, spec, sum(sizes), chunking) for spec in specs}
        for item in items:
            for name, values in rows(item).items():
                writers[name].append(values)
        listed: tuple[Array, ...] = (
            np.array([item.key for item in items], object),
            np.array([item.version for item in items], object),
            np.array(list(accumulate(sizes, initial=0)), np.int64),
        )
        for spec, values in zip(_ITEM_ARRAYS, listed, strict=True):
            writers[spec.name] = ArrayWriter(group, spec, len(values), chunking)
            writers[spec.name].append(values)
        for writer in writers.values():
            writer.close()


def _checked(rows: Rows, specs: Sequence[ArraySpec], item: MergeItem) -> Rows:
    """Rows with the types of their arrays, all equally many.

    Raises
    ------
    MergeError
        An array is missing or unknown, of another shape, or would lose something.
    """
    checked = {}
    for spec in specs:
        values = rows.get(spec.name)
        if values is None or values.shape != (len(rows[specs[0].name]), *spec.row_shape) or len(rows) > len(specs):
            raise MergeError(
                f"Item {item.key!r}: a shard must hold {[s.name for s in specs]}, of equally many rows, and holds "
                f"{ ({name: array.shape for name, array in rows.items()}) }."
            )
        if not spec.is_text and not np.can_cast(values.dtype, spec.dtype, "safe"):
            raise MergeError(f"Item {item.key!r}: {spec.name} is {values.dtype}, which {spec.dtype} cannot hold.")
        checked[spec.name] = values.astype(object if spec.is_text else spec.dtype, copy=False)
    return checked


@dataclass(frozen=True, slots=True)
class _Place:
    version: str
    start: int
    stop: int


class RaggedDataset:
    """A dataset that `merge_ragged` wrote.

    Parameters
    ----------
    path
        Folder of the dataset.
    specs
        Its arrays.

    Raises
    ------
    ComponentError
        There is no such dataset, or it is damaged.
    """

    def __init__(self, path: str | Path, specs: Sequence[ArraySpec]) -> None:
        self._path = Path(path).absolute()
        self._specs = {spec.name: spec for spec in specs}
        self._group = open_group(self._path)
        keys, versions, offsets = (
            reader.rows(0, reader.shape[0]).tolist() for reader in map(self._reader, _ITEM_ARRAYS)
        )
        places = [_Place(version, *bounds) for version, bounds in zip(versions, pairwise(offsets), strict=True)]
        self._places = dict(zip(keys, places, strict=True))
        if len(self._places) < len(keys):
            raise ComponentError(f"The dataset is damaged: {self._path} holds an item twice.", file=str(self._path))
        self._readers = {spec.name: self._reader(spec) for spec in specs}
        self.n_rows: int = offsets[-1]

    @classmethod
    def retained(cls, path: str | Path, specs: Sequence[ArraySpec]) -> dict[str, str]:
        """Item version by key; empty where there is no dataset yet. What `ShardedSink.retained_items` needs."""
        return cls(path, specs).versions() if Path(path).exists() else {}

    def versions(self) -> dict[str, str]:
        """Item version by key, in order."""
        return {key: place.version for key, place in self._places.items()}

    def rows(self, key: str) -> Rows:
        """The rows of an item; do not change them."""
        place = self._places[key]
        return {name: reader.rows(place.start, place.stop) for name, reader in self._readers.items()}

    def variables(self) -> list[Variable]:
        """The arrays, as `ShardedSink.schema` gives them."""
        return [
            Variable(spec.name, spec.dtype, spec.dims, reader.shape, reader.chunks, spec.attributes.get("units", ""))
            for spec, reader in zip(self._specs.values(), self._readers.values(), strict=True)
        ]

    def values(self, names: Collection[str]) -> Iterator[tuple[str, str, Array]]:
        """Key of an item, name of an array and its rows, item by item, as `ReadsValues.values` gives them."""
        for key in self._places:
            rows = self.rows(key)
            yield from ((key, name, rows[name]) for name in names)

    def _reader(self, spec: ArraySpec) -> ArrayReader:
        array = find_array(self._group, spec.name)
        if array is None:
            raise ComponentError(
                f"The dataset is damaged: {self._path} has no array {spec.name!r}.", file=str(self._path)
            )
        return ArrayReader(self._path, array, spec)
