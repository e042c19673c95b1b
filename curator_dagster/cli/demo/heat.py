"""Heat through finned pipes: steady conduction in three dimensions, solved by linear finite elements.

References
----------
O. C. Zienkiewicz, R. L. Taylor, J. Z. Zhu, The Finite Element Method: Its Basis and Fundamentals (2013), chapter 5.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pathlib import Path

    from curator_core.domains.mesh import MeshPart

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

HOT, COLD = 90.0, 20.0
"""Temperatures of the water inside and of the air outside, degrees Celsius."""
_TETRAHEDRA: Final = np.array([[0, 1, 2, 6], [0, 2, 3, 6], [0, 3, 7, 6], [0, 7, 4, 6], [0, 4, 5, 6], [0, 5, 1, 6]])
"""A hexahedron as tetrahedra that all have its diagonal, so that neighbours have the same triangles between them."""
_SHAPE: Final = (4, 36, 13)
"""Points from inside to outside, around, and along the pipe."""


@dataclass(frozen=True)
class Pipe:
    """A pipe whose outside has waves around, which wind along it; lengths in metres."""

    waves: int
    """Number of waves around."""
    height: float
    """Height of the waves, as a share of the outer radius."""
    twist: float
    """By how much they turn from end to end, radians."""
    inner_radius: float
    outer_radius: float
    length: float
    conductivity: float
    """W/(m K)."""
    transfer: float
    """Heat that the air takes up, W/(m2 K)."""

    @classmethod
    def of(cls, number: int) -> Pipe:
        """The pipe of a number: parameters drawn evenly, the same for the same number."""
        a, b, c, d, e, f, g = (np.random.PCG64(number).random_raw(7) / 2.0**64).tolist()
        return cls(3 + int(6 * a), 0.05 + 0.3 * b, 2.0 * c, 0.2, 0.3 + 0.2 * d, 1.0 + e, 5.0 + 40.0 * f, 5.0 + 95.0 * g)


def solved(pipe: Pipe) -> MeshPart:
    """Temperatures of points and heat flux of cells of a pipe, as a part of tetrahedra, with its parameters.

    The water keeps the inside at `HOT`, the air takes up heat in proportion to the difference to `COLD`, and the ends
    are insulated.
    """
    sparse, linalg = import_module("scipy.sparse"), import_module("scipy.sparse.linalg")
    from curator_core.domains.mesh import CellType, MeshPart

    points, tetrahedra, outside, is_inside = _meshed(pipe)
    gradients, volumes = _gradients(points, tetrahedra)
    stiffness = pipe.conductivity * np.einsum("n a x, n b x, n -> n a b", gradients, gradients, volumes)
    corners = points[outside]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2.0
    taken = pipe.transfer * areas[:, None, None] / 12.0 * (np.ones((3, 3)) + np.eye(3))
    rows = np.concatenate([_spread(tetrahedra, 1), _spread(outside, 1)])
    columns = np.concatenate([_spread(tetrahedra, 0), _spread(outside, 0)])
    matrix = sparse.coo_matrix((np.concatenate([stiffness.ravel(), taken.ravel()]), (rows, columns))).tocsr()
    load = np.bincount(outside.ravel(), np.repeat(pipe.transfer * areas * COLD / 3.0, 3), len(points))
    temperature = np.full(len(points), HOT)
    free = np.flatnonzero(~is_inside)
    known = load - matrix @ np.where(is_inside, HOT, 0.0)
    temperature[free] = linalg.spsolve(matrix[free][:, free].tocsc(), known[free])
    flux = -pipe.conductivity * np.einsum("n a x, n a -> n x", gradients, temperature[tetrahedra])
    return MeshPart(
        points,
        tetrahedra.ravel(),
        4 * np.arange(len(tetrahedra) + 1),
        np.full(len(tetrahedra), CellType.TETRA, np.uint8),
        {"temperature": temperature},
        {"heat_flux": flux},
        {name: np.array([float(value)]) for name, value in asdict(pipe).items()},
    )


def write_case(pipe: Pipe, path: Path, *, unit: float = 1.0) -> None:
    """Solve a pipe and write it as a VTU file, with coordinates in a unit of so many metres."""
    from dataclasses import replace

    from curator_core.domains.mesh import part_to_vtk

    part = solved(pipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    part_to_vtk(replace(part, points=part.points / unit)).save(path)


def _meshed(pipe: Pipe) -> tuple[Floats, Indices, Indices, npt.NDArray[np.bool_]]:
    """Points, tetrahedra, triangles of the outside, and which points are inside."""
    depth, angle, along = np.meshgrid(
        np.linspace(0, 1, _SHAPE[0]),
        np.linspace(0, 2 * np.pi, _SHAPE[1], endpoint=False),
        np.linspace(0, 1, _SHAPE[2]),
        indexing="ij",
    )
    outer = pipe.outer_radius * (1 + pipe.height * np.cos(pipe.waves * (angle - pipe.twist * along)))
    radius = pipe.inner_radius + depth * (outer - pipe.inner_radius)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), pipe.length * along], axis=-1).reshape(-1, 3)
    numbers = np.arange(depth.size).reshape(depth.shape)
    turned = np.roll(numbers, -1, axis=1)
    bottom = [numbers[:-1, :, :-1], numbers[1:, :, :-1], turned[1:, :, :-1], turned[:-1, :, :-1]]
    top = [numbers[:-1, :, 1:], numbers[1:, :, 1:], turned[1:, :, 1:], turned[:-1, :, 1:]]
    hexahedra = np.stack([each.ravel() for each in (*bottom, *top)], axis=1)
    tetrahedra = hexahedra[:, _TETRAHEDRA].reshape(-1, 4)
    faces = tetrahedra[:, [[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]]].reshape(-1, 3)
    outside = faces[np.isin(faces, numbers[-1]).all(axis=1)]
    return points, tetrahedra.astype(np.int64), outside, depth.ravel() == 0


def _gradients(points: Floats, tetrahedra: Indices) -> tuple[Floats, Floats]:
    """Gradients of the shape functions of tetrahedra, shape (n, 4, 3), and their volumes."""
    corners = points[tetrahedra]
    sides = corners[:, 1:] - corners[:, :1]
    inverse = np.linalg.inv(sides).transpose(0, 2, 1)
    gradients = np.concatenate([-inverse.sum(axis=1, keepdims=True), inverse], axis=1)
    return gradients, np.abs(np.linalg.det(sides)) / 6.0


def _spread(cells: Indices, axis: int) -> Any:  # noqa: ANN401 - an array
    """Rows (axis 1) or columns (axis 0) of the entries of the matrices of cells."""
    n = cells.shape[1]
    return np.repeat(cells, n, axis=1).ravel() if axis else np.tile(cells, (1, n)).ravel()
