"""Rows of an ``.aselmdb`` file, read the way ASE's own backend reads them."""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.calculators.calculator import all_properties
from ase.db.row import AtomsRow

from curator_core.domains.atoms.lmdb_pages import DamagedFileError, check_lmdb_file
from curator_core.errors import MissingDependencyError

try:
    import lmdb
    from ase_db_backends.aselmdb import RESERVED_KEYS, decode_bytestream
except ImportError as exc:
    raise MissingDependencyError.of("ase-db-backends", "atoms", "Reading .aselmdb files") from exc

if TYPE_CHECKING:
    from ase import Atoms

UNREADABLE = (lmdb.Error, DamagedFileError, OSError)
"""What opening a file can raise."""

UNDECODABLE = (lmdb.Error, zlib.error, ValueError, LookupError, TypeError, AttributeError, AssertionError)
"""What reading one entry can raise: none of zlib, JSON and ASE promises anything about damaged input."""


class RowFile:
    """An open ``.aselmdb`` file; use `open_rows` to get one."""

    def __init__(self, environment: lmdb.Environment) -> None:
        self._environment = environment

    def ids(self) -> list[int]:
        """Ids of the rows, ascending; ASE numbers rows from one and keeps a list of deleted ids."""
        next_id = self._decoded(b"nextid")
        deleted = self._decoded(b"deleted_ids")
        if next_id is None:
            n_reserved = sum(self._value(name.encode()) is not None for name in RESERVED_KEYS)
            if self._environment.stat()["entries"] > n_reserved:
                raise DamagedFileError("not an ASE database: an LMDB file without the entry 'nextid'")
            next_id = 1
        gone = set() if deleted is None else {int(row_id) for row_id in np.asarray(deleted).ravel()}
        return [row_id for row_id in range(1, int(str(next_id))) if row_id not in gone]

    def atoms(self, row_id: int) -> Atoms:
        """The structure of a row, with calculator results and, in ``info``, what else the row holds."""
        fields = self._decoded(str(row_id).encode())
        if fields is None:
            raise KeyError("the row is missing")
        if not isinstance(fields, dict):
            raise TypeError(f"the row holds a {type(fields).__name__}")
        for name in all_properties:
            if isinstance(fields.get(name), list):
                fields[name] = np.array(fields[name])
        fields["id"] = row_id
        atoms: Atoms = AtomsRow(fields).toatoms(add_additional_information=True)
        return atoms

    def _value(self, key: bytes) -> bytes | None:
        with self._environment.begin() as transaction:
            value: bytes | None = transaction.get(key)
        return value

    def _decoded(self, key: bytes) -> object:
        value = self._value(key)
        return None if value is None else decode_bytestream(value, decompress=True, json_decode=True)


_lock = threading.Lock()
_open: dict[tuple[int, int], tuple[lmdb.Environment, int]] = {}


@contextlib.contextmanager
def open_rows(path: Path) -> Iterator[RowFile]:
    """Open a file for reading; nothing is written beside it.

    LMDB allows a process one handle per file, so readers of one file share it, and the last one
    closes it.

    Raises
    ------
    lmdb.Error, DamagedFileError, OSError
        The file cannot be read; see `UNREADABLE`.
    """
    check_lmdb_file(path)
    status = path.stat()
    identity = (status.st_dev, status.st_ino)
    with _lock:
        environment, n_readers = _open.get(identity) or (_open_environment(path), 0)
        _open[identity] = (environment, n_readers + 1)
    try:
        yield RowFile(environment)
    finally:
        with _lock:
            environment, n_readers = _open.pop(identity)
            if n_readers > 1:
                _open[identity] = (environment, n_readers - 1)
            else:
                environment.close()


def _open_environment(path: Path) -> lmdb.Environment:
    return lmdb.open(str(path), subdir=False, readonly=True, lock=False)
