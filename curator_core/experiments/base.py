"""What everything that experiments can do rests on: the table, its folder and its row numbers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from curator_core.errors import ConfigError, IndexRangeError
from curator_core.experiments.design.parameters import plain
from curator_core.experiments.stored.files import Version
from curator_core.experiments.table import Table

if TYPE_CHECKING:
    import pandas as pd

Rows = int | slice | Iterable[int] | Iterable[bool]
"""Row numbers, a slice of the rows in order, or a truth value for each row."""


class ExperimentTable:
    """A table, and the folder in which it is kept."""

    table: Table
    version: Version | None
    """What was on disk when it was read or stored."""
    _project_dir: Path

    @property
    def index(self) -> pd.Index[int]:
        """The row numbers."""
        return self.table.inputs.index

    def __len__(self) -> int:
        return len(self.table.inputs)

    def copy(self) -> Self:
        """A table of its own with the same rows."""
        return self._of(self.table.copy(), self._project_dir, self.version)

    @classmethod
    def _of(cls, table: Table, project_dir: Path, origin: Version | None = None) -> Self:
        made = cls.__new__(cls)
        made.table, made.version, made._project_dir = table, origin, project_dir  # noqa: SLF001 - its own
        return made

    def _changed(self, table: Table, *, in_place: bool) -> Self:
        """The object itself with another table, or a new one."""
        if not in_place:
            return self._of(table, self._project_dir, self.version)
        self.table = table
        return self

    def _changeable(self, *, in_place: bool) -> Self:
        return self if in_place else self.copy()

    def _known(self, indices: Rows) -> list[int]:
        """Row numbers, which the table has."""
        if isinstance(indices, slice):
            return [int(one) for one in self.index[indices]]
        wanted = [indices] if isinstance(indices, int | np.integer) else self._listed(indices)
        given = [plain(one) for one in wanted]
        if given and all(isinstance(one, bool) for one in given):
            if len(given) != len(self):
                raise ConfigError(f"{len(given)} truth values for {len(self)} rows.")
            return [int(row) for row, is_wanted in zip(self.index, given, strict=True) if is_wanted]
        numbers = [one for one in given if isinstance(one, int) and not isinstance(one, bool)]
        if len(numbers) != len(given):
            raise ConfigError(f"Rows are chosen by their numbers, or a truth value for each; not by {given!r:.80}.")
        missing = [one for one in numbers if one not in self.index]
        if missing:
            raise IndexRangeError(f"There is no experiment {missing[0]}; the table has {len(self)}.")
        return list(dict.fromkeys(numbers))

    def _listed(self, indices: object) -> list[Any]:
        """What was given for rows, in a list; pandas' truth values in the order of the rows that they are about."""
        if not isinstance(indices, Iterable):
            raise ConfigError(f"Rows are chosen by their numbers, or a truth value for each; not by {indices!r:.80}.")
        labels: Any = getattr(indices, "index", None)
        if getattr(getattr(indices, "dtype", None), "kind", "") != "b" or not hasattr(labels, "equals"):
            return list(indices)
        if set(labels) != set(self.index) or len(labels) != len(self):
            raise ConfigError(f"{len(labels)} truth values for other rows than the {len(self)} of the table.")
        return list(indices.reindex(self.index))  # type: ignore[attr-defined] # a series of pandas
