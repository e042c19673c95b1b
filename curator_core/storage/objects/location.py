"""Outputs that are folders of objects: Icechunk repositories, each publication a version."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator_core.errors import ConfigError, MergeError, ObjectStoreError
from curator_core.storage import atomic
from curator_core.storage.base import OutputLocation
from curator_core.storage.kept import ENDING, remove_staged
from curator_core.storage.local import LocalLocation
from curator_core.storage.objects import kept
from curator_core.storage.objects.failures import explained
from curator_core.storage.objects.repository import SUFFIX, icechunk_library, repository
from curator_core.storage.objects.running import run
from curator_core.storage.objects.single import ObjectLocation, check_bucket, number_of
from curator_core.storage.objects.snapshots import (
    BRANCH,
    VERSION,
    Snapshot,
    SnapshotInfo,
    history,
    is_version,
    kept_versions,
)
from curator_core.storage.objects.stores import ObjectUrl, object_store
from curator_core.storage.objects.unfinished import Publications
from curator_core.storage.objects.upload import (
    Contents,
    Kept,
    leave_kept,
    leave_version,
    staged_objects,
    staged_version,
    transfer,
)
from curator_core.storage.places import work_folder

if TYPE_CHECKING:
    import icechunk


_PLACE = re.compile(rf"(.+{re.escape(SUFFIX)})(?:#([\w.-]+))?")
_FORMER = "former"
_NEW_BYTES = "new_bytes"


class IcechunkLocation(OutputLocation):
    """``s3://bucket/name.icechunk``, ``gs://…``, ``az://…``, or a local folder ``name.icechunk``.

    Publishing is one commit: objects are uploaded, then the branch ``main`` is moved to the new snapshot, if nobody
    else moved it since. A version is a snapshot, and stays as it is: who has it open reads the same rows until it
    expires. Former versions that are kept are branches, ``version-`` and the version's id; what describes them lies in
    ``name.icechunk.versions`` beside the repository. Objects that are kept are not read where they keep their name;
    otherwise they are moved without reading them where the library can do that, else copied as they are. A version,
    tag or snapshot is named by ``name.icechunk#version``.
    """

    keeps_versions = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._replaced: list[Snapshot | None] = []
        """The version, or none, that the one being staged takes the place of; the one that the path names."""

    @classmethod
    def is_meant(cls, path: str) -> bool:
        """Whether a path or URL names a repository, or a version of one."""
        return _PLACE.fullmatch(path.rstrip("/")) is not None

    @property
    def place(self) -> str:
        """The repository, of whatever version."""
        return self._parts[0]

    @property
    def _parts(self) -> tuple[str, str]:
        found = _PLACE.fullmatch(self.path.rstrip("/"))
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
        pinned = IcechunkLocation(f"{self.place}#{found.id}")
        pinned._replaced = [found]
        return pinned

    def by_version(self) -> OutputLocation:
        place, name = self._parts
        if not name or is_version(name):
            return self
        version = self._found().info.version
        newest = IcechunkLocation(place).snapshot()
        if newest is not None and newest.id == self._found().id:
            return IcechunkLocation(place)
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
        icechunk_library()
        place, version = self._parts
        if version:
            raise ConfigError(f"{what} {self.path!r} is a version, which never changes: name the output {place!r}.")
        if self._is_local:
            LocalLocation(place).check(what)
        else:
            check_bucket(ObjectUrl.parse(place, what), what)
        if self._repository() is None and self._has_objects():
            raise ConfigError(
                f"{what} {self.path!r}: something else stands there. See what it is and remove it, or choose another "
                "output."
            )

    def exists(self) -> bool:
        return self.snapshot() is not None

    def snapshot(self) -> Snapshot | None:
        """The version that the path names, the newest by default; ``None`` where nothing was published.

        Raises
        ------
        DatasetExpiredError
            There is no such version any more.
        """
        with explained(self.path):
            version = self._parts[1]
            if version and self._replaced:
                return self._replaced[0]
            found = self._repository()
            if found is None:
                return None
            if not version:
                return Snapshot.latest(found)
            self._replaced = [Snapshot.of(found, version, self.place)]  # which never changes
            return self._replaced[0]

    def history(self) -> list[SnapshotInfo]:
        """The published versions, the newest first."""
        with explained(self.path):
            found = self._repository()
            return [] if found is None else history(found)

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
            found = self._repository(create=True)
            assert found is not None  # noqa: S101 - one was made
            before = Snapshot.latest(found)
            if self._replaced and _id(self._replaced[0]) != _id(before):
                raise self._conflict()
            if former and before is not None:
                kept.keep(found, former, before.id)
            about = {VERSION: version, _FORMER: former} if version else {}
            restored = staged_version(staged)
            if not restored:
                self._commit(staged, found, before, about)
            elif before is None or not kept.restore(found, restored, before.id, about | {_NEW_BYTES: 0}):
                raise self._conflict()

    def _commit(self, staged: Path, found: icechunk.Repository, before: Snapshot | None, about: dict[str, Any]) -> None:
        session = found.writable_session(BRANCH)
        contents = Contents.of(staged_objects(staged), before)
        n_bytes = run(transfer(contents, session, before))
        about = about | {_NEW_BYTES: n_bytes}
        if contents.content_hash is not None:
            about["content_hash"] = contents.content_hash
        try:
            session.commit(f"{len(contents.chunks)} objects, published by curator", about)
        except icechunk_library().ConflictError:
            raise self._conflict() from None

    def kept_versions(self) -> list[str]:
        with explained(self.path):
            found = self._repository()
            return [] if found is None else kept_versions(found)

    def place_of_version(self, version: str) -> IcechunkLocation:
        return IcechunkLocation(f"{self.place}#{version}")

    def expire_version(self, version: str) -> None:
        with explained(self.path):
            found = self._repository()
            if found is not None and version in kept_versions(found):
                Publications(self.place, self.work_path).note_garbage()  # so that a kill leaves none for ever
                kept.expire(found, version)

    def copy_version(self, place: OutputLocation, staged: Path) -> None:
        leave_version(place.path.rpartition("#")[2], staged)

    def new_bytes(self, former: str) -> int:
        found = self._found().info.metadata
        noted = found.get(_NEW_BYTES)
        return noted if isinstance(noted, int) and former and found.get(_FORMER) == former else self.size()

    def remove(self) -> None:
        if self._is_local:
            atomic.remove(Path(self.place))
            return
        url = ObjectUrl.parse(self.place)
        with explained(self.path):
            store: Any = object_store(url)
            names = [found["path"] for page in store.list(f"{url.key}/") for found in page]
            for is_data in (False, True):  # at first what makes it a repository
                paths = [name for name in names if name.startswith(_data_folders(url)) == is_data]
                if paths:
                    store.delete(paths)

    def recover(self) -> None:
        self.collect()

    def collect(self) -> None:
        publications = Publications(self.place, self.work_path)
        if publications.is_any_left():
            with explained(self.path):
                found = self._repository()
                publications.collect(lambda before: None if found is None else kept.free(found, before))

    def remove_leftovers(self) -> None:
        super().remove_leftovers()
        remove_staged(self.work_path)
        Publications(self.place, self.work_path).remove_leftovers()

    def _at(self, path: str) -> OutputLocation:
        if path.endswith(SUFFIX):
            return IcechunkLocation(path)
        return LocalLocation(path) if self._is_local else ObjectLocation(path)

    def _repository(self, *, create: bool = False) -> icechunk.Repository | None:
        return repository(self.place, create=create)

    def _found(self) -> Snapshot:
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


def _id(snapshot: Snapshot | None) -> str | None:
    return None if snapshot is None else snapshot.id


def _data_folders(url: ObjectUrl) -> tuple[str, ...]:
    return tuple(f"{url.key}/{name}/" for name in ("chunks", "manifests", "snapshots", "transactions"))
