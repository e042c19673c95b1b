"""Steps of an item that lie in one year: of an item in memory, or in a file that holds others, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from curator_core.domains.grid.decoding import Array
from curator_core.domains.grid.netcdf.encoding import SECONDS
from curator_core.domains.grid.netcdf.files import OpenFiles
from curator_core.domains.grid.netcdf.heads import ItemHead
from curator_core.domains.grid.times import MISSING
from curator_core.errors import MergeError

Rows = npt.NDArray[np.int64]
_SECOND = 1_000_000


class Steps(Protocol):
    """What one item gives a year."""

    @property
    def key(self) -> str:
        """Key of the item."""

    @property
    def head(self) -> ItemHead:
        """The item without its values."""

    def n_steps(self, files: OpenFiles) -> int:
        """Number of steps."""

    def whole(self, files: OpenFiles, name: str) -> Array:
        """All values of a variable, as they are stored; times are microseconds."""

    def some(self, files: OpenFiles, name: str, rows: Rows) -> Array:
        """Values at some steps, which are in order."""


@dataclass(frozen=True, slots=True)
class StepsInMemory:
    """Steps of an item that was just read."""

    key: str
    head: ItemHead
    values: Mapping[str, Array]
    """Values of all its steps."""
    rows: Rows
    """Which of them are meant, in the order of time."""

    def n_steps(self, files: OpenFiles) -> int:
        """Number of steps."""
        return len(self.rows)

    def whole(self, files: OpenFiles, name: str) -> Array:
        """All values of a variable, as they are stored; times are microseconds."""
        if not self.head.varies(name):
            return self.values[name]
        return self.some(files, name, np.arange(len(self.rows)))

    def some(self, files: OpenFiles, name: str, rows: Rows) -> Array:
        """Values at some steps, which are in order."""
        axis = self.head.variables[name].dims.index(self.head.dim)
        return np.take(self.values[name], self.rows[rows], axis)


@dataclass(frozen=True, slots=True)
class StepsInFile:
    """Steps of an item in a file of a year, or in its part."""

    key: str
    head: ItemHead
    path: Path
    """The file."""
    runs: tuple[tuple[int, int], ...]
    """Where its steps are in the file: first of each run, and the one after its last."""

    @property
    def rows(self) -> Rows:
        """Position of each step in the file."""
        return np.concatenate([np.arange(start, stop) for start, stop in self.runs])

    def n_steps(self, files: OpenFiles) -> int:
        """Number of steps."""
        return sum(stop - start for start, stop in self.runs)

    def whole(self, files: OpenFiles, name: str) -> Array:
        """All values of a variable, as they are stored; times are microseconds."""
        if self.head.varies(name):
            return self.some(files, name, np.arange(self.n_steps(files)))
        return self._read(files, name, ...)

    def some(self, files: OpenFiles, name: str, rows: Rows) -> Array:
        """Values at some steps, which are in order."""
        places = self.rows[rows]
        axis = self.head.variables[name].dims.index(self.head.dim)
        first = int(places[0])
        span: list[Any] = [slice(None)] * axis + [slice(first, int(places[-1]) + 1)]
        return np.take(self._read(files, name, tuple(span)), places - first, axis)

    def _read(self, files: OpenFiles, name: str, index: Any) -> Array:  # noqa: ANN401 - of numpy
        try:
            variable = files(self.path)[name]
            values = np.asarray(variable[index])
            is_in_seconds = self.head.variables[name].is_time and variable.units == SECONDS
        except (OSError, RuntimeError, LookupError, ValueError, AttributeError) as exc:
            raise MergeError(
                f"{name!r} of {self.key!r} cannot be read from {self.path} ({exc}): process the item again."
            ) from exc
        return np.where(values == MISSING, MISSING, values * _SECOND) if is_in_seconds else values
