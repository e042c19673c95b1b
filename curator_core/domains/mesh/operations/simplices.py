"""Filters that divide cells into triangles or tetrahedra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Final

import numpy as np
from vtkmodules.vtkFiltersGeneral import vtkDataSetTriangleFilter

from curator_core.domains.mesh.cells import CellType, dimensions, type_name
from curator_core.domains.mesh.geometry.polygons import Polygons
from curator_core.domains.mesh.geometry.running import ID, bare, numbered, output_of
from curator_core.domains.mesh.geometry.sizes import cell_sizes
from curator_core.domains.mesh.geometry.taking import taken_cells
from curator_core.domains.mesh.model import Indices, MeshPart
from curator_core.domains.mesh.operations.mesh_filter import MeshFilter, with_original_cells
from curator_core.domains.mesh.vtk_data import part_from_vtk
from curator_core.filters.values import FieldError

_ALIKE: Final = 0.05
"""By which share the volume of a cell may change: faces of four points need not be flat."""
_FLAT: Final = (CellType.POLYGON, CellType.QUAD, CellType.PIXEL)
"""Cells whose pieces have their outline."""


class _SimplexFilter(MeshFilter):
    """Divides the cells of one dimension."""

    dimension: ClassVar[int]
    simplex: ClassVar[CellType]

    def __init__(self, parts: Sequence[str] | None = None) -> None:
        self._take_parts(parts)

    def changed(self, part: MeshPart, name: str) -> MeshPart:
        is_other = (dimensions(part.types) == self.dimension) & (part.types != self.simplex)
        cells = np.flatnonzero(is_other)
        if not len(cells):
            return with_original_cells(part, np.arange(part.n_cells))
        simplices, owners = self._divided(part, cells)
        kept = np.flatnonzero(~is_other)
        order = np.argsort(np.concatenate([kept, owners]), kind="stable")
        both = _joined(taken_cells(part, kept), simplices, self.simplex)
        origins = np.concatenate([kept, owners])[order]
        data = {name: values[origins] for name, values in part.cell_data.items()}
        made = taken_cells(both, order).with_data(cell_data=data)
        return with_original_cells(made, origins)

    def _divided(self, part: MeshPart, cells: Indices) -> tuple[Indices, Indices]:
        """Points of the simplices of some cells, shape (n, 3 or 4), and the number of the cell of each."""
        some = taken_cells(part, cells)
        made = output_of(vtkDataSetTriangleFilter(), numbered(some))
        found = part_from_vtk(made)
        if found.n_points != part.n_points or (found.types != self.simplex).any():
            raise FieldError("VTK makes something else than simplices of the same points")
        owners = np.asarray(made.cell_data[ID], np.int64)
        simplices = found.connectivity.reshape(-1, self.dimension + 1).copy()
        self._require_whole(some, replace(found, cell_data={}), owners, cells)
        turned = self._is_turned(some, found, owners)
        simplices[turned, 1], simplices[turned, 2] = simplices[turned, 2], simplices[turned, 1]
        return simplices, cells[owners]

    def _require_whole(self, part: MeshPart, made: MeshPart, owners: Indices, cells: Indices) -> None:
        """Raise `FieldError` where pieces are not the whole cell.

        The sum of area vectors follows from the outline alone, however a cell is divided, flat or not.
        """
        before, sizes = np.abs(cell_sizes(part).values), np.abs(cell_sizes(made).values)
        after = np.bincount(owners, sizes, part.n_cells)
        differs = np.abs(after - before)
        if self.dimension == 2:  # noqa: PLR2004 - of surfaces
            flat = np.flatnonzero(np.isin(part.types, _FLAT))
            vectors = np.zeros((part.n_cells, 3))
            np.add.at(vectors, owners, Polygons(made).area_vectors())
            differs = np.zeros(part.n_cells)
            whole = Polygons(taken_cells(bare(part), flat)).area_vectors()
            differs[flat] = np.linalg.norm(vectors[flat] - whole, axis=1)
        has_none = np.bincount(owners, minlength=part.n_cells) == 0
        bad = np.flatnonzero((differs > _ALIKE * before) | (has_none & (before > 0)))
        if len(bad):
            cell, kind = int(bad[0]), type_name(int(part.types[bad[0]]))
            raise FieldError(
                f"{len(bad):,} cells cannot be divided, the first of them cell {cells[cell]}, a {kind} of size "
                f"{before[cell]:g}, whose pieces have {after[cell]:g}: remove them, or correct their points"
            )

    def _is_turned(self, part: MeshPart, made: MeshPart, owners: Indices) -> np.ndarray:
        """Which simplices are oriented otherwise than the cell that they are from."""
        if self.dimension == 3:  # noqa: PLR2004 - of volumes
            inverted = cell_sizes(part).values < 0
            return np.asarray((cell_sizes(made).values < 0) != inverted[owners])
        turned = np.zeros(len(owners), np.bool_)
        curved = np.flatnonzero(~np.isin(part.types, (*_FLAT, CellType.TRIANGLE_STRIP)))
        if len(curved):
            vectors = np.zeros((part.n_cells, 3))
            vectors[curved] = Polygons(taken_cells(bare(part), curved)).area_vectors()
            turned = (Polygons(made).area_vectors() * vectors[owners]).sum(axis=1) < 0
        return turned


def _joined(part: MeshPart, simplices: Indices, kind: CellType) -> MeshPart:
    """A part with cells of one type added at its end, without data of cells."""
    n_new, n_points = simplices.shape
    stops = part.offsets[-1] + n_points * np.arange(1, n_new + 1)
    polyhedra = part.polyhedra
    if polyhedra is not None:
        ends = np.full(n_new, polyhedra.polyhedron_offsets[-1])
        polyhedra = replace(polyhedra, polyhedron_offsets=np.concatenate([polyhedra.polyhedron_offsets, ends]))
    return replace(
        part,
        connectivity=np.concatenate([part.connectivity, simplices.ravel()]),
        offsets=np.concatenate([part.offsets, stops]),
        types=np.concatenate([part.types, np.full(n_new, kind, np.uint8)]),
        cell_data={},
        polyhedra=polyhedra,
    )


class TriangulateFilter(_SimplexFilter):
    """Divides the cells of surfaces into triangles; other cells stay as they are.

    No point is added: curved cells become triangles between all their points. Data of a cell are repeated, and
    ``cell_data/original_cell`` has its number.

    Parameters
    ----------
    parts
        Names or patterns, such as ``boundaries/*``, of the parts that are changed; all by default.
    """

    name: ClassVar[str] = "triangulate"
    description: ClassVar[str] = "Polygons, quadrilaterals, strips and curved cells of surfaces as triangles"
    checks_arguments: ClassVar[bool] = True
    is_fenced: ClassVar[bool] = True
    dimension: ClassVar[int] = 2
    simplex: ClassVar[CellType] = CellType.TRIANGLE


class TetrahedraliseFilter(_SimplexFilter):
    """Divides the cells of volumes into tetrahedra; other cells stay as they are.

    No point is added: curved cells become tetrahedra between all their points. Data of a cell are repeated, and
    ``cell_data/original_cell`` has its number. Neighbours have the same triangles on the face between them.

    Parameters
    ----------
    parts
        Names or patterns of the parts that are changed; all by default.
    """

    name: ClassVar[str] = "tetrahedralise"
    description: ClassVar[str] = "Hexahedra, wedges, pyramids, polyhedra and curved cells as tetrahedra"
    checks_arguments: ClassVar[bool] = True
    is_fenced: ClassVar[bool] = True
    dimension: ClassVar[int] = 3
    simplex: ClassVar[CellType] = CellType.TETRA
