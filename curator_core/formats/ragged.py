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

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, TypeAlias
from zipfile import BadZipFile

import numpy as np

from curator_core.errors import ComponentError, MergeError
from curator_core.formats.arrays import TEXT, Array, ArraySpec, Chunking, pack_texts, unpack_texts
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
_UNREADABLE = (OSError, ValueError, LookupError, RuntimeError, BadZipFile, EOFError, zlib.error, MemoryError)

_MAX_EXACT = 2**53 - 1
"""Integers up to here are floats of 64 bits."""

Rows: TypeAlias = Mapping[str, Array]
"""Values by name of the array, all with as many rows."""


def write_rows(path: str | Path, specs: Sequence[ArraySpec], tables: Iterable[Rows]) -> None:
    """Write the shard of one item, an ``.npz`` file: its rows, in one table or several.

    Raises
    ------
    ComponentError
        A table has other arrays than `specs`, of other shapes, or of types whose values would change.
    """
    checked = [_checked(table, specs) for table in tables]
    arrays: dict[str, Any] = {"names": np.array([spec.name for spec in specs])}
    for number, spec in enumerate(specs):  # numbered: a name may be anything
        empty = np.empty((0, *spec.row_shape), object if spec.is_text else spec.dtype)
        values = np.concatenate([empty, *(table[spec.name] for table in checked)])
        if spec.is_text:
            values, arrays[f"lengths_{number}"] = pack_texts(values)
        arrays[f"values_{number}"] = values
    with Path(path).open("wb") as file:
        np.savez(file, **arrays)


def read_rows(path: str | Path, specs: Sequence[ArraySpec]) -> Rows:
    """Read a shard that `write_rows` wrote.

    Raises
    ------
    MergeError
        The file is missing or damaged, or has other arrays.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if arrays["names"].tolist() != [spec.name for spec in specs]:
                raise ValueError(f"it has the arrays {arrays['names'].tolist()}")
            rows = {spec.name: arrays[f"values_{number}"] for number, spec in enumerate(specs)}
            for number, spec in enumerate(specs):
                if spec.is_text:
                    rows[spec.name] = unpack_texts(rows[spec.name], arrays[f"lengths_{number}"])
                _require_same(rows[spec.name], spec)
            return rows
    except _UNREADABLE as exc:
        raise MergeError(f"Shard {path} cannot be read ({type(exc).__name__}: {exc}); process its item again.") from exc


def _require_same(values: Array, spec: ArraySpec) -> None:
    """Raise `ValueError` for rows that a writer with another specification made; Zarr would convert them in silence."""
    if values.dtype != (object if spec.is_text else spec.dtype) or values.shape[1:] != spec.row_shape:
        raise ValueError(
            f"{spec.name} has rows of {values.dtype} with shape {values.shape[1:]}, expected {spec.dtype} with "
            f"{spec.row_shape}: if the arrays have changed since, raise the version of the sink"
        )


def _checked(table: Rows, specs: Sequence[ArraySpec]) -> Rows:
    if table.keys() != {spec.name for spec in specs}:
        raise ComponentError(f"The arrays are {sorted(table)}, expected {sorted(spec.name for spec in specs)}.")
    n_rows = np.shape(table[specs[0].name])[:1]
    for spec in specs:
        values: object = table[spec.name]
        if not isinstance(values, np.ndarray):
            raise ComponentError(f"{spec.name} is no array but {type(values).__name__}.")
        if values.shape != (*n_rows, *spec.row_shape) or not n_rows:
            expected = (*(n_rows or ("n",)), *spec.row_shape)
            raise ComponentError(f"{spec.name} has the shape {values.shape}, expected {expected}.")
        if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
            raise ComponentError(f"{spec.name} has masked values, which cannot be stored: fill them first.")
        if spec.is_text:
            other = next((value for value in values.tolist() if not isinstance(value, str)), "")
            if other != "":
                raise ComponentError(f"{spec.name} has {other!r} among its texts.")
        elif not _holds(np.dtype(spec.dtype), values):
            raise ComponentError(f"{spec.name} is {values.dtype}, which {spec.dtype} cannot hold.")
    return {spec.name: table[spec.name].astype(object if spec.is_text else spec.dtype, copy=False) for spec in specs}


def _holds(dtype: np.dtype[Any], values: Array) -> bool:
    """Whether a type has all the values; to NumPy, floats hold integers of any size, and texts hold numbers."""
    given = values.dtype
    if given == dtype:
        return True
    if not np.can_cast(given, dtype, "safe") or (dtype.kind in "SU" and given.kind != dtype.kind):
        return False
    is_narrower = given.kind in "iu" and dtype.kind in "fc" and given.itemsize == np.dtype("int64").itemsize
    return not is_narrower or not len(values) or bool(np.all(np.abs(values.astype(dtype)) <= _MAX_EXACT))


def merge_ragged(
    specs: Sequence[ArraySpec],
    items: Sequence[MergeItem],
    previous: str | Path | None,
    path: str | Path,
    *,
    attributes: Mapping[str, Any] | None = None,
    chunking: Chunking = CHUNKING,
) -> None:
    """Write the dataset of some items, from shards and from the dataset before: `ShardedSink.merge_items`.

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
    attributes
        What is said of the group, such as format and version.
    chunking
        How arrays are cut into chunks and files.

    Raises
    ------
    MergeError
        A shard cannot be read, or an item has none and is not in the previous dataset.
    ComponentError
        The previous dataset is damaged, or has other arrays.
    """
    before = None if previous is None else RaggedDataset(previous, specs)
    held = {} if before is None else before.versions()

    def rows(item: MergeItem) -> Rows:
        if item.shard is not None:
            return read_rows(item.shard, specs)
        if before is None or held.get(item.key) != item.version:
            raise MergeError(f"Item {item.key!r} has no shard and is not in the previous dataset; process it again.")
        return before.rows(item.key)

    sizes = [len(rows(item)[specs[0].name]) for item in items]
    listed: tuple[Array, ...] = (
        np.array([item.key for item in items], object),
        np.array([item.version for item in items], object),
        np.array(list(accumulate(sizes, initial=0)), np.int64),
    )
    with settled_on_error():
        group = create_group(Path(path), attributes or {})
        writers = {spec.name: ArrayWriter(group, spec, sum(sizes), chunking) for spec in specs}
        for item in items:
            for name, values in rows(item).items():
                writers[name].append(values)
        for spec, values in zip(_ITEM_ARRAYS, listed, strict=True):
            writers[spec.name] = ArrayWriter(group, spec, len(values), chunking)
            writers[spec.name].append(values)
        for writer in writers.values():
            writer.close()


@dataclass(frozen=True, slots=True)
class _Place:
    version: str
    start: int
    stop: int


class RaggedDataset:
    """A dataset that `merge_ragged` wrote.

    Its items are known also where the arrays have changed since; then values cannot be read.

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
        if not len(keys) == len(versions) == len(offsets) - 1 or offsets != sorted(offsets):
            raise self._damaged("has a list of items that contradicts itself")
        self._places = {
            key: _Place(*place) for key, *place in zip(keys, versions, offsets[:-1], offsets[1:], strict=True)
        }
        if len(self._places) < len(keys):
            raise self._damaged("holds an item twice")
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

    @cached_property
    def _readers(self) -> dict[str, ArrayReader]:
        return {spec.name: self._reader(spec) for spec in self._specs.values()}

    def _reader(self, spec: ArraySpec) -> ArrayReader:
        array = find_array(self._group, spec.name)
        is_same = array is not None and (spec.is_text or array.dtype == np.dtype(spec.dtype))
        if array is None or not is_same or array.shape[1:] != spec.row_shape:
            raise self._damaged(
                f"has no array {spec.name!r} of {spec.dtype} with rows of shape {spec.row_shape}. If the arrays have "
                "changed since, raise the version of the sink, so that all items are processed again"
            )
        return ArrayReader(self._path, array, spec)

    def _damaged(self, what: str) -> ComponentError:
        return ComponentError(f"The dataset {self._path} is damaged, or another's: it {what}.", file=str(self._path))
