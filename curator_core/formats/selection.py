"""Rows that are wanted of arrays: cut at the bounds of chunks once for all arrays that are cut alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Places: TypeAlias = npt.NDArray[np.int64]
Runs: TypeAlias = list[tuple[int, int]]
"""Runs of rows, each from a start to a stop."""

_SHORT: Final = 4
"""Runs that are no longer on average are taken chunk by chunk, rather than run by run."""


def runs_of(positions: Sequence[int]) -> Runs:
    """Runs of positions that follow one another, each with the position after its last."""
    places = np.asarray(positions, np.int64)
    return joined_runs(places, places + 1)


def joined_runs(begin: Places, end: Places) -> Runs:
    """Runs of rows, those that follow one another as one; empty ones left out."""
    cuts = [0, *(np.flatnonzero(begin[1:] != end[:-1]) + 1).tolist(), len(begin)]
    return [(int(begin[a]), int(end[b - 1])) for a, b in pairwise(cuts) if a < b and begin[a] < end[b - 1]]


class Selection:
    """Runs of rows, each from a start to a stop, one after the other.

    Parameters
    ----------
    runs
        The runs, in the order in which their rows are wanted.
    """

    def __init__(self, runs: Iterable[tuple[int, int]]) -> None:
        self.runs = [(start, stop) for start, stop in runs if start != stop]
        """The runs that are not empty."""
        self.n_rows = sum(stop - start for start, stop in self.runs)
        """Number of rows."""
        self._pieces: dict[int, list[tuple[int, int, int]]] = {}
        self._groups: dict[int, list[tuple[int, Places, Places]]] = {}

    @property
    def is_scattered(self) -> bool:
        """Whether it has many short runs."""
        return len(self.runs) > _SHORT and self.n_rows <= _SHORT * len(self.runs)

    def outside(self, n_rows: int) -> tuple[int, int] | None:
        """A run that is not among `n_rows` rows, if there is one."""
        return next((run for run in self.runs if not 0 <= run[0] <= run[1] <= n_rows), None)

    def pieces(self, chunk_rows: int) -> list[tuple[int, int, int]]:
        """Number of a chunk, and the rows wanted of it, from a start to a stop, run by run."""
        found = self._pieces.get(chunk_rows)
        if found is None:
            found = self._pieces[chunk_rows] = []
            for start, stop in self.runs:
                row = start
                while row < stop:
                    number, begin = divmod(row, chunk_rows)
                    end = min(chunk_rows, stop - row + begin)
                    found.append((number, begin, end))
                    row += end - begin
        return found

    def groups(self, chunk_rows: int) -> list[tuple[int, Places, Places]]:
        """Number of a chunk, where rows of it are wanted, and which of its rows: once for every chunk."""
        found = self._groups.get(chunk_rows)
        if found is None:
            bounds = np.array(self.runs, np.int64).reshape(-1, 2)
            lengths = bounds[:, 1] - bounds[:, 0]
            rows = np.repeat(bounds[:, 0] - (np.cumsum(lengths) - lengths), lengths) + np.arange(self.n_rows)
            numbers, within = np.divmod(rows, chunk_rows)
            order = np.argsort(numbers, kind="stable")
            cuts = [0, *(np.flatnonzero(np.diff(numbers[order])) + 1).tolist(), len(order)]
            found = [(int(numbers[order[a]]), order[a:b], within[order[a:b]]) for a, b in pairwise(cuts)]
            self._groups[chunk_rows] = found
        return found
