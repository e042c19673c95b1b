"""Meshes of one part and the same fields, as rows of arrays: points, cells, and the corners of these."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from curator_core.datasets.layout import Arrays, Axis, Layout, RaggedFormat, Rows
from curator_core.datasets.parts import Part
from curator_core.datasets.published import PublishedRagged
from curator_core.domains.mesh.model import INTERIOR, Mesh
from curator_core.domains.mesh.zarr_groups.arrays import read_name, require_apart
from curator_core.domains.mesh.zarr_groups.names import escaped
from curator_core.errors import ComponentError, ConfigError, MergeError
from curator_core.formats.arrays import TEXT, Array, ArraySpec
from curator_core.pipeline.components import MergeItem
from curator_core.storage.locations import location_of

FORMAT: Final = "curator-mesh-ragged"
AXES: Final = (
    Axis("mesh", 256, 16_384),
    Axis("point", 4096, 262_144),
    Axis("cell", 8192, 524_288),
    Axis("corner", 32_768, 2_097_152),
)
"""A mesh has a row on the first; on the others it has rows of its own."""
DATA: Final = {"point_data": "point", "cell_data": "cell", "field_data": "mesh", "mesh_data": "mesh"}
"""Axis of each kind of data."""
_CELLS: Final = (
    ArraySpec("types", "uint8", ("cell",)),
    ArraySpec("cell_size", "int64", ("cell",)),
    ArraySpec("connectivity", "int64", ("corner",)),
)


class RaggedMeshes(RaggedFormat):
    """Datasets of small meshes that all have one part and the same fields.

    Parameters
    ----------
    items_per_segment
        Items that share files, on average.
    """

    name = FORMAT

    def __init__(self, items_per_segment: int = 1) -> None:
        super().__init__(Layout(AXES, items_per_segment))

    def own(self, schema: str) -> Arrays:
        return self.joined([schema] if schema else [])

    def joined(self, schemas: Sequence[str]) -> Arrays:
        known = {schema for schema in schemas if schema}
        if len(known) > 1:
            raise MergeError(f"The meshes have other fields: {differences(*sorted(known)[:2])}.")
        return Arrays({spec.name: spec for schema in known for spec in specs_of(schema)})


def specs_of(schema: str) -> list[ArraySpec]:
    """The arrays of meshes, given what `item_rows` says of them."""
    found = json.loads(schema)
    paths = dict(stored_names(found))
    said = {paths[read_name(name)]: {"units": unit} for name, unit in found.get("units", {}).items()}
    return [ArraySpec(n, kind, tuple(dims), tuple(shape), said.get(n, {})) for n, kind, dims, shape in found["arrays"]]


def differences(one: str, two: str) -> str:
    """What differs between the fields of two schemas, for people to read."""
    first, second = (json.loads(schema) for schema in (one, two))
    if first["part"] != second["part"]:
        return f"one part is called {first['part']!r}, another {second['part']!r}"
    forms = [{own[0]: (own[1], own[3]) for own in found["arrays"]} for found in (first, second)]
    for name in sorted(forms[0].keys() | forms[1].keys()):
        kinds = [f"{form[name][0]} {tuple(form[name][1])}" if name in form else "nothing" for form in forms]
        if kinds[0] != kinds[1]:
            return f"{name!r} is {kinds[0]} in one and {kinds[1]} in another"
    units = [found.get("units", {}) for found in (first, second)]
    for name in sorted(units[0].keys() | units[1].keys()):
        known = [repr(own[name]) if name in own else "an unknown unit" for own in units]
        if known[0] != known[1]:
            return f"{name!r} is in {known[0]} in one and in {known[1]} in another"
    return "their fields stand in another order"


def stored_names(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name by which readers know an array, and its own, given a schema as JSON has it."""
    prefix = "" if schema["part"] == INTERIOR else f"{schema['part']}/"
    data = {path for names in schema["data"].values() for path in names.values()}
    yield from ((f"{prefix}{name}", name) for name, *_ in schema["arrays"] if name not in data and name != "time")
    for where, names in schema["data"].items():
        before = "mesh/field_data/" if where == "mesh_data" else f"{prefix}{where}/"
        yield from ((before + own, path) for own, path in names.items())


def item_rows(meshes: Iterable[object]) -> tuple[Rows, str]:
    """The meshes of an item as rows, and their schema.

    Raises
    ------
    ComponentError
        Something is no mesh, has several parts or polyhedra, or other fields than the one before.
    """
    found, schema = list[dict[str, Array]](), ""
    lengths: dict[str, list[int]] = {axis.name: [] for axis in AXES[1:]}
    for number, mesh in enumerate(meshes):
        if not isinstance(mesh, Mesh):
            raise ComponentError(f"An item gave {type(mesh).__name__}, expected Mesh.")
        values, own = _mesh_rows(mesh)
        if number and own != schema:
            raise ComponentError(f"The meshes of the item have other fields: {differences(schema, own)}.")
        schema = own
        found.append(values)
        for axis, own_name in (("point", "points"), ("cell", "types"), ("corner", "connectivity")):
            lengths[axis].append(len(values[own_name]))
    joined = {name: np.concatenate([values[name] for values in found]) for name in (found[0] if found else ())}
    return Rows(len(found), joined, {axis: np.array(own, np.int64) for axis, own in lengths.items()}), schema


def _mesh_rows(mesh: Mesh) -> tuple[dict[str, Array], str]:
    """Values of each array for a mesh, and its schema."""
    if len(mesh.parts) != 1:
        raise ComponentError(f"The mesh has the parts {', '.join(mesh.parts)}: layout='groups' stores several.")
    ((name, part),) = mesh.parts.items()
    if part.polyhedra is not None:
        raise ComponentError("The mesh has polyhedra: layout='groups' stores them.")
    points, spec = _stored("points", "point", part.points)
    values: dict[str, Array] = {"points": points, "types": part.types, "cell_size": np.diff(part.offsets)}
    values["connectivity"] = part.connectivity
    specs = [spec, *_CELLS]
    names: dict[str, dict[str, str]] = {}
    for where, axis in DATA.items():
        data: Mapping[str, Array] = mesh.field_data if where == "mesh_data" else getattr(part, where)
        names[where] = {own: f"{where}/{escaped(own)}" for own in data}
        for own, path in names[where].items():
            given = np.asarray(data[own])
            rows = given[None] if axis == "mesh" else given
            values[path], spec = _stored(path, axis, rows)
            specs.append(spec)
    if mesh.time is not None and not np.isfinite(mesh.time):
        raise ComponentError(f"The time of the mesh is {mesh.time}.")
    values["time"] = np.array([np.nan if mesh.time is None else mesh.time], np.float64)
    specs.append(ArraySpec("time", "float64", ("mesh",)))
    arrays = [[spec.name, spec.dtype, spec.dims, spec.row_shape] for spec in specs]
    schema = {"part": name, "data": names, "arrays": arrays}
    schema |= {"units": dict(sorted(mesh.units.items()))} if mesh.units else {}
    require_apart(known for known, _ in stored_names(schema))
    return values, json.dumps(schema, separators=(",", ":"))


def _stored(path: str, axis: str, values: Array) -> tuple[Array, ArraySpec]:
    """Values as they are stored, and of which form."""
    if 0 in values.shape[1:]:
        whole = values.shape[1:] if axis == "mesh" else values.shape
        raise ComponentError(
            f"{path} has the shape {whole}: rows of no values cannot be stored. Leave it out with a filter."
        )
    dims = (axis, *(f"components_{size}" for size in values.shape[1:]))
    if values.dtype.kind in "OU":
        other = next((value for value in values.ravel().tolist() if not isinstance(value, str)), "")
        if other != "":
            raise ComponentError(f"{path} has {other!r} among its texts.")
        return values.astype(object), ArraySpec(path, TEXT, dims, values.shape[1:])
    native: Any = values.dtype.newbyteorder("=")
    dtype = native.name if native.kind in "biufc" else native.str[1:]
    try:
        return values.astype(native, copy=False), ArraySpec(path, dtype, dims, values.shape[1:])
    except ConfigError as exc:
        raise ComponentError(str(exc)) from exc


def require_same_fields(items: Sequence[MergeItem], previous: str | None, ragged: RaggedMeshes) -> None:
    """Make sure that the meshes of all items have the same fields.

    Raises
    ------
    MergeError
        One has others than most; the message names it.
    """
    held: dict[str, str] = {}
    if previous is not None and any(item.shard is None for item in items):
        tables = PublishedRagged(location_of(previous), ragged).tables
        held = {key: tables.schema_of(number) for number, key in enumerate(tables.keys)}
    schemas = {item.key: held.get(item.key, "") if item.shard is None else Part(item.shard).schema for item in items}
    numbers = Counter(schema for schema in schemas.values() if schema)
    if len(numbers) < 2:  # noqa: PLR2004 - two to differ
        return
    common = max(numbers, key=lambda schema: numbers[schema])
    key = next(key for key, schema in schemas.items() if schema not in ("", common))
    raise MergeError(
        f"The item {key!r} has other fields than most: {differences(common, schemas[key])}. Correct it, choose the "
        "fields with a filter, or store the meshes with layout='groups'."
    )
