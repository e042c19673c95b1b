"""A finished dataset as a sequence of structures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import overload

from ase import Atoms

from curator_core.domains.atoms.dataset_reader import DatasetItem, DatasetReader
from curator_core.domains.atoms.structures import assemble
from curator_core.errors import IndexRangeError

_BLOCK = 1024


class AtomicDataset(Sequence[Atoms]):
    """Structures of a dataset that `AtomicDataZarrSink` wrote, equal to what the source gave.

    Any Zarr library reads the same arrays; see `curator_core.domains.atoms.layout`. Only the path is
    pickled, so that every worker of a data loader opens the dataset for itself.

    Parameters
    ----------
    path
        Folder of the dataset.

    Raises
    ------
    ComponentError
        There is no such dataset, or it was written by a newer version.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._reader = DatasetReader(self._path)

    def __len__(self) -> int:
        return self._reader.n_systems

    @overload
    def __getitem__(self, index: int) -> Atoms: ...

    @overload
    def __getitem__(self, index: slice) -> list[Atoms]: ...

    def __getitem__(self, index: int | slice) -> Atoms | list[Atoms]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexRangeError(f"{self._path}: index {index} is out of range for {len(self)} structures.")
        return assemble(self._reader.table(position, position + 1), 0)

    def __iter__(self) -> Iterator[Atoms]:
        for start in range(0, len(self), _BLOCK):
            table = self._reader.table(start, min(start + _BLOCK, len(self)))
            for position in range(len(table.offsets) - 1):
                yield assemble(table, position)

    def __reduce__(self) -> tuple[type[AtomicDataset], tuple[Path]]:
        return type(self), (self._path,)

    @cached_property
    def items(self) -> list[DatasetItem]:
        """The source items in the dataset, with their keys and the structures they gave."""
        return self._reader.items()
