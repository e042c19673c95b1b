"""Rows of an ``.aselmdb`` file, read the way ASE's own backend reads them."""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ase.db.row import AtomsRow

from curator_core.domains.atoms.ase_lmdb.entries import decode_count, decode_ids, decode_row
from curator_core.domains.atoms.ase_lmdb.pages import DamagedFileError, check_lmdb_file
from curator_core.errors import MissingDependencyError

try:
    import lmdb
    from ase_db_backends.aselmdb import RESERVED_KEYS
except ImportError as exc:
    raise MissingDependencyError.of("ase-db-backends", "atoms", "Reading .aselmdb files") from exc

if TYPE_CHECKING:
    from ase import Atoms

T = TypeVar("T")
_LOOKED_AT = 10
_PICKLED = b"\x80"
_PROTOCOLS = (b"\x02", b"\x03", b"\x04", b"\x05")

UNREADABLE = (lmdb.Error, DamagedFileError, OSError)
"""What opening a file can raise."""

UNDECODABLE = (
    lmdb.Error,
    zlib.error,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RuntimeError,  # RecursionError among them
    MemoryError,
)
"""What reading one entry can raise: none of zlib, JSON and ASE promises anything about damaged input."""


class RowFile:
    """An open ``.aselmdb`` file; use `open_rows` to get one."""

    def __init__(self, environment: lmdb.Environment) -> None:
        self._environment = environment

    def ids(self) -> list[int]:
        """Ids of the rows, ascending; ASE numbers rows from one and keeps a list of deleted ids.

        Raises
        ------
        DamagedFileError
            They are not those of the entries that the file holds.
        """
        n_entries = self._environment.stat()["entries"]
        n_reserved = sum(self._value(name.encode()) is not None for name in RESERVED_KEYS)
        next_id = self._value(b"nextid")
        if next_id is None and n_entries > n_reserved:
            raise DamagedFileError(f"not an ASE database: {self._what_it_is()}")
        end = 1 if next_id is None else self._entry("nextid", next_id, decode_count)
        deleted = self._value(b"deleted_ids")
        gone = set() if deleted is None else self._entry("deleted_ids", deleted, decode_ids)
        n_rows = end - 1 - len(gone)
        if end < 1 or any(not 1 <= row_id < end for row_id in gone):
            raise DamagedFileError(f"its entries 'nextid' ({end}) and 'deleted_ids' do not fit together")
        if n_rows > n_entries - n_reserved:
            missing = next(i for i in range(1, end) if i not in gone and self._value(str(i).encode()) is None)
            raise DamagedFileError(
                f"row id {missing} cannot be read: it is missing; the file claims {n_rows} rows, and has "
                f"{n_entries - n_reserved}"
            )
        if n_rows < n_entries - n_reserved:
            self._require_no_others(end, gone)
        return [row_id for row_id in range(1, end) if row_id not in gone]

    def atoms(self, row_id: int) -> Atoms:
        """The structure of a row, with calculator results and, in ``info``, what else the row holds."""
        value = self._value(str(row_id).encode())
        if value is None:
            raise KeyError("the row is missing")
        fields = decode_row(value)
        fields["id"] = row_id
        atoms: Atoms = AtomsRow(fields).toatoms(add_additional_information=True)
        return atoms

    def _require_no_others(self, end: int, gone: set[int]) -> None:
        """Make sure that no entry is a row that the list of rows leaves out."""
        with self._environment.begin() as transaction:
            for key in transaction.cursor().iternext(keys=True, values=False):
                if key.isdigit() and (int(key) in gone or not 1 <= int(key) < end):
                    raise DamagedFileError(f"it has a row {int(key)}, which its entries 'nextid' or 'deleted_ids' deny")

    def _what_it_is(self) -> str:
        with self._environment.begin() as transaction:
            cursor = transaction.cursor()
            values = (bytes(value[:2]) for value in islice(cursor.iternext(keys=False), _LOOKED_AT))
            is_pickled = any(value[:1] == _PICKLED and value[1:] in _PROTOCOLS for value in values)
        if not is_pickled:
            return "an LMDB file without the entry 'nextid'"
        return (
            "its rows are pickled objects, as in .lmdb files of former versions of fairchem, which run what they say "
            "when they are read, and are refused; where you trust it, read it with the fairchem that wrote it, and "
            "write its structures with ase.db.connect('new.aselmdb').write(atoms)"
        )

    def _entry(self, name: str, value: bytes, decode: Callable[[bytes], T]) -> T:
        try:
            return decode(value)
        except (ValueError, RecursionError, zlib.error) as exc:
            raise DamagedFileError(f"its entry {name!r} cannot be read: {exc}") from exc

    def _value(self, key: bytes) -> bytes | None:
        with self._environment.begin() as transaction:
            value: bytes | None = transaction.get(key)
        return value


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
