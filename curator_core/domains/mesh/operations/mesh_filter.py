"""What filters of meshes share: parts in, parts out, arrays that follow from the geometry computed again."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import numpy as np

from curator_core.domains.mesh.fenced import call_fenced
from curator_core.domains.mesh.fields import MeshFields
from curator_core.domains.mesh.geometry.derived import computed_again, derived_arrays, without
from curator_core.domains.mesh.model import Mesh, MeshPart
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError, FieldFilter, Fields

logger = logging.getLogger("curator")

ORIGINAL_CELL = "original_cell"
"""Array of the numbers that cells had, or the cells that points are on, before; once there, it is carried."""


class MeshFilter(FieldFilter):
    """A filter that changes parts of meshes by themselves; write `changed`.

    Sizes and normals among the data are computed again afterwards, or left out, which is logged. A part of which
    nothing is left is left out, which is logged; an item of which nothing is left fails.
    """

    is_fenced: ClassVar[bool] = False
    """Whether it works in the process beside this one, as those do that call VTK: a crash fails the item alone.

    Its class has to be one of a module that can be imported there, so each says so for itself, not for classes that
    inherit from it.
    """
    recomputes: ClassVar[bool] = True
    """Whether sizes and normals among the data are those of the new geometry."""
    _parts: tuple[str, ...] | None = None
    """Names or patterns of the parts that are changed; all by default."""

    def _take_parts(self, parts: Sequence[str] | None) -> None:
        if parts is not None and not parts:
            raise ConfigError(f"{self.name}: parts must be a list of names or patterns, got {parts!r}.")
        self._parts = None if parts is None else tuple(parts)

    def apply(self, fields: Fields) -> Any:  # noqa: ANN401 - a mesh
        if not isinstance(fields, MeshFields):
            raise FieldError(f"{fields.what} are no meshes")
        return self.changed_mesh(fields.mesh)

    def changed_mesh(self, mesh: Mesh) -> Mesh:
        """The mesh with its parts changed.

        Raises
        ------
        FieldError
            A part cannot be changed like that, none has a name that was given, or nothing is left.
        """
        chosen = self._chosen(mesh)
        parts = dict(mesh.parts)
        for name in chosen:
            try:
                made = self._changed_part(mesh.parts[name], name)
            except FieldError as exc:
                raise FieldError(f"part {name!r}: {exc}") from None
            if not made.n_points and mesh.parts[name].n_points:
                del parts[name]
            else:
                parts[name] = made
        gone = [name for name in chosen if name not in parts]
        if gone and not any(parts[name].n_points for name in chosen if name in parts):
            raise FieldError(f"nothing is left of {_listed(gone)}")
        if gone:
            logger.warning("%s: nothing is left of %s, left out", self.name, _listed(gone))
        return _with_moved_units(mesh, mesh.with_parts(parts))

    def _chosen(self, mesh: Mesh) -> list[str]:
        """Names of the parts that are changed."""
        chosen = [name for name in mesh.parts if self._parts is None or any(fnmatchcase(name, p) for p in self._parts)]
        if not chosen:
            raise FieldError(
                f"it has no part {' or '.join(map(repr, self._parts or ()))}; it has {_listed(mesh.parts)}"
            )
        return chosen

    def _changed_part(self, part: MeshPart, name: str) -> MeshPart:
        if not part.n_points:  # at which some of VTK's filters end the process
            return part
        if vars(type(self)).get("is_fenced") and type(self).__module__ != "__main__":
            return call_fenced(_made, self, part, name)
        return self.made(part, name)

    def made(self, part: MeshPart, name: str) -> MeshPart:
        """A part changed, with the arrays that follow from its geometry."""
        derived = derived_arrays(part) if self.recomputes else []
        made = self.changed(without(part, derived) if derived else part, name)
        return computed_again(part, made, self.seen(derived), self.name) if derived else made

    def seen(self, derived: list[Any]) -> list[Any]:
        """Arrays that follow from the geometry, as they are to be computed again."""
        return derived

    @abstractmethod
    def changed(self, part: MeshPart, name: str) -> MeshPart:
        """Another part, given one and its name; without points to leave it out.

        Raises
        ------
        FieldError
            It cannot be changed like that.
        """


def _made(step: MeshFilter, part: MeshPart, name: str) -> MeshPart:
    return step.made(part, name)


def with_original_cells(part: MeshPart, cells: np.ndarray[Any, Any]) -> MeshPart:
    """A part whose cells say which ones they were; those that say so already keep that."""
    if ORIGINAL_CELL in part.cell_data:
        return part
    return part.with_data(cell_data={**part.cell_data, ORIGINAL_CELL: cells.astype(np.int64)})


def _with_moved_units(before: Mesh, after: Mesh) -> Mesh:
    """A mesh in which data that went from points to cells, or back, have the unit that they had."""
    if not before.units:
        return after
    held = set(before.paths())
    found = {
        path: before.units[other]
        for path in after.paths()
        if path not in held and (other := _elsewhere(path)) in before.units
    }
    return replace(after, units={**after.units, **found})


def _elsewhere(path: str) -> str:
    """Name of data of points were they of cells, and the other way round."""
    for kind, other in (("point_data/", "cell_data/"), ("cell_data/", "point_data/")):
        part, found, name = path.partition(kind)
        if found:
            return f"{part}{other}{name}"
    return path


def _listed(names: Any) -> str:  # noqa: ANN401 - an iterable
    return ", ".join(repr(name) for name in names)
