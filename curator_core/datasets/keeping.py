"""Segments that a dataset before has, taken over into the one that follows it, many at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curator_core.datasets.layout import Integers
from curator_core.datasets.published import PublishedRagged
from curator_core.datasets.segments import Segment, Segments
from curator_core.datasets.tables import shard_numbers
from curator_core.formats.arrays import ArraySpec

Flags = npt.NDArray[np.bool_]


class KeptSegments:
    """Segments that are in the dataset before, too.

    Parameters
    ----------
    before
        The dataset before.
    segments
        All segments.
    known
        Position in the dataset before by that in `segments`, of those that it has.
    """

    def __init__(self, before: PublishedRagged, segments: Segments, known: Mapping[int, int]) -> None:
        self._before, self._segments = before, segments
        self._number, self._former = np.array(list(known), np.int64), np.array(list(known.values()), np.int64)

    def checksums(self, names: Collection[str]) -> npt.NDArray[np.uint64]:
        """Checksum of each segment and array; 0 where a segment has no files of one."""
        columns = np.array([self._before.names.index(name) for name in names], np.int64)
        return self._before.tables.checksums[self._former[:, None], columns]

    def is_in_place(self, axis: str) -> Flags:
        """Which segments begin where they began before, on an axis."""
        return np.asarray(self._before.tables.shard[axis][self._former] == self._first(axis))

    def _first(self, axis: str) -> Integers:
        return self._segments.first_shards(axis)[self._number]

    def where(self, wanted: Flags) -> Iterator[tuple[Segment, int]]:
        """Some of the segments, with their positions before."""
        pairs = zip(self._number[wanted].tolist(), self._former[wanted].tolist(), strict=True)
        return ((self._segments[number], former) for number, former in pairs)

    def take(self, spec: ArraySpec, wanted: Flags, staged: Path) -> None:
        """Take the files of an array in some of the segments into a staged dataset.

        Raises
        ------
        ComponentError
            One is missing.
        """
        tables, axis = self._before.tables, self._before.layout.by_name[spec.dims[0]]
        former, first = self._former[wanted], self._first(axis.name)[wanted]
        n_shards = -(-tables.segment_rows[axis.name][former] // axis.shard_rows)
        numbers = shard_numbers(tables.shard[axis.name][former], n_shards)
        self._before.keep(spec, numbers, shard_numbers(first, n_shards), staged)
