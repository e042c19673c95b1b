"""Outputs that are one object of an object store, put whole: statistics, manifests, tables."""

from __future__ import annotations

import hashlib
import time
import uuid
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from curator_core.errors import ConfigError, MergeError, ObjectStoreError
from curator_core.storage.base import OutputLocation
from curator_core.storage.objects.failures import explained
from curator_core.storage.objects.repository import SUFFIX
from curator_core.storage.objects.stores import ObjectUrl, object_store
from curator_core.storage.places import work_folder

if TYPE_CHECKING:
    from obstore import ObjectMeta

_PUBLISHED: Final = "curator-published-ns"
_PUBLICATION: Final = "curator-publication"
_MASK: Final = 0x7FFF_FFFF_FFFF_FFFF
_FOLDERS: Final = (".zarr",)


class ObjectLocation(OutputLocation):
    """``s3://bucket/name``, ``gs://…`` or ``az://…``: one object, which is replaced by putting another.

    Its parts lie in the work folder, see `curator_core.storage.places.work_folder`.
    """

    @cached_property
    def url(self) -> ObjectUrl:
        """The URL, taken apart."""
        return ObjectUrl.parse(self.path)

    @property
    def work_path(self) -> Path:
        return work_folder(self.url.scheme) / self.url.bucket / self.url.key

    def check(self, what: str) -> None:
        url = ObjectUrl.parse(self.path, what)
        if self.work_path.suffix in _FOLDERS:
            raise ConfigError(
                f"{what} {self.path!r} is a folder, which no object store can replace as a whole. Name it "
                f"{str(url).removesuffix(self.work_path.suffix)}{SUFFIX}: it is published as a repository of Icechunk."
            )
        check_bucket(url, what)

    def exists(self) -> bool:
        return self._head() is not None

    def objects(self) -> dict[str, int]:
        found = self._head()
        return {} if found is None else {"": found[0]["size"]}

    def read(self, name: str = "") -> bytes:
        if name:
            raise FileNotFoundError(name)
        with explained(self.path):
            return bytes(self._store().get(self.url.key).bytes())

    def modified_ns(self) -> int:
        return _published_ns(self._found())

    def mark(self, begun_ns: int) -> int | None:
        found = self._head()
        if found is None:
            return None
        meta, attributes = found
        identity = f"{attributes.get(_PUBLICATION)} {meta['e_tag']} {meta['last_modified']} {meta['size']}"
        return number_of(identity)

    def is_as_written(self, mark: int | None) -> bool:
        found = self.mark(0)
        return found is not None and mark in (None, found)

    def keep(self, name: str, staged: Path) -> None:
        content = self.read(name)
        staged.parent.mkdir(parents=True, exist_ok=True)
        staged.write_bytes(content)

    def publish(self, staged: Path) -> None:
        if staged.is_dir():
            raise MergeError(f"{self.path} would be a folder of objects: name it …{SUFFIX}.")
        about = {_PUBLISHED: str(time.time_ns()), _PUBLICATION: uuid.uuid4().hex}
        with explained(self.path):
            self._store().put(self.url.key, staged, attributes=about)

    def remove(self) -> None:
        with explained(self.path):
            if self._head() is not None:
                self._store().delete(self.url.key)

    def recover(self) -> None:
        """An object that was not put to its end is not there."""

    def _store(self) -> Any:  # noqa: ANN401 - one of several classes
        return object_store(self.url)

    def _found(self) -> tuple[ObjectMeta, dict[str, Any]]:
        found = self._head()
        if found is None:
            raise FileNotFoundError(self.path)
        return found

    def _head(self) -> tuple[ObjectMeta, dict[str, Any]] | None:
        with explained(self.path):
            try:
                found = self._store().get(self.url.key, options={"head": True})
            except FileNotFoundError:
                return None
            return found.meta, dict(found.attributes)


def check_bucket(url: ObjectUrl, what: str) -> None:
    """Refuse a bucket that is not there, or that the credentials do not open; nothing is created.

    Raises
    ------
    ConfigError
        The message says why, and what to do.
    """
    try:
        with explained(str(url)):
            object_store(url).list_with_delimiter(f"{url.key}/")
    except ObjectStoreError as exc:
        raise ConfigError(f"{what} {str(url)!r} cannot be written: {exc.reason}.") from None


def _published_ns(found: tuple[ObjectMeta, dict[str, Any]]) -> int:
    meta, attributes = found
    noted = str(attributes.get(_PUBLISHED, ""))
    return int(noted) if noted.isdecimal() else int(meta["last_modified"].timestamp() * 1e9)


def number_of(identity: str) -> int:
    """A whole number of 63 bits for a text."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") & _MASK
