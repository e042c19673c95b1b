"""Folders that mirror versions of repositories and Delta tables here: a file is fetched when it is first read.

All mirrors together are kept to a size. A mirror that is read, which a lock on a file in it says, stays, and loses the
files of its data alone, which are fetched again when they are read again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
import weakref
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from curator_core.errors import ComponentError, ConfigError, DatasetExpiredError
from curator_core.storage import atomic
from curator_core.storage.downloads import DEFAULT_LIMIT, account, accounted, parsed_size
from curator_core.storage.locks import brief_lock
from curator_core.storage.objects.delta.location import DeltaLocation
from curator_core.storage.objects.failures import explained
from curator_core.storage.objects.keys import chunk_array
from curator_core.storage.objects.location import IcechunkLocation
from curator_core.storage.objects.versioned import VersionedLocation, VersionObjects
from curator_core.storage.places import cache_directory, url_scheme

_LIMIT = "CURATOR_MIRROR_CACHE_SIZE"
_ABOUT: Final = ".curator-mirror.json"
_TABLES: Final = ("items/", "segments/", "slots/", "checksums/", "index/")
"""Groups that are read whole, and small."""
_ONE_BY_ONE: Final = "meshes/"
"""Group of many, of which few are read; what one of them says of itself is fetched with it."""
_ROWS: Final = re.compile(r"(?:[^/]+/)*\d{8}-[0-9a-f]{32}\.parquet")
"""Files of the rows of tables, also in folders of partitions, and those of the order of their rows."""
_SIZES: Final = ".curator-sizes.json"
_READERS: Final = ".curator-readers"
"""Locked by all who read the mirror; also says when somebody began to."""
_USAGE: Final = "usage"
"""Holds the bytes of all mirrors; locked by whoever counts."""
_KEPT_SHARE: Final = 0.9
"""How much of the limit is left when room is made, so that not every file looks through the mirrors."""
_OPENING_S: Final = 30.0
"""How long who was given a mirror may take to open it."""
_ABANDONED_S: Final = 3600.0
"""After this time, whoever makes a mirror was killed."""


def versioned_location(path: str) -> VersionedLocation[Any] | None:
    """The repository or Delta table that a path or URL names; ``None`` where it names none."""
    kinds: tuple[type[VersionedLocation[Any]], ...] = (IcechunkLocation, DeltaLocation)
    return next((kind(path) for kind in kinds if kind.is_meant(path)), None)


def readable_folder(path: str | os.PathLike[str]) -> Path:
    """The local folder in which a published dataset is read: itself, or the mirror of a version in another place.

    Parameters
    ----------
    path
        A folder, or a repository or Delta table; of these, the newest version, or the one that is named after ``#``.

    Raises
    ------
    ComponentError
        There is no such repository.
    ConfigError
        The size that mirrors are kept to is none, or a URL names something else than a repository.
    DatasetExpiredError
        There is no such version any more.
    ObjectStoreError
        It cannot be reached.
    """
    text = os.fspath(path)
    location = versioned_location(text)
    if location is None:
        if url_scheme(text):
            name = text.partition("?")[0].rstrip("/").rpartition("/")[2].rpartition("@")[2]  # no credentials
            raise ConfigError(
                f"A URL that ends in {name!r} names no dataset: those end in .icechunk or .delta, and begin with two "
                "slashes, of which a Path loses one. Give it as a text."
            )
        return Path(text)
    found = location.snapshot()
    if found is None:
        raise ComponentError(f"There is no dataset at {text}: nothing was published there.", file=text)
    folder: Path = _mirrors() / hashlib.sha256(location.place.encode()).hexdigest()[:16] / found.id
    if not folder.is_dir():
        _make(folder, location.place, found)
    return folder


def _mirrors() -> Path:
    """Where versions of repositories are mirrored."""
    return cache_directory() / "mirrors"


def _limit() -> int:
    given = os.environ.get(_LIMIT)
    return parsed_size(given, _LIMIT) if given else DEFAULT_LIMIT


def _make(folder: Path, place: str, found: VersionObjects) -> None:
    """Mirror a version; all of its files but those that are fetched when they are read."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = atomic.temporary_sibling(folder)
    try:
        with explained(place):
            sizes = found.objects()
            listed = json.dumps(sizes).encode()
            names = [name for name in sizes if not _is_data(name)]
            _reserve(len(listed) + sum(sizes[name] for name in names))
            for name in names:
                _write(staged / name, found.read(name))
        _write(staged / _ABOUT, json.dumps([place, found.id, found.info.version]).encode())
        _write(staged / _SIZES, listed)
        _write(staged / _READERS, b"")
        try:
            staged.replace(folder)
        except OSError:  # another process mirrored it meanwhile
            if not folder.is_dir():
                raise
    finally:
        atomic.remove(staged)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _is_data(name: str) -> bool:
    """Whether a file is fetched when it is read, and can be again."""
    if name.startswith(_ONE_BY_ONE) or _ROWS.fullmatch(name):
        return True
    found = chunk_array(name)
    return found is not None and not found[0].startswith(_TABLES)


def _reserve(n_bytes: int) -> None:
    """Count bytes that are written next, and make room for them."""
    with brief_lock(_mirrors() / _USAGE) as accounts:
        used, limit = accounted(accounts), _limit()
        if used is None or used + n_bytes > limit:
            used = _make_room(max(int(limit * _KEPT_SHARE) - n_bytes, 0))
        account(accounts, used + n_bytes)


def _make_room(wanted: int) -> int:
    """Remove what was used longest ago, until as much is left as is wanted; the bytes that are left.

    At first mirrors that nobody reads, then files of the others.
    """
    mirrors = sorted(filter(Path.is_dir, _mirrors().glob("*/*")), key=_last_used)
    sizes = {folder: sum(found.st_size for _, found in _files(folder)) for folder in mirrors}
    for folder in mirrors:
        if sum(sizes.values()) > wanted and _removed(folder):
            del sizes[folder]
    used = sum(sizes.values())
    data = [
        file
        for folder in sizes
        if used > wanted
        for file in _files(folder)
        if _is_data(str(file[0].relative_to(folder)))
    ]
    for path, found in sorted(data, key=lambda file: max(file[1].st_atime, file[1].st_mtime)):
        if used <= wanted:
            break
        path.unlink(missing_ok=True)  # who has it open reads on
        used -= found.st_size
    return used


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                yield Path(place, name), Path(place, name).stat()


def _last_used(folder: Path) -> float:
    marks = (folder / _READERS, folder / _ABOUT, folder)  # former mirrors, and unfinished ones, have not all of them
    return next((mark.stat().st_mtime for mark in marks if mark.exists()), 0.0)


def _removed(folder: Path) -> bool:
    """Remove a mirror, unless it is read, or being made."""
    is_made = not folder.name.startswith(".")
    if time.time() - _last_used(folder) < (_OPENING_S if is_made else _ABANDONED_S):
        return False
    if not is_made:
        atomic.remove(folder)
        return True
    descriptor = os.open(folder / _READERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        aside = atomic.temporary_sibling(folder)
        folder.replace(aside)
        atomic.remove(aside)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


class Mirror:
    """What a folder that is a mirror does not hold yet.

    The mirror stays as long as this object lives.

    Parameters
    ----------
    folder
        The folder.
    place, snapshot
        The repository, and the snapshot of it.
    version
        The version of the dataset, where it is known.
    """

    def __init__(self, folder: Path, place: str, snapshot: str, version: str = "") -> None:
        self._folder = folder
        self.origin = f"{place}#{snapshot}"
        """What it is a mirror of."""
        named = (versioned_location(f"{place}#{name}") for name in (snapshot, version) if name)
        self._locations = [location for location in named if location is not None]
        descriptor = os.open(folder / _READERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        weakref.finalize(self, os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        os.utime(descriptor)

    @classmethod
    def at(cls, folder: Path) -> Mirror | None:
        """The mirror at a folder; ``None`` where the folder is the dataset itself."""
        try:
            about = json.loads((folder / _ABOUT).read_bytes())
        except OSError:  # what cannot be read is told by who reads the dataset
            return None
        return cls(folder, *about)

    @cached_property
    def _sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = json.loads((self._folder / _SIZES).read_bytes())
        return sizes

    def holds(self, name: str) -> bool:
        """Whether the dataset has a file, fetched or not."""
        return name in self._sizes

    def size(self, name: str) -> int:
        """Size of a file in bytes, whether it was fetched or not.

        Raises
        ------
        FileNotFoundError
            The dataset has no such file.
        """
        if name not in self._sizes:
            raise FileNotFoundError(name)
        return self._sizes[name]

    def fetch(self, name: str) -> None:
        """Put a file into the folder.

        Raises
        ------
        DatasetExpiredError
            The version is not kept any more.
        FileNotFoundError
            The dataset has no such file.
        """
        try:
            content = self._locations[0].read(name)
        except DatasetExpiredError:
            if len(self._locations) == 1:
                raise
            del self._locations[0]
            content = self._locations[0].read(name)  # the version was published again since
        _reserve(len(content))
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.published(path) as staged:
            staged.write_bytes(content)
