"""Icechunk repositories: where they lie, and the snapshots in them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from curator_core.errors import DatasetReplacedError, MissingDependencyError
from curator_core.storage.objects import stores
from curator_core.storage.objects.forked import require_unforked
from curator_core.storage.objects.keys import IMPLIED, is_hidden, metadata_node, other_array, other_name
from curator_core.storage.objects.running import run

if TYPE_CHECKING:
    import icechunk

SUFFIX: Final = ".icechunk"
"""What the names of repositories end in."""
_MARKS: Final = ("refs", "repo")
"""What a repository has, of one version of its format or the other."""
_AT_ONCE: Final = 1000
BRANCH: Final = "main"
"""The branch that is published to."""


def icechunk_library() -> Any:  # noqa: ANN401 - a module, whose versions differ
    """The library.

    Raises
    ------
    MissingDependencyError
        It is not installed.
    """
    try:
        import icechunk
    except ImportError as exc:
        raise MissingDependencyError.of("icechunk", "objects", f"An output named …{SUFFIX}") from exc
    require_unforked()
    if "ICECHUNK_LOG" not in os.environ:  # it warns of local folders, of which one process at a time writes here
        icechunk.set_logs_filter("error")
    return icechunk


def storage(path: str) -> icechunk.Storage:
    """Where a repository lies; credentials are those of the environment."""
    library = icechunk_library()
    found: icechunk.Storage
    if "://" not in path:
        found = library.local_filesystem_storage(os.path.abspath(path))  # noqa: PTH100 - no links followed
        return found
    url = stores.ObjectUrl.parse(path)
    make, common = getattr(library, f"{_STORAGES[url.scheme]}_storage"), {"prefix": url.key}
    found = make(**common, **_SETTINGS[url.scheme](url.bucket, stores.endpoint(url.scheme)))
    return found


def _s3_settings(bucket: str, service: str | None) -> dict[str, object]:
    is_anonymous = os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true")
    return {
        "bucket": bucket,
        "region": os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None,
        "endpoint_url": service,
        "allow_http": (service or "").startswith("http://"),
        "force_path_style": service is not None,
        "anonymous" if is_anonymous else "from_env": True,
    }


def _gs_settings(bucket: str, _service: str | None) -> dict[str, object]:
    return {"bucket": bucket, "from_env": True}


def _az_settings(bucket: str, service: str | None) -> dict[str, object]:
    account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
    own = {"config": {"azure_storage_endpoint": service}} if service else {}
    return {"account": account, "container": bucket, "from_env": True, **own}


_STORAGES: Final = {"s3": "s3", "gs": "gcs", "az": "azure"}
_SETTINGS: Final = {"s3": _s3_settings, "gs": _gs_settings, "az": _az_settings}


def repository(path: str, *, create: bool = False) -> icechunk.Repository | None:
    """The repository at a path or URL; ``None`` where there is none.

    Parameters
    ----------
    path
        The place.
    create
        Whether one is made where there is none.
    """
    library = icechunk_library()
    found: icechunk.Repository | None = None
    if _is_there(path):
        found = library.Repository.open(storage(path), config=_config(library))
    elif create:
        # Readable by the versions of the library for every Python that is supported.
        former = {} if library.__version__.startswith("1.") else {"spec_version": 1}
        found = library.Repository.create(storage(path), config=_config(library), **former)
    return found


def _is_there(path: str) -> bool:
    """Whether a repository is there; Icechunk's own look makes a local folder, and waits long for a lost server."""
    if "://" not in path:
        return any(os.path.exists(os.path.join(path, name)) for name in _MARKS)  # noqa: PTH110, PTH118 - a text
    url = stores.ObjectUrl.parse(path)
    found = stores.object_store(url).list_with_delimiter(f"{url.key}/")
    below = {name.rpartition("/")[2] for name in (*found["common_prefixes"], *(o["path"] for o in found["objects"]))}
    return bool(below & set(_MARKS))


def _config(library: Any) -> icechunk.RepositoryConfig:  # noqa: ANN401 - a module
    retries = library.StorageRetriesSettings(
        max_tries=stores.TRIES,
        initial_backoff_ms=int(stores.FIRST_PAUSE_S * 1000),
        max_backoff_ms=int(stores.LONGEST_PAUSE_S * 1000),
    )
    config: icechunk.RepositoryConfig = library.RepositoryConfig(storage=library.StorageSettings(retries=retries))
    return config


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


def history(found: icechunk.Repository) -> Iterator[SnapshotInfo]:
    """The published versions, the newest first."""
    for info in found.ancestry(branch=BRANCH):
        if info.parent_id is not None:
            yield SnapshotInfo(info.id, info.written_at, info.message, dict(info.metadata))


class Snapshot:
    """A published version, as a folder of objects that never change; it pickles.

    Parameters
    ----------
    session
        The session that reads it.
    """

    def __init__(self, session: icechunk.Session) -> None:
        self._session = session

    @classmethod
    def latest(cls, found: icechunk.Repository) -> Snapshot | None:
        """The newest version; ``None`` where nothing was published."""
        tip = found.lookup_branch(BRANCH)
        if found.lookup_snapshot(tip).parent_id is None:
            return None
        return cls(found.readonly_session(snapshot_id=tip))

    @classmethod
    def of(cls, found: icechunk.Repository, version: str) -> Snapshot:
        """A version, by its tag or its snapshot.

        Raises
        ------
        DatasetReplacedError
            There is no such version any more.
        """
        if version in found.list_tags():
            return cls(found.readonly_session(tag=version))
        if version not in {info.id for info in history(found)}:
            raise DatasetReplacedError(f"There is no version {version!r} any more: it has expired, or never was.")
        return cls(found.readonly_session(snapshot_id=version))

    @property
    def id(self) -> str:
        """Icechunk's name of the version."""
        return self._session.snapshot_id

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
        if name in self.keys:
            return name
        other = other_array(name)
        for key in (f"{other}/c/0", f"{other}/zarr.json"):
            if key in self.keys:
                return key
        raise FileNotFoundError(name)

    def read(self, name: str) -> bytes:
        """Content of an object.

        Raises
        ------
        FileNotFoundError
            There is no such object.
        """
        key = self.key(name)
        is_empty = key != name and key.endswith("zarr.json")
        return b"" if is_empty else self.get(key)

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


async def _listed(store: Any) -> list[str]:  # noqa: ANN401 - its type needs the library
    return [key async for key in store.list()]


async def _sizes(store: Any, keys: list[str]) -> dict[str, int]:  # noqa: ANN401 - its type needs the library
    sizes: list[int] = []
    for start in range(0, len(keys), _AT_ONCE):
        sizes += await asyncio.gather(*map(store.getsize, keys[start : start + _AT_ONCE]))
    return dict(zip(keys, sizes, strict=True))
