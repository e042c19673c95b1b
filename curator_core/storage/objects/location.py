"""Outputs that are folders of objects: Icechunk repositories, each publication a version."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator_core.storage.objects import kept
from curator_core.storage.objects.failures import explained
from curator_core.storage.objects.repository import SUFFIX, icechunk_library, repository
from curator_core.storage.objects.running import run
from curator_core.storage.objects.snapshots import BRANCH, Snapshot, SnapshotInfo, history, kept_versions
from curator_core.storage.objects.upload import Contents, staged_objects, staged_version, transfer
from curator_core.storage.objects.versioned import NEW_BYTES, VersionedLocation

if TYPE_CHECKING:
    import icechunk

_DATA = ("chunks/", "manifests/", "snapshots/", "transactions/")


class IcechunkLocation(VersionedLocation[Snapshot]):
    """``s3://bucket/name.icechunk``, ``gs://…``, ``az://…``, or a local folder ``name.icechunk``.

    Publishing is one commit: objects are uploaded, then the branch ``main`` is moved to the new snapshot, if nobody
    else moved it since. A version is a snapshot. Former versions that are kept are branches, ``version-`` and the
    version's id. Objects that are kept are not read where they keep their name; otherwise they are moved without
    reading them where the library can do that, else copied as they are. A version, tag or snapshot is named by
    ``name.icechunk#version``.
    """

    suffix = SUFFIX

    def check(self, what: str) -> None:
        icechunk_library()
        super().check(what)

    def history(self) -> list[SnapshotInfo]:
        """The published versions, the newest first."""
        with explained(self.path):
            found = self._repository()
            return [] if found is None else history(found)

    def kept_versions(self) -> list[str]:
        with explained(self.path):
            found = self._repository()
            return [] if found is None else kept_versions(found)

    def _latest(self) -> Snapshot | None:
        found = self._repository()
        return None if found is None else Snapshot.latest(found)

    def _named(self, name: str) -> Snapshot | None:
        found = self._repository()
        return None if found is None else Snapshot.of(found, name, self.place)

    def _is_made(self) -> bool:
        return self._repository() is not None

    def _publish(self, staged: Path, before: Snapshot | None, former: str, about: dict[str, Any]) -> None:
        found = self._repository(create=True)
        assert found is not None  # noqa: S101 - one was made
        if former and before is not None:
            kept.keep(found, former, before.id)
        restored = staged_version(staged)
        if not restored:
            self._commit(staged, found, before, about)
        elif before is None or not kept.restore(found, restored, before.id, about | {NEW_BYTES: 0}):
            raise self._conflict()

    def _commit(self, staged: Path, found: icechunk.Repository, before: Snapshot | None, about: dict[str, Any]) -> None:
        session = found.writable_session(BRANCH)
        contents = Contents.of(staged_objects(staged), before)
        n_bytes = run(transfer(contents, session, before))
        about = about | {NEW_BYTES: n_bytes}
        if contents.content_hash is not None:
            about["content_hash"] = contents.content_hash
        try:
            session.commit(f"{len(contents.chunks)} objects, published by curator", about)
        except icechunk_library().ConflictError:
            raise self._conflict() from None

    def _expire(self, version: str) -> None:
        if (found := self._repository()) is not None:
            kept.expire(found, version)

    def _free(self, before: datetime) -> None:
        if (found := self._repository()) is not None:
            kept.free(found, before)

    def _removed_last(self, name: str) -> bool:
        return name.startswith(_DATA)

    def _repository(self, *, create: bool = False) -> icechunk.Repository | None:
        return repository(self.place, create=create)
