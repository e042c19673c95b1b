"""Metadata of Zarr v3 groups and arrays, written as text, and arrays of one chunk grid without shards."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from curator_core.errors import ConfigError, MissingDependencyError
from curator_core.formats.arrays import TEXT, Array, ArraySpec, fill_value
from curator_core.formats.described import CHECKSUMS, METADATA, metadata_digest, tables_digest
from curator_core.formats.shard_files import DAMAGED, ShardCodec, decode_chunk, encode_chunk

if find_spec("zarr") is None:
    raise MissingDependencyError.of("zarr", "zarr", "Reading and writing Zarr datasets")

TABLE_ROWS: Final = 65_536
"""Rows of a chunk of an array that is no longer than a list of items."""
TABLE_LEVEL: Final = 1
UNREADABLE: Final = (*DAMAGED, OSError, RecursionError, AttributeError, ConfigError)
"""What reading the metadata or a table of a damaged dataset can raise."""


def sharded_array(spec: ArraySpec, n_rows: int, codec: ShardCodec) -> dict[str, Any]:
    """Metadata of an array whose files `ShardCodec` writes."""
    inner = (codec.chunk_rows, *spec.row_shape)
    sharding = {
        "chunk_shape": list(inner),
        "codecs": _chunk_codecs(spec.dtype, codec.level),
        "index_codecs": [_BYTES, {"name": "crc32c"}],
        "index_location": "end",
    }
    codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    return _array(spec, n_rows, (codec.shard_rows, *spec.row_shape), codecs)


def table_array(spec: ArraySpec, n_rows: int) -> dict[str, Any]:
    """Metadata of an array that `table_files` writes."""
    chunk = (_table_rows(n_rows), *spec.row_shape)
    return _array(spec, n_rows, chunk, _chunk_codecs(spec.dtype, TABLE_LEVEL))


def grid_array(
    dtype: str,
    dims: tuple[str, ...],
    shape: tuple[int, ...],
    *,
    cut: tuple[tuple[int, ...], tuple[int, ...]],
    level: int,
    fill: object,
    attributes: Mapping[str, Any],
) -> dict[str, Any]:
    """Metadata of an array that is cut along several axes.

    Parameters
    ----------
    dtype
        Name of a NumPy type, or `TEXT`.
    dims, shape
        Names and lengths of its axes.
    cut
        Shapes of a chunk, and of what a file holds.
    level
        Level of Zstandard.
    fill
        What stands where there is no value.
    attributes
        What is said of it.
    """
    sharding = {
        "chunk_shape": list(cut[0]),
        "codecs": _chunk_codecs(dtype, level),
        "index_codecs": [_BYTES, {"name": "crc32c"}],
        "index_location": "end",
    }
    codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    found = _array(ArraySpec("", dtype, dims, shape[1:], attributes), shape[0], cut[1], codecs)
    is_integer = dtype != TEXT and np.dtype(dtype).kind in "iu"
    return found | {"fill_value": fill} if is_integer else found


def table_files(spec: ArraySpec, values: Array) -> Iterator[tuple[str, bytes]]:
    """Key and content of each file of a short array."""
    rows = _table_rows(len(values))
    for number, start in enumerate(range(0, len(values), rows)):
        data = encode_chunk(values[start : start + rows], spec.dtype, rows, TABLE_LEVEL)
        yield chunk_key(spec, number), data


def read_table(spec: ArraySpec, n_rows: int, read: Callable[[str], bytes]) -> Array:
    """Values of an array that `table_files` wrote, given a function that reads a file by its key.

    Raises
    ------
    ValueError
        A file is damaged.
    """
    rows = _table_rows(n_rows)
    found: list[Array] = [np.empty((0, *spec.row_shape), object if spec.is_text else spec.dtype)]
    for number in range(-(-n_rows // rows)):
        key = chunk_key(spec, number)
        data = read(key)
        try:
            found.append(decode_chunk(data, spec.dtype, (rows, *spec.row_shape)))
        except DAMAGED as exc:
            raise ValueError(f"{key}: {exc}") from exc
    return np.concatenate(found)[:n_rows]


def _table_rows(n_rows: int) -> int:
    return max(1, min(n_rows, TABLE_ROWS))


def chunk_key(spec: ArraySpec, number: int) -> str:
    """Name of a file of an array, relative to its group."""
    return f"{spec.name}/c/{number}{'/0' * len(spec.row_shape)}"


_BYTES: Final = {"name": "bytes", "configuration": {"endian": "little"}}


def _chunk_codecs(dtype: str, level: int) -> list[dict[str, Any]]:
    compression = {"name": "zstd", "configuration": {"level": level, "checksum": False}}
    return [{"name": "vlen-utf8", "configuration": {}} if dtype == TEXT else _BYTES, compression]


def _array(spec: ArraySpec, n_rows: int, chunk: tuple[int, ...], codecs: list[dict[str, Any]]) -> dict[str, Any]:
    name, fill = _data_type(spec.dtype)
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [n_rows, *spec.row_shape],
        "data_type": name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": codecs,
        "attributes": dict(spec.attributes),
        "dimension_names": list(spec.dims),
        "storage_transformers": [],
    }


@lru_cache(maxsize=64)
def _data_type(dtype: str) -> tuple[Any, Any]:
    """Name of a type in metadata, and its fill value there."""
    if dtype == TEXT:
        return TEXT, ""
    from zarr.core.dtype import get_data_type_from_native_dtype

    native = np.dtype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of types for which Zarr has no specification yet; whoever names one means it
        found = get_data_type_from_native_dtype(native)
        fill = np.array(fill_value(dtype)).astype(native)[()]
        return found.to_json(zarr_format=3), found.to_json_scalar(fill, zarr_format=3)


def write_hierarchy(
    root: Path, attributes: Mapping[str, Any], arrays: Mapping[str, dict[str, Any]], *, tables: Iterable[str] = ()
) -> None:
    """Write the metadata of a group with all that is below, consolidated, so that one file says it all.

    Parameters
    ----------
    root
        Folder of the group.
    attributes
        What is said of it.
    arrays
        Metadata of the arrays by name, with slashes.
    tables
        Names of the arrays whose files are there and have no checksum yet.
    """
    nodes: dict[str, dict[str, Any]] = {}
    for name in sorted(arrays):
        for group in _groups_above(name):
            nodes.setdefault(group, {"zarr_format": 3, "node_type": "group", "attributes": {}})
        nodes[name] = arrays[name]
    for name, node in nodes.items():
        _write(root / name, node)
    # Consolidated metadata of sub-groups, too, are what zarr itself writes there.
    consolidated = {"kind": "inline", "must_understand": False, "metadata": dict(sorted(nodes.items()))}
    checksums = {name: tables_digest(_files(root, name)) for name in sorted(tables)}
    checksums[""] = metadata_digest(attributes, nodes)
    own = {"zarr_format": 3, "node_type": "group", "attributes": {**attributes, CHECKSUMS: checksums}}
    _write(root, own | {"consolidated_metadata": consolidated})


def _files(root: Path, name: str) -> dict[str, bytes]:
    chunks = root / name / "c"  # a file for a single value
    found = [chunks] if chunks.is_file() else (path for path in chunks.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def _groups_above(name: str) -> Iterator[str]:
    parts = name.split("/")
    for n in range(1, len(parts)):
        yield "/".join(parts[:n])


def _write(folder: Path, node: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / METADATA).write_text(json.dumps(node, ensure_ascii=False), encoding="utf-8")
