"""The objects below a place, in a bucket or in a folder of this machine, by their names relative to it."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from curator_core.errors import MissingDependencyError
from curator_core.storage.objects.forked import require_unforked
from curator_core.storage.objects.stores import ObjectUrl, object_store

_AT_ONCE: Final = 16
_LARGE_BYTES: Final = 32 << 20


@dataclass(frozen=True, slots=True)
class Listed:
    """An object that is there."""

    name: str
    """Relative to the place."""
    modified: datetime
    """When it was put."""


class ObjectFolder:
    """The objects below a place.

    Parameters
    ----------
    place
        URL, or a local path.

    Raises
    ------
    MissingDependencyError
        Obstore is not installed.
    """

    def __init__(self, place: str) -> None:
        if "://" in place:
            url = ObjectUrl.parse(place)
            self._store: Any = object_store(url)
            self._prefix = f"{url.key}/"
        else:
            self._store, self._prefix = _local_store(place), ""

    def get(self, name: str) -> bytes:
        """Content of an object.

        Raises
        ------
        FileNotFoundError
            There is none.
        """
        if self._store is None:
            raise FileNotFoundError(errno.ENOENT, "not there", name)
        return bytes(self._store.get(f"{self._prefix}{name}").bytes())

    def put(self, name: str, content: bytes | Path) -> None:
        """Make an object, or replace one."""
        self._store.put(f"{self._prefix}{name}", content)

    def put_all(self, files: Collection[tuple[str, Path]]) -> None:
        """Make objects of local files, many small ones at once; the first error ends it."""
        large = {name: path for name, path in files if path.stat().st_size >= _LARGE_BYTES}
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="curator-objects")
        try:
            for done in [pool.submit(self.put, *file) for file in files if file[0] not in large]:
                done.result()
            for name, path in large.items():  # in parts, of which several are sent at once
                self.put(name, path)
        finally:
            pool.shutdown(cancel_futures=True)

    def create(self, name: str, content: bytes) -> bool:
        """Make an object, unless there is one of other content; whether it is there.

        Of several who do that at once, one succeeds.
        """
        from obstore.exceptions import AlreadyExistsError

        try:
            self._store.put(f"{self._prefix}{name}", content, mode="create")
        except AlreadyExistsError:  # a request that is made again may find what it put the first time
            return self.get(name) == content
        return True

    def copy(self, name: str, other: str) -> None:
        """Make an object of the content of another one."""
        self._store.copy(f"{self._prefix}{name}", f"{self._prefix}{other}")

    def list(self, below: str = "") -> Iterator[Listed]:
        """The objects whose names begin with those of a folder, which ends in a slash."""
        pages = () if self._store is None else self._store.list(f"{self._prefix}{below}" or None)
        for page in pages:
            for found in page:
                yield Listed(found["path"].removeprefix(self._prefix), found["last_modified"])

    def delete(self, names: Collection[str]) -> None:
        """Remove objects; those that are not there any more are passed over."""
        try:
            if names:
                self._store.delete([f"{self._prefix}{name}" for name in names])
        except FileNotFoundError:  # of a folder, where one by one is deleted
            if len(names) > 1:
                for name in names:
                    self.delete([name])


def _local_store(place: str) -> Any:  # noqa: ANN401 - a class of the library; `None` where there is no folder
    try:
        from obstore.store import LocalStore
    except ImportError as exc:
        raise MissingDependencyError.of("obstore", "objects", "An output named ….delta") from exc
    require_unforked()
    return LocalStore(os.path.abspath(place)) if os.path.isdir(place) else None  # noqa: PTH100, PTH112 - no links followed
