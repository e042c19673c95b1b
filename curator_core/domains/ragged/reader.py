"""The folder of a published dataset whose items have the same arrays, read sample by sample."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from curator_core.formats.arrays import Array, ArraySpec
from curator_core.formats.selection import joined_runs, runs_of
from curator_core.formats.shard_reader import ShardReader
from curator_core.reading.segmented import SegmentedFolder


class RaggedReader(SegmentedFolder):
    """Reads samples of a dataset.

    Parameters
    ----------
    path
        Folder of the dataset.
    cache_bytes
        Bytes of decoded chunks that are kept.

    Raises
    ------
    ComponentError
        There is no such dataset, it is damaged, or was written by a newer version.
    """

    samples: ClassVar[str] = "samples"

    def __init__(self, path: Path, cache_bytes: int) -> None:
        super().__init__(path, cache_bytes)
        main = self.layout.main.name
        with self._describing():
            self.specs = {name: self._spec(name) for name in self._names if name not in self.layout.structure}
            self._values = {name: self._reader(name, spec.dims[0]) for name, spec in self.specs.items()}
            self._places = {
                axis.name: (self._reader(axis.start, main), self._reader(axis.count, main))
                for axis in self.layout.children
            }
        self.n_samples = self._addresses.total(main)

    def _spec(self, name: str) -> ArraySpec:
        node, array = self._files.described(name), ShardReader(self._files, name)
        return ArraySpec(name, array.dtype, tuple(node["dimension_names"]), array.shape[1:], node["attributes"])

    def _reader(self, name: str, axis: str) -> ShardReader:
        array = ShardReader(self._files, name)  # every item has values of all
        if array.shape[0] != self._addresses.n_rows(axis):
            raise ValueError(f"{name!r} has {array.shape[0]} rows, not {self._addresses.n_rows(axis)}")
        return array

    def content_hash(self) -> str:
        """SHA-256 of what differs between versions of the dataset, which its attributes hash."""
        try:
            described = (self._path / "zarr.json").read_bytes()
        except OSError as exc:
            self.require_same()
            raise self._files.damaged(str(exc)) from exc
        return hashlib.sha256(described).hexdigest()

    def gather(
        self, positions: Sequence[int], names: Collection[str]
    ) -> tuple[dict[str, Array], dict[str, npt.NDArray[np.int64]]]:
        """Rows of some arrays for the samples at some positions, and the number of rows of each sample by axis.

        Raises
        ------
        ComponentError
            They are damaged, or the dataset was replaced.
        """
        main = self._addresses.physical(runs_of(positions))
        rows, counts = {self.layout.main.name: main}, {self.layout.main.name: np.ones(len(positions), np.int64)}
        for axis in {self.specs[name].dims[0] for name in names} - rows.keys():
            start, lengths = (np.asarray(reader.take(main), np.int64) for reader in self._places[axis])
            if (start < 0).any() or (lengths < 0).any():
                raise self._files.damaged(f"its samples begin nowhere on {axis!r}")
            rows[axis], counts[axis] = joined_runs(start, start + lengths), lengths
        values = {name: self._values[name].take(rows[self.specs[name].dims[0]]) for name in names}
        self.require_same()
        return values, counts
