"""Parts of a mesh joined to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from curator_core.domains.mesh.model import Indices, MeshPart, Polyhedra
from curator_core.formats.arrays import Array


def joined(parts: Mapping[str, MeshPart]) -> MeshPart:
    """All points and cells of some parts, one part after another; points that coincide stay apart.

    Parameters
    ----------
    parts
        The parts by name, all with the same point and cell data.

    Raises
    ------
    ValueError
        One lacks data that another has, or has them of another shape.
    """
    if len(parts) == 1:
        return next(iter(parts.values()))
    all_parts = list(parts.values())
    starts = np.cumsum([0, *(part.n_points for part in all_parts)])
    has_polyhedra = any(part.polyhedra is not None for part in all_parts)
    return MeshPart(
        np.concatenate([part.points for part in all_parts]),
        np.concatenate([part.connectivity + start for part, start in zip(all_parts, starts, strict=False)]),
        _offsets([part.offsets for part in all_parts]),
        np.concatenate([part.types for part in all_parts]),
        _data(parts, "point data", lambda part: part.point_data),
        _data(parts, "cell data", lambda part: part.cell_data),
        {},
        _polyhedra(all_parts, starts) if has_polyhedra else None,
    )


def _offsets(all_offsets: Sequence[Indices]) -> Indices:
    lengths = [np.diff(offsets) for offsets in all_offsets]
    return np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)


def _polyhedra(parts: Sequence[MeshPart], starts: Indices) -> Polyhedra:
    nothing, zero = np.empty(0, np.int64), np.zeros(1, np.int64)
    faces = [part.polyhedra or Polyhedra(nothing, zero, nothing, np.zeros_like(part.offsets)) for part in parts]
    n_faces = np.cumsum([0, *(len(one.face_offsets) - 1 for one in faces)])
    return Polyhedra(
        np.concatenate([one.face_connectivity + start for one, start in zip(faces, starts, strict=False)]),
        _offsets([one.face_offsets for one in faces]),
        np.concatenate([one.polyhedron_to_faces + start for one, start in zip(faces, n_faces, strict=False)]),
        _offsets([one.polyhedron_offsets for one in faces]),
    )


def _data(
    parts: Mapping[str, MeshPart], what: str, data_of: Callable[[MeshPart], Mapping[str, Array]]
) -> dict[str, Array]:
    first = next(iter(parts))
    names = {name: None for part in parts.values() for name in data_of(part)}
    found = {}
    for name in names:
        for block, part in parts.items():
            if name not in data_of(part):
                raise ValueError(
                    f"blocks cannot be merged: {block!r} has no {what} {name!r}, which others have; choose the "
                    "arrays that all have with arrays=, or keep the blocks with blocks='split'"
                )
        rows = [data_of(part)[name] for part in parts.values()]
        if len({values.shape[1:] for values in rows}) > 1 or len({values.dtype.kind for values in rows}) > 1:
            raise ValueError(f"blocks cannot be merged: {what} {name!r} are of another kind than in {first!r}")
        found[name] = np.concatenate(rows)
    return found
