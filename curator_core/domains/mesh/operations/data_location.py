"""Filter that brings data from points to cells, or from cells to points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from curator_core.domains.mesh.model import MeshPart
from curator_core.domains.mesh.operations.mesh_filter import MeshFilter
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError
from curator_core.filters.values.fields import Array


class DataLocationFilter(MeshFilter):
    """Brings floating-point data from points to cells, as the mean over the points of each, or from cells to points.

    A point gets the mean over the cells that have it, each counted once. A part with points that no cell has is
    refused, since they would have no value. Data that are not named stay where they are.

    Parameters
    ----------
    to
        ``cells`` or ``points``.
    arrays
        Names of the arrays; by default all floating-point ones.
    keep
        Whether they stay where they were, too.
    parts
        Names or patterns of the parts that are changed; all by default.

    Raises
    ------
    ConfigError
        `arrays` names none.
    """

    name: ClassVar[str] = "data_location"
    description: ClassVar[str] = "Data of points as those of cells, or the other way round"
    checks_arguments: ClassVar[bool] = True
    recomputes: ClassVar[bool] = False

    def __init__(
        self,
        to: Literal["cells", "points"],
        arrays: Sequence[str] | None = None,
        *,
        keep: bool = False,
        parts: Sequence[str] | None = None,
    ) -> None:
        if arrays is not None and not arrays:
            raise ConfigError(f"{self.name}: arrays must name some array.")
        self._take_parts(parts)
        self._to, self._keep = to, keep
        self._arrays = None if arrays is None else tuple(arrays)

    def changed(self, part: MeshPart, name: str) -> MeshPart:
        source, target = part.point_data, part.cell_data
        if self._to == "points":
            source, target = target, source
        names = self._arrays or [each for each in source if source[each].dtype.kind == "f"]
        moved = {}
        for each in names:
            if each not in source:
                known = ", ".join(source) or "none"
                raise FieldError(f"it has no array {each!r} to bring to {self._to}; it has {known}")
            if source[each].dtype.kind != "f":
                raise FieldError(f"array {each!r} is of type {source[each].dtype}, of which there is no mean")
            if each in target:
                raise FieldError(f"{self._to} have an array {each!r} already: rename one, or drop it")
            moved[each] = self._means(part, source[each])
        left = {each: values for each, values in source.items() if self._keep or each not in moved}
        both = {**target, **moved}
        return part.with_data(
            point_data=left if self._to == "cells" else both, cell_data=both if self._to == "cells" else left
        )

    def _means(self, part: MeshPart, values: Array) -> Array:
        lengths = np.diff(part.offsets)
        cells = np.repeat(np.arange(part.n_cells), lengths)
        members, owners, n_owners = part.connectivity, cells, part.n_cells
        if self._to == "points":
            members, owners, n_owners = cells, part.connectivity, part.n_points
        counts = np.bincount(owners, minlength=n_owners)
        if not counts.all():
            what = "cells have no points" if self._to == "cells" else "points belong to no cell"
            raise FieldError(f"{np.count_nonzero(counts == 0):,} {what}: clean_cells leaves them out")
        numbers = values.reshape(len(values), -1).astype(np.float64)
        sums = [np.bincount(owners, numbers[members, column], n_owners) for column in range(numbers.shape[1])]
        means = np.stack(sums, axis=1) / counts[:, None] if sums else np.empty((n_owners, 0))
        return means.astype(values.dtype).reshape(n_owners, *values.shape[1:])
