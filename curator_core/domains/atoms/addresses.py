"""Where the rows of consecutive structures lie in a dataset: piece by piece, since segments are padded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curator_core.datasets.layout import Layout
from curator_core.datasets.tables import Tables
from curator_core.domains.atoms.columns import Offsets


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive structures whose rows follow one another on both axes."""

    systems: tuple[int, int]
    """First row and row after the last, on the axis of structures."""
    atoms: tuple[int, int]
    """First row and row after the last, on the axis of atoms."""
    lengths: Offsets
    """``(n_systems,)``, number of atoms of each."""


class SegmentAddresses:
    """The pieces of structures in a dataset of segments.

    Parameters
    ----------
    tables
        Its items and segments.
    layout
        How it is cut.
    arrays
        Names of its arrays, in the order of their checksums.
    """

    def __init__(self, tables: Tables, layout: Layout, arrays: list[str]) -> None:
        self.tables, self._layout = tables, layout
        self._columns = {name: number for number, name in enumerate(arrays)}
        n_systems = tables.segment_rows["system"]
        self._stops = np.cumsum(n_systems)
        self._starts = self._stops - n_systems
        self._first = tables.shard["system"] * layout.by_name["system"].shard_rows

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Rows on the axis of structures of those from `start` to `stop`, segment by segment."""
        segment = int(np.searchsorted(self._stops, start, side="right"))
        while start < stop:
            first = int(self._first[segment] - self._starts[segment])
            end = min(stop, int(self._stops[segment]))
            if end > start:
                yield first + start, first + end
            start, segment = end, segment + 1

    def absent(self, name: str, axis: str) -> frozenset[int]:
        """Numbers of the files of an array that are not there, since no structure of their segment has a value."""
        if name not in self._columns:
            return frozenset()
        found: list[int] = []
        cut = self._layout.by_name[axis]
        for segment in np.flatnonzero(self.tables.checksums[:, self._columns[name]] == 0).tolist():
            first = int(self.tables.shard[axis][segment])
            found += range(first, first + cut.n_shards(int(self.tables.segment_rows[axis][segment])))
        return frozenset(found)

    def n_rows(self, axis: str) -> int:
        """Length of the arrays on an axis, padding included."""
        cut = self._layout.by_name[axis]
        return int((-(-self.tables.segment_rows[axis] // cut.shard_rows)).sum()) * cut.shard_rows
