"""Source of files: what is found below a folder or URL, by which keys, and errors that name the file."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, TypeVar, cast
from urllib.parse import unquote

from curator_core.errors import ComponentError, ConfigError, CuratorError, EmptySourceError, IndexRangeError
from curator_core.pipeline.annotations import SECRET, UNRECORDED
from curator_core.pipeline.components import Source, overrides
from curator_core.sources.fsspec_folder import FsspecFolder
from curator_core.sources.items import FileItem as FileItem  # noqa: PLC0414 - domains import it from here
from curator_core.sources.items import WholeFiles
from curator_core.sources.local_folder import local_files, stat_fingerprint
from curator_core.sources.remote_client import FSSPEC
from curator_core.sources.remote_folder import RemoteFolder
from curator_core.storage.input_files import is_unfinished, require_regular
from curator_core.storage.objects.stores import without_public
from curator_core.storage.places import url_scheme

T = TypeVar("T")
_NOTHING = object()


class FileSource(Source[T]):
    """Files below a folder or URL, one or more items each, sorted by path; write `read`.

    Nothing is listed before the first use, and the listing travels to workers. Keys are paths relative to the root.
    Fingerprints are size, modification time and inode; of remote files, size and ETag. Hidden files, editors' backups
    and unfinished downloads are passed over, unless the pattern asks for them; a named pipe or a link to nowhere is an
    item that fails. Links to folders are not followed (but the root may be one).

    A remote file is downloaded when it is read, or split, into a cache on this machine.

    Parameters
    ----------
    root
        Folder to search, sub-folders included; a path, or a URL: ``file://``, ``s3://``, ``gs://``, ``az://``,
        ``https://``, ``http://``, or one that fsspec knows, such as ``hf://``.
    pattern
        Glob pattern of the file names.
    storage_options
        Credentials and the like for a URL, by obstore's names; otherwise, those of the environment.
    cache_size
        How much is kept of what was downloaded, such as ``20 GB``; see `CURATOR_DOWNLOAD_CACHE_SIZE`.
    """

    may_be_empty: ClassVar[bool] = False
    """Whether a file may give nothing; otherwise that is an error."""

    _unsplit: Mapping[str, str] = MappingProxyType({})
    """Files that could not be split, by key, and why."""

    def __init__(
        self,
        root: str,
        pattern: str = "*",
        *,
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
        cache_size: Annotated[int | str | None, UNRECORDED] = None,
    ) -> None:
        if not str(root).strip():
            raise ConfigError(f"{self.component_name()}: its folder is empty text: give one, '.' for the current one.")
        self._root = Path()
        self._remote: RemoteFolder | None = None
        if url_scheme(str(root)) in ("", "file"):
            self._root = _local(str(root))
        else:
            kind = FsspecFolder if url_scheme(str(root)) in FSSPEC else RemoteFolder
            self._remote = kind(str(root), storage_options or {}, cache_size, self.component_name())
        self._pattern = pattern
        self._entries: Sequence[FileItem] | None = None

    @abstractmethod
    def read(self, item: FileItem) -> Iterator[T]:
        """Open the file of an item and yield its values, of a part those from ``start`` to ``stop``.

        Whatever is raised fails this item alone, with the name of the file.
        """

    def split(self, file: FileItem) -> Iterable[FileItem]:
        """The items of a file, each made by `FileItem.part`; by default the file itself.

        Keys of parts should stay when the file grows. A file that cannot be split, or into nothing (unless
        `may_be_empty`), or into parts of which two have the same key, is one item, which fails.
        """
        return (file,)

    def splits(self) -> bool:
        """Whether files are split, as it is configured; every remote file is downloaded for that when it is listed."""
        return overrides(self, FileSource.split)

    def file_fingerprint(self, path: Path) -> str | None:
        """Cheap content identity of a local file: size, modification time and inode; ``None`` where there is none."""
        return stat_fingerprint(path)

    def check(self) -> None:
        """Raise `EmptySourceError` when the folder or a matching file is missing, `ConfigError` where it is denied."""
        self._listing()

    def __len__(self) -> int:
        return len(self._listing())

    def key(self, index: int) -> str:
        entries = self._listing()
        if isinstance(entries, WholeFiles) and 0 <= index < len(entries.keys):  # for every file: no object of each
            return entries.keys[index]
        return self.item(index).key

    def fingerprint(self, index: int) -> str | None:
        entries = self._listing()
        if isinstance(entries, WholeFiles) and 0 <= index < len(entries.keys):
            return entries.fingerprints[index]
        return self.item(index).fingerprint

    def item_path(self, index: int) -> str:
        entries = self._listing()
        if isinstance(entries, WholeFiles) and 0 <= index < len(entries.keys):
            return entries.path(index)
        return self.item(index).place

    def __getitem__(self, index: int) -> Generator[T, None, None]:
        """Read an item.

        Raises
        ------
        ComponentError
            The file cannot be read, or gives nothing; raised while iterating.
        """
        return self._values(self.item(index))

    def item(self, index: int) -> FileItem:
        """The file, or part of one, at a position of the listing."""
        items = self._listing()
        if not 0 <= index < len(items):
            raise IndexRangeError(f"{self.component_name()}: index {index} is out of range for {len(items)} items.")
        return items[index]

    def is_input(self, path: str) -> bool:
        if self._remote is not None:
            name = self._remote.name_of(path)
            return name is not None and Path(name).match(self._pattern) and not is_unfinished(name, self._pattern)
        root = self._root.expanduser().resolve()
        place = Path(path)
        if not place.is_relative_to(root) or not place.match(self._pattern):
            return False
        return not is_unfinished(place.relative_to(root).as_posix(), self._pattern)

    def secret_values(self) -> list[str]:
        return without_public(super().secret_values(), (self._arguments or {}).get("storage_options"))

    def error(self, item: FileItem, what: str, reason: Exception | str) -> ComponentError:
        """Build the error of an item, which names its file: what cannot be done, and why."""
        return ComponentError(
            f"{self.component_name()}: {item.place}: {what}: {str(reason) or type(reason).__name__}",
            component=self.component_name(),
            key=item.key,
            file=item.place,
        )

    def _values(self, item: FileItem) -> Generator[T, None, None]:
        if item.key in self._unsplit:
            self._require_regular(item)
            raise self.error(item, "cannot be split into items", self._unsplit[item.key])
        with self._local_copy(item) as path:
            yield from self._read_values(item if path == item.path else replace(item, path=path))

    def _read_values(self, item: FileItem) -> Generator[T, None, None]:
        before = stat_fingerprint(item.path) if self._remote is None else None  # others may touch what is downloaded
        try:
            produced = iter(self.read(item))
            try:
                first = next(produced, _NOTHING)
                if first is not _NOTHING:
                    yield cast("T", first)
                    yield from produced
            finally:
                if isinstance(produced, Generator):
                    produced.close()
        except CuratorError:
            raise
        except Exception as exc:
            reason = f"{type(exc).__name__}: {exc}" if isinstance(exc, LookupError) else exc
            raise self.error(item, "cannot be read", reason) from exc
        if before is not None and stat_fingerprint(item.path) != before:
            reason = "it was written to while it was read, so that values can be old and new: run again"
            raise self.error(item, "cannot be read", reason)
        if first is _NOTHING and not self.may_be_empty:
            raise self.error(item, "gives nothing", "it is empty, or holds something else")

    def _local_copy(self, item: FileItem) -> AbstractContextManager[Path]:
        """Path of the item's file on this machine, which stays there within."""
        if self._remote is None or item.url is None:
            self._require_regular(item)
            return nullcontext(item.path)
        return self._remote.opened(item.url, item.fingerprint or "", item.key)

    def _require_regular(self, item: FileItem) -> None:
        if item.url is None:
            require_regular(item.path, component=self.component_name(), key=item.key)

    def _listing(self) -> Sequence[FileItem]:
        if self._entries is None:
            unsplit: dict[str, str] = {}
            entries: Sequence[FileItem] = self._whole_files()
            if self.splits():
                entries = [part for file in entries for part in self._items(file, unsplit)]
            self._unsplit, self._entries = unsplit, entries  # in this order: another thread may ask meanwhile
        return self._entries

    def _whole_files(self) -> WholeFiles:
        if self._remote is not None:
            remote = self._remote
            identities = remote.listed(self._pattern)
            names = self._finished(identities, remote.url)
            return WholeFiles(remote.url, names, [identities[name] for name in names], remote.address)
        root = self._root.expanduser().absolute()
        names = self._finished(local_files(root, self._pattern, self.component_name()), str(root))
        if overrides(self, FileSource.file_fingerprint):
            return WholeFiles(str(root), names, [self.file_fingerprint(root / name) for name in names])
        top = os.path.join(root, "")  # noqa: PTH118 - for every file, as below
        return WholeFiles(str(root), names, [stat_fingerprint(top + name) for name in names])

    def _finished(self, found: Iterable[str], root: str) -> list[str]:
        """Names that are items, sorted."""
        listed = list(found)
        names = sorted(name for name in listed if not is_unfinished(name, self._pattern))
        if not names:
            also = f" (apart from {len(listed)} that are hidden or unfinished)" if listed else ""
            raise EmptySourceError(f"{self.component_name()}: no file in {root!r} matches {self._pattern!r}{also}.")
        return names

    def _items(self, file: FileItem, unsplit: dict[str, str]) -> list[FileItem]:
        with self._local_copy(file) if file.url else nullcontext(file.path) as path:  # a remote one that fails ends it
            try:
                self._require_regular(file)
                parts = self._parts(replace(file, path=path))
            except Exception as exc:  # noqa: BLE001 - fails when it is processed, and the others do not
                unsplit[file.key] = str(exc) or type(exc).__name__
                return [file]
        return [replace(part, path=file.path) for part in parts]

    def _parts(self, file: FileItem) -> list[FileItem]:
        parts = list(self.split(file))
        if not parts and not self.may_be_empty:
            raise ValueError("it is empty, or holds something else")
        for key, times in Counter(part.key for part in parts).most_common(1):
            if times > 1:
                raise ValueError(f"{times} parts have the key {key!r}")
        return parts


def _local(location: str) -> Path:
    if not url_scheme(location):
        return Path(location)
    return Path(unquote(location.partition(":")[2].removeprefix("//")))
