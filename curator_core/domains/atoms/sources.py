"""Source of atomic structures: folders of ASE databases in LMDB files."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

from ase import Atoms

from curator_core.domains.atoms.ase_lmdb.rows import UNDECODABLE, UNREADABLE, RowFile, open_rows
from curator_core.errors import ComponentError, ConfigError, EmptySourceError, IndexRangeError
from curator_core.pipeline.components import Source
from curator_core.storage.input_files import is_unfinished, require_regular, text_key


@dataclass(frozen=True, slots=True)
class _Entry:
    """One item: a file, or a block of its rows."""

    path: Path
    """The file."""
    key: str
    """Its path relative to the root, and the block of rows."""
    fingerprint: str | None
    """Size, modification time and inode as listed; ``None`` for a dangling link."""
    start: int = 0
    """Position of the first row."""
    stop: int | None = None
    """Position after the last row; ``None`` for the end of the file."""


class ASELMDBSource(Source[Atoms]):
    """Structures from ``.aselmdb`` files, one file or one block of rows per index.

    Items are sorted by path, and keep ASE's reading of each row: calculator results in a
    `SinglePointCalculator`, and ``unique_id``, ``key_value_pairs`` and ``data`` in ``Atoms.info``.
    Nothing is read before the first use, and nothing is ever written beside the input. Hidden files, editors'
    backups and unfinished downloads are passed over; a named pipe among the files is an item that fails.

    Parameters
    ----------
    data_dir
        Folder to search, sub-folders included; a path or a ``file://`` URL.
    pattern
        Glob pattern of the file names.
    rows_per_index
        Rows per index, at least 1; a whole file per index when not given.

    Notes
    -----
    LMDB maps files into memory, so only local files can be read, and a file must not shrink while it
    is being read. Files that are damaged or cut off are recognised before they are mapped.

    While a file is open elsewhere in the same process (``ase.db.connect``), LMDB refuses to open it.
    """

    name: ClassVar[str] = "ase_lmdb"
    description: ClassVar[str] = "Structures from ASE databases in LMDB files (.aselmdb)"
    checks_arguments: ClassVar[bool] = True

    def __init__(self, data_dir: str, pattern: str = "*.aselmdb", rows_per_index: int | None = None) -> None:
        if rows_per_index is not None and rows_per_index < 1:
            raise ConfigError(f"{self.name}: rows_per_index must be at least 1, got {rows_per_index!r}.")
        self._root = _local_path(str(data_dir))
        self._pattern = pattern
        self._rows_per_index = rows_per_index
        self._entries: list[_Entry] | None = None

    def check(self) -> None:
        """Raise `EmptySourceError` when the folder or a matching file is missing."""
        self._listing()

    def __len__(self) -> int:
        return len(self._listing())

    def key(self, index: int) -> str:
        return self._entry(index).key

    def fingerprint(self, index: int) -> str | None:
        return self._entry(index).fingerprint

    def __getitem__(self, index: int) -> Generator[Atoms, None, None]:
        """Read the structures of a file or block in the order of their ids.

        Raises
        ------
        ComponentError
            The file or one of its rows cannot be read; raised while iterating.
        """
        return self._read(self._entry(index))

    def is_input(self, path: str) -> bool:
        root = self._root.expanduser().resolve()
        place = Path(path)
        if not place.is_relative_to(root) or not place.match(self._pattern):
            return False
        return not is_unfinished(place.relative_to(root).as_posix(), self._pattern)

    def _read(self, entry: _Entry) -> Generator[Atoms, None, None]:
        require_regular(entry.path, component=self.name, key=entry.key)
        try:
            with open_rows(entry.path) as rows:
                for row_id in self._ids(rows, entry)[entry.start : entry.stop]:
                    yield self._atoms(rows, row_id, entry)
        except UNREADABLE as exc:
            raise self._error(entry, "cannot be read", exc) from exc

    def _ids(self, rows: RowFile, entry: _Entry) -> list[int]:
        try:
            return rows.ids()
        except UNDECODABLE as exc:
            raise self._error(entry, "its list of rows cannot be read", exc) from exc

    def _atoms(self, rows: RowFile, row_id: int, entry: _Entry) -> Atoms:
        try:
            return rows.atoms(row_id)
        except UNDECODABLE as exc:
            raise self._error(entry, f"row id {row_id} cannot be read", exc) from exc

    def _error(self, entry: _Entry, what: str, reason: Exception) -> ComponentError:
        return ComponentError(
            f"{self.name}: {entry.path}: {what}: {str(reason) or type(reason).__name__}",
            component=self.name,
            key=entry.key,
            file=str(entry.path),
        )

    def _entry(self, index: int) -> _Entry:
        entries = self._listing()
        if not 0 <= index < len(entries):
            raise IndexRangeError(f"{self.name}: index {index} is out of range for {len(entries)} items.")
        return entries[index]

    def _listing(self) -> list[_Entry]:
        if self._entries is None:
            root = self._root.expanduser().absolute()
            if not root.is_dir():
                state = "is not a folder" if root.exists() else "does not exist"
                raise EmptySourceError(f"{self.name}: {str(root)!r} {state}; give the folder with {self._pattern!r}.")
            found = {path.relative_to(root).as_posix(): path for path in root.rglob(self._pattern) if not path.is_dir()}
            names = sorted(name for name in found if not is_unfinished(name, self._pattern))
            if not names:
                also = f" (apart from {len(found)} that are hidden or unfinished)" if found else ""
                raise EmptySourceError(f"{self.name}: no file in {str(root)!r} matches {self._pattern!r}{also}.")
            self._entries = [entry for name in names for entry in self._split(found[name], text_key(name))]
        return self._entries

    def _split(self, path: Path, key: str) -> list[_Entry]:
        fingerprint = _fingerprint(path)
        size = self._rows_per_index
        if size is None:
            return [_Entry(path, key, fingerprint)]
        try:
            require_regular(path, component=self.name, key=key)
            with open_rows(path) as rows:
                n_rows = len(rows.ids())
        except (ComponentError, *UNREADABLE, *UNDECODABLE):
            return [_Entry(path, key, fingerprint)]  # fails when it is processed, and the others do not
        # The last block is named for the rows it has room for: its key stays when rows are added
        return [
            _Entry(path, f"{key}#{start:06d}-{start + size - 1:06d}", fingerprint, start, start + size)
            for start in range(0, max(n_rows, 1), size)
        ]


def _local_path(location: str) -> Path:
    scheme, separator, rest = location.partition("://")
    if not separator:
        return Path(location)
    if scheme != "file":
        raise ConfigError(
            f"{ASELMDBSource.name}: {location!r} is not local. LMDB maps files into memory, so only local paths "
            "(or file:// URLs) are supported; copy or mount the files first."
        )
    return Path(unquote(rest))


def _fingerprint(path: Path) -> str | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"
