"""Where a Zarr store lies: a folder, a zip file, objects in a bucket, or files of a web server."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from zarr.storage import LocalStore, ObjectStore, ZipStore

from curator_core.errors import EmptySourceError, MissingDependencyError
from curator_core.sources.local_folder import stat_fingerprint
from curator_core.sources.remote_client import WEB, checked_url, web_address
from curator_core.sources.remote_folder import RemoteFolder
from curator_core.storage.objects.stores import ObjectUrl, client_options, object_store
from curator_core.storage.places import url_scheme

if TYPE_CHECKING:
    from zarr.abc.store import Store

_HIERARCHY = ("zarr.json", ".zgroup", ".zarray")
_ZIP = ".zip"


class StorePlace:
    """A store that is opened for reading, and whose objects have identities where they can be listed.

    Parameters
    ----------
    url
        Path or URL of a folder, or of a zip file, whose name ends in ``.zip``.
    options
        Credentials and the like for a URL, by obstore's names.
    cache_size
        Bytes of local copies of zip files that are kept.
    component
        Who reads, for messages.
    """

    def __init__(self, url: str, options: Mapping[str, Any], cache_size: int | str | None, component: str) -> None:
        scheme = url_scheme(url)
        self.is_local = scheme in ("", "file")
        self.is_web = scheme in WEB
        self.url = unquote(url.partition(":")[2].removeprefix("//")) if scheme == "file" else url
        if not self.is_local:
            self.url = checked_url(url, component)
        self._options = {name: str(v).lower() if isinstance(v, bool) else str(v) for name, v in options.items()}
        self._given, self._cache_size, self._component = dict(options), cache_size, component
        self._store: Store | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_store": None}

    @property
    def is_zip(self) -> bool:
        """Whether it is one file."""
        return self.url.endswith(_ZIP)

    @property
    def name(self) -> str:
        """The last part of its path or URL."""
        return self.url.rstrip("/").rpartition("/")[2]

    @contextmanager
    def opened(self) -> Iterator[tuple[Store, str]]:
        """The store, and the path of its topmost group, which is below a folder in some zip files.

        Raises
        ------
        EmptySourceError
            There is no such folder or file.
        """
        if self.is_zip:
            with self._zip_file() as path:
                with zipfile.ZipFile(path) as file:
                    top = _top_folder(file.namelist())
                store = ZipStore(path, mode="r")
                try:
                    yield store, top
                finally:
                    if store._is_open:  # noqa: SLF001 - it cannot be closed before it is first read
                        store.close()
            return
        if self._store is None:
            self._store = self._open()
        yield self._store, "" if self.is_local or self.is_web else self._object.key

    @contextmanager
    def _zip_file(self) -> Iterator[Path]:
        if self.is_local:
            path = Path(self.url)
            if not path.is_file():
                raise EmptySourceError(f"{self._component}: there is no file {self.url!r}.")
            yield path
            return
        parent, _, name = self.url.rpartition("/")
        folder = RemoteFolder(parent, self._given, self._cache_size, self._component)
        identity = folder.listed(name).get(name)
        if identity is None:
            raise EmptySourceError(f"{self._component}: there is no file {self.url}.")
        with folder.opened(folder.address(name), identity, name) as path:
            yield path

    def _open(self) -> Store:
        if self.is_local:
            if not Path(self.url).is_dir():
                state = "is no folder, and no .zip" if Path(self.url).exists() else "does not exist"
                raise EmptySourceError(f"{self._component}: {self.url!r} {state}; give the folder of a Zarr store.")
            return LocalStore(Path(self.url).absolute(), read_only=True)
        if not self.is_web:
            return ObjectStore(object_store(self._object, self._options), read_only=True)
        try:
            from obstore.store import HTTPStore  # noqa: PLC0415 - for URLs alone
        except ImportError as exc:
            raise MissingDependencyError.of("obstore", "objects", f"{self._component}: {self.url}") from exc
        options: Any = client_options(self.url)
        return ObjectStore(HTTPStore.from_url(web_address(self.url), client_options=options), read_only=True)

    @property
    def _object(self) -> ObjectUrl:
        return ObjectUrl.parse(self.url, f"{self._component}:", is_prefix=True)

    def identities(self, prefix: str) -> dict[str, str] | None:
        """Content identities of the objects below a path, by key; ``None`` where they cannot be listed."""
        if self.is_web and not self.is_zip:
            return None
        top = f"{prefix}/" if prefix else ""
        if self.is_zip:
            with self._zip_file() as path, zipfile.ZipFile(path) as file:
                return {
                    info.filename: f"{info.file_size}-{info.CRC:08x}"
                    for info in file.infolist()
                    if info.filename.startswith(top) and not info.is_dir()
                }
        if self.is_local:
            root = Path(self.url).absolute()
            files = (Path(folder, name) for folder, _, names in os.walk(root / prefix) for name in names)
            return {path.relative_to(root).as_posix(): stat_fingerprint(path) or "" for path in files}
        return self._listed(top)

    def _listed(self, top: str) -> dict[str, str]:
        import obstore  # noqa: PLC0415 - for URLs alone

        with self.opened() as (store, _):
            client: Any = store.store  # type: ignore[attr-defined]  # an ObjectStore
            metas = [meta for page in obstore.list(client, top or None) for meta in page]
        return {meta["path"]: f"{meta['size']}-{meta.get('e_tag') or meta['last_modified']}" for meta in metas}


def _top_folder(names: list[str]) -> str:
    """The folder that everything in a zip file is below; empty where the store is at its top."""
    if any(name in names for name in _HIERARCHY):
        return ""
    tops = {name.partition("/")[0] for name in names}
    top = next(iter(tops)) if len(tops) == 1 else ""
    return top if top and any(f"{top}/{name}" in names for name in _HIERARCHY) else ""
