"""The files and record sets of a Zarr group: the arrays along one dimension are the fields of its records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from curator_core.croissant.fields import Column, Json, RecordSet, data_type
from curator_core.formats.described import CHECKSUMS, METADATA

MEDIA_TYPE: Final = "application/vnd.zarr"
_CONSOLIDATED: Final = "consolidated_metadata"
_ITEM: Final = "item"
_ITEMS: Final = "items"
_OWN: Final = frozenset({"segments", "checksums", "hidden"})
"""Groups of tables by which curator finds its files."""
_NOT_OF_ITEMS: Final = frozenset({"segment", "first", "schema", "schemas"})
_FIRST: Final = ("key", "version", "fingerprint", "split", "state")
"""Fields of the items that come first."""
_TAKEN: Final = frozenset({_ITEMS, "splits", "statistics"})
"""Record sets that are of no dimension."""
_SCALARS: Final = "scalars"
_ARRAYS: Final = "arrays"

Read = Callable[[str], bytes]
"""Reads a small file of a dataset by its name."""


def array_files(read: Read) -> list[Json]:
    """The files of a Zarr group: its metadata with their hash, and all others as a set."""
    data = read(METADATA)
    return [
        {
            "@type": "cr:FileObject",
            "@id": METADATA,
            "name": METADATA,
            "description": "Metadata of the group and of all arrays in it, with checksums of what is beside them.",
            "contentUrl": METADATA,
            "contentSize": f"{len(data)} B",
            "encodingFormat": "application/json",
            "sha256": hashlib.sha256(data).hexdigest(),
        },
        {
            "@type": "cr:FileSet",
            "@id": _ARRAYS,
            "name": _ARRAYS,
            "description": "Chunks of the arrays: open the folder as a Zarr group of version 3, for example with "
            "xarray.open_zarr. The column of a field is the name of its array.",
            "includes": ["*/zarr.json", "*/c", "*/c/*"],
            "encodingFormat": MEDIA_TYPE,
        },
    ]


def array_records(read: Read) -> list[RecordSet]:
    """A record set for every dimension that arrays begin with: its records are the positions along it.

    Where items are groups of their own, which the metadata of the dataset do not list, the arrays of these, as its
    attribute ``arrays`` sums them up, belong to the records of its tables that are not of the items.
    """
    root = json.loads(read(METADATA))
    attributes: Mapping[str, Any] = root.get("attributes", {})
    is_own = "content_hash" in attributes
    found: dict[str, RecordSet] = {}
    for name, node in _nodes(root, read).items():
        if node["node_type"] != "array" or (is_own and not _is_shown(name)):
            continue
        dims = list(node.get("dimension_names") or ())
        shape = tuple(node["shape"])
        along = _SCALARS if not shape else str(dims[0] if dims and dims[0] else name)
        own = _ITEMS if is_own and along == _ITEM else f"{along}_" if along in _TAKEN else along
        if own not in found:
            found[own] = _records(own, along, shape, attributes)
        found[own].columns.append(_column(name, node, dims))
    if _ITEMS in found:
        found[_ITEMS].columns.sort(
            key=lambda column: [column.name == f"{_ITEMS}/{name}" for name in _FIRST], reverse=True
        )
    if not root.get(_CONSOLIDATED):
        own = next((name for name in found if name != _ITEMS), _SCALARS)
        found.setdefault(own, RecordSet(own, {"fileSet": {"@id": _ARRAYS}}))
        found[own].columns.extend(_of_groups(name, forms) for name, forms in attributes["arrays"].items())
        found[own].description += " Its arrays are in a group of its own: the name of a field is that within the group."
    return list(found.values())


def is_described(root: bytes) -> bool:
    """Whether the metadata of a group say which arrays are in it."""
    found = json.loads(root)
    attributes = found.get("attributes", {})
    return bool(found.get(_CONSOLIDATED)) or (
        "content_hash" in attributes and isinstance(attributes.get("arrays"), dict)
    )


def _nodes(root: Mapping[str, Any], read: Read) -> Mapping[str, Mapping[str, Any]]:
    """Metadata of what is in the dataset; without groups of items that it does not list."""
    if root.get(_CONSOLIDATED):
        nodes: Mapping[str, Mapping[str, Any]] = root[_CONSOLIDATED]["metadata"]
        return nodes
    tables = (name for name in root["attributes"][CHECKSUMS] if name)
    return {name: json.loads(read(f"{name}/{METADATA}")) for name in tables}


def _of_groups(name: str, forms: Sequence[Mapping[str, Any]]) -> Column:
    """An array that groups have, with the lengths that are the same in all of them."""
    shapes = [(-1, *form["row_shape"]) if form["dims"] else tuple(form["row_shape"]) for form in forms]
    types = {str(form["dtype"]) for form in forms}
    is_even = len(types) == 1 and len({len(shape) for shape in shapes}) == 1
    shape = tuple(n[0] if len(set(n)) == 1 else -1 for n in zip(*shapes, strict=True)) if is_even else ()
    dims = ", ".join(str(dim) for dim in forms[0]["dims"] if dim)
    units = {str(form.get("units", "")) for form in forms}
    unit, about = units.pop() if len(units) == 1 else "", f"along {dims}" if dims else ""
    return Column(name, data_type(types.pop()) if is_even else "", shape, unit, about)


def _is_shown(name: str) -> bool:
    group, _, rest = name.partition("/")
    if not rest:  # an array of the dataset, of whatever name
        return True
    if group == "slots":
        return rest.endswith("/status") and rest.partition("/")[0] not in _OWN
    return group not in _OWN and not (group == _ITEMS and rest in _NOT_OF_ITEMS)


def _records(name: str, dim: str, shape: tuple[int, ...], attributes: Mapping[str, Any]) -> RecordSet:
    source = {"fileSet": {"@id": _ARRAYS}}
    if name == _SCALARS:
        return RecordSet(name, source, description="Arrays of a single value.")
    counted = attributes.get(f"n_{dim}s")
    n = counted if type(counted) is int else shape[0]
    padded = f" Of {shape[0]} rows of the arrays, {n} are records: is_valid marks them, the others are padding."
    text = f"One record for every {dim}.{padded if shape[0] != n and name != _ITEMS else ''}"
    return RecordSet(name, source, [], n, text, f"{_ITEMS}/key" if name == _ITEMS else dim)


def _column(name: str, node: Mapping[str, Any], dims: list[str | None]) -> Column:
    attributes = node.get("attributes", {})
    kind = node["data_type"]
    shape = tuple(node["shape"])[1:]
    inner = [str(dim) for dim in dims[1:] if dim]
    about = [*_said(attributes), f"along {', '.join(inner)}" if inner else ""]
    unit = attributes.get("units")
    return Column(
        name,
        data_type(kind if isinstance(kind, str) else str(kind.get("name", ""))),
        shape,
        unit if isinstance(unit, str) else "",
        ", ".join(filter(None, about)),
    )


def _said(attributes: Mapping[str, Any]) -> Iterator[str]:
    names = (attributes.get(name) for name in ("long_name", "standard_name", "description"))
    yield next((name for name in names if isinstance(name, str) and name), "")
    yield "JSON" if attributes.get("encoding") == "json" else ""
