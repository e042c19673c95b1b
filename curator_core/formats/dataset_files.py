"""Files of a dataset: looked up in the folder that was opened, whatever takes its name, and kept open within bounds."""

from __future__ import annotations

import errno
import json
import os
import struct
import threading
from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from curator_core.errors import ComponentError, MissingDependencyError, ObjectStoreError
from curator_core.formats.arrays import CACHE_BYTES
from curator_core.storage.objects.mirror import Mirror

try:
    import google_crc32c
except ImportError as exc:
    raise MissingDependencyError.of("google-crc32c", "zarr", "Reading Zarr datasets") from exc

V = TypeVar("V")

MAX_FILES: Final = 128
"""Files that a reader keeps open: a process may have 1024 in all, of several datasets."""
_DEAR_PART = 4
_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)
_ZARR_FORMAT = 3
_EXTENT_BYTES = 16
_CHECKSUM_BYTES = 4
_UNDESCRIBED = (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What reading damaged metadata can raise."""


class BoundedCache(Generic[V]):
    """Keeps what was added last, up to a size; any thread may ask, and a forked process goes on with what there was."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._begin({})

    def _begin(self, held: dict[Hashable, tuple[V, int]]) -> None:
        self._held = held
        self._size = sum(size for _, size in held.values())
        self._lock = threading.Lock()
        self._process = os.getpid()

    def get(self, key: Hashable) -> V | None:
        """What was added under a key, if it is still there."""
        found = self._held.get(key)
        return None if found is None else found[0]

    def add(self, key: Hashable, value: V, size: int = 1) -> None:
        """Keep something, and drop what was added first where there is too much."""
        if self._process != os.getpid():
            self._begin(dict(self._held))  # a thread of the parent may have held the lock
        with self._lock:
            self._size += size - self._held.pop(key, (None, 0))[1]
            self._held[key] = value, size
            while self._size > self._limit and len(self._held) > 1:
                self._size -= self._held.pop(next(iter(self._held)))[1]

    def clear(self) -> None:
        """Drop everything."""
        self._begin({})


class Descriptor:
    """An open file or folder, closed when nobody has it any more: never under a thread that reads from it."""

    __slots__ = ("_close", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        """The operating system's."""
        self._close = os.close  # at the interpreter's end, modules may be gone

    def __del__(self) -> None:
        self._close(self.number)


class ShardFile(Descriptor):
    """An open file with chunks, and where each lies in it."""

    __slots__ = ("extents",)

    extents: list[int]
    """Offset and length of each chunk, one after the other."""

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file; fewer where it ends before."""
        return os.pread(self.number, length, offset)


class DatasetFiles:
    """The folder of one dataset.

    Files are looked up in the folder that was there when it was opened: one that takes its name later is another one.

    Parameters
    ----------
    path
        The folder.
    require_same
        Raises an error when another dataset has taken the folder's name; asked when a file is not as it should be.
    cache_bytes
        Bytes of decoded chunks that are kept.
    max_files
        Files that are kept open.

    Raises
    ------
    ComponentError
        There is no Zarr group, or its metadata are damaged.
    """

    def __init__(
        self,
        path: Path,
        *,
        require_same: Callable[[], None] = lambda: None,
        cache_bytes: int = CACHE_BYTES,
        max_files: int = MAX_FILES,
    ) -> None:
        self.path = path
        self.chunks: BoundedCache[Any] = BoundedCache(cache_bytes - cache_bytes // _DEAR_PART)
        """Decoded chunks by array and number."""
        self.dear_chunks: BoundedCache[Any] = BoundedCache(cache_bytes // _DEAR_PART)
        """Those of integers and texts: few bytes, of which each takes ten times as long to decode as one of others."""
        self._require_same = require_same
        self.shards: BoundedCache[ShardFile] = BoundedCache(max_files)
        """Open files by array and number."""
        self._mirror = Mirror.at(path)
        try:
            self._folder = Descriptor(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            self._root = self._described("")
            if self._root["node_type"] != "group":
                raise ValueError(f"it is an {self._root['node_type']!r:.60}")
            self.attributes: dict[str, Any] = dict(self._root.get("attributes", {}))
        except _UNDESCRIBED as exc:
            raise ComponentError(f"There is no Zarr group at {path}: {_reason(exc)}", file=str(path)) from exc

    def _described(self, name: str) -> Mapping[str, Any]:
        """Metadata of the group, or of an array in it."""
        file = os.open(f"{name}/zarr.json".lstrip("/"), os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder.number)
        with os.fdopen(file, "rb") as opened:
            found = json.loads(opened.read())
        if not isinstance(found, dict) or found.get("zarr_format") != _ZARR_FORMAT:
            raise ValueError("its zarr.json describes no group or array of Zarr format 3")
        return found

    @cached_property
    def _consolidated(self) -> Mapping[str, Any]:
        found = self._root.get("consolidated_metadata") or {}
        return found.get("metadata", {}) if isinstance(found, dict) else {}

    def described(self, name: str) -> Mapping[str, Any]:
        """Metadata of an array.

        Raises
        ------
        ComponentError
            They are missing or damaged.
        """
        try:
            found = self._consolidated[name] if name in self._consolidated else self._described(name)
            if found["node_type"] != "array":
                raise ValueError(f"it is a {found['node_type']!r:.60}")
        except FileNotFoundError as exc:
            raise self.damaged(f"it has no array {name!r}") from exc
        except _UNDESCRIBED as exc:
            raise self.damaged(f"its array {name!r} cannot be read: {_reason(exc)}") from exc
        return found

    def opened(self, file: str, n_chunks: int | None) -> ShardFile:
        """Open a file of an array.

        Parameters
        ----------
        file
            Its path in the folder.
        n_chunks
            Number of chunks in its index; ``None`` where it is one chunk, without an index.

        Raises
        ------
        ComponentError
            It is missing, empty, too short for its index, or its index is damaged.
        """
        try:
            opened = ShardFile(self._open(file))
            size = os.fstat(opened.number).st_size
            if not size:
                raise self.damaged_file(file, "is empty")
            if n_chunks is None:
                opened.extents = [0, size]
                return opened
            n_bytes = _EXTENT_BYTES * n_chunks + _CHECKSUM_BYTES
            index = os.pread(opened.number, n_bytes, size - n_bytes) if size >= n_bytes else b""
        except ObjectStoreError:  # no damage
            raise
        except OSError as exc:
            raise self._unreadable(file, exc) from exc
        if len(index) < n_bytes:
            raise self.damaged_file(file, f"has {size} bytes, fewer than the index of its {n_chunks} chunks")
        if google_crc32c.value(index[:-_CHECKSUM_BYTES]) != int.from_bytes(index[-_CHECKSUM_BYTES:], "little"):
            raise self.damaged_file(file, "has an index that was changed or cut off")
        opened.extents = list(struct.unpack_from(f"<{2 * n_chunks}Q", index))
        return opened

    def require(self, file: str) -> None:
        """Make sure that a file is there, and not empty.

        Raises
        ------
        ComponentError
            It is not.
        """
        try:
            size = self._size(file)
        except ObjectStoreError:  # no damage
            raise
        except OSError as exc:
            raise self._unreadable(file, exc) from exc
        if not size:
            raise self.damaged_file(file, "is empty")

    def _size(self, file: str) -> int:
        try:
            return os.stat(file, dir_fd=self._folder.number).st_size
        except FileNotFoundError:
            if self._mirror is None:
                raise
            return self._mirror.size(file)

    def _open(self, file: str) -> int:
        try:
            return self._open_here(file)
        except FileNotFoundError:
            if self._mirror is None:
                raise
        self._mirror.fetch(file)
        return self._open_here(file)

    def _open_here(self, file: str) -> int:
        try:
            return os.open(file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder.number)
        except OSError as exc:
            if exc.errno not in _OUT_OF_FILES:
                raise
        self.shards.clear()
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder.number)

    def _unreadable(self, file: str, error: OSError) -> ComponentError:
        is_gone = isinstance(error, FileNotFoundError)
        return self.damaged_file(file, "is missing" if is_gone else f"cannot be read: {error}")

    def damaged(self, what: str) -> ComponentError:
        """Build the error for a dataset that is damaged, unless it is another one by now, which is raised instead."""
        self._require_same()
        return ComponentError(f"The dataset {self.path} is damaged: {what}.", file=str(self.path))

    def damaged_file(self, file: str, what: str) -> ComponentError:
        """Build the error for one of its files."""
        self._require_same()
        path = self.path / file
        return ComponentError(f"The dataset is damaged: {path} {what}.", file=str(path))


def _reason(error: Exception) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error) or type(error).__name__
