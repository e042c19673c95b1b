"""A finished dataset as a sequence of structures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase import Atoms

from curator_core.datasets.versions import locate_version
from curator_core.domains.atoms.assembly import structures
from curator_core.domains.atoms.dataset_reader import UNDECODABLE, DatasetItem, DatasetReader
from curator_core.domains.atoms.layout import PRESENT, array_spec
from curator_core.domains.atoms.structures import Table
from curator_core.errors import IndexRangeError, UnknownNameError
from curator_core.formats.arrays import Array, ArraySpec
from curator_core.formats.dataset_files import CACHE_BYTES
from curator_core.reading.pinned import PinnedReader
from curator_core.reading.readers import RaggedBatch, SampleReader
from curator_core.storage.objects.mirror import readable_folder

_BLOCK = 1024
_PRESENT = "present/"


class AtomicDataset(SampleReader[Atoms]):
    """Structures of a dataset that `AtomicDataZarrSink` wrote, equal to what the source gave.

    Any Zarr library reads the same arrays; see `curator_core.domains.atoms.layout`. Only the path is
    pickled, with a hash of what is there, so that every worker of a data loader opens the dataset for itself.

    The version that was opened is read to the end, in workers too: when another one is published it is read where it is
    kept as a former one. Once it has expired, reading raises `DatasetExpiredError`.

    Parameters
    ----------
    path
        Folder of the dataset, or a repository, such as ``s3://bucket/name.icechunk``.
    cache_bytes
        Bytes of decoded chunks that are kept, in every process that reads.
    version
        The version that is wanted, by id, by the beginning of one, or by tag; the one that is there by default.

    Raises
    ------
    ComponentError
        There is no such dataset, or it was written by a newer version.
    DatasetExpiredError
        The version is not kept any more.
    """

    main_axis = "system"

    def __init__(self, path: str | Path, *, cache_bytes: int = CACHE_BYTES, version: str | None = None) -> None:
        place = readable_folder(path if version is None else locate_version(path, version))
        self._pinned = PinnedReader(_opened, place, cache_bytes=cache_bytes)
        self._cache_bytes = cache_bytes

    @classmethod
    def open(cls, path: Path) -> AtomicDataset:
        return cls(path)

    @property
    def _reader(self) -> DatasetReader:
        return self._pinned.reader

    @property
    def _path(self) -> Path:
        return self._pinned.path

    def __len__(self) -> int:
        return self._reader.n_systems

    def __getitems__(self, indices: Sequence[int]) -> list[Atoms]:
        """Structures at some positions, in their order; what PyTorch's data loaders call for a batch."""
        positions = self._positions(indices)
        found: list[Atoms] = []
        for start in range(0, len(positions), _BLOCK):
            block = positions[start : start + _BLOCK]
            found += self._assembled(self._gathered(block), block)
        return found

    def __iter__(self) -> Iterator[Atoms]:
        for start in range(0, len(self), _BLOCK):
            stop = min(start + _BLOCK, len(self))
            table = self._pinned.read(partial(_table, start, stop))
            yield from self._assembled(table, range(start, stop))

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
        table = self._gathered(self._positions(indices), dict.fromkeys(columns.values()))
        values: dict[str, Array] = {}
        for name, column in columns.items():
            mask = table.columns[column].present if name != column else None
            values[name] = table.columns[column].values if mask is None else mask
        return RaggedBatch(values, {"system": np.ones(len(indices), np.int64), "atom": np.diff(table.offsets)})

    @property
    def splits(self) -> list[str]:
        return self._pinned.read(DatasetReader.split_names)

    def positions_of_split(self, name: str) -> npt.NDArray[np.int64]:
        return self._pinned.read(lambda reader: reader.positions_of_split(name))

    @property
    def identity(self) -> str:
        return self._pinned.content_hash

    def _gathered(self, positions: Sequence[int], names: Collection[str] | None = None) -> Table:
        return self._pinned.read(lambda reader: reader.gather(positions, names))

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

    def __getstate__(self) -> tuple[Path, int, str]:
        return self._path, self._cache_bytes, self._pinned.content_hash

    def __setstate__(self, state: tuple[Path, int, str]) -> None:
        path, self._cache_bytes, content_hash = state
        self._pinned = PinnedReader(_opened, path, cache_bytes=self._cache_bytes, content_hash=content_hash)

    @cached_property
    def items(self) -> list[DatasetItem]:
        """The source items in the dataset, with their keys and the structures they gave."""
        return self._pinned.read(DatasetReader.items)


def _table(start: int, stop: int, reader: DatasetReader) -> Table:
    return reader.table(start, stop)


def _opened(path: Path, cache_bytes: int) -> DatasetReader:
    return DatasetReader(path, cache_bytes=cache_bytes)
