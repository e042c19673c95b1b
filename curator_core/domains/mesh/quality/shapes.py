"""How well cells are shaped."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from vtkmodules.vtkFiltersVerdict import vtkCellQuality

from curator_core.domains.mesh.cells import CellType, dimensions
from curator_core.domains.mesh.fenced import call_fenced
from curator_core.domains.mesh.geometry.polygons import require_types
from curator_core.domains.mesh.geometry.running import bare, numbered, output_of
from curator_core.domains.mesh.geometry.taking import taken_cells
from curator_core.domains.mesh.model import MeshPart

_T = CellType
_MEASURED: Final = (_T.TRIANGLE, _T.QUAD, _T.TETRA, _T.HEXAHEDRON, _T.WEDGE, _T.PYRAMID)
_BOXES: Final = (_T.PIXEL, _T.VOXEL)
_PAIR: Final = 2


def scaled_jacobians(part: MeshPart) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The scaled Jacobian of the cells of surfaces and volumes: 1 of the best shape, 0 or less of cells that fold.

    Raises
    ------
    FieldError
        It is not defined for cells of a type: curved ones, polygons, polyhedra.

    References
    ----------
    C. J. Stimpson et al., The Verdict library reference manual, Sandia National Laboratories (2007).
    """
    solid = taken_cells(part, np.flatnonzero(dimensions(part.types) >= _PAIR))
    allowed = {int(kind) for kind in (*_MEASURED, *_BOXES)}
    require_types(
        solid, allowed, "the scaled Jacobian is known of linear cells", "triangulate or tetrahedralise it first"
    )
    found = call_fenced(_jacobians, bare(solid))
    found[np.isin(solid.types, _BOXES)] = 1.0
    return found


def _jacobians(part: MeshPart) -> np.ndarray[Any, np.dtype[np.float64]]:
    algorithm = vtkCellQuality()
    algorithm.SetQualityMeasureToScaledJacobian()
    made = output_of(algorithm, numbered(part))
    return np.asarray(made.cell_data["CellQuality"], np.float64).copy()
