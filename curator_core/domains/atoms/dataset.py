"""A finished dataset as a sequence of structures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import overload

from ase import Atoms

from curator_core.domains.atoms.dataset_reader import UNDECODABLE, DatasetItem, DatasetReader
from curator_core.domains.atoms.structures import Table, assemble
from curator_core.errors import DatasetReplacedError, IndexRangeError

_BLOCK = 1024


class AtomicDataset(Sequence[Atoms]):
    """Structures of a dataset that `AtomicDataZarrSink` wrote, equal to what the source gave.

    Any Zarr library reads the same arrays; see `curator_core.domains.atoms.layout`. Only the path is
    pickled, with a hash of what is there, so that every worker of a data loader opens the dataset for itself.

    A dataset that is published anew while it is open is another one: reading from it raises `DatasetReplacedError`,
    in workers too.

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
        self._path = Path(path).absolute()
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
        return self._assembled(self._reader.table(position, position + 1), 0, position)

    def __iter__(self) -> Iterator[Atoms]:
        for start in range(0, len(self), _BLOCK):
            table = self._reader.table(start, min(start + _BLOCK, len(self)))
            for position in range(len(table.offsets) - 1):
                yield self._assembled(table, position, start + position)

    def _assembled(self, table: Table, position: int, index: int) -> Atoms:
        try:
            return assemble(table, position)
        except UNDECODABLE as exc:
            raise self._reader.damaged(f"structure {index}", exc) from exc

    def __reduce__(self) -> tuple[Callable[..., AtomicDataset], tuple[type[AtomicDataset], Path, str]]:
        return _reopened, (type(self), self._path, self._reader.content_hash())

    @cached_property
    def items(self) -> list[DatasetItem]:
        """The source items in the dataset, with their keys and the structures they gave."""
        return self._reader.items()


def _reopened(cls: type[AtomicDataset], path: Path, content_hash: str) -> AtomicDataset:
    """The dataset that was pickled; another one that is there by now is refused."""
    dataset = cls(path)
    if dataset._reader.content_hash() != content_hash:
        raise DatasetReplacedError(
            f"The dataset {path} was replaced after it was sent to this process. Open it again.",
            file=str(path),
        )
    return dataset
