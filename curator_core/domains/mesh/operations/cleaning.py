"""Filters that merge points at one place, and remove cells that are none or there twice."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from vtkmodules.vtkFiltersCore import vtkStaticCleanUnstructuredGrid

from curator_core.domains.mesh.geometry.degeneracy import degenerate, repeated
from curator_core.domains.mesh.geometry.running import numbered, output_of
from curator_core.domains.mesh.geometry.sizes import bounding_diagonal
from curator_core.domains.mesh.geometry.taking import taken_cells, taken_points, without_unused_points
from curator_core.domains.mesh.model import Indices, MeshPart
from curator_core.domains.mesh.operations.mesh_filter import MeshFilter
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError

logger = logging.getLogger("curator")

_MERGED = "PointMergeMap"


class MergePointsFilter(MeshFilter):
    """Merges points at the same place, as those of neighbouring triangles of an STL file.

    The first one stays, with its data; points that no cell has go. Where data of merged points differ, the item fails,
    or `differing` says what is done. Cells that lose their size stay: `CleanCellsFilter` removes them.

    Parameters
    ----------
    tolerance
        Largest distance, as a share of the diagonal of the box around the part; 0 for the very same place.
    differing
        ``fail``: data of points that are merged must be the same. ``first``: those of the first stay.
    parts
        Names or patterns of the parts that are changed; all by default.

    Raises
    ------
    ConfigError
        The tolerance is no share.
    """

    name: ClassVar[str] = "merge_points"
    description: ClassVar[str] = "Points at the same place merged into one"
    checks_arguments: ClassVar[bool] = True
    is_fenced: ClassVar[bool] = True

    def __init__(
        self,
        tolerance: float = 0.0,
        *,
        differing: Literal["fail", "first"] = "fail",
        parts: Sequence[str] | None = None,
    ) -> None:
        if not 0 <= tolerance < 1:
            raise ConfigError(f"{self.name}: tolerance must be a share of the diagonal, 0 to 1, got {tolerance!r}.")
        self._take_parts(parts)
        self._tolerance, self._differing = float(tolerance), differing

    def changed(self, part: MeshPart, name: str) -> MeshPart:
        if not part.n_cells:
            return part
        part = without_unused_points(part)
        kept_of = self._kept(part)
        if self._differing == "fail":
            self._require_same(part, kept_of)
        polyhedra = part.polyhedra
        if polyhedra is not None:
            polyhedra = replace(polyhedra, face_connectivity=kept_of[polyhedra.face_connectivity])
        merged = replace(part, connectivity=kept_of[part.connectivity], polyhedra=polyhedra)
        return taken_points(merged, np.unique(kept_of))

    def _kept(self, part: MeshPart) -> Indices:
        """The point that each point becomes, the first of those that are merged."""
        algorithm = vtkStaticCleanUnstructuredGrid()
        algorithm.ToleranceIsAbsoluteOn()
        algorithm.SetAbsoluteTolerance(self._tolerance * bounding_diagonal(part.points))
        algorithm.RemoveUnusedPointsOff()
        algorithm.ProduceMergeMapOn()
        made = output_of(algorithm, numbered(part))
        groups = np.asarray(made.field_data[_MERGED], np.int64)
        _, first, where = np.unique(groups, return_index=True, return_inverse=True)
        return first[where].astype(np.int64)

    def _require_same(self, part: MeshPart, kept_of: Indices) -> None:
        for name, values in part.point_data.items():
            same = values == values[kept_of]
            if values.dtype.kind == "f":
                same |= np.isnan(values) & np.isnan(values[kept_of])
            differ = np.flatnonzero(~same.reshape(len(values), -1).all(axis=1))
            if len(differ):
                point = int(differ[0])
                raise FieldError(
                    f"data {name!r} of {len(differ):,} points differ from those of the point that they would be merged "
                    f"with, the first of them point {point} and point {kept_of[point]}: say differing='first', or "
                    "bring them to cells"
                )


class CleanCellsFilter(MeshFilter):
    """Removes cells without a size and those that are there twice, and points that no cell has; how many is logged.

    A cell is there twice where another one of its dimension has the same points, in whatever order: the first stays.
    Hexahedra whose points fall together, and others that have a size, stay.

    Parameters
    ----------
    min_size
        Largest length, area or volume of a cell that is removed, as a share of the diagonal of the box around the part,
        its square or cube; 0 for those that have none at all.
    duplicates
        Whether cells that are there twice are removed.
    parts
        Names or patterns of the parts that are changed; all by default.

    Raises
    ------
    ConfigError
        The size is no share.
    """

    name: ClassVar[str] = "clean_cells"
    description: ClassVar[str] = "Meshes without degenerate and duplicate cells and unused points"
    checks_arguments: ClassVar[bool] = True

    def __init__(self, min_size: float = 0.0, *, duplicates: bool = True, parts: Sequence[str] | None = None) -> None:
        if not 0 <= min_size < 1:
            raise ConfigError(f"{self.name}: min_size must be a share, 0 to 1, got {min_size!r}.")
        self._take_parts(parts)
        self._min_size, self._duplicates = float(min_size), duplicates

    def changed(self, part: MeshPart, name: str) -> MeshPart:
        if not part.n_cells:
            return part
        bad = degenerate(part, self._min_size)
        again = repeated(part) & ~bad if self._duplicates else np.zeros_like(bad)
        if bad.any() or again.any():
            counts = (np.count_nonzero(bad), np.count_nonzero(again), part.n_cells)
            logger.warning("%s: %d degenerate and %d duplicate of %d cells removed", self.name, *counts)
            part = taken_cells(part, np.flatnonzero(~(bad | again)))
        return without_unused_points(part)
