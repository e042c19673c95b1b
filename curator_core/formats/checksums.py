"""Checksums of files, a piece at a time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

_PIECE: Final = 4 << 20


def file_checksum(path: str | Path) -> str:
    """Checksum of the content of a file."""
    digest = hashlib.blake2b(digest_size=16)
    add_content(digest, path)
    return digest.hexdigest()


def add_content(digest: hashlib.blake2b, path: str | Path) -> None:
    """Hash the content of a file, after what was hashed before."""
    with Path(path).open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
