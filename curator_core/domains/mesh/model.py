"""A mesh as curator holds it: named parts of points and cells with data, whatever file it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.domains.mesh.cells import N_POINTS, CellType, type_name
from curator_core.errors import ComponentError
from curator_core.formats.arrays import Array

_FIXED: Final = np.zeros(256, np.int64)
for _type, _n_points in N_POINTS.items():
    _FIXED[_type] = _n_points

Indices = npt.NDArray[np.int64]


def _check_data(where: str, data: Mapping[str, Array]) -> None:
    """Refuse names that files cannot have, and masks, which would be lost."""
    for name, values in data.items():
        if not _is_unicode(name):
            raise ComponentError(f"The {where} data {name!r} has a name that UTF-8 cannot hold: rename it.")
        if isinstance(values, np.ma.MaskedArray):
            raise ComponentError(f"The {where} data {name!r} is masked: fill it, such as with NaN.")


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Polyhedra:
    """Faces of the polyhedra of a part, as VTKHDF names them: cells have runs of faces, faces runs of points."""

    face_connectivity: Indices
    """Points of all faces, shape (n,)."""
    face_offsets: Indices
    """Where faces begin in `face_connectivity`, and its length, shape (n_faces + 1,)."""
    polyhedron_to_faces: Indices
    """Faces of all polyhedra, shape (m,)."""
    polyhedron_offsets: Indices
    """Where cells begin in `polyhedron_to_faces`, and its length; shape (n_cells + 1,): other cells have no faces."""


@dataclass(frozen=True, slots=True)
class MeshPart:
    """Points, cells and the data on them.

    Raises
    ------
    ComponentError
        The arrays do not fit each other.
    """

    points: npt.NDArray[np.floating[Any]]
    """Coordinates, shape (n_points, 3), float32 or float64."""
    connectivity: Indices = field(default_factory=lambda: np.empty(0, np.int64))
    """Points of all cells, one cell after another, in VTK's order of points."""
    offsets: Indices = field(default_factory=lambda: np.zeros(1, np.int64))
    """Where cells begin in `connectivity`, and its length; shape (n_cells + 1,)."""
    types: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    """`CellType` of each cell, shape (n_cells,)."""
    point_data: Mapping[str, Array] = field(default_factory=dict)
    """Arrays of n_points rows, by name."""
    cell_data: Mapping[str, Array] = field(default_factory=dict)
    """Arrays of n_cells rows, by name."""
    field_data: Mapping[str, Array] = field(default_factory=dict)
    """Arrays of any shape about the part, by name."""
    polyhedra: Polyhedra | None = None
    """Faces, where some cells are polyhedra."""

    def __post_init__(self) -> None:
        """Check that the arrays fit each other."""
        if self.points.ndim != 2 or self.points.shape[1] != 3 or self.points.dtype.kind != "f":  # noqa: PLR2004 - xyz
            raise ComponentError(f"The points are {self.points.dtype} of shape {self.points.shape}, not (n, 3) floats.")
        if self.offsets.shape != (len(self.types) + 1,):
            raise ComponentError(f"{len(self.types)} cells have {len(self.offsets)} offsets, not one more.")
        lengths = np.diff(self.offsets)
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.connectivity) or (lengths < 0).any():
            raise ComponentError("The offsets of the cells do not cover their connectivity.")
        if len(self.connectivity) and not 0 <= self.connectivity.min() <= self.connectivity.max() < self.n_points:
            raise ComponentError(
                f"Cells have points {self.connectivity.min()} to {self.connectivity.max()}, of {self.n_points} points."
            )
        wrong = np.flatnonzero((_FIXED[self.types] != 0) & (_FIXED[self.types] != lengths))
        if len(wrong):
            cell = int(wrong[0])
            raise ComponentError(f"Cell {cell}, a {type_name(int(self.types[cell]))}, has {lengths[cell]} points.")
        self._check_polyhedra()
        _check_data("field", self.field_data)
        for where, data, n_rows in (
            ("point", self.point_data, self.n_points),
            ("cell", self.cell_data, self.n_cells),
        ):
            _check_data(where, data)
            for name, values in data.items():
                if values.ndim == 0 or len(values) != n_rows:
                    raise ComponentError(f"The {where} data {name!r} has the shape {values.shape}, not {n_rows} rows.")

    def _check_polyhedra(self) -> None:
        is_polyhedron = self.types == CellType.POLYHEDRON
        if self.polyhedra is None:
            if is_polyhedron.any():
                raise ComponentError(f"{int(is_polyhedron.sum())} polyhedra have no faces.")
            return
        faces = self.polyhedra
        if faces.polyhedron_offsets.shape != self.offsets.shape:
            raise ComponentError(f"{self.n_cells} cells have {len(faces.polyhedron_offsets)} offsets of faces.")
        if (np.diff(faces.polyhedron_offsets)[is_polyhedron] == 0).any():
            raise ComponentError("Some polyhedra have no faces.")

    @property
    def n_points(self) -> int:
        """Number of points."""
        return len(self.points)

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.types)

    def with_data(
        self,
        *,
        point_data: Mapping[str, Array] | None = None,
        cell_data: Mapping[str, Array] | None = None,
        field_data: Mapping[str, Array] | None = None,
    ) -> MeshPart:
        """The same points and cells with other data; what is not given stays."""
        return replace(
            self,
            point_data=self.point_data if point_data is None else point_data,
            cell_data=self.cell_data if cell_data is None else cell_data,
            field_data=self.field_data if field_data is None else field_data,
        )


@dataclass(frozen=True, slots=True)
class Mesh:
    """Named parts that belong together: an interior and its boundaries, or the blocks of a file.

    A name is a path such as ``interior`` or ``boundaries/inlet``; the single part of a file without blocks is called
    ``interior``, whether its cells are volumes, surfaces, lines or points.

    Raises
    ------
    ComponentError
        There is no part, or one without a name; data that cannot be kept; or a unit of an array that is not there.
    """

    parts: Mapping[str, MeshPart]
    """Parts by name, in the file's order."""
    field_data: Mapping[str, Array] = field(default_factory=dict)
    """Arrays about the whole mesh, such as the parameters of a case, by name."""
    time: float | None = None
    """Time of the state, in the solver's units, where the file says it."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Units of arrays, as CF writes them, by the names of `paths`; of others, nothing is known."""

    def __post_init__(self) -> None:
        """Check that there are parts with names, and arrays of which a unit is given."""
        if not self.parts:
            raise ComponentError("The mesh has no parts.")
        for name in self.parts:
            if not _is_unicode(name) or any(step in {"", ".", ".."} for step in name.split("/")):
                raise ComponentError(f"A part is called {name!r}.")
        _check_data("mesh's field", self.field_data)
        for name in self.units.keys() - set(self.paths() if self.units else ()):
            raise ComponentError(f"The mesh has no array {name!r}, of which a unit is given.")

    @property
    def n_points(self) -> int:
        """Number of points of all parts."""
        return sum(part.n_points for part in self.parts.values())

    @property
    def n_cells(self) -> int:
        """Number of cells of all parts."""
        return sum(part.n_cells for part in self.parts.values())

    def __iter__(self) -> Iterator[tuple[str, MeshPart]]:
        """Go through names and parts."""
        return iter(self.parts.items())

    def with_parts(self, parts: Mapping[str, MeshPart]) -> Mesh:
        """The same mesh with other parts; arrays of the same names keep their units."""
        made = replace(self, parts=parts, units={})
        if not self.units:
            return made
        known = set(made.paths())
        return replace(made, units={name: unit for name, unit in self.units.items() if name in known})

    def paths(self) -> Iterator[str]:
        """Names of all arrays, as filters have them: ``points``, ``point_data/p``, ``boundaries/inlet/cell_data/wss``.

        Those about the whole mesh are ``global_data/…``.
        """
        yield from (f"global_data/{name}" for name in self.field_data)
        for name, part in self:
            prefix = "" if name == INTERIOR else f"{name}/"
            yield f"{prefix}points"
            for kind in ("point_data", "cell_data", "field_data"):
                yield from (f"{prefix}{kind}/{own}" for own in getattr(part, kind))


INTERIOR: Final = "interior"
"""Name of the single part of a file without blocks, and of the volume of a case with boundaries."""
