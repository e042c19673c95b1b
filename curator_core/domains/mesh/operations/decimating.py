"""Filter that makes surfaces of fewer triangles."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal

import numpy as np
from vtkmodules.vtkCommonCore import reference
from vtkmodules.vtkCommonDataModel import vtkGenericCell, vtkStaticCellLocator
from vtkmodules.vtkFiltersCore import vtkDecimatePro, vtkQuadricDecimation

from curator_core.domains.mesh.cells import CellType
from curator_core.domains.mesh.geometry.polygons import require_types
from curator_core.domains.mesh.geometry.running import output_of, polygons_as_vtk
from curator_core.domains.mesh.model import Indices, MeshPart
from curator_core.domains.mesh.operations.mesh_filter import MeshFilter, with_original_cells
from curator_core.domains.mesh.vtk_data import part_from_vtk
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError
from curator_core.filters.values.fields import Array

logger = logging.getLogger("curator")

Floats = np.ndarray[Any, np.dtype[np.float64]]

_MISSED: Final = 1.1


class DecimateFilter(MeshFilter):
    """Makes surfaces of fewer triangles, with data that belong to them.

    VTK's filters move points and leave data behind. Here each new point gets the data of the nearest place on the
    former surface, floating-point ones interpolated, others those of the nearest corner; each new triangle those of the
    former cell that its centre is nearest to, whose number ``cell_data/original_cell`` has. Sizes and normals among the
    data are computed again. Surfaces must consist of triangles: triangulate them first.

    Parameters
    ----------
    keep
        Share of the triangles that stay.
    method
        ``quadric``: edges collapse where that costs the least error, to the best place. ``pro``: points are taken out
        and the others stay where they are; the topology stays, so that more triangles may be left, which is logged.
    parts
        Names or patterns of the parts that are changed; all by default.

    Raises
    ------
    ConfigError
        The share is none.
    """

    name: ClassVar[str] = "decimate"
    description: ClassVar[str] = "Surfaces of fewer triangles, with data that belong to them"
    checks_arguments: ClassVar[bool] = True
    is_fenced: ClassVar[bool] = True

    def __init__(
        self, keep: float, *, method: Literal["quadric", "pro"] = "quadric", parts: Sequence[str] | None = None
    ) -> None:
        if not 0 < keep < 1:
            raise ConfigError(f"{self.name}: keep must be a share between 0 and 1, got {keep!r}.")
        self._take_parts(parts)
        self._keep, self._method = float(keep), method

    def changed(self, part: MeshPart, name: str) -> MeshPart:
        require_types(part, {int(CellType.TRIANGLE)}, "triangles are decimated", "triangulate it, or take its surface")
        former = polygons_as_vtk(part.points, part.connectivity, part.offsets)
        found = part_from_vtk(output_of(self._algorithm(), former))
        if not found.n_cells:
            raise FieldError(f"nothing is left of {part.n_cells:,} triangles: keep more")
        wanted = self._keep * part.n_cells
        if found.n_cells > _MISSED * wanted + 2:
            logger.warning("%s: %d triangles are left, not %d: the topology stays", self.name, found.n_cells, wanted)
        centers = found.points[found.connectivity.reshape(-1, 3)].mean(axis=1)
        cells, _ = _nearest(former, centers)
        owners, places = _nearest(former, found.points)
        corners = part.connectivity.reshape(-1, 3)[owners]
        shares = _shares(part.points[corners].astype(np.float64), places)
        made = MeshPart(
            found.points.astype(part.points.dtype),
            found.connectivity,
            found.offsets,
            found.types,
            {name: _interpolated(values, corners, shares) for name, values in part.point_data.items()},
            {name: values[cells] for name, values in part.cell_data.items()},
            part.field_data,
        )
        return with_original_cells(made, cells)

    def _algorithm(self) -> vtkDecimatePro | vtkQuadricDecimation:
        made: vtkDecimatePro | vtkQuadricDecimation
        if self._method == "pro":
            made = vtkDecimatePro()
            made.PreserveTopologyOn()
        else:
            made = vtkQuadricDecimation()
            made.VolumePreservationOn()
        made.SetTargetReduction(1.0 - self._keep)
        return made


def _nearest(surface: Any, points: Array) -> tuple[Indices, Floats]:  # noqa: ANN401 - VTK's
    """The cell of a surface that is nearest to each point, and the place on it."""
    locator: Any = vtkStaticCellLocator()
    locator.SetDataSet(surface)
    locator.BuildLocator()
    cells, places = np.empty(len(points), np.int64), np.empty((len(points), 3))
    cell, closest = vtkGenericCell(), [0.0, 0.0, 0.0]
    number, sub, distance = reference(0), reference(0), reference(0.0)
    for position, point in enumerate(points.tolist()):
        locator.FindClosestPoint(point, closest, cell, number, sub, distance)
        cells[position], places[position] = int(number), closest
    return cells, places


def _shares(corners: Floats, places: Floats) -> Floats:
    """Barycentric coordinates of places in triangles, shape (n, 3)."""
    one, other, to = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], places - corners[:, 0]
    a, b, c = (one * one).sum(axis=1), (one * other).sum(axis=1), (other * other).sum(axis=1)
    d, e = (to * one).sum(axis=1), (to * other).sum(axis=1)
    area = a * c - b * b
    has_area = area > 0
    safe = np.where(has_area, area, 1.0)
    second = np.where(has_area, (c * d - b * e) / safe, 0.0)
    third = np.where(has_area, (a * e - b * d) / safe, 0.0)
    shares = np.clip(np.stack([1.0 - second - third, second, third], axis=1), 0.0, 1.0)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _interpolated(values: Array, corners: Indices, shares: Floats) -> Array:
    if values.dtype.kind != "f":
        nearest: Array = values[corners[np.arange(len(corners)), shares.argmax(axis=1)]]
        return nearest
    return np.asarray(np.einsum("nk,nk...->n...", shares, values[corners].astype(np.float64))).astype(values.dtype)
