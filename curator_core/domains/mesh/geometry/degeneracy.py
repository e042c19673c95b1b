"""Cells without a size, and cells that are there twice."""

from __future__ import annotations

from typing import Any

import numpy as np

from curator_core.domains.mesh.cells import dimensions
from curator_core.domains.mesh.geometry.sizes import bounding_diagonal, cell_sizes
from curator_core.domains.mesh.model import MeshPart


def degenerate(part: MeshPart, min_size: float = 0.0) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which cells have no size, or at most this share of the box around the part; points have."""
    sizes = cell_sizes(part)
    limit = min_size * bounding_diagonal(part.points) ** sizes.dimensions.astype(np.float64)
    return np.asarray(~(np.abs(sizes.values) > limit) & (sizes.dimensions > 0))


def repeated(part: MeshPart) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which cells have the dimension and the points of a former one."""
    found = np.zeros(part.n_cells, np.bool_)
    lengths, dims = np.diff(part.offsets), dimensions(part.types)
    for length in np.unique(lengths):
        cells = np.flatnonzero(lengths == length)
        points = part.connectivity[part.offsets[:-1][cells][:, None] + np.arange(length)]
        keys = np.column_stack([dims[cells], np.sort(points, axis=1)])
        _, first = np.unique(keys, axis=0, return_index=True)
        again = np.ones(len(cells), np.bool_)
        again[first] = False
        found[cells[again]] = True
    return found
