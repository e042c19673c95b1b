"""Formats of files that ASE reads: which one a file has, and how its bytes are read."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from ase.io.formats import UnknownFileTypeError, filetype, get_ioformat, ioformats, open_with_compression

from curator_core.errors import ConfigError

_LMDB: Final = (0xBEEFC0DE).to_bytes(4, "little")
_LMDB_AT: Final = 16
_HELD_BY_SERVERS: Final = ("postgresql", "mysql")


def require_format(name: str, where: str) -> None:
    """Raise `ConfigError` where ASE reads no format of that name."""
    if name in ioformats and name not in _HELD_BY_SERVERS and get_ioformat(name).can_read:
        return
    near = difflib.get_close_matches(name, [known for known in ioformats if known != name], n=3)
    meant = f" Is {' or '.join(map(repr, near))} meant?" if near else ""
    raise ConfigError(
        f"{where}: ASE reads no files of format {name!r}; 'ase info --formats' lists those it does.{meant}"
    )


def format_of(path: Path) -> str:
    """ASE's name of the format of a file, by its name and, where that does not say it, its first bytes.

    Raises
    ------
    ValueError
        ASE does not know it, or something else of curator reads it.
    """
    with path.open("rb") as file:
        start = file.read(_LMDB_AT + len(_LMDB))
    if not start:
        raise ValueError("it is empty")
    if start[_LMDB_AT:] == _LMDB or path.suffix == ".aselmdb":
        raise ValueError("it is an LMDB file; the source ase_lmdb reads those that are ASE databases")
    try:
        found = filetype(str(path))
        known = get_ioformat(found).can_read
    except UnknownFileTypeError:
        known = False
    if not known or found in _HELD_BY_SERVERS:
        raise ValueError("ASE does not recognise its format; give it with format=, or leave the file out with pattern=")
    return str(found)


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed where its name ends in ``.gz``, ``.bz2`` or ``.xz``."""
    with open_with_compression(str(path), "rb") as file:
        yield cast("BinaryIO", file)
