"""Opening the metrics database, with every failure classified: busy, corrupt, foreign, too new."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from curator_core.errors import StoreBusyError, StoreCorruptError, StoreError, StoreVersionError
from curator_core.storage.atomic import temporary_sibling
from curator_core.storage.disk import ADVICE, lack_of_room, reason
from curator_core.store.columns import APPLICATION_ID, SCHEMA_VERSION, TABLES
from curator_core.store.location import MOUNT_TABLE, network_file_system
from curator_core.store.migrations import MIGRATIONS, read_as_present, schema_version

logger = logging.getLogger("curator")

BUSY_TIMEOUT_S = 30.0
"""How long a busy database is waited for."""

_NOTHING = "file::memory:"
"""What stands for an empty file."""
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_DENIED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}


@contextlib.contextmanager
def classified(path: str | Path) -> Iterator[None]:
    """Turn SQLite's errors into `StoreError`s that say what to do."""
    try:
        yield
    except UnicodeDecodeError as exc:  # a name in the schema
        raise StoreCorruptError(
            f"{path} is damaged (text that is no UTF-8). It was left as it is: move it away to start anew."
        ) from exc
    except sqlite3.Error as exc:
        code = getattr(exc, "sqlite_errorcode", None)
        primary = code & 0xFF if code is not None else None
        if primary in _BUSY:
            raise StoreBusyError(
                f"{path} is in use by another process (waited {BUSY_TIMEOUT_S:.0f} s). Wait for it, or stop it."
            ) from exc
        if full := lack_of_room(exc, path):
            raise StoreError(f"{path} cannot be written: {full}. {ADVICE} What is recorded already stays.") from exc
        if primary in _CORRUPT:
            raise StoreCorruptError(
                f"{path} is damaged or is no SQLite database ({exc}). It was left as it is: move it away to start anew."
            ) from exc
        if primary in _DENIED:
            raise StoreError(
                f"{path} cannot be opened ({exc}). See that you may write the file and its folder, "
                f"or name another place with db_file or db_dir."
            ) from exc
        raise StoreError(f"{path}: {exc}") from exc


def open_for_reading(path: str | Path) -> sqlite3.Connection:
    """Connection that cannot write, to an existing database of this schema version or an older one.

    An empty file is a database in which nothing is recorded: somebody made it before a run did.

    Raises
    ------
    StoreError
        No such file; or one of `StoreBusyError`, `StoreCorruptError`, `StoreVersionError`.
    """
    if not Path(path).is_file():
        raise StoreError(f"There is no metrics database at {path}.")
    with classified(path):
        uri = _NOTHING if _is_empty(Path(path)) else _uri(Path(path))
        try:
            return _reading(uri, path)
        except sqlite3.OperationalError as exc:
            if _log_bytes(Path(path)) or lack_of_room(exc, path) is None:
                raise
        return _reading(f"{uri}&immutable=1", path)  # no room for what a reader makes beside it, nor for a writer


def _reading(uri: str, path: str | Path) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        if uri == _NOTHING:
            _create_or_migrate(connection, path)
        _check(connection, path)
        read_as_present(connection)
        connection.execute("PRAGMA query_only=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_writing(path: str | Path, *, mount_table: str | os.PathLike[str] = MOUNT_TABLE) -> sqlite3.Connection:
    """Read-write connection in autocommit mode; tables are created or brought to the present version.

    Parameters
    ----------
    path
        The database; created when absent.
    mount_table
        Table of mounted file systems, see `network_file_system`.

    Raises
    ------
    StoreError
        As for `open_for_reading`, or the file cannot be written.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if not Path(path).exists() or _is_empty(Path(path)):
            with classified(path):
                _publish_new(Path(path))
        is_new = not Path(path).exists() or _is_empty(Path(path))
    except OSError as exc:
        raise StoreError(f"Cannot create the metrics database {path}: {reason(exc)}.") from exc
    if not is_new:
        open_for_reading(path).close()  # what is not ours is found out without a chance to change it
    with classified(path):
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            file_system = network_file_system(path, mount_table=mount_table)
            if file_system is not None:
                _warn_of_network(Path(path).resolve().parent, file_system)
                _use_rollback_journal(connection)
            _create_or_migrate(connection, path)
            _check(connection, path)
            if file_system is None:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection


def _publish_new(path: Path) -> None:
    """Make a database aside, so that a kill leaves none that is not whole; where that cannot be, nothing is made."""
    aside = temporary_sibling(path)
    found = path.lstat() if path.exists() else None
    try:
        if found is not None:  # it has been made, empty, with the permissions that it is to have
            aside.touch(0o600)
            aside.chmod(stat.S_IMODE(found.st_mode))
        with contextlib.closing(sqlite3.connect(aside, isolation_level=None)) as connection:
            _create_or_migrate(connection, path)
        with contextlib.suppress(OSError):  # somebody else was quicker, or the file system has no links
            if found is None:
                os.link(aside, path)
            elif stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _is_empty(path: Path) -> bool:
    return path.stat().st_size == 0


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


def _create_or_migrate(connection: sqlite3.Connection, path: str | Path) -> None:
    with transaction(connection):
        if not _tables(connection):
            for table in TABLES:
                connection.execute(table.creation())
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    for migration in MIGRATIONS:
        with transaction(connection):  # asked inside it, since another process may have been quicker
            if schema_version(connection) < migration.version:
                migration.apply(connection)
                logger.info("%s: now at schema version %d (%s)", path, migration.version, migration.name)


@cache  # once per folder and process
def _warn_of_network(folder: Path, file_system: str) -> None:
    logger.warning(
        "%s is on a network file system (%s): the metrics database there is kept with a rollback journal, which is "
        "safe but slower. A local disk is better: set db_dir, or the environment variable CURATOR_CACHE_DIR.",
        folder,
        file_system,
    )


def _use_rollback_journal(connection: sqlite3.Connection) -> None:
    """Leave WAL, whose shared memory works on one host only; readers that have the database open are waited for."""
    connection.execute("PRAGMA synchronous=FULL")
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(0.05)  # SQLite's own waiting does not cover this statement
        else:
            return


def is_metrics_database(path: Path) -> bool:
    """Whether a file says that it is a metrics database; it may be damaged all the same."""
    return path.is_file() and _is_ours(path)


def _is_ours(path: Path) -> bool:
    """Whether the header of a file has our mark.

    SQLite reads it: were the file opened and closed by anybody else in this process, POSIX would give up all locks that
    its connections have on it (https://www.sqlite.org/howtocorrupt.html, section 2.2). Another program that closes the
    database would then take itself for the last one and remove the log under a run that is writing it.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            (application,) = db.execute("PRAGMA application_id").fetchone()
    except sqlite3.Error:  # not for us to read, or no database
        return False
    return bool(application == APPLICATION_ID)


def _uri(path: Path) -> str:
    """How to open a database for reading."""
    mode = "mode=ro"
    is_foreign = path.stat().st_uid != os.geteuid() or not os.access(path.parent, os.W_OK)
    if _log_bytes(path) is not None:
        pass
    elif is_foreign and _is_in_wal_mode(path):
        # Even a reader makes files beside a database in WAL mode. It may not here, or would lock out the owner, who
        # may not write them. Without a log nobody is writing.
        mode = "mode=ro&immutable=1"
    elif os.access(path, os.W_OK) and _is_ours(path):
        # Whoever may only read leaves the files that SQLite makes beside a database in WAL mode; the last who may write
        # does not. In any other mode, a writer killed in the middle of a commit leaves a journal that only who may
        # write can roll back.
        mode = "mode=rw"
    return f"{path.absolute().as_uri()}?{mode}"


def _is_in_wal_mode(path: Path) -> bool:
    """What the header of somebody else's database says, which SQLite reads only once it has made files beside it.

    Layout: https://www.sqlite.org/fileformat2.html#the_database_header.
    """
    try:
        with path.open("rb") as file:
            return file.read(20)[18:] == b"\x02\x02"
    except OSError as exc:
        raise StoreError(f"{path} cannot be read: {exc.strerror}. See that you may read the file.") from exc


def log_path(path: Path) -> Path:
    """Where SQLite keeps the log of a database in WAL mode, while somebody has it open."""
    return path.with_name(f"{path.name}-wal")


def _log_bytes(path: Path) -> int | None:
    """Size of the log beside a database, which a reader must see, too; ``None`` where there is none."""
    try:
        return log_path(path).stat().st_size
    except FileNotFoundError:
        return None


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _check(connection: sqlite3.Connection, path: str | Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise StoreCorruptError(
            f"{path} is no metrics database of curator. It was left as it is: choose another place."
        )
    version = schema_version(connection)
    if version > SCHEMA_VERSION:
        raise StoreVersionError(
            f"{path} has schema version {version}, this curator knows up to {SCHEMA_VERSION}: upgrade curator."
        )
    missing = {table.name for table in TABLES} - _tables(connection)
    if missing:
        raise StoreCorruptError(
            f"{path} is damaged: it has no table {', '.join(sorted(missing))}. It was left as it is."
        )
