"""Files of EnSight, walked without keeping what is in them: texts, and binary ones of C and Fortran."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

BEGIN: Final = "BEGIN TIME STEP"
END: Final = "END TIME STEP"
_NO_STEP: Final = f"it lacks a step, before which {BEGIN} is to stand"
_LINE: Final = 80
_MARK: Final = 4
"""Bytes of the length before and after a record of Fortran."""
_SEARCHED: Final = 1 << 20
"""Bytes of a text that are looked at together."""
_PER_LINE: Final = 64
"""Bytes of most lines."""
_BREAK: Final = ord("\n")
_COMMENT: Final = ord("#")
_SPACE: Final = ord(" ")
_VALUE: Final = 4
"""Bytes of a number."""
_NUMBER: Final = re.compile(rb"\s*[-+]?[0-9.]")
_WIDTH: Final = 12
"""Characters of a number in a text."""


class CutOffError(ValueError):
    """A file ends before what it has to have."""


class Stream(Protocol):
    """A file, and a position in it; what lacks raises `CutOffError`, and what is no number `ValueError`."""

    is_text: bool

    def to_step(self, number: int) -> None:
        """Go behind the mark at which a step begins, the first is 1."""

    def title(self) -> None:
        """Skip a line that may be empty."""

    def word(self) -> str | None:
        """The next line, without spaces around; ``None`` at the end."""

    def integers(self, n_values: int, *, in_line: bool = False) -> list[int]:
        """The next integers, of which a text has one a line, or all in one."""

    def number(self) -> float:
        """The next number, alone on its line."""

    def skip(self, n_lines: int, n_values: int, n_in_last: int = 0) -> None:
        """Skip numbers: lines of a text, the last of so many numbers of 12 characters; values of 4 bytes of others."""


class Text:
    """A text, in which empty lines and comments do not count."""

    is_text = True

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            is_empty = not path.stat().st_size
            self._content = b"" if is_empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._at = 0
        self._require_whole_line()

    def _require_whole_line(self) -> None:
        """A number at the end that is shorter than the one before, and not the end of a line, is cut off."""
        *_, before, last = (b"", b"", *self._content[-_SEARCHED:].splitlines(keepends=True))
        if last.endswith(b"\n") or not _NUMBER.match(last):
            return
        width = len(before.rstrip()) if _NUMBER.match(before) else _WIDTH
        if len(last.rstrip()) < width:
            raise CutOffError("it ends within a line; end that with a line break if it is whole")

    def to_step(self, number: int) -> None:
        for _ in range(number):
            self._at = self._content.find(BEGIN.encode(), self._at)
            if self._at < 0:
                raise CutOffError(_NO_STEP)
            self._line()

    def title(self) -> None:
        self._line()

    def word(self) -> str | None:
        while line := self._line():
            if _is_data(line):
                return line.strip().decode(errors="replace")
        return None

    def integers(self, n_values: int, *, in_line: bool = False) -> list[int]:
        if in_line:
            return [int(word) for word in (self.word() or "").split()[:n_values]]
        start = self._at
        self.skip(n_values, n_values)
        return [int(line) for line in self._content[start : self._at].splitlines(keepends=True) if _is_data(line)]

    def number(self) -> float:
        return float(self.word() or "nothing")

    def skip(self, n_lines: int, n_values: int, n_in_last: int = 0) -> None:
        left = n_lines
        while left > 0:
            some = self._content[self._at : self._at + min(_SEARCHED, _PER_LINE * left)]
            if not some:
                raise CutOffError(f"it lacks {left:,} of {n_lines:,} lines of numbers")
            codes = np.frombuffer(some, np.uint8)
            ends = np.flatnonzero(codes == _BREAK)[:left]
            n_found = len(ends)
            if n_found and some[:1] not in b"#\n" and not _has_odd_lines(codes, ends):
                self._at += int(ends[n_found - 1]) + 1
                left -= n_found
            else:
                left -= sum(_is_data(self._line()) for _ in range(max(n_found, 1)))
        if n_in_last:
            start = self._content.rfind(b"\n", 0, self._at - 1) + 1
            if len(self._content[start : self._at].rstrip()) < n_in_last * _WIDTH:
                raise CutOffError(f"a line has no {n_in_last} numbers of {_WIDTH} characters")

    def _line(self) -> bytes:
        """The next line with its end; nothing after the last one."""
        end = self._content.find(b"\n", self._at) + 1 or len(self._content)
        line, self._at = self._content[self._at : end], end
        return line


class Binary:
    """A file as C writes it, or as Fortran does, in records with their lengths before and after."""

    is_text = False

    def __init__(self, path: Path, order: str, *, has_records: bool) -> None:
        self._file = path.open("rb")
        self._size = path.stat().st_size
        self._order = order
        self._has_records = has_records
        self._left = 0 if has_records else self._size
        """Bytes up to the end of the record, or of the file."""

    def to_step(self, number: int) -> None:
        place = 0
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for _ in range(number):
                place = content.find(BEGIN.encode(), place)
                if place < 0:
                    raise CutOffError(_NO_STEP)
                place += _LINE
        self._file.seek(place + _MARK * self._has_records)
        self._left = 0 if self._has_records else self._size - place

    def title(self) -> None:
        self._read(_LINE)

    def word(self) -> str | None:
        if self._file.tell() == self._size:
            return None
        return self._read(_LINE).partition(b"\0")[0].strip().decode(errors="replace")

    def integers(self, n_values: int, *, in_line: bool = False) -> list[int]:
        found: list[int] = np.frombuffer(self._read(_VALUE * n_values), f"{self._order}i4").tolist()
        return found

    def number(self) -> float:
        return float(np.frombuffer(self._read(_VALUE), f"{self._order}f4")[0])

    def skip(self, n_lines: int, n_values: int, n_in_last: int = 0) -> None:
        for size in self._pieces(_VALUE * n_values):
            self._file.seek(size, os.SEEK_CUR)

    def _read(self, n_bytes: int) -> bytes:
        return b"".join(self._file.read(size) for size in self._pieces(n_bytes))

    def _pieces(self, n_bytes: int) -> Iterator[int]:
        """Sizes of what the next bytes are made of, which whoever asks goes on by."""
        if n_bytes < 0:
            raise ValueError("it counts less than nothing")
        while n_bytes:
            if self._has_records and not self._left:
                self._begin_record()
            size = min(n_bytes, self._left)
            if size < n_bytes and not self._has_records:
                raise CutOffError(f"it lacks {n_bytes - size:,} of {n_bytes:,} bytes")
            yield size
            self._left -= size
            n_bytes -= size
            if self._has_records and not self._left:
                self._file.seek(_MARK, os.SEEK_CUR)

    def _begin_record(self) -> None:
        place = self._file.tell()
        mark = self._file.read(_MARK)
        length = int.from_bytes(mark, "little" if self._order == "<" else "big")
        if place + 2 * _MARK + length > self._size:
            raise CutOffError("it ends within a record")
        self._file.seek(length, os.SEEK_CUR)
        if not length or self._file.read(_MARK) != mark:
            raise ValueError(f"the record at byte {place:,} has another length before than after")
        self._file.seek(place + _MARK)
        self._left = length


def _has_odd_lines(codes: npt.NDArray[np.uint8], ends: npt.NDArray[np.intp]) -> bool:
    """Whether a line ends after a space, as empty ones may, or the next one is a comment."""
    is_odd = (codes[ends - 1] <= _SPACE).any() or (codes[ends[:-1] + 1] == _COMMENT).any()
    return bool(is_odd)


def _is_data(line: bytes) -> bool:
    """Whether a line of a text counts."""
    return line[:1] != b"#" and not line.isspace()
