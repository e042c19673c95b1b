"""Folders that mirror published versions of repositories on this machine: a file is fetched when it is first read."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cached_property
from pathlib import Path
from typing import Final

from curator_core.errors import ComponentError, DatasetExpiredError
from curator_core.storage import atomic
from curator_core.storage.objects.failures import explained
from curator_core.storage.objects.keys import chunk_array
from curator_core.storage.objects.location import IcechunkLocation
from curator_core.storage.objects.snapshots import Snapshot
from curator_core.storage.places import cache_directory

_ABOUT: Final = ".curator-mirror.json"
_TABLES: Final = ("items/", "segments/")
"""Groups that are read whole, and small."""
_SIZES: Final = ".curator-sizes.json"


def readable_folder(path: str | os.PathLike[str]) -> Path:
    """The local folder in which a published dataset is read: itself, or the mirror of a repository's version.

    Parameters
    ----------
    path
        A folder, or a repository; of one, the newest version, or the one that is named after ``#``.

    Raises
    ------
    ComponentError
        There is no such repository, or no such version.
    ObjectStoreError
        It cannot be reached.
    """
    text = os.fspath(path)
    if not IcechunkLocation.is_meant(text):
        return Path(text)
    location = IcechunkLocation(text)
    found = location.snapshot()
    if found is None:
        raise ComponentError(f"There is no dataset at {text}: nothing was published there.", file=text)
    folder = _mirrors(location.place) / found.id
    if not folder.is_dir():
        _make(folder, location.place, found)
    return folder


def _mirrors(place: str) -> Path:
    """Where the versions of a repository are mirrored."""
    return cache_directory() / "mirrors" / hashlib.sha256(place.encode()).hexdigest()[:16]


def _make(folder: Path, place: str, found: Snapshot) -> None:
    """Mirror a version; all of its files but the chunks of its data."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = atomic.temporary_sibling(folder)
    try:
        with explained(place):
            sizes = found.objects()
            for name in sizes:
                if chunk_array(name) is None or name.startswith(_TABLES):
                    _write(staged / name, found.read(name))
        _write(staged / _ABOUT, json.dumps([place, found.id, found.info.version]).encode())
        _write(staged / _SIZES, json.dumps(sizes).encode())
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


class Mirror:
    """What a folder that is a mirror does not hold yet.

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
        self._locations = [IcechunkLocation(f"{place}#{name}") for name in (snapshot, version) if name]

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
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.published(path) as staged:
            staged.write_bytes(content)
