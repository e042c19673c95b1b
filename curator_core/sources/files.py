"""Source of files: what is found below a folder, by which keys, and errors that name the file."""

from __future__ import annotations

import fnmatch
import logging
import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, TypeVar, cast, overload
from urllib.parse import unquote

from curator_core.errors import ComponentError, ConfigError, CuratorError, EmptySourceError, IndexRangeError
from curator_core.pipeline.components import Source, overrides
from curator_core.storage.disk import reason
from curator_core.storage.input_files import is_unfinished, require_regular, text_key
from curator_core.storage.places import url_scheme

logger = logging.getLogger("curator")

T = TypeVar("T")
_NOTHING = object()
_MAX_TOLD = 3
"""Folders that a warning names."""


@dataclass(frozen=True, slots=True)
class FileItem:
    """One item: a file, or a part of one."""

    path: Path
    """The file."""
    key: str
    """Its path relative to the root; after ``#`` the name of the part."""
    fingerprint: str | None
    """Content identity of the file when it was listed; ``None`` for a dangling link."""
    start: int = 0
    """Position of the first row, step or block."""
    stop: int | None = None
    """Position after the last one; ``None`` for the end of the file."""

    def part(self, name: str, start: int, stop: int | None) -> FileItem:
        """A part of the file, as an item of its own."""
        return replace(self, key=f"{self.key}#{name}", start=start, stop=stop)


class _WholeFiles(Sequence[FileItem]):
    """Files of which each is one item, made when it is asked for: a hundred thousand are listed in a moment."""

    def __init__(self, root: str, names: list[str], fingerprints: list[str | None]) -> None:
        self._root, self._names = root, names
        self._top = os.path.join(root, "")  # noqa: PTH118 - for every file
        self.keys = list(map(text_key, names))
        self.fingerprints = fingerprints

    def __len__(self) -> int:
        return len(self.keys)

    def path(self, position: int) -> str:
        """Path of a file."""
        return self._top + self._names[position]

    @overload
    def __getitem__(self, position: int) -> FileItem: ...
    @overload
    def __getitem__(self, position: slice) -> list[FileItem]: ...
    def __getitem__(self, position: int | slice) -> FileItem | list[FileItem]:
        if isinstance(position, slice):
            return [self[index] for index in range(*position.indices(len(self)))]
        return FileItem(Path(self._root, self._names[position]), self.keys[position], self.fingerprints[position])


def _stat_fingerprint(path: str | Path) -> str | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - for every file
    except OSError:
        return None
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"


class FileSource(Source[T]):
    """Files below a folder, one or more items each, sorted by path; write `read`.

    Nothing is listed before the first use, and the listing travels to workers. Keys are paths relative to the root,
    fingerprints size, modification time and inode. Hidden files, editors' backups and unfinished downloads are passed
    over, unless the pattern asks for them; a named pipe or a link to nowhere is an item that fails. Links to folders
    are not followed (but the root may be one).

    Parameters
    ----------
    root
        Folder to search, sub-folders included; a path or a ``file://`` URL.
    pattern
        Glob pattern of the file names.
    """

    may_be_empty: ClassVar[bool] = False
    """Whether a file may give nothing; otherwise that is an error."""
    why_local: ClassVar[str] = "Files are read where they are"
    """Why a URL is refused, as the beginning of a sentence."""

    _unsplit: Mapping[str, str] = MappingProxyType({})
    """Files that could not be split, by key, and why."""

    def __init__(self, root: str, pattern: str = "*") -> None:
        self._root = self._local(str(root))
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

    def file_fingerprint(self, path: Path) -> str | None:
        """Cheap content identity of a file: size, modification time and inode; ``None`` where there is no file."""
        return _stat_fingerprint(path)

    def check(self) -> None:
        """Raise `EmptySourceError` when the folder or a matching file is missing."""
        self._listing()

    def __len__(self) -> int:
        return len(self._listing())

    def key(self, index: int) -> str:
        entries = self._listing()
        if isinstance(entries, _WholeFiles) and 0 <= index < len(entries.keys):  # for every file: no object of each
            return entries.keys[index]
        return self.item(index).key

    def fingerprint(self, index: int) -> str | None:
        entries = self._listing()
        if isinstance(entries, _WholeFiles) and 0 <= index < len(entries.keys):
            return entries.fingerprints[index]
        return self.item(index).fingerprint

    def item_path(self, index: int) -> str:
        entries = self._listing()
        if isinstance(entries, _WholeFiles) and 0 <= index < len(entries.keys):
            return entries.path(index)
        return str(self.item(index).path)

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
        root = self._root.expanduser().resolve()
        place = Path(path)
        if not place.is_relative_to(root) or not place.match(self._pattern):
            return False
        return not is_unfinished(place.relative_to(root).as_posix(), self._pattern)

    def error(self, item: FileItem, what: str, reason: Exception | str) -> ComponentError:
        """Build the error of an item, which names its file: what cannot be done, and why."""
        return ComponentError(
            f"{self.component_name()}: {item.path}: {what}: {str(reason) or type(reason).__name__}",
            component=self.component_name(),
            key=item.key,
            file=str(item.path),
        )

    def _values(self, item: FileItem) -> Generator[T, None, None]:
        require_regular(item.path, component=self.component_name(), key=item.key)
        if item.key in self._unsplit:
            raise self.error(item, "cannot be split into items", self._unsplit[item.key])
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
        if first is _NOTHING and not self.may_be_empty:
            raise self.error(item, "gives nothing", "it is empty, or holds something else")

    def _listing(self) -> Sequence[FileItem]:
        if self._entries is None:
            root = self._root.expanduser().absolute()
            found = self._found(root)
            names = sorted(name for name in found if not is_unfinished(name, self._pattern))
            if not names:
                also = f" (apart from {len(found)} that are hidden or unfinished)" if found else ""
                raise EmptySourceError(
                    f"{self.component_name()}: no file in {str(root)!r} matches {self._pattern!r}{also}."
                )
            unsplit: dict[str, str] = {}
            entries: Sequence[FileItem] = self._whole_files(root, names)
            if overrides(self, FileSource.split):
                entries = [part for file in entries for part in self._items(file, unsplit)]
            self._unsplit, self._entries = unsplit, entries  # in this order: another thread may ask meanwhile
        return self._entries

    def _whole_files(self, root: Path, names: list[str]) -> _WholeFiles:
        if overrides(self, FileSource.file_fingerprint):
            fingerprints = [self.file_fingerprint(root / name) for name in names]
        else:
            top = os.path.join(root, "")  # noqa: PTH118 - for every file, as below
            fingerprints = [_stat_fingerprint(top + name) for name in names]
        return _WholeFiles(str(root), names, fingerprints)

    def _found(self, root: Path) -> list[str]:
        """Files by path relative to the root."""
        if not root.is_dir():
            state = "is not a folder" if root.exists() else "does not exist"
            raise EmptySourceError(
                f"{self.component_name()}: {str(root)!r} {state}; give the folder with {self._pattern!r}."
            )
        walked = list(self._walked(root))
        if "/" not in self._pattern and "**" not in self._pattern and self._pattern.strip("."):
            top = os.path.join(root, "")  # noqa: PTH118 - as above
            prefixes = [(os.path.join(folder, "").removeprefix(top), files) for folder, files in walked]  # noqa: PTH118
            return [prefix + name for prefix, files in prefixes for name in fnmatch.filter(files, self._pattern)]
        return [path.relative_to(root).as_posix() for path in root.rglob(self._pattern) if not path.is_dir()]

    def _walked(self, root: Path) -> Iterator[tuple[str, list[str]]]:
        """Names of files by folder; warns of folders without permission, and raises where one fails otherwise."""
        denied: list[str] = []

        def note(error: OSError) -> None:
            if isinstance(error, PermissionError):
                denied.append(str(error.filename))
            elif not isinstance(error, FileNotFoundError):  # it vanished, and its files with it
                raise ComponentError(
                    f"{self.component_name()}: {error.filename} cannot be searched: {reason(error)}",
                    component=self.component_name(),
                    file=str(error.filename),
                ) from error

        for folder, _, files in os.walk(root, onerror=note):
            yield folder, files
        if denied:
            text = "%s: %d folders may not be read, and what is in them is left out: %s"
            more = ", …" if len(denied) > _MAX_TOLD else ""
            logger.warning(text, self.component_name(), len(denied), f"{', '.join(denied[:_MAX_TOLD])}{more}")

    def _items(self, file: FileItem, unsplit: dict[str, str]) -> list[FileItem]:
        try:
            require_regular(file.path, component=self.component_name(), key=file.key)
            return self._parts(file)
        except Exception as exc:  # noqa: BLE001 - fails when it is processed, and the others do not
            unsplit[file.key] = str(exc) or type(exc).__name__
            return [file]

    def _parts(self, file: FileItem) -> list[FileItem]:
        parts = list(self.split(file))
        if not parts and not self.may_be_empty:
            raise ValueError("it is empty, or holds something else")
        for key, times in Counter(part.key for part in parts).most_common(1):
            if times > 1:
                raise ValueError(f"{times} parts have the key {key!r}")
        return parts

    @classmethod
    def _local(cls, location: str) -> Path:
        scheme = url_scheme(location)
        if not scheme:
            return Path(location)
        if scheme != "file":
            raise ConfigError(
                f"{cls.component_name()}: {location!r} is not local. {cls.why_local}, so only local paths (or file:// "
                "URLs) are supported; copy or mount the files first."
            )
        return Path(unquote(location.partition(":")[2].removeprefix("//")))
