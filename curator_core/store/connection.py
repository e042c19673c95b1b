"""Opening the metrics database, with every failure classified: busy, corrupt, foreign, too new."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from curator_core.errors import StoreBusyError, StoreCorruptError, StoreError, StoreVersionError
from curator_core.store.schema import APPLICATION_ID, SCHEMA_VERSION, TABLE_NAMES, TABLES

BUSY_TIMEOUT_S = 30.0
"""How long a busy database is waited for."""

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@contextlib.contextmanager
def classified(path: str | Path) -> Iterator[None]:
    """Turn SQLite's errors into `StoreError`s that say what to do."""
    try:
        yield
    except sqlite3.Error as exc:
        code = getattr(exc, "sqlite_errorcode", None)
        primary = code & 0xFF if code is not None else None
        if primary in _BUSY:
            raise StoreBusyError(
                f"{path} is in use by another process (waited {BUSY_TIMEOUT_S:.0f} s). Wait for it, or stop it."
            ) from exc
        if primary in _CORRUPT:
            raise StoreCorruptError(
                f"{path} is damaged or is no SQLite database ({exc}). It was left as it is: move it away to start anew."
            ) from exc
        raise StoreError(f"{path}: {exc}") from exc


def open_for_reading(path: str | Path) -> sqlite3.Connection:
    """Read-only connection to an existing database.

    Raises
    ------
    StoreError
        No such file; or one of `StoreBusyError`, `StoreCorruptError`, `StoreVersionError`.
    """
    if not Path(path).is_file():
        raise StoreError(f"There is no metrics database at {path}.")
    with classified(path):
        uri = f"{Path(path).absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
        try:
            _check(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def open_for_writing(path: str | Path) -> sqlite3.Connection:
    """Read-write connection in autocommit mode, the tables created where the file is new.

    Raises
    ------
    StoreError
        As for `open_for_reading`, or the file cannot be written.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        is_new = not Path(path).exists() or Path(path).stat().st_size == 0
    except OSError as exc:
        raise StoreError(f"Cannot create the metrics database {path}: {exc}") from exc
    if not is_new:
        open_for_reading(path).close()  # what is not ours is found out without a chance to change it
    with classified(path):
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA synchronous=NORMAL")
            with transaction(connection):
                if not _tables(connection):
                    for statement in TABLES.split(";"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            _check(connection, path)
            connection.execute("PRAGMA journal_mode=WAL")
        except BaseException:
            connection.close()
            raise
        return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One write transaction: all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back on some errors
            connection.execute("ROLLBACK")
        raise


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _check(connection: sqlite3.Connection, path: str | Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise StoreCorruptError(
            f"{path} is no metrics database of curator. It was left as it is: choose another place."
        )
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise StoreVersionError(
            f"{path} has schema version {version}, this curator knows up to {SCHEMA_VERSION}: upgrade curator."
        )
    missing = set(TABLE_NAMES) - _tables(connection)
    if missing:
        raise StoreCorruptError(
            f"{path} is damaged: it has no table {', '.join(sorted(missing))}. It was left as it is."
        )
