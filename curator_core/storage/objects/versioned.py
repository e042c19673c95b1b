"""Outputs that are folders of objects in one place of an object store, each publication a version."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from curator_core.errors import ConfigError, MergeError, ObjectStoreError
from curator_core.storage import atomic
from curator_core.storage.base import OutputLocation
from curator_core.storage.kept import ENDING, remove_staged
from curator_core.storage.local import LocalLocation
from curator_core.storage.objects.failures import explained
from curator_core.storage.objects.single import ObjectLocation, check_bucket, number_of
from curator_core.storage.objects.snapshots import VERSION, SnapshotInfo, is_version
from curator_core.storage.objects.stores import ObjectUrl, object_store
from curator_core.storage.objects.unfinished import Publications
from curator_core.storage.objects.upload import Kept, leave_kept, leave_version, staged_objects
from curator_core.storage.places import work_folder

FORMER = "former"
"""What a version's metadata call the one before it."""
NEW_BYTES = "new_bytes"
"""What they call the bytes that it does not share with that."""


class VersionObjects(Protocol):
    """A published version, as a folder of objects that never change."""

    info: SnapshotInfo
    """What is said of it."""

    @property
    def id(self) -> str:
        """Its name, which no other one at the place ever has."""
        ...

    def objects(self) -> dict[str, int]:
        """Size in bytes of each object by its name, in order."""
        ...

    def read(self, name: str) -> bytes:
        """Content of an object."""
        ...

    def key(self, name: str) -> str:
        """Where an object lies; an error where there is none."""
        ...


V = TypeVar("V", bound=VersionObjects)


class VersionedLocation(OutputLocation, Generic[V]):
    """A folder of objects of which each publication is one commit, and a version.

    A version stays as it is: who has it open reads the same rows until it expires. It is named after ``#``. What
    describes former versions that are kept lies in ``{name}.versions`` beside the place.
    """

    keeps_versions = True
    suffix: ClassVar[str]
    """What the names of such places end in."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._replaced: list[V | None] = []
        """The version, or none, that the one being staged takes the place of; the one that the path names."""

    @abstractmethod
    def _latest(self) -> V | None:
        """The newest version; ``None`` where nothing was published."""

    @abstractmethod
    def _named(self, name: str) -> V | None:
        """A version by its name; ``None`` where nothing was ever published, an error where it has expired."""

    @abstractmethod
    def _is_made(self) -> bool:
        """Whether curator has put something there."""

    @abstractmethod
    def _publish(self, staged: Path, before: V | None, former: str, about: dict[str, Any]) -> None:
        """Publish what is staged in place of the version before, which is kept where it has a name."""

    @abstractmethod
    def _expire(self, version: str) -> None:
        """Keep a version no longer that is kept."""

    @abstractmethod
    def _free(self, before: datetime) -> None:
        """Delete what no version needs, and was written before a moment."""

    @abstractmethod
    def _removed_last(self, name: str) -> bool:
        """Whether an object goes after those that say what is there."""

    @classmethod
    def is_meant(cls, path: str) -> bool:
        """Whether a path or URL names such a place, or a version in one."""
        return cls._matched(path) is not None

    @classmethod
    def _matched(cls, path: str) -> re.Match[str] | None:
        return re.fullmatch(rf"(.+{re.escape(cls.suffix)})(?:#([\w.-]+))?", path.rstrip("/"))

    @property
    def place(self) -> str:
        """Where all versions are."""
        return self._parts[0]

    @property
    def _parts(self) -> tuple[str, str]:
        found = self._matched(self.path)
        return (self.path, "") if found is None else (found[1], found[2] or "")

    @property
    def work_path(self) -> Path:
        place, version = self._parts
        if self._is_local:
            path = Path(place)
        else:
            url = ObjectUrl.parse(place)
            path = work_folder(url.scheme) / url.bucket / url.key
        return path.with_name(f"{path.name}{ENDING}") / version if is_version(version) else path

    def beside(self, name: str) -> OutputLocation:
        place, version = self._parts
        return self._at(f"{place}{ENDING}/{name}") if is_version(version) else super().beside(name)

    def pinned(self) -> OutputLocation:
        found = self.snapshot()
        if found is None or self._parts[1]:
            return self
        pinned = type(self)(f"{self.place}#{found.id}")
        pinned._replaced = [found]  # noqa: SLF001 - of this class
        return pinned

    def by_version(self) -> OutputLocation:
        place, name = self._parts
        if not name or is_version(name):
            return self
        version = self._found().info.version
        newest = type(self)(place).snapshot()
        if newest is not None and newest.id == self._found().id:
            return type(self)(place)
        if not version:
            raise ConfigError(f"{self.path} is a snapshot of which it is not known what version of the dataset it is.")
        return self.place_of_version(version)

    @property
    def readable_path(self) -> str:
        before = self._replaced[0] if self._replaced and not self._parts[1] else None
        return self.path if before is None else f"{self.place}#{before.id}"  # while another one is staged

    @property
    def _is_local(self) -> bool:
        return "://" not in self.path

    def check(self, what: str) -> None:
        place, version = self._parts
        if version:
            raise ConfigError(f"{what} {self.path!r} is a version, which never changes: name the output {place!r}.")
        if self._is_local:
            LocalLocation(place).check(what)
        else:
            check_bucket(ObjectUrl.parse(place, what), what)
        if not self._is_made() and self._has_objects():
            raise ConfigError(
                f"{what} {self.path!r}: something else stands there. See what it is and remove it, or choose another "
                "output."
            )

    def exists(self) -> bool:
        return self.snapshot() is not None

    def snapshot(self) -> V | None:
        """The version that the path names, the newest by default; ``None`` where nothing was published.

        Raises
        ------
        DatasetExpiredError
            There is no such version any more.
        """
        with explained(self.path):
            version = self._parts[1]
            if not version:
                return self._latest()
            if not self._replaced and (found := self._named(version)) is not None:
                self._replaced = [found]  # which never changes
            return self._replaced[0] if self._replaced else None

    def objects(self) -> dict[str, int]:
        with explained(self.path):
            found = self.snapshot()
            return {} if found is None else found.objects()

    def read(self, name: str = "") -> bytes:
        try:
            with explained(self.path):
                return self._found().read(name)
        except ObjectStoreError:
            if not self._parts[1]:
                raise
            self._replaced = []  # its objects may be gone: it says so when it is looked for again
            with explained(self.path):
                return self._found().read(name)

    def modified_ns(self) -> int:
        with explained(self.path):
            return self._found().info.written_ns

    def mark(self, begun_ns: int) -> int | None:
        found = self.snapshot()
        return None if found is None else number_of(found.id)

    def is_as_written(self, mark: int | None) -> bool:
        found = self.mark(0)
        return found is not None and mark in (None, found)

    @contextmanager
    def publication(self, *, version: str = "", former: str = "") -> Iterator[Path]:
        self._replaced = [self.snapshot()]
        try:
            with super().publication(version=version, former=former) as staged:
                yield staged
        finally:
            self._replaced = []

    def keep(self, name: str, staged: Path) -> None:
        with explained(self.path):
            before = self._replaced[0] if self._replaced else self._found()
            if before is None:
                raise FileNotFoundError(name)
            before.key(name)
        leave_kept(name, staged)

    def fetch_kept(self, staged: Path) -> None:
        for name, source in staged_objects(staged).items():
            if isinstance(source, Kept):
                content = self.read(source.name)
                (staged / name).unlink()
                (staged / name).write_bytes(content)

    def publish(self, staged: Path) -> None:
        self.publish_version(staged, "", "")

    def publish_version(self, staged: Path, version: str, former: str) -> None:
        publications = Publications(self.place, self.work_path)
        is_dropped = bool(version and not former and self._replaced and self._replaced[0])
        with explained(self.path), publications.noted(leaves_garbage=is_dropped):
            before = self._latest()
            if self._replaced and _id(self._replaced[0]) != _id(before):
                raise self._conflict()
            self._publish(staged, before, former, {VERSION: version, FORMER: former} if version else {})

    def place_of_version(self, version: str) -> OutputLocation:
        return type(self)(f"{self.place}#{version}")

    def expire_version(self, version: str) -> None:
        with explained(self.path):
            if version in self.kept_versions():
                Publications(self.place, self.work_path).note_garbage()  # so that a kill leaves none for ever
                self._expire(version)

    def copy_version(self, place: OutputLocation, staged: Path) -> None:
        leave_version(place.path.rpartition("#")[2], staged)

    def new_bytes(self, former: str) -> int:
        found = self._found().info.metadata
        noted = found.get(NEW_BYTES)
        return noted if isinstance(noted, int) and former and found.get(FORMER) == former else self.size()

    def remove(self) -> None:
        if self._is_local:
            atomic.remove(Path(self.place))
            return
        url = ObjectUrl.parse(self.place)
        with explained(self.path):
            store: Any = object_store(url)
            names = [found["path"] for page in store.list(f"{url.key}/") for found in page]
            for is_last in (False, True):
                paths = [name for name in names if self._removed_last(name.removeprefix(f"{url.key}/")) == is_last]
                if paths:
                    store.delete(paths)

    def recover(self) -> None:
        self.collect()

    def collect(self) -> None:
        publications = Publications(self.place, self.work_path)
        if publications.is_any_left():
            with explained(self.path):
                publications.collect(self._free)

    def remove_leftovers(self) -> None:
        super().remove_leftovers()
        remove_staged(self.work_path)
        Publications(self.place, self.work_path).remove_leftovers()

    def _at(self, path: str) -> OutputLocation:
        if path.endswith(self.suffix):
            return type(self)(path)
        return LocalLocation(path) if self._is_local else ObjectLocation(path)

    def _found(self) -> V:
        found = self.snapshot()
        if found is None:
            raise FileNotFoundError(self.path)
        return found

    def _conflict(self) -> MergeError:
        return MergeError(
            f"{self.path}: somebody else published there meanwhile, from another work folder. That version stays, and "
            "nothing of this one is lost: gather again to publish it."
        )

    def _has_objects(self) -> bool:
        if self._is_local:
            return os.path.isdir(self.place) and bool(os.listdir(self.place))  # noqa: PTH112, PTH208 - a text
        url = ObjectUrl.parse(self.place)
        found = object_store(url).list_with_delimiter(f"{url.key}/")
        return bool(found["objects"] or found["common_prefixes"])


def _id(snapshot: VersionObjects | None) -> str | None:
    return None if snapshot is None else snapshot.id
