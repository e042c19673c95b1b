"""Checksums of what a dataset says of itself: its metadata, and the short arrays beside those of its samples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

METADATA: Final = "zarr.json"
"""File with the metadata of an array or a group."""

CHECKSUMS: Final = "checksums"
"""Attribute of a dataset with the checksum of every short array, by name, and by the empty name of its metadata."""


def tables_digest(files: Mapping[str, bytes]) -> str:
    """Checksum of the files of a short array, by their names."""
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode())
        digest.update(files[name])
    return digest.hexdigest()


def metadata_digest(attributes: Mapping[str, Any], nodes: Mapping[str, Any]) -> str:
    """Checksum of the attributes of a dataset, without the checksums, and of the metadata of all that is in it."""
    own = {name: value for name, value in attributes.items() if name != CHECKSUMS}
    text = json.dumps(json.loads(json.dumps([own, dict(nodes)])), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def changed_descriptions(
    root: Mapping[str, Any], names: Iterable[str], read: Callable[[str], bytes]
) -> dict[str, list[str]]:
    """Short arrays whose files are not what was written, with these; by the empty name the metadata.

    Nothing of a dataset that was written without such checksums.

    Parameters
    ----------
    root
        Metadata of the dataset, with those of all that is in it.
    names
        Names of all its files.
    read
        Reads a file by its name.
    """
    attributes, nodes = root["attributes"], root["consolidated_metadata"]["metadata"]
    given = attributes.get(CHECKSUMS)
    if given is None:
        return {}
    files: dict[str, list[str]] = {name: [] for name in given if name}
    for name in names:
        owner = name.partition("/c/")[0].removesuffix("/c")
        if owner in files and name != owner:
            files[owner].append(name)
    edited = {} if given.get("") == metadata_digest(attributes, nodes) else {"": list[str]()}
    digests = {owner: tables_digest({name: read(name) for name in own}) for owner, own in files.items()}
    return edited | {owner: own for owner, own in files.items() if digests[owner] != given[owner]}
