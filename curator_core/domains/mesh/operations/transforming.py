"""Filter that scales, turns and moves meshes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

import numpy as np

from curator_core.domains.mesh.geometry.derived import derived_arrays, size_unit
from curator_core.domains.mesh.model import INTERIOR, Mesh, MeshPart
from curator_core.domains.mesh.operations.mesh_filter import MeshFilter
from curator_core.domains.mesh.operations.surfaces import vector
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError
from curator_core.filters.values.fields import Array

METRES: Final[Mapping[str, float]] = {
    "um": 1e-6,
    "mm": 1e-3,
    "cm": 1e-2,
    "m": 1.0,
    "km": 1e3,
    "in": 0.0254,
    "ft": 0.3048,
}
"""Units of length, in metres."""


class TransformFilter(MeshFilter):
    """Scales the points of meshes, or gives them another unit, then turns, then moves them.

    Normals and sizes among the data are those of the new geometry. Other vectors that turn with the mesh, such as
    velocities, must be named; with `rotate`, an item that has arrays of three components fails until `vectors` says
    which of them turn. Numbers of data are not scaled: lengths among them have `UnitsFilter`. Points have the unit that
    is wanted then; an item that says of them another one than `given` fails.

    Parameters
    ----------
    unit, given
        The unit of length that is wanted, and the one in which coordinates are: ``um``, ``mm``, ``cm``, ``m``, ``km``,
        ``in`` or ``ft``.
    scale
        A positive factor, or three of them.
    rotate
        ``axis``, three numbers, and ``angle``, degrees, counterclockwise seen from the tip of the axis; around the
        origin.
    translate
        What is added to the points, in the new unit.
    vectors
        Names of arrays of points and cells that turn with `rotate`; may be empty. An item that lacks one fails.
    parts
        Names or patterns of the parts that are changed; all by default.

    Raises
    ------
    ConfigError
        Nothing is to be done, a unit is unknown, a factor is not positive, or vectors are named and nothing turns.
    """

    name: ClassVar[str] = "transform"
    description: ClassVar[str] = "Meshes in another unit, scaled, turned, moved"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        *,
        unit: str | None = None,
        given: str | None = None,
        scale: float | Sequence[float] | None = None,
        rotate: Mapping[str, Any] | None = None,
        translate: Sequence[float] | None = None,
        vectors: Sequence[str] | None = None,
        parts: Sequence[str] | None = None,
    ) -> None:
        self._take_parts(parts)
        if (unit is None) != (given is None) or not any(each is not None for each in (unit, scale, rotate, translate)):
            raise ConfigError(f"{self.name}: give unit and given, scale, rotate or translate.")
        if vectors is not None and rotate is None:
            raise ConfigError(f"{self.name}: vectors are those that turn: give rotate, too, or leave them out.")
        for name in (unit, given):
            if name is not None and name not in METRES:
                raise ConfigError(f"{self.name}: the unit {name!r} is none of {', '.join(METRES)}.")
        self._unit, self._given = unit, given
        factor = 1.0 if unit is None or given is None else METRES[given] / METRES[unit]
        factors = vector(self.name, "scale", [scale] * 3 if isinstance(scale, int | float) else (scale or [1.0] * 3))
        if not (factors > 0).all():
            raise ConfigError(f"{self.name}: scale must be positive, else cells are inside out, got {scale!r}.")
        self._factors = factor * factors
        self._matrix = None if rotate is None else self._rotation(rotate)
        self._translate = None if translate is None else vector(self.name, "translate", translate)
        self._vectors = None if vectors is None else tuple(vectors)

    def _rotation(self, given: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        """The matrix of a rotation (Rodrigues)."""
        if set(given) != {"axis", "angle"}:
            raise ConfigError(f"{self.name}: rotate must be an axis and an angle, got {dict(given)!r}.")
        axis = vector(self.name, "axis", given["axis"])
        if not axis.any():
            raise ConfigError(f"{self.name}: the axis must not be zero.")
        x, y, z = axis / np.linalg.norm(axis)
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        angle = np.radians(float(given["angle"]))
        return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)

    def changed_mesh(self, mesh: Mesh) -> Mesh:
        held = {
            name
            for part in mesh.parts.values()
            for data in (part.point_data, part.cell_data)
            for name in _vectors(data)
        }
        if missing := [name for name in self._vectors or () if name not in held]:
            known = ", ".join(map(repr, sorted(held))) or "none"
            raise FieldError(f"it has no floating-point array {missing[0]!r} of three components; it has {known}")
        units = self._units_after(mesh)
        made = super().changed_mesh(mesh)
        return replace(made, units={**made.units, **units})

    def _units_after(self, mesh: Mesh) -> dict[str, str]:
        """Units of what is given another one."""
        found = dict[str, str]()
        for name in self._chosen(mesh) if self._unit is not None else ():
            prefix = "" if name == INTERIOR else f"{name}/"
            said = mesh.units.get(f"{prefix}points", self._given)
            if said != self._given:
                raise FieldError(
                    f"part {name!r}: its points are in {said!r}, as is said of them, not in {self._given!r}"
                )
            found[f"{prefix}points"] = str(self._unit)
            if any(path.startswith(f"{prefix}cell_data/") for path in mesh.units):
                sizes = [each for each in derived_arrays(mesh.parts[name]) if each.what == "size"]
                unit = str(self._unit)
                found |= {f"{prefix}cell_data/{size.name}": size_unit(unit, size.dimension) for size in sizes}
        return found

    def changed(self, part: MeshPart, name: str) -> MeshPart:
        points = part.points.astype(np.float64) * self._factors
        on_points, on_cells = part.point_data, part.cell_data
        if self._matrix is not None:
            points = points @ self._matrix.T
            on_points, on_cells = self._turned("point_data", on_points), self._turned("cell_data", on_cells)
        if self._translate is not None:
            points += self._translate
        return replace(part, points=points.astype(part.points.dtype), point_data=on_points, cell_data=on_cells)

    def _turned(self, kind: str, data: Mapping[str, Array]) -> dict[str, Array]:
        vectors = _vectors(data)
        if self._vectors is None and vectors:
            raise FieldError(f"{kind}/{vectors[0]} has three components: name those that turn, vectors=[…]")
        assert self._matrix is not None  # noqa: S101 - it is called with one
        turned = {name: data[name] @ self._matrix.T for name in vectors if name in (self._vectors or ())}
        return {name: turned[name].astype(values.dtype) if name in turned else values for name, values in data.items()}


def _vectors(data: Mapping[str, Array]) -> list[str]:
    return [name for name, values in data.items() if values.dtype.kind == "f" and values.shape[1:] == (3,)]
