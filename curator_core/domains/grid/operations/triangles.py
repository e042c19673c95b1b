"""Triangles between points on the sphere, and where others lie in them.

References
----------
R. J. Renka, Algorithm 772: STRIPACK, ACM TOMS 23, 416 (1997): the convex hull of points on a sphere is their Delaunay
triangulation.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.domains.grid.operations.horizontal import Floats
from curator_core.errors import MissingDependencyError

Triangles = npt.NDArray[np.intp]

_TRIED: Final = (8, 64)
"""Triangles nearest to a point, in which it is looked for."""
_INSIDE: Final = -1e-9
"""Least share of a corner, which rounding makes negative on an edge."""
_NEIGHBOURS: Final = 8
_GAP: Final = 3.0
"""A triangle that is so many times longer than the distance of points lies across a gap, where there are none."""


def scipy_module(name: str) -> Any:  # noqa: ANN401 - a module
    """A module of SciPy.

    Raises
    ------
    MissingDependencyError
        It is not installed.
    """
    from importlib import import_module  # noqa: PLC0415 - beside its only use

    try:
        return import_module(f"scipy.{name}")
    except ImportError as exc:
        raise MissingDependencyError.of("scipy", "grid", "Regridding") from exc


def unit_vectors(latitudes: Floats, longitudes: Floats) -> Floats:
    """Points on the unit sphere, ``(n, 3)``, of angles in degrees of one shape."""
    phi, lam = np.radians(latitudes).ravel(), np.radians(longitudes).ravel()
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=1)


def tree_of(points: Floats) -> Any:  # noqa: ANN401 - of SciPy
    """A tree in which the nearest of some points are found; not balanced, which takes long for points in rows."""
    return scipy_module("spatial").cKDTree(points, balanced_tree=False, compact_nodes=False)


def spacings(tree: Any, some: Floats) -> Floats:  # noqa: ANN401 - of SciPy
    """How far from some points of a tree others may be expected: to the farthest neighbour, and no less than usual."""
    n_near = min(_NEIGHBOURS + 1, tree.n)
    distance, _ = tree.query(some, k=n_near)
    reach = np.asarray(distance).reshape(len(some), -1)[:, -1]
    return np.asarray(np.maximum(reach, np.median(reach)), np.float64)


def of_rows(shape: tuple[int, int]) -> Triangles:
    """Two triangles for each cell between rows and columns of a curved grid, ``(n, 3)``."""
    numbers = np.arange(shape[0] * shape[1]).reshape(shape)
    a, b, c, d = (part.ravel() for part in (numbers[:-1, :-1], numbers[:-1, 1:], numbers[1:, 1:], numbers[1:, :-1]))
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


def of_points(points: Floats) -> Triangles:
    """The Delaunay triangulation of points on the sphere, without triangles across gaps, ``(n, 3)``."""
    hull = scipy_module("spatial").ConvexHull(points)
    outside = hull.equations[:, -1] < 0  # the others close the hull of points that are on one side of the globe
    triangles = np.asarray(hull.simplices[outside], np.intp)
    corners = points[triangles]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    allowed = _GAP * np.maximum(
        spacings(scipy_module("spatial").cKDTree(points), points)[triangles].max(axis=1), np.median(longest)
    )
    return np.asarray(triangles[longest <= allowed], np.intp)


def located(triangles: Triangles, points: Floats, wanted: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Corners of the triangle in which each point lies, and their shares, ``(n, 3)`` each; -1 outside of all.

    Shares are those of the plane through the corners, onto which a point is projected from the centre of the globe.
    """
    corners = np.full((len(wanted), 3), -1, np.intp)
    shares = np.zeros((len(wanted), 3))
    middle = points[triangles].mean(axis=1)
    tree = tree_of(middle)
    left = np.arange(len(wanted))
    for n_tried in _TRIED:
        n_near = min(n_tried, len(triangles))
        near = np.asarray(tree.query(wanted[left], k=n_near)[1]).reshape(len(left), n_near)
        for column in near.T:
            open_ = corners[left, 0] < 0
            if not open_.any():
                break
            here, chosen = left[open_], triangles[column[open_]]
            found = _shares(points[chosen], wanted[here])
            is_in = (found >= _INSIDE).all(axis=1)
            corners[here[is_in]] = chosen[is_in]
            inside = np.clip(found[is_in], 0.0, None)
            shares[here[is_in]] = inside / inside.sum(axis=1, keepdims=True)
        left = left[corners[left, 0] < 0]
        if not len(left):
            break
    return corners, shares


def _shares(corners: Floats, wanted: Floats) -> Floats:
    """Shares of three corners in points, by Cramer's rule; negative outside."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    volume = np.einsum("ij,ij->i", a, np.cross(b, c))
    parts = np.stack(
        [np.einsum("ij,ij->i", wanted, np.cross(p, q)) for p, q in ((b, c), (c, a), (a, b))],
        axis=1,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        found = parts / volume[:, None]
        found = found / found.sum(axis=1, keepdims=True)
    is_before = np.einsum("ij,ij->i", wanted, corners.sum(axis=1)) > 0  # and not on the other side of the globe
    return np.where(is_before[:, None] & np.isfinite(found), found, -1.0)
