"""Whether a NetCDF-3 or CDF-5 file is whole: the library reads zeros where such a file ends too early.

References
----------
NetCDF classic, 64-bit offset and 64-bit data format specifications (NetCDF-C, ``file_format_specifications.md``).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
"""Bytes of a value, by number of its type."""

_STREAMING = 2**32 - 1  # number of records that is not known
_VERSIONS = (1, 2, 5)
_LONGEST_NAME = 1 << 16  # what says more is no header


class CutOffError(ValueError):
    """A file is shorter than its header says; says by how much, and in which variable."""


class _EndOfFileError(Exception):
    """The file ends within the header."""


@dataclass(frozen=True, slots=True)
class _Variable:
    name: str
    n_values: int  # of a record, for one with records
    is_record: bool
    value_size: int
    begin: int

    @property
    def size(self) -> int:
        return self.n_values * self.value_size

    @property
    def padded(self) -> int:
        return -(-self.size // 4) * 4


def require_whole(path: Path) -> None:
    """Raise `CutOffError` if a file of one of these formats is cut off; others pass."""
    with path.open("rb") as file:
        magic = file.read(4)
        if len(magic) < 4 or magic[:3] != b"CDF" or magic[3] not in _VERSIONS:  # noqa: PLR2004
            return
        size = os.fstat(file.fileno()).st_size
        try:
            n_records, variables = _Header(file, magic[3]).read()
        except _EndOfFileError:
            raise CutOffError(f"it is cut off: after {size:,} bytes, its header is not whole. Copy it again") from None
        except (LookupError, UnicodeDecodeError):  # the library says what is wrong with it
            return
    end, last = max(((_end(v, n_records, variables), v.name) for v in variables), default=(0, ""))
    if size < end:
        raise CutOffError(
            f"it is cut off: {size:,} of at least {end:,} bytes are there, so that variable {last!r} is not whole. "
            "Copy it again"
        )


def _end(variable: _Variable, n_records: int, variables: list[_Variable]) -> int:
    if not variable.is_record:
        return variable.begin + variable.size if variable.size else 0
    if n_records == 0 or not variable.size:
        return 0
    records = [v for v in variables if v.is_record]
    step = records[0].size if len(records) == 1 else sum(v.padded for v in records)
    return variable.begin + (n_records - 1) * step + variable.size


class _Header:
    """The header of a file, read from after its magic number."""

    def __init__(self, file: BinaryIO, version: int) -> None:
        self._file = file
        self._count = ">Q" if version == 5 else ">I"  # noqa: PLR2004
        self._offset = ">I" if version == 1 else ">Q"

    def read(self) -> tuple[int, list[_Variable]]:
        """Number of records, and the variables."""
        n_records = self._number(self._count)
        if n_records in (_STREAMING, 2**64 - 1):
            n_records = 0
        lengths = self._dimensions()
        self._skip_attributes()
        return n_records, self._variables(lengths)

    def _number(self, form: str) -> int:
        (number,) = struct.unpack(form, self._bytes(struct.calcsize(form)))
        return int(number)

    def _bytes(self, length: int) -> bytes:
        content = self._file.read(min(length, _LONGEST_NAME))
        if len(content) < length:
            raise _EndOfFileError
        return content

    def _list_length(self) -> int:
        self._number(">I")  # the tag of what it lists
        return self._number(self._count)

    def _name(self) -> str:
        length = self._number(self._count)
        content = self._bytes(length)
        self._file.seek(-length % 4, os.SEEK_CUR)
        return content.decode()

    def _dimensions(self) -> list[int]:
        lengths = []
        for _ in range(self._list_length()):
            self._name()
            lengths.append(self._number(self._count))
        return lengths

    def _skip_attributes(self) -> None:
        for _ in range(self._list_length()):
            self._name()
            size = _SIZES[self._number(">I")] * self._number(self._count)
            self._file.seek(-(-size // 4) * 4, os.SEEK_CUR)

    def _variables(self, lengths: list[int]) -> list[_Variable]:
        found = []
        for _ in range(self._list_length()):
            name = self._name()
            dims = [self._number(self._count) for _ in range(self._number(self._count))]
            self._skip_attributes()
            value_size = _SIZES[self._number(">I")]
            self._number(self._count)  # its size, which is wrong for large variables
            begin = self._number(self._offset)
            is_record = bool(dims) and lengths[dims[0]] == 0
            n_values = prod(lengths[dim] for dim in (dims[1:] if is_record else dims))
            found.append(_Variable(name, n_values, is_record, value_size, begin))
        return found
