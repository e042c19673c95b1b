"""The arrays of one mesh, and where they lie in its group.

A mesh of one part of simplices is what PhysicsNeMo calls a mesh, an interior of simplices with boundaries a domain
mesh: these its reader opens. What that has no place for, texts and cells of other forms, has other names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from curator_core.domains.mesh.cells import N_POINTS, CellType
from curator_core.domains.mesh.model import INTERIOR, Mesh, MeshPart
from curator_core.domains.mesh.zarr_groups.names import escaped
from curator_core.errors import ComponentError, ConfigError
from curator_core.formats.arrays import TEXT, Array, ArraySpec

TYPE_ATTRIBUTE: Final = "physicsnemo_mesh_type"
"""Attribute by which PhysicsNeMo's reader knows what a group holds."""
_BOUNDARIES: Final = "boundaries/"
_SIMPLICES: Final = (CellType.VERTEX, CellType.LINE, CellType.TRIANGLE, CellType.TETRA)
POLYHEDRA: Final = ("face_connectivity", "face_offsets", "polyhedron_to_faces", "polyhedron_offsets")
"""Arrays of `Polyhedra`."""


@dataclass(frozen=True)
class StoredArray:
    """An array of a mesh."""

    spec: ArraySpec
    """Its path in the group of the mesh, its type and dimensions; of a single value no dimension."""
    values: Array
    """Its values; texts as an object array."""


@dataclass
class MeshArrays:
    """The arrays of a mesh, and what its group says of them."""

    attributes: dict[str, Any]
    """As JSON."""
    arrays: list[StoredArray] = field(default_factory=list)
    """In order."""

    def add(self, path: str, values: object, dims: tuple[str, ...]) -> None:
        """Add an array.

        Raises
        ------
        ComponentError
            Its values cannot be stored.
        """
        found = np.asarray(values)
        if found.dtype.kind in "OU":
            other = next((value for value in found.ravel().tolist() if not isinstance(value, str)), "")
            if other != "":
                raise ComponentError(f"{path} has {other!r} among its texts.")
            if found.dtype.kind == "U":
                self.attributes["texts"][path] = found.dtype.str
            stored, dtype = found.astype(object), TEXT
        else:
            native = found.dtype.newbyteorder("=")
            stored, dtype = found.astype(native, copy=False), native.name if native.kind in "biufc" else native.str[1:]
        if 0 in stored.shape[1:]:
            raise ComponentError(f"{path} has the shape {stored.shape}: rows of no values cannot be stored.")
        rest = tuple(f"components_{size}" for size in stored.shape[len(dims) :])
        try:
            spec = ArraySpec(path, dtype, (*dims, *rest)[: stored.ndim], stored.shape[1:])
        except ConfigError as exc:
            raise ComponentError(str(exc)) from exc
        self.arrays.append(StoredArray(spec, stored))


def mesh_arrays(mesh: Mesh) -> MeshArrays:
    """All arrays of a mesh.

    Raises
    ------
    ComponentError
        One cannot be stored, or the time is no number.
    """
    if mesh.time is not None and not np.isfinite(mesh.time):
        raise ComponentError(f"The time of the mesh is {mesh.time}.")
    has_type = all(_is_simplicial(part) for part in mesh.parts.values())
    names = list(mesh.parts)
    attributes: dict[str, Any] = {}
    if has_type and names == [INTERIOR]:
        attributes[TYPE_ATTRIBUTE] = "Mesh"
    elif has_type and INTERIOR in names and all(n == INTERIOR or n.startswith(_BOUNDARIES) for n in names):
        attributes[TYPE_ATTRIBUTE] = "DomainMesh"
    time = None if mesh.time is None else float(mesh.time)
    found = MeshArrays({**attributes, "time": time, "field_data": {}, "parts": [], "texts": {}})
    for name, part in mesh:
        _add_part(found, name, part, "" if attributes.get(TYPE_ATTRIBUTE) == "Mesh" else f"{_group_of(name)}/")
    taken = {stored.spec.name for stored in found.arrays}
    found.attributes["field_data"] = _add_data(found, "", "field_data", mesh.field_data, (), taken=taken)
    require_apart(name for name, _ in data_paths(found.attributes))
    if mesh.units:
        found.attributes["units"] = dict(sorted(mesh.units.items()))
        paths = dict(data_paths(found.attributes))
        said = {paths[read_name(name)]: {"units": unit} for name, unit in mesh.units.items()}
        found.arrays = [
            replace(own, spec=replace(own.spec, attributes=said.get(own.spec.name, {}))) for own in found.arrays
        ]
    return found


def read_name(name: str) -> str:
    """Name by which readers know an array, by that which filters have."""
    return f"mesh/field_data/{name.removeprefix('global_data/')}" if name.startswith("global_data/") else name


def require_apart(names: Iterable[str]) -> None:
    """Make sure that readers know every array of a mesh by a name of its own.

    Raises
    ------
    ComponentError
        Two have one name, such as the data of the mesh and those of a part called ``mesh``.
    """
    known = set[str]()
    for name in names:
        if name in known:
            raise ComponentError(f"Two arrays of the mesh would be read as {name!r}: rename a part, or one of them.")
        known.add(name)


def _is_simplicial(part: MeshPart) -> bool:
    """Whether all cells are simplices of one type, or there are none with data."""
    if not part.n_cells:
        return not part.cell_data
    return _uniform_type(part) in _SIMPLICES


def _uniform_type(part: MeshPart) -> int | None:
    """Type of all cells, of those that always have the same number of points."""
    if not part.n_cells or (part.types != part.types[0]).any() or part.polyhedra is not None:
        return None
    number = int(part.types[0])
    return number if number in {int(kind) for kind in N_POINTS} else None


def _group_of(name: str) -> str:
    if name == INTERIOR:
        return name
    if name.startswith(_BOUNDARIES):
        return _BOUNDARIES + escaped(name.removeprefix(_BOUNDARIES))
    return f"parts/{escaped(name)}"


def _add_part(found: MeshArrays, name: str, part: MeshPart, group: str) -> None:
    kind = _uniform_type(part)
    described: dict[str, Any] = {
        "name": name,
        "group": group,
        "n_points": part.n_points,
        "n_cells": part.n_cells,
        "cell_type": kind,
        "has_polyhedra": part.polyhedra is not None,
    }
    found.add(f"{group}points", part.points, ("point", "xyz"))
    if kind is not None:
        corners = part.connectivity.reshape(part.n_cells, -1)
        found.add(f"{group}{connectivity_name(kind)}", corners, ("cell", "corner"))
    elif part.n_cells:
        found.add(f"{group}connectivity", part.connectivity, ("connectivity",))
        found.add(f"{group}offsets", part.offsets, ("offset",))
        found.add(f"{group}types", part.types, ("cell",))
    if part.polyhedra is not None:
        for own in POLYHEDRA:
            found.add(f"{group}polyhedra/{own}", getattr(part.polyhedra, own), (own,))
    for where, data, dims in (
        ("point_data", part.point_data, ("point",)),
        ("cell_data", part.cell_data, ("cell",)),
        ("field_data", part.field_data, ()),
    ):
        described[where] = _add_data(found, group, where, data, dims)
    found.attributes["parts"].append(described)


def connectivity_name(kind: int) -> str:
    """Name of the array with the points of cells of one type: PhysicsNeMo takes ``cells`` for simplices."""
    return "cells" if kind in _SIMPLICES else "connectivity"


def _add_data(
    found: MeshArrays,
    group: str,
    where: str,
    data: Mapping[str, Array],
    dims: tuple[str, ...],
    *,
    taken: Collection[str] = (),
) -> dict[str, str]:
    """Add the data of a part, or of the mesh; gives the path of each array by its name."""
    folder, paths = "global_data" if where == "field_data" else where, {}
    for name, values in data.items():
        texts = "texts/" if np.asarray(values).dtype.kind in "OU" else ""
        path = f"{group}{texts}{folder}/{escaped(name)}"
        if path in taken:  # the only part has field data of that name, too
            path = f"{texts}mesh_data/{escaped(name)}"
        found.add(path, values, dims)
        paths[name] = path
    return paths


def kind_of(name: str) -> str:
    """Of which kind an array is, by the name that readers know it by: ``point_data``, or empty for points and cells.

    Names of data may have any of these words in them; the first is that of the kind.
    """
    return next((step for step in name.split("/")[:-1] if step in {"point_data", "cell_data", "field_data"}), "")


def data_paths(attributes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name by which readers know an array, and its path in the group of a mesh.

    An array of the interior is called by its path below that; others by the name of their part before it.
    """
    for part in attributes["parts"]:
        prefix = "" if part["name"] == INTERIOR else f"{part['name']}/"
        group, kind = part["group"], part["cell_type"]
        yield f"{prefix}points", f"{group}points"
        if kind is not None:
            yield f"{prefix}{connectivity_name(kind)}", f"{group}{connectivity_name(kind)}"
        elif part["n_cells"]:
            yield from ((f"{prefix}{own}", f"{group}{own}") for own in ("connectivity", "offsets", "types"))
        for where in ("point_data", "cell_data", "field_data"):
            yield from ((f"{prefix}{where}/{name}", path) for name, path in part[where].items())
    yield from ((f"mesh/field_data/{name}", path) for name, path in attributes["field_data"].items())
