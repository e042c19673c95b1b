"""The arrays of a mesh as fields, for the filters that every domain has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from curator_core.domains.mesh.geometry.taking import taken_cells, taken_points
from curator_core.domains.mesh.model import INTERIOR, Mesh, MeshPart
from curator_core.errors import ComponentError
from curator_core.filters.values.fields import Array, Attributes, FieldError, Fields

Kind = Literal["point_data", "cell_data", "field_data", "global_data", "points"]

_OF_PARTS: Final[tuple[Kind, ...]] = ("point_data", "cell_data", "field_data")
_ROWS: Final[Mapping[str, str]] = {"point_data": "points", "cell_data": "cells", "points": "points"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an array is."""

    part: str
    """Name of the part; empty for the data of the whole mesh."""
    kind: Kind
    """Of what it is."""
    name: str
    """Its name there."""

    @property
    def prefix(self) -> str:
        """What stands before the kind: the name of any part but `INTERIOR`."""
        return "" if self.part in ("", INTERIOR) else f"{self.part}/"

    def __str__(self) -> str:
        return f"{self.prefix}{self.kind}" + (f"/{self.name}" if self.name else "")


class MeshFields(Fields):
    """A `Mesh`, whose arrays are fields, with paths as names.

    ``point_data/p`` is an array of the part ``interior``, ``boundaries/inlet/cell_data/wss`` of another one,
    ``field_data/…`` one about a part, and ``global_data/…`` one about the whole mesh. A name can be cut from the left,
    down to ``p``, as long as no other field ends so. Coordinates are ``points``, or ``boundaries/inlet/points``.
    """

    what = "meshes"

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        data = [Place("", "global_data", name) for name in mesh.field_data]
        for part_name, part in mesh:
            data += [Place(part_name, kind, name) for kind in _OF_PARTS for name in getattr(part, kind)]
        self._data = {str(place): place for place in data}
        self._points = {str(place): place for place in (Place(name, "points", "") for name in mesh.parts)}
        self._short = _short_names([*self._data, *self._points])

    @property
    def mesh(self) -> Mesh:
        """The mesh itself."""
        return self._mesh

    def names(self) -> list[str]:
        return list(self._data)

    def coordinates(self) -> list[str]:
        """Names of the coordinates of all parts."""
        return list(self._points)

    def known(self) -> list[str]:
        return [*self._data, *self._points, *self._short]

    def full_name(self, name: str, beside: str | None = None) -> str:
        if beside is None:
            return self._short.get(name, name)
        place = self.place_of(beside)
        before = str(replace(place, name="")) + "/"
        if "/" in name and not name.startswith(before):
            raise FieldError(f"{name!r} is no new name of {beside!r}, which stays in {before.rstrip('/')!r}")
        return before + name.removeprefix(before)

    def content(self) -> Iterator[tuple[str, Array]]:
        yield "time", np.asarray(np.nan if self._mesh.time is None else self._mesh.time)
        for name, part in self._mesh:
            for each in ("points", "connectivity", "offsets", "types"):
                yield f"{name}/{each}", getattr(part, each)
            if part.polyhedra is not None:
                yield f"{name}/faces", part.polyhedra.face_connectivity
                yield f"{name}/face_offsets", part.polyhedra.face_offsets
                yield f"{name}/polyhedron_to_faces", part.polyhedra.polyhedron_to_faces
        for name in self.names():
            yield name, self.values(name)

    def place_of(self, name: str) -> Place:
        """Where a field is.

        Raises
        ------
        FieldError
            There is no such field.
        """
        full = self._short.get(name, name)
        found = self._data.get(full) or self._points.get(full)
        if found is None:
            raise FieldError(f"it has no field {name!r}; it has {', '.join(self._data) or 'none'}")
        return found

    def values(self, name: str) -> Array:
        place = self.place_of(name)
        if place.kind == "points":
            return self._mesh.parts[place.part].points
        holder = self._mesh.field_data if place.kind == "global_data" else self._arrays(place)
        return np.asarray(holder[place.name])

    def _arrays(self, place: Place) -> Mapping[str, Array]:
        found: Mapping[str, Array] = getattr(self._mesh.parts[place.part], place.kind)
        return found

    def attributes(self, name: str) -> Attributes:
        unit = self._mesh.units.get(str(self.place_of(name)))
        return {} if unit is None else {"units": unit}

    def dims(self, name: str) -> tuple[str, ...]:
        place = self.place_of(name)
        rest = super().dims(name)
        rows = _ROWS.get(place.kind)
        return rest if rows is None else (f"{place.prefix}{rows}", *rest[1:])

    def _part_of(self, dim: str) -> tuple[str, str]:
        """Name of a part, and what of it are the entries of a dimension."""
        for name in self._mesh.parts:
            prefix = Place(name, "points", "").prefix
            if dim in (f"{prefix}points", f"{prefix}cells"):
                return name, dim.removeprefix(prefix)
        known = [
            f"{Place(name, 'points', '').prefix}{rows}" for name in self._mesh.parts for rows in ("points", "cells")
        ]
        raise FieldError(f"it has no dimension {dim!r}; it has {', '.join(known)}")

    def length(self, dim: str) -> int:
        name, rows = self._part_of(dim)
        part = self._mesh.parts[name]
        return part.n_points if rows == "points" else part.n_cells

    def replaced(self, values: Mapping[str, Array], attributes: Mapping[str, Attributes] | None = None) -> Mesh:
        about = dict(self._mesh.field_data)
        parts: dict[str, MeshPart] = dict(self._mesh.parts)
        units = dict(self._mesh.units)
        for name, said in (attributes or {}).items():
            units.pop(full := str(self.place_of(name)), None)
            units |= {full: str(said["units"])} if said.get("units") else {}
        for name, array in values.items():
            place = self.place_of(name)
            if isinstance(array, np.ma.MaskedArray):
                array = array.data  # noqa: PLW2901 - nothing of a mesh is missing
            if place.kind == "global_data":
                about[place.name] = array
            elif place.kind == "points":
                parts[place.part] = replace(parts[place.part], points=array)
            else:
                held = {**getattr(parts[place.part], place.kind), place.name: array}
                parts[place.part] = _with(parts[place.part], {place.kind: held})
        return replace(self._mesh, parts=parts, field_data=about, units=units)

    def chosen(self, names: Sequence[str]) -> Mesh:
        return self._made({name: self.place_of(name).name for name in names})

    def renamed(self, names: Mapping[str, str]) -> Mesh:
        full = {self.full_name(old): self.full_name(new, old) for old, new in names.items()}
        for old in full:
            if old not in self._data:
                raise FieldError(f"{old!r} cannot have another name")
        return self._made(
            {old: full.get(old, old)[len(str(replace(place, name=""))) + 1 :] for old, place in self._data.items()}
        )

    def _made(self, names: Mapping[str, str]) -> Mesh:
        """The mesh with these fields, in this order, under these names in their places."""
        about: dict[str, Array] = {}
        held: dict[tuple[str, str], dict[str, Array]] = {}
        units = {name: unit for name, unit in self._mesh.units.items() if name in self._points}
        for old, new in names.items():
            place = self.place_of(old)
            if (unit := self._mesh.units.get(str(place))) is not None:
                units[str(replace(place, name=new))] = unit
            into = about if place.kind == "global_data" else held.setdefault((place.part, place.kind), {})
            into[new] = self.values(old)
        parts = dict(self._mesh.parts)
        for name, part in self._mesh:
            parts[name] = _with(part, {kind: held.get((name, kind), {}) for kind in _OF_PARTS})
        return replace(self._mesh, parts=parts, field_data=about, units=units)

    def taken(self, dim: str, positions: npt.NDArray[np.intp]) -> Mesh:
        name, rows = self._part_of(dim)
        part = self._mesh.parts[name]
        try:
            made = taken_cells(part, positions) if rows == "cells" else taken_points(part, positions)
        except ComponentError as exc:
            raise FieldError(f"{str(exc)[:1].lower()}{str(exc)[1:].rstrip('.')}") from None
        return self._mesh.with_parts({**self._mesh.parts, name: made})


def _with(part: MeshPart, held: Mapping[str, Mapping[str, Array]]) -> MeshPart:
    """A part with other data of some kinds."""
    return part.with_data(
        point_data=held.get("point_data"), cell_data=held.get("cell_data"), field_data=held.get("field_data")
    )


def _short_names(full: Sequence[str]) -> dict[str, str]:
    """Full names by what they can be cut to, where that is the end of one of them."""
    ends = [(name[at + 1 :], name) for name in full for at, sign in enumerate(name) if sign == "/"]
    times = Counter(end for end, _ in ends)
    return {end: name for end, name in ends if times[end] == 1 and end not in full}
