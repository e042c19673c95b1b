"""Where the rows of samples lie in a dataset of segments, which are padded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from curator_core.datasets.layout import Layout
from curator_core.datasets.tables import Tables, assembled, shard_numbers, specs
from curator_core.formats.dataset_files import DatasetFiles
from curator_core.formats.shard_reader import ShardReader


@dataclass(frozen=True, slots=True)
class SegmentTable:
    """What a reader needs to know of the segments: numbers alone, for there may be millions."""

    shard: Mapping[str, npt.NDArray[np.int64]]
    """First shard of each segment by axis."""
    rows: Mapping[str, npt.NDArray[np.int64]]
    """Number of rows of each segment by axis."""

    @classmethod
    def read(cls, files: DatasetFiles, layout: Layout) -> SegmentTable:
        """Read it from a dataset.

        Raises
        ------
        ComponentError
            A file is missing or damaged.
        ValueError
            Segments overlap.
        """
        shard = {axis.name: _column(files, f"segments/{axis.name}_shard") for axis in layout.axes}
        rows = {axis.name: _column(files, f"segments/{axis.count}") for axis in layout.axes}
        for axis in layout.axes:
            taken = -(-rows[axis.name] // axis.shard_rows)
            if (rows[axis.name] < 0).any() or not np.array_equal(shard[axis.name], np.cumsum(taken) - taken):
                raise ValueError(f"its segments overlap on {axis.name!r}")
        return cls(shard, rows)


def _column(files: DatasetFiles, name: str) -> npt.NDArray[np.int64]:
    column = ShardReader(files, name)
    if len(column.shape) != 1 or column.dtype != "int64":
        raise ValueError(f"{name!r} is no list of numbers")
    return np.asarray(column.rows(0, column.shape[0]), np.int64)


class SegmentAddresses:
    """The rows of samples in a dataset of segments.

    Parameters
    ----------
    files
        The dataset.
    layout
        How it is cut.
    arrays
        Names of its arrays, in the order of their checksums.
    """

    def __init__(self, files: DatasetFiles, layout: Layout, arrays: list[str]) -> None:
        self._files, self._layout, self._n_arrays = files, layout, len(arrays)
        self._table = SegmentTable.read(files, layout)
        self._columns = {name: number for number, name in enumerate(arrays)}
        self._n_rows = {
            axis.name: int((-(-self._table.rows[axis.name] // axis.shard_rows)).sum()) * axis.shard_rows
            for axis in layout.axes
        }
        _checksums(files, len(arrays))  # described only: they are the largest of the tables
        n_samples = self._table.rows[layout.main.name]
        self._stops = np.cumsum(n_samples)
        self._starts = self._stops - n_samples
        self._first = self._table.shard[layout.main.name] * layout.main.shard_rows

    def tables(self) -> Tables:
        """All that is known of items and segments.

        Raises
        ------
        ComponentError
            A file is missing or damaged.
        ValueError
            They contradict each other.
        """
        listed = specs(self._layout, self._n_arrays, has_splits="splits" in self._files.attributes)
        readers = {name: ShardReader(self._files, name) for name in listed}
        return assembled({name: reader.rows(0, reader.shape[0]) for name, reader in readers.items()}, self._layout)

    def physical(self, runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Rows on the main axis of some runs of samples, none of which is empty, one after the other."""
        bounds = np.array(runs, np.int64).reshape(-1, 2)
        segments = np.searchsorted(self._stops, bounds[:, 0], side="right")
        if (bounds[:, 1] > self._stops[segments]).any():
            return [piece for start, stop in runs for piece in self._pieces(start, stop)]
        moved = bounds + (self._first[segments] - self._starts[segments])[:, None]
        return list(zip(moved[:, 0].tolist(), moved[:, 1].tolist(), strict=True))

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Rows of the samples from `start` to `stop`, segment by segment."""
        segment = int(np.searchsorted(self._stops, start, side="right"))
        while start < stop:
            first = int(self._first[segment] - self._starts[segment])
            end = min(stop, int(self._stops[segment]))
            if end > start:
                yield first + start, first + end
            start, segment = end, segment + 1

    @cached_property
    def _is_absent(self) -> npt.NDArray[np.bool_]:
        """Which segments and arrays have no files: the largest of the tables, which only partial arrays need."""
        return _absent(self._files, self._n_arrays)

    def absent(self, name: str, axis: str) -> frozenset[int]:
        """Numbers of the files of a partial array that are not there, as no sample of their segment has a value."""
        if name not in self._columns:
            return frozenset()
        segments = np.flatnonzero(self._is_absent[:, self._columns[name]])
        n_shards = -(-self._table.rows[axis][segments] // self._layout.by_name[axis].shard_rows)
        return frozenset(shard_numbers(self._table.shard[axis][segments], n_shards))

    def total(self, axis: str) -> int:
        """Number of rows on an axis, without the padding."""
        return int(self._table.rows[axis].sum())

    def n_rows(self, axis: str) -> int:
        """Length of the arrays on an axis, padding included."""
        return self._n_rows[axis]


def _checksums(files: DatasetFiles, n_arrays: int) -> ShardReader:
    found = ShardReader(files, "segments/checksum")
    if found.shape[1:] != (n_arrays,):
        raise ValueError(f"its checksums are {found.shape}, not of {n_arrays} arrays")
    return found


def _absent(files: DatasetFiles, n_arrays: int) -> npt.NDArray[np.bool_]:
    """Which segments and arrays have no files."""
    checksums = _checksums(files, n_arrays)
    return np.asarray(checksums.rows(0, checksums.shape[0]) == 0)
