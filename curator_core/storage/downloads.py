"""Local copies of remote files, in a folder of limited size that several processes share.

An entry is a folder, named by a hash of URL and identity; so no key leads out of the cache, and another version of an
object is another entry. It holds the copy, which appears whole, and the lock of whoever downloads it. A copy that is
being read is locked as well: it is not removed meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from curator_core.errors import ConfigError, StoreBusyError
from curator_core.storage.atomic import remove_leftovers, temporary_sibling
from curator_core.storage.disk import writing
from curator_core.storage.locks import exclusive_lock
from curator_core.storage.places import cache_directory, local_place
from curator_core.storage.private import make_private_folder

logger = logging.getLogger("curator.downloads")

DEFAULT_LIMIT = 10 * 2**30
"""Bytes that are kept, unless the user says otherwise."""
_KEPT_SHARE = 0.9
"""How much of the limit is left when room is made, so that not every download looks through the cache."""
_LOCK = "lock"
_USAGE = "usage"
_MAX_NAME = 120
_WAIT_S = float("inf")
"""Whoever holds a lock is downloading, which has time limits of its own."""
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:([kMGT])(i?)B?|B)?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One version of a remote file."""

    url: str
    """Where it is."""
    identity: str
    """What distinguishes this version of it from others, such as an ETag."""
    size: int
    """Bytes."""


class Downloads:
    """The copies in one folder.

    Parameters
    ----------
    folder
        Where they are; made when it is needed, for its owner alone.
    limit
        Bytes that are kept. What is being read comes on top of it, if need be.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit

    @contextlib.contextmanager
    def opened(self, file: RemoteFile, fetch: Callable[[BinaryIO], None]) -> Iterator[Path]:
        """Path of a copy, which stays there within.

        Parameters
        ----------
        file
            Which file.
        fetch
            Writes its content, where there is no copy. Processes that need the same file at once wait for one of them.

        Raises
        ------
        OutputError
            The disk is full, or may not be written.
        """
        make_private_folder(self._folder)
        path = self._path(file)
        descriptor = _pinned(path, file.size)
        while descriptor is None:
            with exclusive_lock(path.parent / _LOCK, timeout_s=_WAIT_S, holder="a download"):
                descriptor = _pinned(path, file.size)  # somebody else's by now
                if descriptor is None:
                    descriptor = self._download(path, file, fetch)
        try:
            yield path
        finally:
            _unpin(descriptor)
            if self._used() > self._limit:
                with self._accounts():
                    self._make_room(0)

    def _path(self, file: RemoteFile) -> Path:
        digest = hashlib.sha256(f"{file.identity}\0{file.url}".encode(errors="surrogatepass")).hexdigest()[:32]
        return self._folder / digest / _safe_name(file.url)

    def _download(self, path: Path, file: RemoteFile, fetch: Callable[[BinaryIO], None]) -> int:
        """Descriptor of a new copy, locked against removal."""
        path.unlink(missing_ok=True)  # of another size: damaged
        remove_leftovers(path)
        if file.size > self._limit:
            text = "%s has %s bytes, and the download cache keeps %s: it is removed after reading, and downloaded anew"
            logger.warning(text, file.url, f"{file.size:,}", f"{self._limit:,}")
        with writing(path):
            temporary = temporary_sibling(path)
            descriptor = self._reserved(temporary, file.size)
            try:
                with open(descriptor, "wb", closefd=False) as stream:
                    fetch(stream)
                os.fsync(descriptor)  # or its size alone may outlast a crash of the machine
                os.fchmod(descriptor, stat.S_IRUSR)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                _unpin(descriptor)
                with self._accounts():
                    self._account(self._used() - file.size)
                raise
        return descriptor

    def _reserved(self, temporary: Path, size: int) -> int:
        """A new file that counts in full at once, so that downloads at the same time keep the limit together."""
        with self._accounts():
            if self._used() + size > self._limit:
                self._make_room(size)
            self._account(self._used() + size)
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                os.truncate(descriptor, size)
            except BaseException:
                os.close(descriptor)
                temporary.unlink()
                raise
        return descriptor

    @contextlib.contextmanager
    def _accounts(self) -> Iterator[None]:
        with exclusive_lock(self._folder / _LOCK, timeout_s=_WAIT_S, holder="the download cache"):
            yield

    def _used(self) -> int:
        """Bytes in the cache, at least; counted anew where that is not known."""
        try:
            return int((self._folder / _USAGE).read_text())
        except (FileNotFoundError, ValueError):
            return sum(size for _, size in self._entries().values())

    def _account(self, n_bytes: int) -> None:
        (self._folder / _USAGE).write_text(str(max(n_bytes, 0)))

    def _make_room(self, size: int) -> None:
        """Remove what was not used for longest, as far as it is too much with `size` more bytes."""
        entries = self._entries()
        used, wanted = sum(n for _, n in entries.values()), max(int(self._limit * _KEPT_SHARE) - size, 0)
        for entry, (_, n_bytes) in sorted(entries.items(), key=lambda item: item[1][0]):
            if used <= wanted:
                break
            if _removed(entry):
                used -= n_bytes
        self._account(used)

    def _entries(self) -> dict[Path, tuple[int, int]]:
        """Time of the last use and bytes of every entry."""
        found = {}
        for place in os.scandir(self._folder):
            if place.is_dir(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
                    files = [file for file in os.scandir(place.path) if file.name != _LOCK]
                    n_bytes = sum(file.stat(follow_symlinks=False).st_size for file in files)
                    found[Path(place.path)] = (place.stat(follow_symlinks=False).st_mtime_ns, n_bytes)
        return found


def _safe_name(url: str) -> str:
    """Name of a copy, with the file's suffix: readers may go by it."""
    name = re.sub(r"[^\w.+=-]", "_", url.rstrip("/").rpartition("/")[2], flags=re.ASCII)[-_MAX_NAME:]
    return f"_{name}" if not name or name.startswith(".") or name in (_LOCK, _USAGE) else name


def _pinned(path: Path, size: int) -> int | None:
    """Descriptor of a whole copy, which nobody removes until it is unpinned; ``None`` where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        found = os.fstat(descriptor)
        if found.st_nlink and found.st_size == size and stat.S_ISREG(found.st_mode):
            os.utime(path.parent)
            return descriptor
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _unpin(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked process may have a copy of the descriptor
    os.close(descriptor)


def _removed(entry: Path) -> bool:
    """Remove an entry, unless it is being downloaded or read."""
    try:
        with exclusive_lock(entry / _LOCK, timeout_s=0, holder="making room"):
            gone = [_is_unlinked(file) for file in sorted(entry.iterdir()) if file.name != _LOCK]
            if not all(gone):
                return False
            (entry / _LOCK).unlink()
    except StoreBusyError:
        return False
    with contextlib.suppress(OSError):  # somebody downloads it anew
        entry.rmdir()
    return True


def _is_unlinked(file: Path) -> bool:
    """Remove a copy, or what a killed download left of one, unless it is being read; whether it is gone."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.unlink()
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def downloads(limit: str | int | None = None) -> Downloads:
    """The cache of this user.

    Parameters
    ----------
    limit
        Bytes that are kept, such as ``20 GB``; without it those of ``$CURATOR_DOWNLOAD_CACHE_SIZE``, else 10 GiB.

    Raises
    ------
    ConfigError
        A variable of the environment, or the limit, is wrong.
    """
    given = os.environ.get("CURATOR_DOWNLOAD_CACHE_SIZE")
    if limit is not None:
        n_bytes = parsed_size(limit, "cache_size")
    else:
        n_bytes = parsed_size(given, "CURATOR_DOWNLOAD_CACHE_SIZE") if given else DEFAULT_LIMIT
    place = os.environ.get("CURATOR_DOWNLOAD_CACHE_DIR")
    folder = local_place(place, "CURATOR_DOWNLOAD_CACHE_DIR", expand=True) if place else cache_directory() / "downloads"
    return Downloads(folder.absolute(), n_bytes)


def parsed_size(text: str | int, what: str) -> int:
    """Bytes of a size such as ``500 MB``, ``2GiB`` or a number.

    Raises
    ------
    ConfigError
        It is none; the message names `what`.
    """
    found = _SIZE.fullmatch(str(text))
    if found is None:
        raise ConfigError(f"{what}: {text!r} is no size: write a number of bytes, or '20 GB'.")
    number, prefix, binary = found.groups()
    power = "kmgt".index(prefix.lower()) + 1 if prefix else 0
    return int(float(number) * (1024 if binary else 1000) ** power)
