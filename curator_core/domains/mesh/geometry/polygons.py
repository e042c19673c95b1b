"""The cells of surfaces as polygons of their corners: normals, edges."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from curator_core.domains.mesh.cells import CellType, dimensions, type_name
from curator_core.domains.mesh.geometry.taking import run_members
from curator_core.domains.mesh.model import Indices, MeshPart
from curator_core.filters.values.fields import FieldError

Floats = npt.NDArray[np.float64]

_T = CellType
_CORNERS: Final = {
    **dict.fromkeys((_T.TRIANGLE, _T.QUADRATIC_TRIANGLE, _T.BIQUADRATIC_TRIANGLE, _T.LAGRANGE_TRIANGLE), 3),
    **dict.fromkeys((_T.QUAD, _T.PIXEL, _T.QUADRATIC_QUAD, _T.BIQUADRATIC_QUAD, _T.QUADRATIC_LINEAR_QUAD), 4),
    **dict.fromkeys((_T.LAGRANGE_QUADRILATERAL, _T.BEZIER_QUADRILATERAL), 4),
    _T.BEZIER_TRIANGLE: 3,
}
"""Corners of cells of surfaces, which are their first points; polygons have as many as points."""
_SURFACE: Final = 2


class Polygons:
    """The cells of a part that have two dimensions, by their corners.

    Parameters
    ----------
    part
        Points and cells.

    Raises
    ------
    FieldError
        There are triangle strips, which are several triangles.
    """

    def __init__(self, part: MeshPart) -> None:
        self.cells: Indices = np.flatnonzero(dimensions(part.types) == _SURFACE).astype(np.int64)
        """Their numbers, shape (n,)."""
        types = part.types[self.cells]
        if (types == _T.TRIANGLE_STRIP).any():
            raise FieldError(f"{np.count_nonzero(types == _T.TRIANGLE_STRIP):,} cells are triangle strips: triangulate")
        members, offsets = run_members(part.offsets, self.cells)
        lengths = np.diff(offsets)
        corners = lengths.copy()
        for kind, n_corners in _CORNERS.items():
            corners[types == kind] = n_corners
        corners[types == _T.QUADRATIC_POLYGON] //= 2
        is_corner = np.arange(len(members)) - np.repeat(offsets[:-1], lengths) < np.repeat(corners, lengths)
        self.connectivity: Indices = part.connectivity[members[is_corner]]
        """Their corners, one polygon after another."""
        self.offsets: Indices = np.concatenate(([0], np.cumsum(corners))).astype(np.int64)
        """Where polygons begin in `connectivity`, shape (n + 1,)."""
        pixels = self.offsets[:-1][types == _T.PIXEL]
        self.connectivity[pixels + 2], self.connectivity[pixels + 3] = (
            self.connectivity[pixels + 3],
            self.connectivity[pixels + 2],
        )
        self.points = part.points
        """All points of the part."""

    def neighbours(self) -> tuple[Indices, Indices]:
        """The corner before and the one after each corner, around its polygon; positions in `connectivity`."""
        here = np.arange(len(self.connectivity), dtype=np.int64)
        after, before = here + 1, here - 1
        has_corners = np.diff(self.offsets) > 0
        starts, stops = self.offsets[:-1][has_corners], self.offsets[1:][has_corners]
        after[stops - 1] = starts
        before[starts] = stops - 1
        return before, after

    def edges(self) -> Indices:
        """Directed edges, from each corner to the next, shape (n_corners, 2)."""
        _, after = self.neighbours()
        return np.stack([self.connectivity, self.connectivity[after]], axis=1)

    def owners(self) -> Indices:
        """The polygon of each corner."""
        return np.repeat(np.arange(len(self.cells)), np.diff(self.offsets))

    def area_vectors(self) -> Floats:
        """Normals as long as the areas, shape (n, 3), by Newell's sum of cross products."""
        points = self.points.astype(np.float64)
        _, after = self.neighbours()
        owners = self.owners()
        first = points[self.connectivity[self.offsets[:-1][owners]]]  # near, so that little cancels
        here = points[self.connectivity] - first
        crossed = np.cross(here, here[after]) / 2.0
        return _summed(crossed, owners, len(self.cells))

    def corner_angles(self) -> Floats:
        """The angle at each corner, radians."""
        points = self.points.astype(np.float64)
        before, after = self.neighbours()
        here = points[self.connectivity]
        one, other = here[before] - here, here[after] - here
        angles: Floats = np.arctan2(np.linalg.norm(np.cross(one, other), axis=1), (one * other).sum(axis=1))
        return angles


def cell_normals(part: MeshPart) -> Floats:
    """Unit normals of the cells of surfaces, 0 of others and of cells without an area; shape (n_cells, 3)."""
    polygons = Polygons(part)
    found = np.zeros((part.n_cells, 3))
    found[polygons.cells] = unit(polygons.area_vectors())
    return found


def point_normals(part: MeshPart) -> Floats:
    """Unit normals at points: those of the cells around, weighted by their angle there; shape (n_points, 3).

    References
    ----------
    G. Thürmer, C. A. Wüthrich, Computing vertex normals from polygonal facets, Journal of Graphics Tools 3 (1998) 43.
    """
    polygons = Polygons(part)
    normals = unit(polygons.area_vectors())[polygons.owners()]
    weighted = normals * polygons.corner_angles()[:, None]
    return unit(_summed(weighted, polygons.connectivity, part.n_points))


def unit(vectors: Floats) -> Floats:
    """Vectors of length 1; those of length 0 as they are."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0))


def require_types(part: MeshPart, allowed: set[int], what: str, advice: str) -> None:
    """Raise `FieldError` where cells are of other types, with their names and what to do."""
    others = [int(kind) for kind in np.unique(part.types) if int(kind) not in allowed]
    if others:
        names = ", ".join(f"{np.count_nonzero(part.types == kind):,} of type {type_name(kind)}" for kind in others)
        raise FieldError(f"{what}, and it has cells {names}: {advice}")


def _summed(vectors: Floats, owners: Indices, n_owners: int) -> Floats:
    columns = [np.bincount(owners, vectors[:, axis], n_owners) for axis in range(vectors.shape[1])]
    return np.stack(columns, axis=1).astype(np.float64, copy=False)
