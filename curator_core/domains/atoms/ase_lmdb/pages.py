"""Integrity of an LMDB file, checked before it is mapped into memory.

LMDB trusts its pages. Where a file was cut off, or a copy left holes, following a page number leads
beyond the mapping and the kernel ends the process with a signal, its other items with it. So the tree
of the main database is walked once with ordinary reads: every page number, offset and length that LMDB
would follow must stay inside the file. What the entries mean is left to ASE.

References
----------
``MDB_meta``, ``MDB_db``, ``MDB_page`` and ``MDB_node`` in mdb.c of LMDB 0.9 (data version 1).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from struct import Struct, unpack_from

_PAGE = Struct("<QHHHH")  # number, pad, type, lower, upper; on overflow pages both bounds are one count
_META = Struct("<IIQQ I44x IHHQQQQQ QQ")  # header; free list (its pad is the page size); main tree; last page, txn
_NODE = Struct("<HHHH")  # low and high half of a size or page number, flags, key size
_NUMBER = Struct("<Q")  # of a page
_MAGIC = 0xBEEFC0DE
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4
_TYPES = 0x67  # those three, and the two forms of duplicates
_BIG = 1  # the value lies on overflow pages
_EMPTY = 2**64 - 1
_MAX_DEPTH = 32  # LMDB's own cursor stack


class DamagedFileError(ValueError):
    """The file is no LMDB file, or not a whole one."""


def check_lmdb_file(path: Path) -> None:
    """Make sure that reading every entry of an LMDB file stays within the file.

    The answer is remembered for the file's size, modification time and inode.

    Raises
    ------
    DamagedFileError
        The file is no LMDB file, is cut off, or has damaged pages; the message says which.
    OSError
        The file cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # opening a named pipe waits for a writer
        raise DamagedFileError("no regular file but a named pipe, a socket or a device")
    _check(path, status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=1024)
def _check(path: Path, size: int, _mtime_ns: int, _inode: int) -> None:
    with path.open("rb", buffering=0) as file:
        tree = _read_tree(file.fileno(), size)
        if tree.root != _EMPTY:
            _Walk(file.fileno(), size, tree).run()


@dataclass(frozen=True, slots=True)
class _Tree:
    """The main database as one of the two meta pages describes it."""

    page_size: int
    """Bytes per page."""
    root: int
    """Number of the root page, `_EMPTY` when there is none."""
    depth: int
    """Levels, leaves included."""
    n_entries: int
    """Number of entries, in its leaves together."""
    last_page: int
    """Highest page number ever used."""
    transaction: int
    """The meta page with the higher number holds."""


def _read_tree(descriptor: int, size: int) -> _Tree:
    first = _read_meta(descriptor, 0, size)
    second = _read_meta(descriptor, first.page_size, size)
    if second.page_size != first.page_size:
        raise DamagedFileError("damaged: its two meta pages disagree")
    # Every transaction writes the one that the last did not; before the first one, they are alike.
    if abs(second.transaction - first.transaction) > 1 or (second.transaction == first.transaction and second != first):
        raise DamagedFileError("damaged: one of its two meta pages is of another time")
    return second if second.transaction > first.transaction else first


def _read_meta(descriptor: int, position: int, size: int) -> _Tree:
    data = os.pread(descriptor, _PAGE.size + _META.size, position)
    if size and data[_PAGE.size : _PAGE.size + 4] not in (b"", _MAGIC.to_bytes(4, "little")):
        raise DamagedFileError("not an LMDB file")
    if len(data) < _PAGE.size + _META.size:
        raise DamagedFileError(f"truncated: {size} bytes, at least two pages expected" if size else "empty file")
    _, version, _, _, page_size, _, flags, depth, *counts, root, last_page, transaction = _META.unpack_from(
        data, _PAGE.size
    )
    if version != 1 or flags:
        raise DamagedFileError("not an ASE database: an LMDB file of another version or with duplicate keys")
    if page_size not in (512, 1024, 2048, 4096, 8192, 16384, 32768) or depth > _MAX_DEPTH or 2 * page_size > size:
        raise DamagedFileError(f"damaged or truncated: {size} bytes, with pages of {page_size}")
    return _Tree(page_size, root, depth, counts[-1], last_page, transaction)


class _Walk:
    """A walk over the pages of one tree, root first."""

    def __init__(self, descriptor: int, size: int, tree: _Tree) -> None:
        self._descriptor = descriptor
        self._size = size
        self._tree = tree
        self._n_unvisited = tree.last_page + 1
        self._n_entries = 0

    def run(self) -> None:
        """Visit every branch and leaf, and the first page of every large value."""
        level = [self._tree.root]
        for depth in range(1, self._tree.depth + 1):
            is_last = depth == self._tree.depth
            level = [child for number in level for child in self._visit(number, _LEAF if is_last else _BRANCH)]
        if level or not self._tree.depth:
            raise DamagedFileError("damaged: its pages form no tree")
        if self._n_entries != self._tree.n_entries:
            raise DamagedFileError(f"damaged: it claims {self._tree.n_entries} entries, and has {self._n_entries}")

    def _visit(self, number: int, kind: int) -> list[int]:
        """Check one page; the numbers of its children, none for a leaf."""
        data, lower, upper = self._read(number, kind)
        n_nodes = (lower - _PAGE.size) // 2
        n_least = 2 if kind == _BRANCH else 1  # LMDB aborts the process on a branch with one child
        if not _PAGE.size <= lower <= upper <= len(data) or n_nodes < n_least:
            raise DamagedFileError(f"damaged: page {number} has impossible bounds")
        if kind == _LEAF:
            self._n_entries += n_nodes
        children = []
        for offset in unpack_from(f"<{n_nodes}H", data, _PAGE.size):
            if not upper <= offset <= len(data) - _NODE.size:
                raise DamagedFileError(f"damaged: page {number} has an entry outside")
            low, high, flags, key_size = _NODE.unpack_from(data, offset)
            room = len(data) - offset - _NODE.size - key_size
            if kind == _BRANCH:
                children.append(low | high << 16 | flags << 32)
                is_sound = room >= 0
            elif flags == _BIG:
                is_sound = room >= _NUMBER.size and self._is_whole(
                    data, offset + _NODE.size + key_size, low | high << 16
                )
            else:
                is_sound = flags == 0 and room >= low | high << 16
            if not is_sound:
                raise DamagedFileError(f"damaged: page {number} has an impossible entry")
        return children

    def _is_whole(self, data: bytes, position: int, n_bytes: int) -> bool:
        """Whether the overflow pages that the number at `position` names hold `n_bytes`."""
        (number,) = _NUMBER.unpack_from(data, position)
        _, low, high = self._read(number, _OVERFLOW)
        n_pages = low | high << 16
        self._require(number + n_pages)
        return n_bytes <= n_pages * self._tree.page_size - _PAGE.size

    def _read(self, number: int, kind: int) -> tuple[bytes, int, int]:
        self._n_unvisited -= 1
        self._require(number + 1)
        page_size = self._tree.page_size
        n_bytes = _PAGE.size if kind == _OVERFLOW else page_size
        data = os.pread(self._descriptor, n_bytes, number * page_size)
        if len(data) < n_bytes:
            raise DamagedFileError("truncated while it was read")
        stored, _, flags, lower, upper = _PAGE.unpack_from(data)
        if stored != number or flags & _TYPES != kind or self._n_unvisited < 0:
            raise DamagedFileError(f"damaged: page {number} holds something else")
        return data, lower, upper

    def _require(self, n_pages: int) -> None:
        expected = n_pages * self._tree.page_size
        if n_pages > self._tree.last_page + 1:
            raise DamagedFileError(f"damaged: it refers to page {n_pages - 1}, the last is {self._tree.last_page}")
        if expected > self._size:
            whole = (self._tree.last_page + 1) * self._tree.page_size
            raise DamagedFileError(f"truncated: {self._size} bytes, {whole} expected")
