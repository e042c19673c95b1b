"""Filter that draws points on meshes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np

from curator_core.domains.mesh.cells import CellType
from curator_core.domains.mesh.geometry.derived import derived_arrays
from curator_core.domains.mesh.geometry.polygons import require_types, unit
from curator_core.domains.mesh.geometry.sizes import cell_sizes
from curator_core.domains.mesh.model import MeshPart
from curator_core.domains.mesh.operations.mesh_filter import ORIGINAL_CELL, MeshFilter
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError
from curator_core.filters.values.fields import Array
from curator_core.pipeline.current import current_item

Floats = np.ndarray[Any, np.dtype[np.float64]]

_SIMPLICES: Final = (None, CellType.LINE, CellType.TRIANGLE, CellType.TETRA)
_DIGITS: Final = 53


class MeshPointsFilter(MeshFilter):
    """Draws points on surfaces, evenly by area; in volumes by volume and on lines by length.

    Which points they are depends on the seed, the key of the item and the name of the part alone. Floating-point data
    of points are interpolated between the corners of the cell, others are those of the nearest corner; data of a cell
    become those of the points on it, and ``point_data/original_cell`` has its number. A part becomes points without
    cells. Parts must consist of triangles, tetrahedra or lines: triangulate them first.

    Parameters
    ----------
    n_points
        Number of points of each part.
    seed
        Another seed gives other points.
    parts
        Names or patterns of the parts that are changed; all by default.

    Raises
    ------
    ConfigError
        The number is not positive.
    """

    name: ClassVar[str] = "mesh_points"
    description: ClassVar[str] = "Points drawn evenly by area, with interpolated data, by seed and key"
    checks_arguments: ClassVar[bool] = True
    recomputes: ClassVar[bool] = False

    def __init__(self, n_points: int, *, seed: int = 0, parts: Sequence[str] | None = None) -> None:
        if n_points < 1:
            raise ConfigError(f"{self.name}: n_points must be at least 1, got {n_points!r}.")
        self._take_parts(parts)
        self._n_points, self._seed = int(n_points), seed

    def changed(self, part: MeshPart, name: str) -> MeshPart:
        sizes = cell_sizes(part)
        kind = _SIMPLICES[sizes.dimension]
        if kind is None:
            raise FieldError("it has points alone, and nothing to draw others on")
        lower = {int(each) for each in np.unique(part.types[sizes.dimensions < sizes.dimension])}
        require_types(
            part,
            {int(kind), *lower},
            "points are drawn on triangles, tetrahedra and lines",
            "triangulate or tetrahedralise it first",
        )
        weights = sizes.weights
        total = np.cumsum(weights)
        if not total[-1] > 0:
            raise FieldError("its cells have no size")
        drawn = self._drawn(name, sizes.dimension + 2)
        cells = np.searchsorted(total, drawn[0] * total[-1], side="right")
        cells = np.minimum(cells, np.flatnonzero(weights)[-1])
        shares = -np.log1p(-drawn[1:])
        shares = (shares / shares.sum(axis=0)).T
        corners = part.connectivity[part.offsets[:-1][cells][:, None] + np.arange(sizes.dimension + 1)]
        return self._made(part, cells, corners, shares)

    def _drawn(self, part: str, n_rows: int) -> Floats:
        """Numbers from 0 up to 1, the same in every release of NumPy, shape (n_rows, n_points)."""
        key = current_item().key
        digest = hashlib.sha256(f"{self._seed}:{key}:{part}".encode("utf-8", "surrogatepass")).digest()
        raw = np.random.PCG64(list(digest)).random_raw(n_rows * self._n_points)
        return (raw >> np.uint64(64 - _DIGITS)).astype(np.float64).reshape(n_rows, self._n_points) * 2.0**-_DIGITS

    def _made(self, part: MeshPart, cells: Array, corners: Array, shares: Floats) -> MeshPart:
        if both := sorted(part.point_data.keys() & part.cell_data.keys() - {ORIGINAL_CELL}):
            raise FieldError(f"points and cells both have an array {both[0]!r}: rename one, or drop it")
        normals = {each.name for each in derived_arrays(part) if (each.kind, each.what) == ("point_data", "normals")}
        nearest = corners[np.arange(len(corners)), shares.argmax(axis=1)]
        data = {}
        for name, values in part.point_data.items():
            if values.dtype.kind != "f":
                data[name] = values[nearest]
                continue
            made = np.einsum("nk,nk...->n...", shares, values[corners].astype(np.float64))
            data[name] = (unit(made) if name in normals else made).astype(values.dtype)
        data |= {name: values[cells] for name, values in part.cell_data.items()}
        if ORIGINAL_CELL not in part.cell_data:
            data[ORIGINAL_CELL] = cells.astype(np.int64)
        points = np.einsum("nk,nkx->nx", shares, part.points[corners].astype(np.float64))
        return MeshPart(points.astype(part.points.dtype), point_data=data, field_data=part.field_data)
