"""Outputs that are folders of objects: Icechunk repositories, each publication a version."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator_core.errors import ConfigError, MergeError
from curator_core.storage import atomic
from curator_core.storage.base import OutputLocation
from curator_core.storage.local import LocalLocation
from curator_core.storage.objects.failures import explained
from curator_core.storage.objects.repository import (
    BRANCH,
    SUFFIX,
    Snapshot,
    SnapshotInfo,
    history,
    icechunk_library,
    repository,
)
from curator_core.storage.objects.running import run
from curator_core.storage.objects.single import ObjectLocation, check_bucket, number_of
from curator_core.storage.objects.stores import ObjectUrl, object_store
from curator_core.storage.objects.unfinished import Publications
from curator_core.storage.objects.upload import Contents, leave_kept, staged_objects, transfer
from curator_core.storage.places import work_folder

if TYPE_CHECKING:
    import icechunk


_PLACE = re.compile(rf"(.+{re.escape(SUFFIX)})(?:#([\w.-]+))?")


class IcechunkLocation(OutputLocation):
    """``s3://bucket/name.icechunk``, ``gs://…``, ``az://…``, or a local folder ``name.icechunk``.

    Publishing is one commit: objects are uploaded, then the branch ``main`` is moved to the new snapshot, if nobody
    else moved it since. A version is a snapshot, and stays as it is: who has it open reads the same rows for ever.
    Objects that are kept are not read where they keep their name; otherwise they are copied as they are. A snapshot or
    tag is named by ``name.icechunk#snapshot``.
    """

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
        if self._is_local:
            return Path(self.place)
        url = ObjectUrl.parse(self.place)
        return work_folder(url.scheme) / url.bucket / url.key

    @property
    def readable_path(self) -> str:
        before = self._replaced[0] if self._replaced else None
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
        DatasetReplacedError
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
            self._replaced = [Snapshot.of(found, version)]  # which never changes
            return self._replaced[0]

    def history(self) -> list[SnapshotInfo]:
        """The published versions, the newest first."""
        with explained(self.path):
            found = self._repository()
            return [] if found is None else list(history(found))

    def objects(self) -> dict[str, int]:
        with explained(self.path):
            found = self.snapshot()
            return {} if found is None else found.objects()

    def read(self, name: str = "") -> bytes:
        with explained(self.path):
            return self._found().read(name)

    def modified_ns(self) -> int:
        for info in self.history():
            seconds = info.written_at.replace(microsecond=0).timestamp()
            return int(seconds) * 10**9 + info.written_at.microsecond * 1000
        raise FileNotFoundError(self.path)

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

    def publish(self, staged: Path) -> None:
        publications = Publications(self.place, self.work_path)
        with explained(self.path), publications.noted():
            found = self._repository(create=True)
            assert found is not None  # noqa: S101 - one was made
            before = Snapshot.latest(found)
            if self._replaced and _id(self._replaced[0]) != _id(before):
                raise self._conflict()
            session = found.writable_session(BRANCH)
            contents = Contents.of(staged_objects(staged), before)
            run(transfer(contents, session, before))
            self._commit(session, contents)

    def _commit(self, session: icechunk.Session, contents: Contents) -> None:
        about = {} if contents.content_hash is None else {"content_hash": contents.content_hash}
        try:
            session.commit(f"{len(contents.chunks)} objects, published by curator", about)
        except icechunk_library().ConflictError:
            raise self._conflict() from None

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
        publications = Publications(self.place, self.work_path)
        if publications.is_any_left():
            with explained(self.path):
                publications.collect(self._repository())

    def remove_leftovers(self) -> None:
        super().remove_leftovers()
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
