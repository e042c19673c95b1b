"""What an error says of a file that cannot be written: which one, why, and what to do; a full disk first of all."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from curator_core.errors import CuratorError, OutputError

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota of disk space is used up"}
_PROBE_FILES, _PROBE_BYTES = 4, 1 << 16
"""More than SQLite needs beside a database: it gives no reason for a failure, and may have given room back since."""
_VAGUE = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}

ADVICE = "Make room there and do it again."
"""What to do about a full disk."""


def is_full(error: OSError) -> bool:
    """Whether something could not be written for want of room."""
    return error.errno in _FULL


def reason(error: OSError) -> str:
    """Why a file could not be written, without its name."""
    if isinstance(error, OutputError):
        return error.reason
    said = error.strerror or str(error)
    full = _FULL.get(error.errno or 0)
    return said if full is None else f"{full} ({said})"


def output_error(path: str | os.PathLike[str], error: OSError) -> OutputError:
    """The error that names a file that could not be written."""
    why, place = reason(error), os.fspath(path)
    what = ADVICE if is_full(error) else "See that you may write there, or choose another place."
    return OutputError(f"{place} cannot be written: {why}. {what}", file=place, reason=why)


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Within, `path` is written.

    Raises
    ------
    OutputError
        It cannot be. Libraries and writes to an open file do not name it themselves.
    """
    try:
        yield
    except CuratorError:
        raise
    except OSError as exc:
        raise output_error(path, exc) from exc


def append_whole(file: io.FileIO, content: bytes) -> None:
    """Append all of `content` to an unbuffered file, or nothing: a full disk takes a part of it first.

    Raises
    ------
    OutputError
        It cannot be written. What is appended later begins where this should have begun.
    """
    n_written = 0
    with writing(str(file.name)):
        try:
            while n_written < len(content):
                n_written += file.write(content[n_written:] if n_written else content)
        except OSError:
            start = file.tell() - n_written
            file.truncate(start)
            file.seek(start)
            raise


@contextlib.contextmanager
def room_for(path: str | os.PathLike[str]) -> Iterator[None]:
    """Within, a component writes `path` for an item; a full disk is an error of that name, other errors are its own.

    Raises
    ------
    OutputError
        The disk is full.
    """
    try:
        yield
    except CuratorError:
        raise
    except OSError as exc:
        if is_full(exc):
            raise output_error(path, exc) from exc
        raise


def lack_of_room(error: sqlite3.Error, path: str | os.PathLike[str]) -> str | None:
    """That a database failed for want of room, in words; ``None`` where that is not the reason.

    SQLite itself reports a full disk only where it writes pages; elsewhere, the disk is asked.
    """
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return f"{_FULL[errno.ENOSPC]} ({error})"
    return _shortage(Path(path).absolute().parent) if primary in _VAGUE else None


def _shortage(folder: Path) -> str | None:
    """Why no file can grow in a folder; ``None`` where one can, or where that has another reason."""
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(_PROBE_FILES):
                file = stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0))
                left = _PROBE_BYTES
                while left:
                    left -= file.write(bytes(left))
    except OSError as exc:
        return reason(exc) if is_full(exc) else None
    return None


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, unless it is there.

    Raises
    ------
    OutputError
        It cannot be made.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
