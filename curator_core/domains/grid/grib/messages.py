"""Messages of a GRIB file, found by their own lengths, and the fields in them.

References
----------
WMO Manual on Codes, FM 92 GRIB edition 1 and 2: section 0 (length), sections 2 to 7 of edition 2, which can repeat.
Edition 1 of more than 8 MB: ecCodes, ``grib_io.c``. Padding: ECMWF, MARS user documentation, keyword ``padding``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from curator_core.domains.grid.decoding import DecodingError

_START, _END = b"GRIB", b"7777"
_BLOCK = 512  # of a disk; headings of bulletins are shorter
_PADDING = b"\0 \r\n"
_SECTION_WITH_VALUES = 7
_WINDOW: Final = 1 << 20  # bytes that are read at once
_LARGE = 0x800000  # a GRIB 1 length in units of 120 bytes
_HAS_GRID, _HAS_BITMAP = 0x80, 0x40  # flags of a GRIB 1 message


@dataclass(frozen=True, slots=True)
class Field:
    """One field: a message of its own, or one of those in a message of edition 2."""

    number: int
    """Of its message in the file, from 1."""
    offset: int
    """Of its message in the file."""
    content: bytes
    """A message with this field alone."""
    grid: bytes
    """The section that defines its grid."""
    product: bytes
    """What says what it is, apart from its grid and time: fields with the same are of one variable and level."""
    date: bytes
    """Its reference time, as a GRIB 2 message has it: year, month, day, hour, minute, second."""


class FileContent:
    """The bytes of a file, by their positions, of which a window is in memory.

    Not mapped: a file that is written anew meanwhile is an error then, and ends no process.

    Parameters
    ----------
    file
        The file, open for reading.

    Raises
    ------
    DecodingError
        It is empty.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self._size = os.fstat(self._descriptor).st_size
        self._start, self._window = 0, b""
        if not self._size:
            raise DecodingError("it is empty")

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, positions: slice) -> bytes:
        start, stop, _ = positions.indices(self._size)
        if start < self._start or stop > self._start + len(self._window):
            self._read(start, max(stop, min(start + _WINDOW, self._size)))
        return self._window[start - self._start : stop - self._start]

    def find(self, what: bytes, start: int) -> int:
        """Position of the first bytes of a kind from a position on; -1 where there are none."""
        while start < self._size:
            end = self._start + len(self._window)
            is_here = self._start <= start and end - start >= len(what)
            stop = end if is_here else min(start + _WINDOW, self._size)
            if not is_here:
                self._read(start, stop)
            at = self._window.find(what, start - self._start)
            if at >= 0:
                return self._start + at
            start = stop if stop == self._size else stop - len(what) + 1
        return -1

    def _read(self, start: int, stop: int) -> None:
        pieces, at = [], start
        while at < stop:
            piece = os.pread(self._descriptor, stop - at, at)
            if not piece:
                raise DecodingError("it became shorter while it was read")
            pieces.append(piece)
            at += len(piece)
        self._start, self._window = start, b"".join(pieces)


def fields(content: FileContent, padding: int) -> Iterator[Field]:
    """The fields of a file, in order.

    Parameters
    ----------
    content
        The file.
    padding
        Multiple of bytes that its messages are padded to.

    Raises
    ------
    DecodingError
        It has none, or a message is damaged or cut off, or there is something else between messages.
    """
    end, number = 0, 0
    while (start := content.find(_START, end)) >= 0:
        number += 1
        _require_nothing_else(content, end, start, number - 1, padding)
        end = start + _length(content, start, number)
        yield from _fields(content[start:end], start, number)
    _require_nothing_else(content, end, len(content), number, padding)
    if number == 0:
        raise DecodingError(f"it holds no GRIB message (its first bytes are {content[:8]!r})")


def _require_nothing_else(content: FileContent, start: int, stop: int, number: int, padding: int) -> None:
    gap = content[start:stop]
    between = gap.strip(_PADDING)
    if _END in between:
        raise DecodingError(
            f"after message {number}, from byte {start:,} on, a message has no beginning: it is damaged"
        )
    if len(between) >= _BLOCK:
        raise DecodingError(
            f"after message {number}, from byte {start:,} on, {stop - start:,} bytes are no message: it is damaged; "
            "or, where they are meant to be there, grib_copy of ecCodes writes the messages without them"
        )
    blanks = max(re.finditer(rb"[\0 \r\n]+|\xff+", gap), key=lambda found: len(found[0]), default=None)
    if blanks and len(blanks[0]) >= padding:
        raise DecodingError(
            f"after message {number}, {len(blanks[0]):,} bytes from byte {start + blanks.start():,} on hold nothing: "
            f"more than padding to {padding:,} bytes leaves, so a message was never written, or is lost; where they "
            "are padding, padding= says to how many bytes"
        )
    if stop == len(content) and between.endswith((b"GRI", b"GR", b"G")):
        raise DecodingError(f"message {number + 1} at byte {stop - len(between):,} is cut off")


def _length(content: FileContent, start: int, number: int) -> int:
    edition = content[start + 7 : start + 8][0] if start + 16 <= len(content) else 0
    if edition == 1:
        length = int.from_bytes(content[start + 4 : start + 7], "big")
        if length & _LARGE:
            length = _large_length(content, start, length)
    elif edition == 2:  # noqa: PLR2004
        length = int.from_bytes(content[start + 8 : start + 16], "big")
    else:
        raise DecodingError(f"message {number} at byte {start:,} is cut off, or of no edition of GRIB: {edition}")
    if start + length > len(content):
        raise DecodingError(
            f"message {number} at byte {start:,} is cut off: {len(content) - start:,} of {length:,} bytes are there"
        )
    if length < 20 or content[start + length - 4 : start + length] != _END:  # noqa: PLR2004 - the shortest
        raise DecodingError(f"message {number} at byte {start:,} is damaged: it does not end after {length:,} bytes")
    return length


def _large_length(content: FileContent, start: int, length: int) -> int:
    flags = content[start + 15 : start + 16][0]
    at = start + 8
    for is_there in (True, bool(flags & _HAS_GRID), bool(flags & _HAS_BITMAP)):
        at += int.from_bytes(content[at : at + 3], "big") if is_there else 0
    of_values = int.from_bytes(content[at : at + 3], "big")
    return (length & ~_LARGE) * 120 - of_values + 4 if of_values < 120 else length  # noqa: PLR2004


def _fields(message: bytes, offset: int, number: int) -> Iterator[Field]:
    if message[7] == 1:
        yield _field_of_edition_1(message, offset, number)
        return
    sections = list(sections_of(message, offset, number))
    n_fields = sum(kind == _SECTION_WITH_VALUES for kind, _ in sections)
    if n_fields == 0 or not {kind for kind, _ in sections} >= {1, 3, 4, 5}:
        raise DecodingError(f"message {number} at byte {offset:,} is damaged: not all of its sections are there")
    current: dict[int, bytes] = {}
    for kind, section in sections:
        is_former_bitmap = kind == 6 and section[5:6] == b"\xfe" and kind in current  # noqa: PLR2004
        current[kind] = current[kind] if is_former_bitmap else section
        if kind == _SECTION_WITH_VALUES:
            content = message if n_fields == 1 else _alone(message, current)
            start = current[1]
            packing = current[5]
            width = packing[19:20] or packing[11:12]  # bits of a value; of IEEE numbers, their precision
            product = start[:12] + start[19:] + current.get(2, b"") + current[4] + packing[9:11] + width
            yield Field(number, offset, content, current.get(3, b""), product, start[12:19])


def _field_of_edition_1(message: bytes, offset: int, number: int) -> Field:
    start = message[8 : 8 + int.from_bytes(message[8:11], "big")]
    if len(start) < 28 or start[24] == 0:  # noqa: PLR2004 - the shortest; the century
        raise DecodingError(
            f"message {number} at byte {offset:,} is damaged: its first section is no product definition"
        )
    flags, at = start[7], 8 + len(start)
    grid = start[6:7]  # a number of a grid that is known
    if flags & _HAS_GRID:
        grid = message[at : at + int.from_bytes(message[at : at + 3], "big")]
        at += len(grid)
    if flags & _HAS_BITMAP:
        at += int.from_bytes(message[at : at + 3], "big")
    product = start[:12] + start[17:24] + start[25:] + message[at + 10 : at + 11]
    year = (start[24] - 1) * 100 + start[12]
    return Field(number, offset, message, grid, product, year.to_bytes(2, "big") + start[13:17] + b"\0")


def _alone(message: bytes, sections: dict[int, bytes]) -> bytes:
    body = b"".join(sections[kind] for kind in sorted(sections))
    return message[:8] + (16 + len(body) + len(_END)).to_bytes(8, "big") + body + _END


def sections_of(message: bytes, offset: int, number: int) -> Iterator[tuple[int, bytes]]:
    """Sections of a message of edition 2, with their numbers.

    Raises
    ------
    DecodingError
        One has no length that fits.
    """
    at = 16
    while message[at : at + 4] != _END or at < len(message) - 4:
        length = int.from_bytes(message[at : at + 4], "big")
        if length < 5 or at + length > len(message) - 4:  # noqa: PLR2004 - the shortest
            raise DecodingError(f"message {number} at byte {offset:,} is damaged: a section has {length:,} bytes")
        yield message[at + 4], message[at : at + length]
        at += length
