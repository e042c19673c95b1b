"""A finished dataset as a sequence of structures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase import Atoms

from curator_core.domains.atoms.assembly import structures
from curator_core.domains.atoms.dataset_reader import UNDECODABLE, DatasetItem, DatasetReader
from curator_core.domains.atoms.layout import PRESENT, array_spec
from curator_core.domains.atoms.structures import Table
from curator_core.errors import DatasetReplacedError, IndexRangeError, UnknownNameError
from curator_core.formats.arrays import Array, ArraySpec
from curator_core.formats.dataset_files import CACHE_BYTES
from curator_core.reading.readers import RaggedBatch, SampleReader

_BLOCK = 1024
_PRESENT = "present/"


class AtomicDataset(SampleReader[Atoms]):
    """Structures of a dataset that `AtomicDataZarrSink` wrote, equal to what the source gave.

    Any Zarr library reads the same arrays; see `curator_core.domains.atoms.layout`. Only the path is
    pickled, with a hash of what is there, so that every worker of a data loader opens the dataset for itself.

    A dataset that is published anew while it is open is another one: reading from it raises `DatasetReplacedError`,
    in workers too.

    Parameters
    ----------
    path
        Folder of the dataset.
    cache_bytes
        Bytes of decoded chunks that are kept, in every process that reads.

    Raises
    ------
    ComponentError
        There is no such dataset, or it was written by a newer version.
    """

    main_axis: ClassVar[str] = "system"

    def __init__(self, path: str | Path, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._path = Path(path).absolute()
        self._cache_bytes = cache_bytes
        self._reader = DatasetReader(self._path, cache_bytes=cache_bytes)

    @classmethod
    def open(cls, path: Path) -> AtomicDataset:
        return cls(path)

    def __len__(self) -> int:
        return self._reader.n_systems

    def __getitems__(self, indices: Sequence[int]) -> list[Atoms]:
        """Structures at some positions, in their order; what PyTorch's data loaders call for a batch."""
        positions = self._positions(indices)
        found: list[Atoms] = []
        for start in range(0, len(positions), _BLOCK):
            block = positions[start : start + _BLOCK]
            found += self._assembled(self._reader.gather(block), block)
        return found

    def __iter__(self) -> Iterator[Atoms]:
        for start in range(0, len(self), _BLOCK):
            stop = min(start + _BLOCK, len(self))
            yield from self._assembled(self._reader.table(start, stop), range(start, stop))

    def arrays(self) -> dict[str, ArraySpec]:
        schema = self._reader.schema
        found = {name: array_spec(name, field) for name, field in schema.items() if not field.is_text}
        masks = [f"{_PRESENT}{name}" for name, field in schema.items() if field.partial]
        return found | {name: array_spec(name, PRESENT) for name in masks}

    def batch(self, indices: Sequence[int], names: Collection[str]) -> RaggedBatch:
        columns = {name: name.removeprefix(_PRESENT) for name in names}
        for name, column in columns.items():
            field = self._reader.schema.get(column)
            if field is None or not (field.partial if name != column else not field.is_text):
                raise UnknownNameError.of("array of numbers", name, self.arrays())
        table = self._reader.gather(self._positions(indices), dict.fromkeys(columns.values()))
        values: dict[str, Array] = {}
        for name, column in columns.items():
            mask = table.columns[column].present if name != column else None
            values[name] = table.columns[column].values if mask is None else mask
        return RaggedBatch(values, {"system": np.ones(len(indices), np.int64), "atom": np.diff(table.offsets)})

    @property
    def identity(self) -> str:
        return self._reader.content_hash()

    def _positions(self, indices: Sequence[int]) -> list[int]:
        n_systems = len(self)
        positions = [index + n_systems if index < 0 else index for index in map(int, indices)]
        for index, position in zip(indices, positions, strict=True):
            if not 0 <= position < n_systems:
                raise IndexRangeError(f"{self._path}: index {index} is out of range for {n_systems} structures.")
        return positions

    def _assembled(self, table: Table, positions: Sequence[int]) -> Iterator[Atoms]:
        """The structures of a table, which stand at some positions of the dataset."""
        found = structures(table)
        for position in positions:
            try:
                atoms = next(found)
            except UNDECODABLE as exc:
                raise self._reader.damaged(f"structure {position}", exc) from exc
            yield atoms

    def __reduce__(self) -> tuple[Callable[..., AtomicDataset], tuple[type[AtomicDataset], Path, int, str]]:
        return _reopened, (type(self), self._path, self._cache_bytes, self._reader.content_hash())

    @cached_property
    def items(self) -> list[DatasetItem]:
        """The source items in the dataset, with their keys and the structures they gave."""
        return self._reader.items()


def _reopened(cls: type[AtomicDataset], path: Path, cache_bytes: int, content_hash: str) -> AtomicDataset:
    """The dataset that was pickled; another one that is there by now is refused."""
    dataset = cls(path, cache_bytes=cache_bytes)
    if dataset._reader.content_hash() != content_hash:
        raise DatasetReplacedError(
            f"The dataset {path} was replaced after it was sent to this process. Open it again.",
            file=str(path),
        )
    return dataset
