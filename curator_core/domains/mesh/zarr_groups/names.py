"""Names of groups and arrays for keys and fields of any name."""

from __future__ import annotations

import hashlib
from typing import Final

MESHES: Final = "meshes"
"""Group in which those of the meshes are."""
_ESCAPED: Final = frozenset('%/\\:*?"<>|@')
_MOST_BYTES: Final = 200
"""File systems have names of up to 255 bytes."""
_RESERVED: Final = ("", ".", "..", "zarr.json")
"""Names that are no node's."""


def escaped(name: str) -> str:
    """A name for a node of Zarr and a folder: other characters than those of names as ``%`` and their bytes.

    Different names give different ones; a long name ends with its hash.
    """
    text = "".join(map(_escaped_character, name))
    if name in _RESERVED or name.startswith("__"):
        text = f"%{ord(name[0]):02X}{text[1:]}" if name else "%"
    if len(text.encode()) <= _MOST_BYTES:
        return text
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{text.encode()[: _MOST_BYTES - 33].decode('utf-8', 'ignore')}%{digest}"


def _escaped_character(character: str) -> str:
    if character.isprintable() and character not in _ESCAPED:
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def mesh_name(key: str, number: int, n_meshes: int) -> str:
    """Name of the group of a mesh: the key of its item, with the number of the mesh where the item has several."""
    return f"{escaped(key)}@{number:06d}.zarr" if n_meshes > 1 else f"{escaped(key)}.zarr"
