"""Some cells or points of a part, with all that belongs to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from curator_core.domains.mesh.model import Indices, MeshPart, Polyhedra
from curator_core.errors import ComponentError

Positions = npt.NDArray[np.integer[Any]]


def run_members(offsets: Indices, runs: Positions) -> tuple[Indices, Indices]:
    """Positions of the members of some runs, and where these begin among them.

    Parameters
    ----------
    offsets
        Where runs begin, and the end of the last, shape (n + 1,).
    runs
        Numbers of the runs, shape (m,).

    Returns
    -------
    tuple of arrays
        Positions, and offsets of shape (m + 1,).
    """
    lengths = np.diff(offsets)[runs]
    starts = np.concatenate(([0], np.cumsum(lengths)))
    members = np.arange(starts[-1]) + np.repeat(offsets[:-1][runs] - starts[:-1], lengths)
    return members.astype(np.int64), starts.astype(np.int64)


def taken_cells(part: MeshPart, cells: Positions) -> MeshPart:
    """Some cells of a part, in this order, with their data; points stay as they are."""
    members, offsets = run_members(part.offsets, cells)
    polyhedra = None
    if part.polyhedra is not None:
        faces, polyhedron_offsets = run_members(part.polyhedra.polyhedron_offsets, cells)
        if len(faces):
            numbers = part.polyhedra.polyhedron_to_faces[faces]
            points, face_offsets = run_members(part.polyhedra.face_offsets, numbers)
            polyhedra = Polyhedra(
                part.polyhedra.face_connectivity[points],
                face_offsets,
                np.arange(len(numbers), dtype=np.int64),
                polyhedron_offsets,
            )
    return replace(
        part,
        connectivity=part.connectivity[members],
        offsets=offsets,
        types=part.types[cells],
        cell_data={name: values[cells] for name, values in part.cell_data.items()},
        polyhedra=polyhedra,
    )


def taken_points(part: MeshPart, points: Positions) -> MeshPart:
    """Some points of a part, in this order, with their data; cells are renumbered.

    Raises
    ------
    ComponentError
        Cells have points that would be left out.
    """
    numbers = np.full(part.n_points, -1, np.int64)
    numbers[points] = np.arange(len(points))
    polyhedra = part.polyhedra
    if polyhedra is not None:
        polyhedra = replace(polyhedra, face_connectivity=numbers[polyhedra.face_connectivity])
    connectivity = numbers[part.connectivity]
    if (connectivity < 0).any():
        gone = np.unique(part.connectivity[connectivity < 0])
        raise ComponentError(f"Cells have {len(gone):,} points that would be left out, the first of them {gone[0]}.")
    return replace(
        part,
        points=part.points[points],
        connectivity=connectivity,
        polyhedra=polyhedra,
        point_data={name: values[points] for name, values in part.point_data.items()},
    )


def used_points(part: MeshPart) -> Indices:
    """Numbers of the points that cells have, ascending."""
    every = [part.connectivity] + ([] if part.polyhedra is None else [part.polyhedra.face_connectivity])
    is_used = np.zeros(part.n_points, np.bool_)
    for each in every:
        is_used[each] = True
    return np.flatnonzero(is_used).astype(np.int64)


def without_unused_points(part: MeshPart) -> MeshPart:
    """The same cells without points that none of them has."""
    used = used_points(part)
    return part if len(used) == part.n_points else taken_points(part, used)
