"""Filter that keeps the cells within a box or a sphere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from curator_core.domains.mesh.geometry.taking import taken_cells, taken_points, without_unused_points
from curator_core.domains.mesh.model import MeshPart
from curator_core.domains.mesh.operations.mesh_filter import MeshFilter, with_original_cells
from curator_core.domains.mesh.operations.surfaces import vector
from curator_core.errors import ConfigError

Mask = np.ndarray[Any, np.dtype[np.bool_]]


class MeshCropFilter(MeshFilter):
    """Keeps whole cells within a box or a sphere, or those outside; points that no cell has go.

    No cell is cut; ``cell_data/original_cell`` has the numbers of those that stay. Of parts without cells the points
    stay that are within.

    Parameters
    ----------
    box
        Smallest and largest value of x, y and z, null for no limit: ``[[0, 1], [null, 2], [null, null]]``.
    sphere
        ``center``, three numbers, and ``radius``.
    cells
        Which cells are within: with ``all`` of their points, ``any`` of them, or their ``center``, the mean of them.
    outside
        Whether those stay that are not within.
    parts
        Names or patterns of the parts that are changed; all by default.

    Raises
    ------
    ConfigError
        Neither a box nor a sphere is given, or both, or something is none.
    """

    name: ClassVar[str] = "mesh_crop"
    description: ClassVar[str] = "The cells within a box or a sphere"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        box: Sequence[Sequence[float | None]] | None = None,
        *,
        sphere: Mapping[str, Any] | None = None,
        cells: Literal["all", "any", "center"] = "all",
        outside: bool = False,
        parts: Sequence[str] | None = None,
    ) -> None:
        if (box is None) == (sphere is None):
            raise ConfigError(f"{self.name}: give a box or a sphere.")
        self._take_parts(parts)
        self._cells, self._outside = cells, outside
        self._box = None if box is None else self._limits(box)
        self._sphere = None
        if sphere is not None:
            if set(sphere) != {"center", "radius"} or not float(sphere["radius"]) > 0:
                raise ConfigError(f"{self.name}: sphere must be a center and a radius, got {dict(sphere)!r}.")
            self._sphere = (vector(self.name, "center", sphere["center"]), float(sphere["radius"]))

    def _limits(self, box: Sequence[Sequence[float | None]]) -> np.ndarray[Any, Any]:
        try:
            ends = [[-np.inf if low is None else low, np.inf if high is None else high] for low, high in box]
            limits = np.asarray(ends, np.float64)
        except (TypeError, ValueError):
            limits = np.empty(0)
        if limits.shape != (3, 2) or not (limits[:, 0] <= limits[:, 1]).all():
            raise ConfigError(f"{self.name}: box must be a smallest and a largest x, y and z, got {box!r}.")
        return limits

    def changed(self, part: MeshPart, name: str) -> MeshPart:
        if not part.n_cells:
            return taken_points(part, np.flatnonzero(self._within(part.points) != self._outside))
        lengths = np.diff(part.offsets)
        owners = np.repeat(np.arange(part.n_cells), lengths)
        if self._cells == "center":
            columns = [np.bincount(owners, part.points[part.connectivity, axis], part.n_cells) for axis in range(3)]
            within = self._within(np.stack(columns, axis=1) / np.maximum(lengths, 1)[:, None])
        else:
            n_within = np.bincount(owners, self._within(part.points)[part.connectivity], part.n_cells)
            within = (n_within == lengths) & (lengths > 0) if self._cells == "all" else n_within > 0
        cells = np.flatnonzero(within != self._outside)
        return without_unused_points(with_original_cells(taken_cells(part, cells), cells))

    def _within(self, points: np.ndarray[Any, Any]) -> Mask:
        if self._box is not None:
            return np.asarray(((points >= self._box[:, 0]) & (points <= self._box[:, 1])).all(axis=1))
        assert self._sphere is not None  # noqa: S101 - one of both is given
        center, radius = self._sphere
        return np.asarray(((points.astype(np.float64) - center) ** 2).sum(axis=1) <= radius**2)
