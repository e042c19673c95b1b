"""Names of the files of a folder, and keys of the Zarr hierarchy that holds them in a repository."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

from curator_core.errors import MergeError

OTHERS: Final = "curator_files"
"""Group of the files that are no part of a Zarr hierarchy: each is an array of its bytes."""

_METADATA = re.compile(r"(?:(?P<node>.+)/)?zarr\.json")
_CHUNK = re.compile(r"(?:(?P<array>.+)/)?c(?P<coordinates>(?:/\d+)*)")
_OTHER = re.compile(rf"{OTHERS}/(?P<name>[^/]+)/(?:zarr\.json|c/0)")
_EMPTY_NAME = "%"


@dataclass(frozen=True, slots=True)
class Node:
    """What the metadata of a group or an array say of the keys below it."""

    n_dimensions: int | None
    """Of an array; ``None`` for a group."""
    grid: object
    """How an array is cut into chunks."""
    shape: tuple[int, ...] = ()
    """Of an array."""

    @classmethod
    def of(cls, metadata: bytes) -> Node | None:
        """The node that a ``zarr.json`` describes; ``None`` where that is none.

        Raises
        ------
        MergeError
            Its chunks have names that a repository would not find.
        """
        try:
            found: Any = json.loads(metadata)
            if found["zarr_format"] != 3:  # noqa: PLR2004 - the version
                return None
            if found["node_type"] == "group":
                return cls(None, None)
            shape, grid, naming = found["shape"], found["chunk_grid"], found["chunk_key_encoding"]
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        if naming["name"] != "default" or naming.get("configuration", {}).get("separator", "/") != "/":
            raise MergeError(f"An array with chunk keys of the kind {naming!r} cannot be published to a repository.")
        return cls(len(shape), grid, tuple(shape))


def metadata_node(key: str) -> str | None:
    """Path of the node whose metadata have a key, empty for the root; ``None`` where it is no metadata's."""
    found = _METADATA.fullmatch(key)
    return None if found is None else found["node"] or ""


def chunk_array(key: str) -> tuple[str, int] | None:
    """Path of the array of a chunk's key, and the number of coordinates; ``None`` where it is no chunk's."""
    found = _CHUNK.fullmatch(key)
    return None if found is None else (found["array"] or "", found["coordinates"].count("/"))


def coordinates(key: str) -> tuple[str, tuple[int, ...]]:
    """Path of the array of a chunk's key, and the chunk's place in its grid; of another key an array of no name."""
    found = _CHUNK.fullmatch(key)
    return ("", ()) if found is None else (found["array"] or "", tuple(map(int, found["coordinates"].split("/")[1:])))


def is_in_hierarchy(name: str, nodes: dict[str, Node]) -> bool:
    """Whether a file is the metadata or a chunk of one of these nodes."""
    path = metadata_node(name)
    if path is not None:
        return path in nodes
    chunk = chunk_array(name)
    return chunk is not None and chunk[0] in nodes and nodes[chunk[0]].n_dimensions == chunk[1]


def other_array(name: str) -> str:
    """Path of the array that holds a file of another kind."""
    return f"{OTHERS}/{quote(name, safe=' ').replace('.', '%2E') or _EMPTY_NAME}"


def other_name(key: str) -> str | None:
    """Name of the file of another kind that a key belongs to; ``None`` for a key of the hierarchy."""
    found = _OTHER.fullmatch(key)
    if found is None:
        return None
    return "" if found["name"] == _EMPTY_NAME else unquote(found["name"])


def is_hidden(key: str, *, root_is_implied: bool) -> bool:
    """Whether a key is none of the folder's own."""
    return key == f"{OTHERS}/zarr.json" or (root_is_implied and key == "zarr.json")


IMPLIED: Final = "curator_implied"
"""Attribute of a root group that the folder has not."""


def group_metadata(attributes: dict[str, object] | None = None) -> bytes:
    """Metadata of a group."""
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes or {}}).encode()


def bytes_metadata(size: int) -> bytes:
    """Metadata of an array of bytes in one chunk."""
    return json.dumps(
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [size],
            "data_type": "uint8",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [max(size, 1)]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [{"name": "bytes"}],
            "attributes": {},
        }
    ).encode()


def in_order(keys: Iterable[str]) -> list[str]:
    """Keys of metadata, each after those of the groups above it."""
    return sorted(keys, key=lambda key: (key.count("/"), key))
