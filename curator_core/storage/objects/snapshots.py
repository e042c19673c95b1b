"""Snapshots of a repository: the published versions of a dataset, each a folder of objects that never change."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

from curator_core.errors import DatasetExpiredError
from curator_core.storage.objects.keys import IMPLIED, chunk_array, is_hidden, metadata_node, other_array, other_name
from curator_core.storage.objects.running import run

if TYPE_CHECKING:
    import icechunk

_AT_ONCE: Final = 1000
BRANCH: Final = "main"
"""The branch that is published to."""
_KEPT: Final = "version-"
"""What the names of the branches begin with that keep former versions."""
_ID: Final = re.compile("[0-9a-f]{64}")
VERSION: Final = "version"
"""What a snapshot's metadata call the version of the dataset that it holds."""


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A published version of a repository."""

    id: str
    """Icechunk's name of it."""
    written_at: datetime
    """When it was published."""
    message: str
    """What was said of it."""
    metadata: Mapping[str, Any]
    """What else; ``content_hash``, where the dataset's attributes have one."""

    @classmethod
    def of(cls, info: icechunk.SnapshotInfo) -> Self:
        """What the library says of a snapshot."""
        return cls(info.id, info.written_at, info.message, dict(info.metadata))

    @property
    def version(self) -> str:
        """The version of the dataset, by its id; empty where that is not known."""
        found = self.metadata.get(VERSION) or self.metadata.get("content_hash") or ""
        return found if isinstance(found, str) else ""

    @property
    def written_ns(self) -> int:
        """When it was published, nanoseconds since the epoch."""
        seconds = self.written_at.replace(microsecond=0).timestamp()
        return int(seconds) * 10**9 + self.written_at.microsecond * 1000


def is_version(name: str) -> bool:
    """Whether a name is the id of a dataset's version."""
    return _ID.fullmatch(name) is not None


def kept_branch(version: str) -> str:
    """The branch that keeps a former version."""
    return f"{_KEPT}{version}"


def kept_versions(found: icechunk.Repository) -> list[str]:
    """The former versions that are kept."""
    names = (name.removeprefix(_KEPT) for name in found.list_branches() if name.startswith(_KEPT))
    return sorted(filter(is_version, names))


def history(found: icechunk.Repository) -> list[SnapshotInfo]:
    """The published versions that can be read, the newest first."""
    known: dict[str, SnapshotInfo] = {}
    for branch in (BRANCH, *map(kept_branch, kept_versions(found))):
        for info in found.ancestry(branch=branch):
            if info.parent_id is not None:
                known.setdefault(info.id, SnapshotInfo.of(info))
    return sorted(known.values(), key=lambda info: info.written_at, reverse=True)


class Snapshot:
    """A published version, as a folder of objects that never change; it pickles.

    Parameters
    ----------
    session
        The session that reads it.
    info
        What is said of it.
    """

    def __init__(self, session: icechunk.Session, info: SnapshotInfo) -> None:
        self._session = session
        self.info = info
        """What is said of it."""

    @classmethod
    def latest(cls, found: icechunk.Repository) -> Snapshot | None:
        """The newest version; ``None`` where nothing was published."""
        tip = found.lookup_branch(BRANCH)
        return None if found.lookup_snapshot(tip).parent_id is None else cls._at(found, tip)

    @classmethod
    def of(cls, found: icechunk.Repository, name: str, place: str) -> Snapshot:
        """A version of the dataset at a place, by its id, its tag or its snapshot.

        Raises
        ------
        DatasetExpiredError
            There is no such version any more.
        """
        if is_version(name):
            newest = None if name in kept_versions(found) else cls.latest(found)
            if newest is None:
                return cls._at(found, found.lookup_branch(kept_branch(name)))
            if newest.info.version == name:
                return newest
        elif name in found.list_tags():
            return cls._at(found, found.lookup_tag(name))
        elif name in {info.id for info in history(found)}:
            return cls._at(found, name)
        raise DatasetExpiredError(
            f"{place}: there is no version {name!r} any more: it has expired, or never was. `curator versions {place}` "
            "lists those that are kept, and `keep_versions` says how many are; one with a tag always is.",
            file=place,
        )

    @classmethod
    def _at(cls, found: icechunk.Repository, snapshot: str) -> Snapshot:
        info = SnapshotInfo.of(found.lookup_snapshot(snapshot))
        return cls(found.readonly_session(snapshot_id=snapshot), info)

    @property
    def id(self) -> str:
        """Icechunk's name of the version."""
        return self.info.id

    @property
    def store(self) -> Any:  # noqa: ANN401 - its type needs the library
        """Its Zarr store, which is read only."""
        return self._session.store

    @cached_property
    def keys(self) -> frozenset[str]:
        """All that the repository holds."""
        return frozenset(run(_listed(self._session.store)))

    def objects(self) -> dict[str, int]:
        """Size in bytes by name, in order."""
        is_implied = "zarr.json" in self.keys and IMPLIED.encode() in self.get("zarr.json")
        found: dict[str, int] = {}
        for key, size in run(_sizes(self._session.store, sorted(self.keys))).items():
            name = other_name(key)
            if name is None and not is_hidden(key, root_is_implied=is_implied):
                found[key] = size
            elif name is not None:
                found[name] = size if metadata_node(key) is None else found.get(name, 0)
        return dict(sorted(found.items()))

    def key(self, name: str) -> str:
        """The key of an object.

        Raises
        ------
        FileNotFoundError
            There is no such object.
        """
        if self._holds(name):
            return name
        other = other_array(name)
        for key in (f"{other}/c/0", f"{other}/zarr.json"):
            if key in self.keys:
                return key
        raise FileNotFoundError(name)

    def _holds(self, name: str) -> bool:
        """Whether a name is a key of its own; asked for alone as long as all keys are not needed."""
        if "keys" in self.__dict__:
            return name in self.keys
        if metadata_node(name) is None and chunk_array(name) is None:
            return False
        return run(self._session.store.exists(name))

    def read(self, name: str) -> bytes:
        """Content of an object.

        Raises
        ------
        FileNotFoundError
            There is no such object.
        """
        return self.read_all([name])[0]

    def read_all(self, names: Collection[str]) -> list[bytes]:
        """Content of some small objects, one after the other, see `read`."""
        if len(names) > 1:
            self.keys  # noqa: B018 - rather than ask for one after the other
        keys = [(name, self.key(name)) for name in names]
        filled = [key for name, key in keys if key == name or not key.endswith("zarr.json")]
        found = dict(zip(filled, run(_fetched(self._session.store, filled)), strict=True))
        return [found.get(key, b"") for _, key in keys]

    def get(self, key: str) -> bytes:
        """Content of a key."""
        return run(fetch(self._session.store, key))


async def fetch(store: Any, key: str) -> bytes:  # noqa: ANN401 - its type needs the library
    """Content of a key of a session's store, as it is."""
    from zarr.core.buffer import default_buffer_prototype

    found = await store.get(key, default_buffer_prototype())
    if found is None:
        raise FileNotFoundError(key)
    content: bytes = found.to_bytes()
    return content


async def _fetched(store: Any, keys: list[str]) -> list[bytes]:  # noqa: ANN401 - its type needs the library
    return [await fetch(store, key) for key in keys]


async def _listed(store: Any) -> list[str]:  # noqa: ANN401 - its type needs the library
    return [key async for key in store.list()]


async def _sizes(store: Any, keys: list[str]) -> dict[str, int]:  # noqa: ANN401 - its type needs the library
    import asyncio  # noqa: PLC0415 - who awaits has it

    sizes: list[int] = []
    for start in range(0, len(keys), _AT_ONCE):
        asked = map(store.getsize, keys[start : start + _AT_ONCE])
        # The library aborts a Python that ends before all have answered, so the first error waits for the others.
        for found in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(found, BaseException):
                raise found
            sizes.append(found)
    return dict(zip(keys, sizes, strict=True))
