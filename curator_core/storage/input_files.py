"""Which files of a folder are items, and by what key: shared by sources of files."""

from __future__ import annotations

import os
import stat
from functools import cache
from pathlib import Path, PurePosixPath

from curator_core.errors import ComponentError

_PARTIAL = (
    *(".part", ".partial", ".filepart", ".crdownload", ".download", ".opdownload", ".aria2", ".!qb", ".!ut"),
    *(".tmp", ".temp", ".swp", ".swo", ".lock", "-lock", "-journal", "-wal", "-shm", "~"),
)
_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


def is_unfinished(relative: str, pattern: str) -> bool:
    """Whether a file is hidden, an editor's backup, or what a download or a copy has not finished yet.

    Such a file is no item, unless the pattern asks for it: `.*.txt` for hidden files, `*.part` for those parts.

    Parameters
    ----------
    relative
        Its path relative to the folder that is searched, with slashes.
    pattern
        Glob pattern of the source.
    """
    takes_hidden, endings = _unwanted(pattern)
    if not takes_hidden and (relative.startswith(".") or "/." in relative):
        return True
    name = relative.rpartition("/")[2].lower()
    return name.endswith(endings) or (name.startswith("#") and name.endswith("#"))


@cache  # for every file
def _unwanted(pattern: str) -> tuple[bool, tuple[str, ...]]:
    """Whether a pattern asks for hidden files, and the endings that it does not ask for."""
    wanted = PurePosixPath(pattern).name.lower()
    return wanted.startswith("."), tuple(end for end in _PARTIAL if not wanted.endswith(end))


def text_key(relative: str) -> str:
    r"""A path as a key: bytes of a name that is no UTF-8 are written as ``\xe9``."""
    return relative if relative.isascii() else os.fsencode(relative).decode(errors="backslashreplace")


def require_regular(path: Path, *, component: str, key: str) -> None:
    """Raise `ComponentError` where opening a file would wait for ever, or read what is no file.

    A file that is not there is left to whoever opens it.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    for is_kind, kind in _KINDS:
        if is_kind(mode):
            raise ComponentError(
                f"{component}: {path}: is {kind}, not a file", component=component, key=key, file=str(path)
            )
