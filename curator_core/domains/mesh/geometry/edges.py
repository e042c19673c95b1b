"""Edges of the cells of surfaces, and what they enclose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from curator_core.domains.mesh.geometry.polygons import Polygons

_PAIR: Final = 2


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges of the cells of a surface."""

    n_edges: int
    """All of them."""
    n_open: int
    """Those of one cell alone."""
    n_shared: int
    """Those of more than two cells."""
    n_clashes: int
    """Those that two cells go along in the same direction, so that one is upside down."""

    @classmethod
    def of(cls, polygons: Polygons) -> Edges:
        """The edges of some polygons."""
        edges = polygons.edges()
        edges = edges[edges[:, 0] != edges[:, 1]]
        ends, where, counts = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
        forward = np.bincount(where.ravel(), edges[:, 0] < edges[:, 1], len(ends))
        return cls(
            len(ends),
            int(np.count_nonzero(counts == 1)),
            int(np.count_nonzero(counts > _PAIR)),
            int(np.count_nonzero((counts == _PAIR) & (forward != 1))),
        )


def enclosed_volume(polygons: Polygons) -> float:
    """Volume that closed polygons enclose; negative where they point inward (divergence theorem)."""
    points = polygons.points.astype(np.float64)
    points -= points.mean(axis=0)
    corners = points[polygons.connectivity]
    counts = np.diff(polygons.offsets)
    sums = [np.bincount(polygons.owners(), corners[:, axis], len(polygons.cells)) for axis in range(3)]
    centers = np.stack(sums, axis=1) / np.maximum(counts, 1)[:, None]
    return float((centers * polygons.area_vectors()).sum() / 3.0)
