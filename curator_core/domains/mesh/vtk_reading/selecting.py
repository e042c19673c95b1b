"""The arrays of meshes that are meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from curator_core.domains.mesh.model import MeshPart


def with_arrays(part: MeshPart, arrays: Sequence[str]) -> MeshPart:
    """The part with some point and cell data alone."""
    return part.with_data(
        point_data={name: values for name, values in part.point_data.items() if name in arrays},
        cell_data={name: values for name, values in part.cell_data.items() if name in arrays},
    )


def require_known(arrays: Sequence[str] | None, known: Iterable[str]) -> None:
    """Raise `ValueError` where arrays are named that a file has not."""
    has = set(known)
    for name in arrays or ():
        if name not in has:
            raise ValueError(f"it has no array {name!r}; it has {', '.join(map(repr, sorted(has))) or 'none'}")
