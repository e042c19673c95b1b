"""A reader that stays with the version of a dataset that it opened, wherever that lies by now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from curator_core.errors import ComponentError, DatasetExpiredError, DatasetReplacedError
from curator_core.formats.arrays import CACHE_BYTES
from curator_core.storage.kept import dataset_of, find_moved

_MAX_MOVES = 3
"""Publications during one read, after which it fails rather than begins again."""

R = TypeVar("R")


class VersionReader(Protocol):
    """Reads what lies in a folder, and raises `DatasetReplacedError` once that is another version."""

    def content_hash(self) -> str:
        """Hash of what differs between versions of the dataset."""


D = TypeVar("D", bound=VersionReader)


class Edition:
    """Which dataset lies in a folder, so that another one is noticed there; a published one is never written into.

    Parameters
    ----------
    path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = self._found()

    def _found(self) -> tuple[int, ...] | None:
        # A folder may get the number of one that was removed, but then its metadata are younger.
        try:
            folder, metadata = self._path.stat(), (self._path / "zarr.json").stat()
        except OSError:
            return None
        return folder.st_dev, folder.st_ino, metadata.st_ino, metadata.st_mtime_ns

    def require(self, samples: str) -> None:
        """Make sure that the folder still holds it; `samples` is what is read from there.

        Raises
        ------
        DatasetReplacedError
            Another version was published there meanwhile, or it was removed.
        """
        if self._found() != self._identity:
            raise DatasetReplacedError(
                f"The dataset {self._path} was replaced after it was opened: {samples} would be those of another "
                "version. Open it again.",
                file=str(self._path),
            )


class PinnedReader(Generic[D]):
    """Reads one version of a dataset: where it was opened, and once another is published there, where it is kept.

    Parameters
    ----------
    opened
        Opens the dataset in a folder, given the bytes of decoded chunks that are kept.
    path
        Folder of the version.
    cache_bytes
        Bytes of decoded chunks that are kept.
    content_hash
        Hash of the version's content, see `VersionReader`; that of what lies there by default.

    Raises
    ------
    ComponentError
        There is no such dataset, or it was written by a newer version of curator.
    DatasetExpiredError
        What lies there is another version, and the one that is meant is not kept any more.
    """

    def __init__(
        self,
        opened: Callable[[Path, int], D],
        path: Path,
        *,
        cache_bytes: int = CACHE_BYTES,
        content_hash: str | None = None,
    ) -> None:
        self._opened = opened
        self.path = path.absolute()
        self._cache_bytes = cache_bytes
        if content_hash is None:
            self.reader = opened(self.path, cache_bytes)
            self.content_hash = self.reader.content_hash()
        else:
            self.content_hash = content_hash
            self._follow()

    def read(self, read: Callable[[D], R]) -> R:
        """Read something of the version.

        Raises
        ------
        DatasetExpiredError
            It is not kept any more.
        ComponentError
            It is damaged.
        """
        for _ in range(_MAX_MOVES):
            try:
                return read(self.reader)
            except DatasetReplacedError:
                self._follow()
        return read(self.reader)

    def _follow(self) -> None:
        """Open the version where it lies now."""
        found: list[D] = []

        def is_same(place: Path) -> bool:
            try:
                reader = self._opened(place, self._cache_bytes)
                has_same = reader.content_hash() == self.content_hash
            except ComponentError:  # another version, which is damaged, or no dataset
                return False
            if has_same:
                found.append(reader)
            return has_same

        place = find_moved(self.path, is_same)
        if place is None:
            raise DatasetExpiredError(
                f"The dataset {dataset_of(self.path)} was replaced after it was opened, and the version that was "
                "opened is not kept any more. Open it again; `keep_versions` says how many versions are kept, and one "
                "with a tag always is.",
                file=str(self.path),
            )
        self.path, self.reader = place, found[0]
