"""Local copies of remote files, in a folder of limited size that several processes share.

An entry is a folder, named by a hash of URL and identity; so no key leads out of the cache, and another version of an
object is another entry. It holds the copy, which appears whole, the lock of whoever downloads it, and a file that its
readers lock together: it is not removed meanwhile.
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
from curator_core.storage.atomic import temporary_sibling
from curator_core.storage.disk import writing
from curator_core.storage.locks import brief_lock, exclusive_lock
from curator_core.storage.places import cache_directory, check_folder, local_place
from curator_core.storage.private import make_private_folder

logger = logging.getLogger("curator.downloads")

DEFAULT_LIMIT = 10 * 2**30
"""Bytes that are kept, unless the user says otherwise."""
_KEPT_SHARE = 0.9
"""How much of the limit is left when room is made, so that not every download looks through the cache."""
_LOCK = "lock"
_READERS = "readers"
"""Locked by all who read the copy beside it; also says when it was last used."""
_USAGE = "usage"
"""Holds the bytes in the cache; locked by whoever counts."""
_DIGITS = 20
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

    def check(self) -> None:
        """Raise `ConfigError` where the folder cannot be written to, nor be made."""
        check_folder(self._folder, "the download cache")

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
            with brief_lock(self._folder / _USAGE) as accounts:
                if self._used(accounts) > self._limit:
                    self._make_room(accounts, 0)

    def _path(self, file: RemoteFile) -> Path:
        digest = hashlib.sha256(f"{file.identity}\0{file.url}".encode(errors="surrogatepass")).hexdigest()[:32]
        return self._folder / digest / _safe_name(file.url)

    def _download(self, path: Path, file: RemoteFile, fetch: Callable[[BinaryIO], None]) -> int:
        """Descriptor of the readers' lock of a new copy."""
        path.unlink(missing_ok=True)  # of another size: damaged
        for left in path.parent.glob(".*"):
            left.unlink()
        if file.size > self._limit:
            text = "%s has %s bytes, and the download cache keeps %s: it is removed after reading, and downloaded anew"
            logger.warning(text, file.url, f"{file.size:,}", f"{self._limit:,}")
        temporary = temporary_sibling(path)
        with writing(path):
            self._reserve(temporary, file.size)
            try:
                with temporary.open("r+b") as stream:
                    fetch(stream)
                    stream.flush()
                    os.fsync(stream.fileno())  # or its size alone may outlast a crash of the machine
                temporary.chmod(stat.S_IRUSR)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                with brief_lock(self._folder / _USAGE) as accounts:
                    account(accounts, self._used(accounts) - file.size)
                raise
            return _readers(path, os.O_CREAT)

    def _reserve(self, temporary: Path, size: int) -> None:
        """Make a file that counts in full at once, so that downloads at the same time keep the limit together."""
        with brief_lock(self._folder / _USAGE) as accounts:
            if self._used(accounts) + size > self._limit:
                self._make_room(accounts, size)
            account(accounts, self._used(accounts) + size)
            temporary.touch(0o600, exist_ok=False)
            os.truncate(temporary, size)

    def _used(self, accounts: int) -> int:
        """Bytes in the cache, at least; counted anew where that is not known."""
        found = accounted(accounts)
        return sum(size for _, size in self._entries().values()) if found is None else found

    def _make_room(self, accounts: int, size: int) -> None:
        """Remove what was not used for longest, as far as it is too much with `size` more bytes."""
        entries = self._entries()
        used, wanted = sum(n for _, n in entries.values()), max(int(self._limit * _KEPT_SHARE) - size, 0)
        for entry, (_, n_bytes) in sorted(entries.items(), key=lambda item: item[1][0]):
            if used <= wanted:
                break
            if _removed(entry):
                used -= n_bytes
        account(accounts, used)

    def _entries(self) -> dict[Path, tuple[int, int]]:
        """Time of the last use and bytes of every entry."""
        found = {}
        for place in os.scandir(self._folder):
            if place.is_dir(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
                    files = {file.name: file.stat(follow_symlinks=False) for file in os.scandir(place.path)}
                    used = files.pop(_READERS, None) or place.stat(follow_symlinks=False)
                    files.pop(_LOCK, None)
                    found[Path(place.path)] = (used.st_mtime_ns, sum(file.st_size for file in files.values()))
        return found


def accounted(accounts: int) -> int | None:
    """Bytes that a file says there are, given its descriptor; ``None`` where it says nothing."""
    try:
        return int(os.pread(accounts, _DIGITS, 0))
    except ValueError:
        return None


def account(accounts: int, n_bytes: int) -> None:
    """Write into a file how many bytes there are."""
    os.pwrite(accounts, b"%*d" % (_DIGITS, max(n_bytes, 0)), 0)


def _safe_name(url: str) -> str:
    """Name of a copy, with the file's suffix: readers may go by it."""
    name = re.sub(r"[^\w.+=-]", "_", url.rstrip("/").rpartition("/")[2], flags=re.ASCII)[-_MAX_NAME:]
    return f"_{name}" if not name or name.startswith(".") or name in (_LOCK, _READERS) else name


def _readers(path: Path, flags: int = 0) -> int:
    """Descriptor of the readers' lock of a copy, held together with others."""
    descriptor = os.open(path.with_name(_READERS), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _pinned(path: Path, size: int) -> int | None:
    """Descriptor of the readers' lock of a whole copy; ``None`` where there is none."""
    try:
        descriptor = _readers(path)
    except FileNotFoundError:
        return None
    try:
        found = path.lstat()
        if os.fstat(descriptor).st_nlink and found.st_size == size and stat.S_ISREG(found.st_mode):
            os.utime(descriptor)
            return descriptor
    except FileNotFoundError:
        pass
    _unpin(descriptor)
    return None


def _unpin(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked process may have a copy of the descriptor
    os.close(descriptor)


def _removed(entry: Path) -> bool:
    """Remove an entry, unless it is being downloaded or read."""
    try:
        with exclusive_lock(entry / _LOCK, timeout_s=0, holder="making room"), _without_readers(entry):
            for file in sorted(entry.iterdir(), key=lambda file: file.name in (_LOCK, _READERS)):  # the copy first
                file.unlink()
    except (StoreBusyError, BlockingIOError):
        return False
    with contextlib.suppress(OSError):  # somebody downloads it anew
        entry.rmdir()
    return True


@contextlib.contextmanager
def _without_readers(entry: Path) -> Iterator[None]:
    """Within, nobody reads the copy of an entry; `BlockingIOError` where somebody does."""
    descriptor = os.open(entry / _READERS, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        _unpin(descriptor)


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
