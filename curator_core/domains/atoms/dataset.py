"""A finished dataset as a sequence of structures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import overload

from ase import Atoms

from curator_core.domains.atoms.assembly import structures
from curator_core.domains.atoms.dataset_reader import UNDECODABLE, DatasetItem, DatasetReader
from curator_core.domains.atoms.structures import Table
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
            return self.__getitems__(range(*index.indices(len(self))))
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Atoms]:
        """Structures at some positions, in their order; what PyTorch's data loaders call for a batch.

        Raises
        ------
        IndexRangeError
            There is no such structure.
        ComponentError
            One is damaged, or the dataset was replaced.
        """
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
