"""A mesh as JSON and a list of arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from curator_core.domains.mesh.model import Mesh, MeshPart, Polyhedra
from curator_core.formats.arrays import Array

_GEOMETRY: Final = ("points", "connectivity", "offsets", "types")
_DATA: Final = ("point_data", "cell_data", "field_data")


def packed(mesh: Mesh) -> tuple[dict[str, Any], list[Array]]:
    """What JSON holds of a mesh, with the positions of its arrays in a list, and that list."""
    arrays: list[Array] = []

    def place(array: Array) -> int:
        arrays.append(array)
        return len(arrays) - 1

    def places(data: Mapping[str, Array]) -> dict[str, int]:
        return {name: place(values) for name, values in data.items()}

    parts = {}
    for name, part in mesh:
        about: dict[str, Any] = {key: place(getattr(part, key)) for key in _GEOMETRY}
        about |= {key: places(getattr(part, key)) for key in _DATA}
        if part.polyhedra is not None:
            about["polyhedra"] = {f.name: place(getattr(part.polyhedra, f.name)) for f in fields(Polyhedra)}
        parts[name] = about
    about = {"parts": parts, "field_data": places(mesh.field_data), "time": mesh.time, "units": dict(mesh.units)}
    return about, arrays


def unpacked(about: Mapping[str, Any], arrays: Sequence[Array]) -> Mesh:
    """The mesh of which `packed` gave these."""

    def taken(places: Mapping[str, int]) -> dict[str, Any]:
        return {name: arrays[place] for name, place in places.items()}

    parts = {}
    for name, part in about["parts"].items():
        polyhedra = Polyhedra(**taken(part["polyhedra"])) if "polyhedra" in part else None
        found = taken({key: part[key] for key in _GEOMETRY}) | {key: taken(part[key]) for key in _DATA}
        parts[name] = MeshPart(**found, polyhedra=polyhedra)
    return Mesh(parts, taken(about["field_data"]), about["time"], about["units"])
