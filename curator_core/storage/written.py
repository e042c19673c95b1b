"""Marks of files and folders: whether something is still what was written there, or was written over.

A record says "completed" and names files. Others may write over these: a run of another configuration, a run
that is killed before it records anything, another program. So every record keeps the mark of each file, taken
when the file was complete, and counts only while the file still has it.

Why that is right: the mark is a file's size and the time of its last change. Whoever writes to a file gives it
the time of that moment, and `await_tick` lets a run begin only when that time is another than all before it. A
program may set a file's time itself, as copies do that preserve it; such a file, whose time lies before its
item was begun, is marked by the time of its last change of any kind, which nobody can set.
"""

from __future__ import annotations

import os
import stat
import sys
import time
import zlib
from collections.abc import Iterator

_MAX_FILES = 1000
"""A folder that holds more files is marked by its own time alone: to look at each would take too long."""

_MASK = 0x7FFF_FFFF_FFFF_FFFF
"""An SQLite integer holds no more."""

if sys.platform.startswith("linux"):
    _CLOCK_REALTIME_COARSE = 5

    def file_clock_ns() -> int:
        """Time that a file gets which is written now, nanoseconds since the epoch."""
        return time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)

else:
    file_clock_ns = time.time_ns


def await_tick(since_ns: int) -> None:
    """Return when files that are written get another time than those that were written up to `since_ns`."""
    while file_clock_ns() == since_ns:
        time.sleep(0.0005)  # a clock tells nobody that it moves on


def written_mark(path: str, begun_ns: int) -> int | None:
    """Mark of the file or folder that is complete at `path`; ``None`` when there is nothing.

    Parameters
    ----------
    path
        The file or folder.
    begun_ns
        `file_clock_ns` before it was written.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - for every index
    except (OSError, ValueError):
        return None
    if stat.S_ISDIR(found.st_mode):
        by_content, by_any_change, oldest_ns = _folder_marks(path, found)
        return by_content if oldest_ns >= begun_ns else by_any_change
    return _by_content(found) if found.st_mtime_ns >= begun_ns else _by_any_change(found)


def has_mark(path: str, found: os.stat_result, mark: int) -> bool:
    """Whether what is at `path`, as `os.stat` found it, has a mark."""
    if stat.S_ISDIR(found.st_mode):
        return mark in _folder_marks(path, found)[:2]
    return mark == _by_content(found) or mark == _by_any_change(found)


def is_as_written(path: str, mark: int | None) -> bool:
    """Whether something is at `path` that has a mark; whether anything is, where the mark is not known."""
    try:
        found = os.stat(path)  # noqa: PTH116 - for every index
    except (OSError, ValueError):
        return False
    return mark is None or has_mark(path, found, mark)


# The products spread sizes and times over all bits.


def _by_content(found: os.stat_result) -> int:
    return (found.st_mtime_ns * 31 + found.st_size) & _MASK


def _by_any_change(found: os.stat_result) -> int:
    return (found.st_ctime_ns * 37 + found.st_size) & _MASK


def _folder_marks(path: str, found: os.stat_result) -> tuple[int, int, int]:
    """Both marks of a folder, made of all files below whatever their order, and the time of its oldest file."""
    by_content = by_any_change = 0
    oldest_ns = found.st_mtime_ns
    for number, (name, below) in enumerate(_files(path, "")):
        if number == _MAX_FILES:
            return (alone := _by_any_change(found)), alone, 0
        factor = 2 * zlib.crc32(name.encode(errors="surrogateescape")) + 1
        by_content ^= _by_content(below) * factor & _MASK
        by_any_change ^= _by_any_change(below) * factor & _MASK
        oldest_ns = min(oldest_ns, below.st_mtime_ns)
    return by_content, by_any_change, oldest_ns


def _files(folder: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(entry.path, f"{prefix}{entry.name}/")
                else:
                    yield prefix + entry.name, entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # removed meanwhile
                continue
