"""Files below a local folder."""

from __future__ import annotations

import fnmatch
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from curator_core.errors import ComponentError, EmptySourceError
from curator_core.sources.glob import is_plain
from curator_core.storage.disk import reason

logger = logging.getLogger("curator")

_MAX_TOLD = 3
"""Folders that a warning names."""


def local_files(root: Path, pattern: str, component: str) -> list[str]:
    """Files below a folder by path relative to it, of which the names match a pattern.

    Parameters
    ----------
    root
        The folder.
    pattern
        Glob pattern, as `pathlib.Path.rglob` takes it.
    component
        Who looks, for messages.

    Raises
    ------
    EmptySourceError
        There is no such folder.
    ComponentError
        One below it cannot be searched; those without permission are passed over with a warning.
    """
    if not root.is_dir():
        state = "is not a folder" if root.exists() else "does not exist"
        raise EmptySourceError(f"{component}: {str(root)!r} {state}; give the folder with {pattern!r}.")
    walked = list(_walked(root, component))
    if is_plain(pattern):
        top = os.path.join(root, "")  # noqa: PTH118 - for every file
        prefixes = [(os.path.join(folder, "").removeprefix(top), files) for folder, files in walked]  # noqa: PTH118
        return [prefix + name for prefix, files in prefixes for name in fnmatch.filter(files, pattern)]
    return [path.relative_to(root).as_posix() for path in root.rglob(pattern) if not path.is_dir()]


def stat_fingerprint(path: str | Path) -> str | None:
    """Size, modification time and inode of a file; ``None`` where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - for every file
    except OSError:
        return None
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"


def _walked(root: Path, component: str) -> Iterator[tuple[str, list[str]]]:
    """Names of files by folder; warns of folders without permission, and raises where one fails otherwise."""
    denied: list[str] = []

    def note(error: OSError) -> None:
        if isinstance(error, PermissionError):
            denied.append(str(error.filename))
        elif not isinstance(error, FileNotFoundError):  # it vanished, and its files with it
            text = f"{component}: {error.filename} cannot be searched: {reason(error)}"
            raise ComponentError(text, component=component, file=str(error.filename)) from error

    for folder, _, files in os.walk(root, onerror=note):
        yield folder, files
    if denied:
        text = "%s: %d folders may not be read, and what is in them is left out: %s"
        more = ", …" if len(denied) > _MAX_TOLD else ""
        logger.warning(text, component, len(denied), f"{', '.join(denied[:_MAX_TOLD])}{more}")
