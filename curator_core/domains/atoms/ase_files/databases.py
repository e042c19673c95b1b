"""Rows of ASE databases in SQLite and JSON files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ase.db.jsondb import JSONDatabase
from ase.db.sqlite import SQLite3Database

from curator_core.domains.atoms.ase_files.framing import CutOffError

if TYPE_CHECKING:
    from ase import Atoms

DATABASES: Final = ("db", "json")
"""Formats that are databases."""
_SQLITE: Final = b"SQLite format 3\x00"


class _ReadOnly(SQLite3Database):
    """A database in an SQLite file that nothing is written to, nor beside it."""

    def _connect(self) -> sqlite3.Connection:
        return _connected(Path(str(self.filename)))


def open_database(path: Path, file_format: str) -> JSONDatabase | SQLite3Database:
    """An ASE database, for reading.

    Raises
    ------
    ValueError
        It is none, or is being written to.
    CutOffError
        It is cut off.
    """
    if file_format == "json":
        return JSONDatabase(str(path), create_indices=False, use_lock_file=False, serial=True)
    _require_sqlite(path)
    return _ReadOnly(str(path), create_indices=False, use_lock_file=False, serial=True)


def rows_of(database: JSONDatabase | SQLite3Database, start: int, stop: int | None) -> Iterator[Atoms]:
    """Structures of some rows in the order of their ids, with what else they have in ``info``."""
    limit = None if stop is None else stop - start
    with database:  # one connection
        for row in database.select(offset=start, limit=limit):
            yield row.toatoms(add_additional_information=True)


def _require_sqlite(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(100)
    if not head.startswith(_SQLITE):
        raise ValueError("it is no SQLite file")
    for suffix in ("-wal", "-journal"):
        beside = path.with_name(path.name + suffix)
        if beside.is_file() and beside.stat().st_size:
            raise ValueError(f"it is being written to, or its writer was killed: {beside.name} holds more of it")
    page_size = int.from_bytes(head[16:18], "big")
    expected = int.from_bytes(head[28:32], "big") * (page_size if page_size > 1 else 1 << 16)
    if path.stat().st_size < expected:
        raise CutOffError(f"it has {path.stat().st_size} of {expected} bytes")
    with closing(_connected(path)) as connection:
        found = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'systems'").fetchone()
    if not found[0]:
        raise ValueError("it is no ASE database: it has no table 'systems'")


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
