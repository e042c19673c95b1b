"""Filters for sizes and normals of cells, and for their orientation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, Literal

import numpy as np
from vtkmodules.vtkFiltersCore import vtkOrientPolyData

from curator_core.domains.mesh.cells import CellType, dimensions, type_name
from curator_core.domains.mesh.geometry.derived import Derived, has_normals, size_unit
from curator_core.domains.mesh.geometry.edges import Edges
from curator_core.domains.mesh.geometry.polygons import Polygons, cell_normals, point_normals, require_types
from curator_core.domains.mesh.geometry.running import ID, output_of, polygons_as_vtk
from curator_core.domains.mesh.geometry.sizes import SIZES, cell_sizes
from curator_core.domains.mesh.model import INTERIOR, Mesh, MeshPart
from curator_core.domains.mesh.operations.mesh_filter import MeshFilter
from curator_core.domains.mesh.vtk_data import part_from_vtk
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError

Measure = Literal["sizes", "cell_normals", "point_normals"]

_T = CellType
_VOLUME: Final = 3
_TURNED: Final = {
    _T.TETRA: (0, 2, 1, 3),
    _T.HEXAHEDRON: (4, 5, 6, 7, 0, 1, 2, 3),
    _T.WEDGE: (3, 4, 5, 0, 1, 2),
    _T.PYRAMID: (0, 3, 2, 1, 4),
}
"""Order of points in which volumes are inside out."""


class MeasuresFilter(MeshFilter):
    """Adds sizes of cells, and normals of cells and points of surfaces; former arrays of these names are replaced.

    Sizes are ``cell_data/Volume``, ``cell_data/Area`` or ``cell_data/Length``, of the cells of the largest dimension of
    a part and 0 of others. Normals are ``cell_data/Normals`` and ``point_data/Normals``, the latter weighted by the
    angle of each cell at the point; they are those of the order of points, see `OrientFilter`.

    Parameters
    ----------
    measures
        ``sizes``, ``cell_normals``, ``point_normals``; volumes have no normals and lines and points neither.
    parts
        Names or patterns of the parts that get them; all by default.

    Raises
    ------
    ConfigError
        Nothing is named.
    """

    name: ClassVar[str] = "measures"
    description: ClassVar[str] = "Areas, volumes, lengths and normals as data"
    checks_arguments: ClassVar[bool] = True
    is_fenced: ClassVar[bool] = True
    recomputes: ClassVar[bool] = False

    def __init__(self, measures: Sequence[Measure] = ("sizes",), *, parts: Sequence[str] | None = None) -> None:
        if not measures:
            raise ConfigError(f"{self.name}: measures must name some.")
        self._take_parts(parts)
        self._measures = tuple(measures)

    def changed_mesh(self, mesh: Mesh) -> Mesh:
        made = super().changed_mesh(mesh)
        units = dict(made.units)
        for name in self._chosen(mesh) if "sizes" in self._measures else ():
            prefix = "" if name == INTERIOR else f"{name}/"
            dimension = int(dimensions(mesh.parts[name].types).max(initial=0))
            if dimension:
                units.pop(path := f"{prefix}cell_data/{SIZES[dimension]}", None)
                if (unit := made.units.get(f"{prefix}points")) is not None:
                    units[path] = size_unit(unit, dimension)
        return replace(made, units=units)

    def changed(self, part: MeshPart, name: str) -> MeshPart:
        points, cells = dict(part.point_data), dict(part.cell_data)
        if "sizes" in self._measures:
            sizes = cell_sizes(part)
            if sizes.dimension:
                cells[SIZES[sizes.dimension]] = np.where(sizes.dimensions == sizes.dimension, sizes.values, 0.0)
        if not has_normals(part):
            if "sizes" not in self._measures:
                raise FieldError("it is no surface, which alone has normals: name parts, or take its surface first")
        else:
            if "cell_normals" in self._measures:
                cells["Normals"] = cell_normals(part).astype(part.points.dtype)
            if "point_normals" in self._measures:
                points["Normals"] = point_normals(part).astype(part.points.dtype)
        return part.with_data(point_data=points, cell_data=cells)


class OrientFilter(MeshFilter):
    """Turns cells of surfaces so that neighbours have the same side up, outward where they close a volume.

    Volumes that are inside out are turned, too: tetrahedra, hexahedra, wedges and pyramids. Data stay with their cells,
    and normals among them follow. Surfaces that have no two sides, such as a Möbius strip, fail.

    Parameters
    ----------
    outward
        Whether closed surfaces are turned outward; otherwise the first cell of each piece stays as it is.
    parts
        Names or patterns of the parts that are changed; all by default.
    """

    name: ClassVar[str] = "orient"
    description: ClassVar[str] = "Cells with a consistent order of points, outward where closed"
    checks_arguments: ClassVar[bool] = True
    is_fenced: ClassVar[bool] = True

    def __init__(self, *, outward: bool = True, parts: Sequence[str] | None = None) -> None:
        self._take_parts(parts)
        self._outward = outward

    def seen(self, derived: list[Derived]) -> list[Derived]:
        return [replace(each, sign=1.0) for each in derived]

    def changed(self, part: MeshPart, name: str) -> MeshPart:
        part = _with_volumes_turned(part)
        polygons = Polygons(part)
        if not len(polygons.cells):
            return part
        flat = {int(_T.TRIANGLE), int(_T.QUAD), int(_T.POLYGON)}
        surface = set(part.types[polygons.cells].tolist())
        require_types(
            part,
            flat | (set(part.types.tolist()) - surface),
            "triangles and polygons are turned",
            "triangulate it first",
        )
        algorithm = vtkOrientPolyData()
        algorithm.ConsistencyOn()
        algorithm.SetAutoOrientNormals(self._outward)
        algorithm.NonManifoldTraversalOff()
        made = output_of(algorithm, polygons_as_vtk(part.points, polygons.connectivity, polygons.offsets))
        found = part_from_vtk(made)
        order = np.argsort(found.cell_data[ID], kind="stable")
        if len(order) != len(polygons.cells) or found.n_points != part.n_points:
            raise FieldError("VTK gives other cells")
        connectivity = part.connectivity.copy()
        members = np.repeat(part.offsets[:-1][polygons.cells] - polygons.offsets[:-1], np.diff(polygons.offsets))
        source = np.repeat(found.offsets[:-1][order] - polygons.offsets[:-1], np.diff(polygons.offsets))
        positions = np.arange(len(polygons.connectivity))
        connectivity[members + positions] = found.connectivity[source + positions]
        made_part = replace(part, connectivity=connectivity)
        n_bad = Edges.of(Polygons(made_part)).n_clashes
        if n_bad:
            raise FieldError(f"at {n_bad:,} edges two cells cannot both have the same side up: it has no two sides")
        return made_part


def _with_volumes_turned(part: MeshPart) -> MeshPart:
    sizes = cell_sizes(part)
    inverted = (sizes.values < 0) & (sizes.dimensions == _VOLUME)
    if not inverted.any():
        return part
    connectivity = part.connectivity.copy()
    for kind in np.unique(part.types[inverted]).tolist():
        cells = np.flatnonzero(inverted & (part.types == kind))
        if kind not in _TURNED:
            raise FieldError(f"{len(cells):,} cells of type {type_name(kind)} are inside out, which cannot be turned")
        order: Any = np.asarray(_TURNED[CellType(kind)])
        starts = part.offsets[:-1][cells][:, None]
        connectivity[starts + np.arange(len(order))] = part.connectivity[starts + order]
    return replace(part, connectivity=connectivity)
