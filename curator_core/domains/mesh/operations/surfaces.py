"""Filters that give other cells of the same points: surfaces, slices, edges."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
from vtkmodules.vtkCommonDataModel import vtkPlane
from vtkmodules.vtkFiltersCore import vtkCutter, vtkExtractEdges
from vtkmodules.vtkFiltersGeometry import vtkDataSetSurfaceFilter

from curator_core.domains.mesh.cells import dimensions
from curator_core.domains.mesh.geometry.running import ID, bare, numbered, output_of
from curator_core.domains.mesh.geometry.taking import taken_cells, used_points
from curator_core.domains.mesh.model import MeshPart
from curator_core.domains.mesh.operations.mesh_filter import MeshFilter, with_original_cells
from curator_core.domains.mesh.vtk_data import part_from_vtk
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError

logger = logging.getLogger("curator")

_VOLUME: Final = 3
_ORIGINAL_POINT: Final = "original_point"


class SurfaceFilter(MeshFilter):
    """The surface of volumes: faces that belong to one cell alone, outward; parts without volumes stay as they are.

    Cells of surfaces, lines and points of the same part stay beside the faces. A face has the data of its cell, and
    ``cell_data/original_cell`` its number; points that stay have their data, and ``point_data/original_point``. Curved
    cells whose faces would need new points are refused: tetrahedralise them first.

    Parameters
    ----------
    parts
        Names or patterns of the parts that are changed; all by default.
    """

    name: ClassVar[str] = "surface"
    description: ClassVar[str] = "The surface of volumes, with the numbers of cells and points"
    checks_arguments: ClassVar[bool] = True
    is_fenced: ClassVar[bool] = True

    def __init__(self, parts: Sequence[str] | None = None) -> None:
        self._take_parts(parts)

    def changed(self, part: MeshPart, name: str) -> MeshPart:
        if not (dimensions(part.types) == _VOLUME).any():
            return part
        grid = numbered(part)
        grid.point_data[ID] = np.arange(part.n_points)  # the numbers that VTK itself gives are wrong for curved cells
        made = output_of(vtkDataSetSurfaceFilter(), grid)
        points = np.asarray(made.point_data[ID], np.int64)
        if not np.array_equal(made.points, part.points[points], equal_nan=True):
            raise FieldError("faces of its curved cells have points of their own: tetrahedralise it first")
        found = part_from_vtk(made)
        cells = found.cell_data[ID]
        data = {each: values[points] for each, values in part.point_data.items()}
        made_part = MeshPart(
            part.points[points],
            found.connectivity,
            found.offsets,
            found.types,
            data if _ORIGINAL_POINT in data else {**data, _ORIGINAL_POINT: points},
            {each: values[cells] for each, values in part.cell_data.items()},
            part.field_data,
        )
        return with_original_cells(made_part, cells)


class SliceFilter(MeshFilter):
    """What a plane cuts out of a mesh: surfaces of volumes, lines of surfaces.

    Floating-point data of points are interpolated along the edges that are cut; others are left out, which is logged. A
    new cell has the data of the one that is cut, and ``cell_data/original_cell`` its number. Points and cells on the
    other side are gone; a part that the plane does not meet is left out. Of a part with cells of several dimensions
    those of the largest are cut, and the others left out, which is logged.

    Parameters
    ----------
    normal
        Normal of the plane, of any length.
    origin
        A point of the plane, in the unit of the coordinates; by default the middle of the box around each part.
    parts
        Names or patterns of the parts that are changed; all by default.

    Raises
    ------
    ConfigError
        The normal is zero, or something is no vector.
    """

    name: ClassVar[str] = "slice"
    description: ClassVar[str] = "What a plane cuts out of volumes and surfaces"
    checks_arguments: ClassVar[bool] = True
    is_fenced: ClassVar[bool] = True

    def __init__(
        self, normal: Sequence[float], origin: Sequence[float] | None = None, *, parts: Sequence[str] | None = None
    ) -> None:
        self._take_parts(parts)
        self._normal = vector(self.name, "normal", normal)
        self._origin = None if origin is None else vector(self.name, "origin", origin)
        if not self._normal.any():
            raise ConfigError(f"{self.name}: the normal must not be zero.")

    def changed(self, part: MeshPart, name: str) -> MeshPart:
        ends = (part.points.min(axis=0), part.points.max(axis=0))
        plane = vtkPlane()
        plane.SetNormal(*self._normal)
        plane.SetOrigin(*(np.mean(ends, axis=0) if self._origin is None else self._origin))
        algorithm = vtkCutter()
        algorithm.SetCutFunction(plane)
        dims = dimensions(part.types)
        kept = np.flatnonzero(dims == dims.max(initial=1))  # of several dimensions VTK mixes up the data of cells
        if n_lost := part.n_cells - len(kept):
            logger.warning("%s: %d cells of less dimensions are left out", self.name, n_lost)
        part = taken_cells(part, kept)
        grid = numbered(part)
        names = [each for each, values in part.point_data.items() if values.dtype.kind == "f"]
        for position, each in enumerate(names):  # numbers as names: VTK takes some names for what they say
            grid.point_data[str(position)] = part.point_data[each].reshape(part.n_points, -1)
        if lost := [each for each in part.point_data if each not in names]:
            logger.warning("%s: point_data/%s cannot be interpolated, left out", self.name, ", ".join(lost))
        cut = output_of(algorithm, grid)
        if not cut.n_cells:
            return MeshPart(part.points[:0], field_data=part.field_data)
        found = part_from_vtk(cut)
        cells = found.cell_data[ID]
        shapes = [part.point_data[each].shape[1:] for each in names]
        data = {each: found.point_data[str(at)].reshape(found.n_points, *shapes[at]) for at, each in enumerate(names)}
        made = found.with_data(
            point_data=data,
            cell_data={each: values[cells] for each, values in part.cell_data.items()},
            field_data=part.field_data,
        )
        return with_original_cells(made, kept[cells])


class EdgesFilter(MeshFilter):
    """Adds the edges of the cells, for networks on graphs: pairs of points, each pair once, as an array of the part.

    Of curved cells those between neighbouring points of an edge; a diagonal is no edge.

    Parameters
    ----------
    array
        Name of the array ``field_data/…`` of shape (n_edges, 2), int64.
    both_ways
        Whether each pair is there a second time, turned round, after all others.
    parts
        Names or patterns of the parts that get one; all by default.
    """

    name: ClassVar[str] = "edges"
    description: ClassVar[str] = "Edges of the cells as pairs of points"
    checks_arguments: ClassVar[bool] = True
    is_fenced: ClassVar[bool] = True
    recomputes: ClassVar[bool] = False

    def __init__(self, array: str = "edges", *, both_ways: bool = False, parts: Sequence[str] | None = None) -> None:
        self._take_parts(parts)
        self._array, self._both_ways = array, both_ways

    def changed(self, part: MeshPart, name: str) -> MeshPart:
        edges = edges_of(part)
        if self._both_ways:
            edges = np.concatenate([edges, edges[:, ::-1]])
        return part.with_data(field_data={**part.field_data, self._array: edges})


def edges_of(part: MeshPart) -> np.ndarray[Any, Any]:
    """Pairs of points of the edges of the cells, shape (n, 2), the smaller number first, ascending."""
    algorithm = vtkExtractEdges()
    algorithm.UseAllPointsOn()
    cells = np.flatnonzero(dimensions(part.types) > 0)
    if not len(cells):
        return np.empty((0, 2), np.int64)
    # VTK leaves out points that no cell has, whatever it is asked
    used = used_points(part)
    found = part_from_vtk(output_of(algorithm, numbered(bare(taken_cells(part, cells)))))
    lengths = np.diff(found.offsets)
    if (lengths != 2).any() or found.n_points not in (part.n_points, len(used)):  # noqa: PLR2004 - ends of an edge
        raise FieldError("VTK gives edges of other points")
    edges = found.connectivity.reshape(-1, 2)
    edges = edges if found.n_points == part.n_points else used[edges]
    return np.unique(np.sort(edges, axis=1), axis=0)


def vector(name: str, what: str, given: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Three finite numbers.

    Raises
    ------
    ConfigError
        They are not.
    """
    try:
        made = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        made = np.empty(0)
    if made.shape != (3,) or not np.isfinite(made).all():
        raise ConfigError(f"{name}: {what} must be three numbers, got {given!r}.")
    return made
