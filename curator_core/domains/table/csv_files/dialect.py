"""How the values of a CSV file are separated, what its columns are called, and where its rows begin."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pyarrow import csv as arrow_csv

from curator_core.domains.table.csv_files.comments import HINT, after_comments, is_marked
from curator_core.domains.table.csv_files.quotes import lines_are_rows, quoted

if TYPE_CHECKING:
    import pyarrow as pa

Header = Sequence[str] | Literal[True, False]
"""Whether the first line names the columns, or their names."""

_CANDIDATES = (",", ";", "\t", "|")
_SNIFFED_BYTES = 64 << 10
_SNIFFED_LINES = 50
_SHOWN_CHARS = 80
_NA = frozenset(arrow_csv.ConvertOptions().null_values)
_SAID = re.compile(r"sep=(.)")
_GIVEN = "Other names than those of the first line are given by header= and skip_rows=1"


@dataclass(frozen=True, slots=True)
class Layout:
    """How the text of a file is divided."""

    separator: str
    """Between values."""
    names: tuple[str, ...]
    """Of the columns."""
    start: int
    """Position of the first byte after the header."""


def layout_of(
    content: pa.Buffer, separator: str | None, header: Header, skip_rows: int, comment: str | None = None
) -> Layout:
    """How a file is divided.

    Parameters
    ----------
    content
        All of its text, as UTF-8.
    separator
        What stands between values; ``None`` to find out.
    header
        Whether the first line names the columns, or their names.
    skip_rows
        Number of lines before the header.
    comment
        With which lines begin that are comments, if any are.

    Raises
    ------
    ValueError
        It cannot be found out, two columns have one name, or the header is none.
    """
    start, size = after_comments(content, _after_lines(content, 0, skip_rows), comment), _SNIFFED_BYTES
    lines = _first_lines(content.slice(start), comment)
    said = _SAID.fullmatch(lines[0])
    if said is not None and separator in (None, said[1]):  # as Excel writes and reads it
        start, separator = after_comments(content, _after_lines(content, start, 1), comment), said[1]
        lines = _first_lines(content.slice(start), comment)
    found = separator or _separator(lines)
    if header is True:
        _require_header(lines, found)
    while True:  # a header can be long
        piece = content.slice(start, min(size, content.size - start)).to_pybytes()
        stream = io.StringIO(piece.decode("utf-8", "surrogateescape"), newline="")
        first = next((row for row in csv.reader(_lines(stream), delimiter=found) if row), [])
        end = start + len(stream.getvalue()[: stream.tell()].encode("utf-8", "surrogateescape"))
        if end < start + len(piece) or end == content.size:
            break
        size *= 4
    if header is not True:
        names = tuple(header) if header else tuple(f"f{number}" for number in range(len(first)))
        return Layout(found, _checked(names), start)
    return Layout(found, _checked_header(tuple(first)), end)


def _first_lines(content: pa.Buffer, comment: str | None) -> list[str]:
    piece = content.slice(0, min(_SNIFFED_BYTES, content.size)).to_pybytes()
    whole = piece.decode("utf-8", "replace").splitlines()
    if content.size > len(piece):
        whole = whole[:-1] or whole
    rows = (line for line in whole if line.strip() and not (comment and line.startswith(comment)))
    lines = list(islice(rows, _SNIFFED_LINES))
    if not lines:
        raise ValueError("it holds no lines")
    return lines


def _require_header(lines: Sequence[str], separator: str) -> None:
    """Raise `ValueError` where lines before the header look like comments.

    They are several, or a sentence alone, or the second line seems to name what is below: numbers.
    """
    n_marked = next((number for number, line in enumerate(lines) if not is_marked(line)), len(lines))
    is_sentence = separator not in lines[0] and " " in lines[0].strip("# ")
    if n_marked > 1 or (n_marked and (is_sentence or _names_numbers(list(csv.reader(lines[1:], delimiter=separator))))):
        which = f"first {n_marked} lines begin" if n_marked > 1 else "first line begins"
        raise ValueError(
            f"its {which} with '#' ({lines[0][:_SHOWN_CHARS]!r}). {HINT}; where the first one names the columns, give "
            "the names with header= and skip_rows=1"
        )


def _names_numbers(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row has a text where all others have numbers."""
    below = [row for row in rows[1:] if row]
    return bool(below) and any(
        name not in _NA and not _is_number(name) and all(len(row) > at and _is_number(row[at]) for row in below)
        for at, name in enumerate(rows[0])
    )


def _lines(stream: io.StringIO) -> Iterator[str]:
    """Lines one by one, so that the stream says where the header ends."""
    while line := stream.readline():
        yield line


def _after_lines(content: pa.Buffer, start: int, n_lines: int) -> int:
    data = memoryview(content)
    for _ in range(n_lines):
        piece = bytes(data[start : start + _SNIFFED_BYTES])
        end = piece.find(b"\n")
        if end < 0:
            raise ValueError(f"it has fewer than the {n_lines} lines of skip_rows")
        start += end + 1
    return start


def _separator(lines: Sequence[str]) -> str:
    """What stands between the values of some lines."""
    counts = {mark: [_count(line, mark) for line in lines] for mark in _CANDIDATES}
    in_first = [mark for mark in _CANDIDATES if counts[mark][0]]
    if len(in_first) <= 1:
        return in_first[0] if in_first else ","
    steady = [mark for mark in in_first if len(set(counts[mark])) == 1]
    if len(steady) != 1:
        shown = " and ".join(map(repr, steady or in_first))
        hint = f". {HINT}" if is_marked(lines[0]) else ""
        raise ValueError(f"its values may be separated by {shown}: say which with separator={hint}")
    return steady[0]


def _count(line: str, mark: str) -> int:
    is_plain = '"' not in line or mark not in line
    return line.count(mark) if is_plain else len(next(csv.reader([line], delimiter=mark), [])) - 1


def _checked_header(names: tuple[str, ...]) -> tuple[str, ...]:
    if all(_is_number(name) for name in names):
        shown = ", ".join(names[:3])
        raise ValueError(f"its first line has numbers alone ({shown}): has it no header? header=False. {_GIVEN}")
    for name in names:
        if not name.isascii() and any("\udc80" <= letter <= "\udcff" for letter in name):
            shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            raise ValueError(f"its header has text that is no UTF-8 ({shown!r}): say what it is with encoding=")
    return _checked(names, hint=f"; where its first line is no header, say header=False. {_GIVEN}")


def _checked(names: tuple[str, ...], hint: str = "") -> tuple[str, ...]:
    for name, times in Counter(names).most_common(1):
        if times > 1:
            raise ValueError(f"{times} columns are named {name!r}: rename them{hint}")
    return names


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def row_starts(content: pa.Buffer, layout: Layout) -> npt.NDArray[np.int64]:
    """Position of the first byte of every row, blank lines left out, and after the last one.

    Line ends within quotes end no row.
    """
    data = np.frombuffer(content, np.uint8)[layout.start :]
    ends = np.flatnonzero(data == ord("\n"))
    if not len(ends):
        ends = np.flatnonzero(data == ord("\r"))
    if not lines_are_rows(data, layout.separator):
        opened, closed = quoted(data, layout.separator)
        ends = ends[np.searchsorted(opened, ends) == np.searchsorted(closed, ends)]
    starts = np.concatenate([[0], ends + 1])
    lengths = np.diff(np.append(starts, len(data)))
    first = data[np.minimum(starts, max(len(data) - 1, 0))] if len(data) else data
    is_row = (lengths > 0) & ~np.isin(first, (ord("\n"), ord("\r")))
    return np.asarray(np.append(starts[is_row], len(data)) + layout.start, np.int64)
