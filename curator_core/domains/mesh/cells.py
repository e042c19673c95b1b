"""The cell types of VTK: their numbers, dimensions and numbers of points."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt


class CellType(IntEnum):
    """Types of cells, with the numbers of VTK's file formats (vtkCellType.h)."""

    EMPTY_CELL = 0
    VERTEX = 1
    POLY_VERTEX = 2
    LINE = 3
    POLY_LINE = 4
    TRIANGLE = 5
    TRIANGLE_STRIP = 6
    POLYGON = 7
    PIXEL = 8
    QUAD = 9
    TETRA = 10
    VOXEL = 11
    HEXAHEDRON = 12
    WEDGE = 13
    PYRAMID = 14
    PENTAGONAL_PRISM = 15
    HEXAGONAL_PRISM = 16
    QUADRATIC_EDGE = 21
    QUADRATIC_TRIANGLE = 22
    QUADRATIC_QUAD = 23
    QUADRATIC_TETRA = 24
    QUADRATIC_HEXAHEDRON = 25
    QUADRATIC_WEDGE = 26
    QUADRATIC_PYRAMID = 27
    BIQUADRATIC_QUAD = 28
    TRIQUADRATIC_HEXAHEDRON = 29
    QUADRATIC_LINEAR_QUAD = 30
    QUADRATIC_LINEAR_WEDGE = 31
    BIQUADRATIC_QUADRATIC_WEDGE = 32
    BIQUADRATIC_QUADRATIC_HEXAHEDRON = 33
    BIQUADRATIC_TRIANGLE = 34
    CUBIC_LINE = 35
    QUADRATIC_POLYGON = 36
    TRIQUADRATIC_PYRAMID = 37
    CONVEX_POINT_SET = 41
    POLYHEDRON = 42
    LAGRANGE_CURVE = 68
    LAGRANGE_TRIANGLE = 69
    LAGRANGE_QUADRILATERAL = 70
    LAGRANGE_TETRAHEDRON = 71
    LAGRANGE_HEXAHEDRON = 72
    LAGRANGE_WEDGE = 73
    LAGRANGE_PYRAMID = 74
    BEZIER_CURVE = 75
    BEZIER_TRIANGLE = 76
    BEZIER_QUADRILATERAL = 77
    BEZIER_TETRAHEDRON = 78
    BEZIER_HEXAHEDRON = 79
    BEZIER_WEDGE = 80
    BEZIER_PYRAMID = 81


_T = CellType
_DIMENSION_0: Final = {_T.EMPTY_CELL, _T.VERTEX, _T.POLY_VERTEX}
_DIMENSION_1: Final = {_T.LINE, _T.POLY_LINE, _T.QUADRATIC_EDGE, _T.CUBIC_LINE, _T.LAGRANGE_CURVE, _T.BEZIER_CURVE}
_DIMENSION_2: Final = {
    *(_T.TRIANGLE, _T.TRIANGLE_STRIP, _T.POLYGON, _T.PIXEL, _T.QUAD, _T.QUADRATIC_TRIANGLE, _T.QUADRATIC_QUAD),
    *(_T.BIQUADRATIC_QUAD, _T.QUADRATIC_LINEAR_QUAD, _T.BIQUADRATIC_TRIANGLE, _T.QUADRATIC_POLYGON),
    *(_T.LAGRANGE_TRIANGLE, _T.LAGRANGE_QUADRILATERAL, _T.BEZIER_TRIANGLE, _T.BEZIER_QUADRILATERAL),
}

N_POINTS: Final[dict[CellType, int]] = {
    _T.VERTEX: 1,
    _T.LINE: 2,
    _T.TRIANGLE: 3,
    _T.PIXEL: 4,
    _T.QUAD: 4,
    _T.TETRA: 4,
    _T.VOXEL: 8,
    _T.HEXAHEDRON: 8,
    _T.WEDGE: 6,
    _T.PYRAMID: 5,
    _T.PENTAGONAL_PRISM: 10,
    _T.HEXAGONAL_PRISM: 12,
    _T.QUADRATIC_EDGE: 3,
    _T.QUADRATIC_TRIANGLE: 6,
    _T.QUADRATIC_QUAD: 8,
    _T.QUADRATIC_TETRA: 10,
    _T.QUADRATIC_HEXAHEDRON: 20,
    _T.QUADRATIC_WEDGE: 15,
    _T.QUADRATIC_PYRAMID: 13,
    _T.BIQUADRATIC_QUAD: 9,
    _T.TRIQUADRATIC_HEXAHEDRON: 27,
    _T.QUADRATIC_LINEAR_QUAD: 6,
    _T.QUADRATIC_LINEAR_WEDGE: 12,
    _T.BIQUADRATIC_QUADRATIC_WEDGE: 18,
    _T.BIQUADRATIC_QUADRATIC_HEXAHEDRON: 24,
    _T.BIQUADRATIC_TRIANGLE: 7,
    _T.CUBIC_LINE: 4,
    _T.TRIQUADRATIC_PYRAMID: 19,
}
"""Points of the types that always have the same number."""


def dimensions(types: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Topological dimension of cells of some types: 0 for points to 3 for volumes."""
    table = np.full(256, 3, np.uint8)
    for dimension, members in enumerate((_DIMENSION_0, _DIMENSION_1, _DIMENSION_2)):
        table[list(members)] = dimension
    return np.asarray(table[types], np.uint8)


def type_name(number: int) -> str:
    """The name of a type, or its number where VTK has one that is not named here."""
    return CellType(number).name.lower() if number in set(CellType) else f"type {number}"
