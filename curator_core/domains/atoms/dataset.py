"""A finished dataset as a sequence of structures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from ase import Atoms

from curator_core.domains.atoms.assembly import structures
from curator_core.domains.atoms.dataset_reader import UNDECODABLE, DatasetItem, DatasetReader
from curator_core.domains.atoms.layout import PRESENT, array_spec
from curator_core.domains.atoms.structures import Table
from curator_core.errors import UnknownNameError
from curator_core.formats.arrays import Array, ArraySpec
from curator_core.reading.pinned_samples import PinnedSamples
from curator_core.reading.readers import RaggedBatch

_BLOCK = 1024
_PRESENT = "present/"


class AtomicDataset(PinnedSamples[Atoms, DatasetReader]):
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

    @staticmethod
    def _opened(path: Path, cache_bytes: int) -> DatasetReader:
        return DatasetReader(path, cache_bytes=cache_bytes)

    def __len__(self) -> int:
        return self._reader.n_systems

    def __getitems__(self, indices: Sequence[int]) -> list[Atoms]:
        """Structures at some positions, in their order; what PyTorch's data loaders call for a batch."""
        positions = self._positions(indices, "structures")
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
        table = self._gathered(self._positions(indices, "structures"), dict.fromkeys(columns.values()))
        values: dict[str, Array] = {}
        for name, column in columns.items():
            mask = table.columns[column].present if name != column else None
            values[name] = table.columns[column].values if mask is None else mask
        return RaggedBatch(values, {"system": np.ones(len(indices), np.int64), "atom": np.diff(table.offsets)})

    def _gathered(self, positions: Sequence[int], names: Collection[str] | None = None) -> Table:
        return self._pinned.read(lambda reader: reader.gather(positions, names))

    def _assembled(self, table: Table, positions: Sequence[int]) -> Iterator[Atoms]:
        """The structures of a table, which stand at some positions of the dataset."""
        found = structures(table)
        for position in positions:
            try:
                atoms = next(found)
            except UNDECODABLE as exc:
                raise self._reader.damaged(f"structure {position}", exc) from exc
            yield atoms

    @cached_property
    def items(self) -> list[DatasetItem]:
        """The source items in the dataset, with their keys and the structures they gave."""
        return self._pinned.read(DatasetReader.items)


def _table(start: int, stop: int, reader: DatasetReader) -> Table:
    return reader.table(start, stop)
