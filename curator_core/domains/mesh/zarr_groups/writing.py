"""Meshes of one item as groups in their final form, written by the worker that processed it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from curator_core.domains.mesh.model import Mesh
from curator_core.domains.mesh.zarr_groups.arrays import StoredArray, mesh_arrays
from curator_core.errors import ComponentError, ConfigError
from curator_core.formats.arrays import Array, ArraySpec
from curator_core.formats.shard_files import ShardCodec, encode_chunk
from curator_core.formats.zarr_metadata import chunk_key, sharded_array, table_array, write_hierarchy
from curator_core.storage.atomic import link_or_copy, sync

GROUP_VERSION: Final = 1
FILES: Final = "files"
"""Attribute with the checksum and the sizes of the files of each array."""
LARGE_BYTES: Final = 1 << 20
"""Files of this size are linked; it is cheaper to copy smaller ones than to make each durable by itself."""
HEAD: Final = "head.json"
"""File that says how many meshes a part has."""


@dataclass(frozen=True, slots=True)
class GroupLayout:
    """How the arrays of meshes are cut.

    Raises
    ------
    ConfigError
        There is no such layout.
    """

    chunk_rows: int = 200_000
    """Rows that a reader loads at once."""
    shard_bytes: int = 256 << 20
    """Bytes of the values that share a file, at most."""
    level: int = 1
    """Level of Zstandard."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` where a size is none."""
        for name in ("chunk_rows", "shard_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)!r}.")

    def described(self) -> dict[str, Any]:
        """It as JSON."""
        return {"chunk_rows": self.chunk_rows, "shard_bytes": self.shard_bytes, "compression_level": self.level}

    def codec(self, spec: ArraySpec, n_rows: int) -> ShardCodec:
        """How an array of some rows is written."""
        rows = max(1, min(self.chunk_rows, n_rows))
        n_chunks = max(1, min(self.shard_bytes // (rows * spec.row_bytes), -(-n_rows // rows)))
        return ShardCodec(spec.dtype, spec.row_shape, rows, rows * n_chunks, self.level)


def write_meshes(meshes: Iterable[object], layout: GroupLayout, path: str | Path) -> None:
    """Write the meshes of an item to a new folder, a group each.

    What a mesh has of the one before, such as the geometry of a series, is written once, and linked.

    Raises
    ------
    ComponentError
        Something is no mesh, or cannot be stored.
    """
    root = Path(path)
    root.mkdir()
    previous, n_meshes = dict[str, tuple[Array, Path]](), 0
    for mesh in meshes:
        if not isinstance(mesh, Mesh):
            raise ComponentError(f"An item gave {type(mesh).__name__}, expected Mesh.")
        previous = _write_mesh(mesh, layout, root / str(n_meshes), previous)
        n_meshes += 1
    (root / HEAD).write_text(json.dumps({"version": GROUP_VERSION, "n_meshes": n_meshes}))
    for file in root.rglob("c/**/*"):
        if file.is_file() and file.stat().st_size >= LARGE_BYTES:
            sync(file)


def _write_mesh(
    mesh: Mesh, layout: GroupLayout, folder: Path, previous: Mapping[str, tuple[Array, Path]]
) -> dict[str, tuple[Array, Path]]:
    """Write a mesh; gives its arrays by path, and the folder in which they are, like those of the mesh before."""
    found = mesh_arrays(mesh)
    nodes: dict[str, dict[str, Any]] = {}
    files: dict[str, list[Any]] = {}
    kept = {}
    for stored in found.arrays:
        name, values = stored.spec.name, stored.values
        if name in nodes:
            raise ComponentError(f"Two arrays of the mesh would be stored as {name!r}: rename one.")
        nodes[name] = _node(stored, layout)
        before = previous.get(name)
        if before is not None and _is_same(before[0], values):
            contents = _linked(before[1], folder, stored.spec)
        else:
            contents = _written(stored, layout, folder)
        digest, sizes = hashlib.blake2b(digest_size=16), []
        for content in contents:
            digest.update(content)
            sizes.append(len(content))
        files[name] = [digest.hexdigest(), sizes]
        kept[name] = values, folder
    attributes = {"format": "curator-mesh-group", "format_version": GROUP_VERSION, **found.attributes, FILES: files}
    write_hierarchy(folder, attributes, nodes)
    return kept


def _is_same(one: Array, two: Array) -> bool:
    """Whether two arrays have the same bits."""
    if one is two:
        return True
    if one.dtype != two.dtype or one.shape != two.shape:
        return False
    if one.dtype.kind == "O":
        return bool(np.array_equal(one, two))
    first, second = (np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in (one, two))
    return bool(np.array_equal(first, second))


def _written(stored: StoredArray, layout: GroupLayout, folder: Path) -> Iterator[bytes]:
    """Write the files of an array, and give the content of each."""
    spec, values = stored.spec, stored.values
    if not values.ndim:
        encoded = iter([encode_chunk(values.reshape(1), spec.dtype, 1, layout.level)])
    else:
        encoded = layout.codec(spec, len(values)).encode(values)
    for number, content in enumerate(encoded):
        file = folder / file_of(spec, number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        yield content


def _linked(source: Path, folder: Path, spec: ArraySpec) -> Iterator[bytes]:
    """Link the files of an array of the mesh before, and give the content of each."""
    number = 0
    while (file := source / file_of(spec, number)).exists():
        target = folder / file_of(spec, number)
        target.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(file, target)
        yield file.read_bytes()
        number += 1
        if not spec.dims:
            return


def file_of(spec: ArraySpec, number: int) -> str:
    """Name of a file of an array, in the group of its mesh."""
    return chunk_key(spec, number) if spec.dims else f"{spec.name}/c"


def _node(stored: StoredArray, layout: GroupLayout) -> dict[str, Any]:
    spec, n_rows = stored.spec, len(stored.values) if stored.values.ndim else 1
    if stored.values.ndim:
        return sharded_array(spec, n_rows, layout.codec(spec, n_rows))
    node = table_array(spec, 1) | {"shape": [], "dimension_names": []}
    node["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": []}}
    node["codecs"][-1]["configuration"]["level"] = layout.level
    return node
