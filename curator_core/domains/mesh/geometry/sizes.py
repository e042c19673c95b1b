"""Lengths, areas and volumes of cells, and what share of them belongs to each point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curator_core.domains.mesh.cells import CellType, dimensions
from curator_core.domains.mesh.fenced import call_fenced
from curator_core.domains.mesh.geometry.polygons import Polygons
from curator_core.domains.mesh.geometry.running import bare
from curator_core.domains.mesh.geometry.taking import taken_cells
from curator_core.domains.mesh.model import Indices, MeshPart
from curator_core.domains.mesh.vtk_data import part_to_vtk

Floats = npt.NDArray[np.float64]

SIZES = ("VertexCount", "Length", "Area", "Volume")
"""What VTK calls the size of cells of 0, 1, 2 and 3 dimensions."""


@dataclass(frozen=True, slots=True)
class CellSizes:
    """Sizes of the cells of a part, each in the unit of its dimension."""

    values: Floats
    """Length, area or volume, shape (n_cells,); negative where a volume is inside out, and 1 for points.

    NaN where coordinates are not finite.
    """
    dimensions: npt.NDArray[np.uint8]
    """Topological dimension of each cell, shape (n_cells,)."""

    @property
    def dimension(self) -> int:
        """The largest dimension of a cell; 0 without cells."""
        return int(self.dimensions.max(initial=0))

    @property
    def weights(self) -> Floats:
        """Sizes of the cells of the largest dimension, without a sign, and 0 of others, shape (n_cells,)."""
        return np.where(self.dimensions == self.dimension, np.abs(self.values), 0.0)


def cell_sizes(part: MeshPart) -> CellSizes:
    """Sizes of the cells of a part: exact for flat faces, those of straight pieces for curved cells, by VTK.

    Raises
    ------
    FieldError
        VTK crashes, in the process beside this one.
    """
    if not part.n_cells:
        return CellSizes(np.empty(0), dimensions(part.types))
    return call_fenced(sizes_here, bare(part))


def sizes_here(part: MeshPart) -> CellSizes:
    """The same, in this process."""
    dims = dimensions(part.types)
    grid = part_to_vtk(bare(part))
    sized = grid.compute_cell_sizes(length=True, area=True, volume=True, vertex_count=True)
    every = np.stack([np.asarray(sized.cell_data[name], np.float64) for name in SIZES])
    values = every[dims, np.arange(part.n_cells)]
    polygons, quads = (np.flatnonzero(part.types == kind) for kind in (CellType.POLYGON, CellType.QUAD))
    if len(polygons):  # VTK adds up the triangles of a concave cell that lie outside it, too
        values[polygons] = np.linalg.norm(Polygons(taken_cells(bare(part), polygons)).area_vectors(), axis=1)
    if len(quads):
        values[quads] = _quad_areas(part, quads)
    is_lost = ~np.isfinite(part.points).all(axis=1)
    if is_lost.any():  # VTK says 1e30 of some
        owners = np.repeat(np.arange(part.n_cells), np.diff(part.offsets))
        values[owners[is_lost[part.connectivity]]] = np.nan
    return CellSizes(values, dims)


def _quad_areas(part: MeshPart, quads: Indices) -> Floats:
    """Areas of quadrilaterals, of those that are not flat by the diagonal with which they are smaller."""
    corners = part.points[part.connectivity[part.offsets[:-1][quads][:, None] + np.arange(4)]].astype(np.float64)
    a, b, c, d = np.moveaxis(corners, 1, 0)
    halves = [np.cross(b - a, c - a), np.cross(c - a, d - a), np.cross(c - b, d - b), np.cross(d - b, a - b)]
    areas = [np.linalg.norm(half, axis=1) / 2.0 for half in halves]
    return np.asarray(np.minimum(areas[0] + areas[1], areas[2] + areas[3]))


def point_weights(part: MeshPart, weights: Floats) -> Floats:
    """The share of the weights of cells that belongs to each point: each cell divided evenly among its points.

    Parameters
    ----------
    part
        Points and cells.
    weights
        Of cells, shape (n_cells,).

    Returns
    -------
    array
        Shape (n_points,); its sum is that of the weights of cells.
    """
    lengths = np.diff(part.offsets)
    share = np.repeat(weights / np.maximum(lengths, 1), lengths)
    return np.bincount(part.connectivity, share, part.n_points).astype(np.float64, copy=False)


def bounding_diagonal(points: npt.NDArray[np.floating]) -> float:
    """Length of the diagonal of the box around some points; 0 without any."""
    if not len(points):
        return 0.0
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    return float(np.linalg.norm(high - low))
