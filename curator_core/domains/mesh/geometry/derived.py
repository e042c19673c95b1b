"""Arrays that follow from the geometry, such as areas and normals: found, and computed again where it changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from curator_core.domains.mesh.cells import CellType, dimensions
from curator_core.domains.mesh.geometry.polygons import Floats, cell_normals, point_normals
from curator_core.domains.mesh.geometry.sizes import cell_sizes
from curator_core.domains.mesh.model import MeshPart
from curator_core.filters.values.fields import Array

logger = logging.getLogger("curator")

_SIZE_WORDS: Final = ("area", "volume", "length", "size")
_ALIKE: Final = 1e-3
"""By how much a size may differ from ours: files keep few digits."""
_COSINE: Final = 0.9
"""Normals at points are weighted in several ways, which differ by less."""
_SURFACE: Final = 2


@dataclass(frozen=True, slots=True)
class Derived:
    """An array that follows from the geometry."""

    kind: Literal["point_data", "cell_data"]
    name: str
    what: Literal["size", "normals"]
    dimension: int
    """Of the cells whose size it is; 2 of normals."""
    sign: float
    """-1 where its normals point against the order of points."""
    dtype: np.dtype[Any]


def size_unit(unit: str, dimension: int) -> str:
    """Unit of the sizes of cells, given that of lengths."""
    return unit if dimension == 1 else f"{unit}{dimension}"


def derived_arrays(part: MeshPart) -> list[Derived]:
    """Arrays whose name says that they are sizes or normals, and whose values are those of the geometry."""
    return list(_found(part))


def _found(part: MeshPart) -> Iterator[Derived]:
    named = [
        (kind, name, values)
        for kind, data in (("point_data", part.point_data), ("cell_data", part.cell_data))
        for name, values in data.items()
        if values.dtype.kind == "f" and len(values)
    ]
    sizes = [each for each in named if each[0] == "cell_data" and each[2].ndim == 1 and _says(each[1], _SIZE_WORDS)]
    if sizes:
        known = cell_sizes(part)
        for _, name, values in sizes:
            if np.allclose(np.abs(values), known.weights, rtol=_ALIKE, atol=_ALIKE * known.weights.mean()):
                yield Derived("cell_data", name, "size", known.dimension, 1.0, values.dtype)
    normals = [each for each in named if each[2].shape[1:] == (3,) and _says(each[1], ("normal",))]
    if not normals or not has_normals(part):
        return
    for kind, name, values in normals:
        ours = point_normals(part) if kind == "point_data" else cell_normals(part)
        cosines = (values.astype(np.float64) * ours).sum(axis=1)
        middle = float(np.median(cosines))
        is_unit = np.isclose(np.linalg.norm(values, axis=1), 1.0, atol=_ALIKE).mean() > _COSINE
        if is_unit and np.median(np.abs(cosines)) > _COSINE:
            where: Literal["point_data", "cell_data"] = "point_data" if kind == "point_data" else "cell_data"
            yield Derived(where, name, "normals", _SURFACE, -1.0 if middle < 0 else 1.0, values.dtype)


def _says(name: str, words: Sequence[str]) -> bool:
    return any(word in name.lower() for word in words)


def has_normals(part: MeshPart) -> bool:
    """Whether there are cells of surfaces, and none of volumes or strips."""
    has_strips = bool((part.types == CellType.TRIANGLE_STRIP).any())
    return dimensions(part.types).max(initial=0) == _SURFACE and not has_strips


def without(part: MeshPart, derived: Sequence[Derived]) -> MeshPart:
    """A part without these arrays."""
    gone = {(each.kind, each.name) for each in derived}
    return part.with_data(
        point_data={n: v for n, v in part.point_data.items() if ("point_data", n) not in gone},
        cell_data={n: v for n, v in part.cell_data.items() if ("cell_data", n) not in gone},
    )


def computed_again(before: MeshPart, after: MeshPart, derived: Sequence[Derived], who: str) -> MeshPart:
    """A part with these arrays of its own geometry, in their places; those that it cannot have are logged.

    Parameters
    ----------
    before
        The part that had them.
    after
        The part that is changed.
    derived
        What `before` had.
    who
        What changed it, for the log.
    """
    made: dict[str, dict[str, Array]] = {"point_data": dict(after.point_data), "cell_data": dict(after.cell_data)}
    for each in derived:
        values = _values(after, each)
        if values is None:
            logger.warning("%s: %s/%s is left out: the new cells have none", who, each.kind, each.name)
        else:
            made[each.kind][each.name] = values.astype(each.dtype)
    return after.with_data(
        point_data=_ordered(made["point_data"], before.point_data),
        cell_data=_ordered(made["cell_data"], before.cell_data),
    )


def _values(part: MeshPart, each: Derived) -> Floats | None:
    if each.what == "size":
        sizes = cell_sizes(part)
        return sizes.weights if sizes.dimension == each.dimension else None
    if not has_normals(part):
        return None
    return each.sign * (point_normals(part) if each.kind == "point_data" else cell_normals(part))


def _ordered(data: Mapping[str, Array], like: Mapping[str, Array]) -> dict[str, Array]:
    names = [name for name in like if name in data] + [name for name in data if name not in like]
    return {name: data[name] for name in names}
