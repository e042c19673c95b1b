"""The rows of a CSV file as a table, with types that hold every value as it is written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from curator_core.domains.table.csv_files.comments import HINT, is_marked
from curator_core.domains.table.csv_files.dialect import Layout, row_starts
from curator_core.domains.table.csv_files.quotes import lines_are_rows, quoted
from curator_core.domains.table.held_tables import Reading

_EXACT = 2**53
"""Floats of 64 bits hold every integer up to here."""
_BLOCK = 1 << 20
_CAREFUL_BLOCK = 1 << 25
_LARGEST = 2**31 - 1
"""Of a block of pyarrow's, in bytes."""
_CACHED = 1 << 17
"""Bytes that a processor's cache holds several times."""
_SHOWN_CHARS = 80
_SHOWN_ROWS = 5
_IN_COLUMN = re.compile(
    r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to (.+?): (?:invalid value )?(.*)", re.DOTALL
)
_ZEROS_BEFORE = r"^\s*[+-]?0[0-9xX]"
_ZEROS_FIRST = re.compile(rb"0[0-9xX]")
_INTEGER = r"^\s*[+-]?[0-9]+\s*$"

DEFAULT_NA = tuple(arrow_csv.ConvertOptions().null_values)
"""Texts that stand for no value: none at all, ``NA``, ``NaN``, ``null`` and the like."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """How the text of values is understood."""

    types: Mapping[str, pa.DataType]
    """Of columns by name; others are found."""
    na: tuple[str, ...] = DEFAULT_NA
    """Texts that stand for no value."""
    decimal: str = "."
    """Mark before the decimals."""
    skips_bad_rows: bool = False
    """Whether rows with other numbers of values are left out."""


class CSVReader:
    """Reads rows of one file.

    Parameters
    ----------
    content
        The text of the file, as UTF-8.
    layout
        How it is divided.
    conversion
        How values are understood.
    """

    def __init__(self, content: pa.Buffer, layout: Layout, conversion: Conversion) -> None:
        self._content, self._layout, self._conversion = content, layout, conversion
        self._said = list[tuple[str | None, str]]()
        self._types = {name: kind for name, kind in conversion.types.items() if name in layout.names}

    def read(self, start: int, stop: int | None, columns: Sequence[str] | None = None) -> Reading:
        """The rows between two positions of the text, some columns or all, and what was left out, or stays text.

        Raises
        ------
        ValueError
            A row has another number of values, a value is none of its type, or text is no UTF-8.
        """
        stop = self._content.size if stop is None else stop
        rows, self._start = self._content.slice(start, stop - start), start
        self._block = _BLOCK if lines_are_rows(rows, self._layout.separator) else self._careful_block(rows)
        table = self._parsed(rows, self._types, columns)
        for column in table.schema:
            if pa.types.is_binary(column.type) and column.name not in self._types:
                raise ValueError(f"column {column.name!r} has text that is no UTF-8: say what it is with encoding=")
        if stop == self._content.size and table.num_rows:
            self._say_unended(rows)
        return Reading(self._exact(table, rows), self._said)

    def _careful_block(self, rows: pa.Buffer) -> int:
        """How many bytes are divided into values at once where lines may end within quotes.

        Whole files up to 32 MiB: pyarrow looks for the end of a row near that of a block, and drops the second of two
        bytes of a line's end between blocks, within quotes, too.

        Raises
        ------
        ValueError
            A quote is opened and never closed: what follows would be one value.
        """
        data = np.frombuffer(rows, np.uint8)
        n_quotes = sum(
            int(np.count_nonzero(data[at : at + _CACHED] == ord('"'))) for at in range(0, len(data), _CACHED)
        )
        if n_quotes % 2:
            self._require_closed(rows)
        return next(size for size in range(_CAREFUL_BLOCK, _LARGEST) if not (data[size - 1 :: size] == ord("\r")).any())

    def _require_closed(self, rows: pa.Buffer) -> None:
        opened, closed = quoted(rows, self._layout.separator)
        if len(opened) > len(closed):
            place = self._place(self._start + int(opened[-1]))
            raise ValueError(f"a quote is opened ({place}), and never closed")

    def _say_unended(self, rows: pa.Buffer) -> None:
        """A value whose line does not end may be cut off; one in quotes is whole."""
        last = rows.slice(max(rows.size - _SHOWN_CHARS, 0)).to_pybytes()
        if not last.endswith((b"\n", b"\r", b'"')):
            value = re.split(rb"[\r\n]|" + re.escape(self._layout.separator.encode()), last)[-1]
            text = value.decode("utf-8", "replace")
            self._said.append((None, f"The last line has no end: its last value, {text!r}, may be cut off."))

    def _place(self, position: int) -> str:
        """The line of the file in which a byte stands, from 1 on; the byte, where lines end otherwise than usual."""
        text = self._content.to_pybytes()
        line = text.count(b"\n", 0, position) + 1
        return f"line {line:,}" if line > 1 or b"\n" in text else f"byte {position:,}"

    def _parsed(
        self, rows: pa.Buffer, types: Mapping[str, pa.DataType], columns: Sequence[str] | None, *, counts: bool = False
    ) -> pa.Table:
        bad: list[arrow_csv.InvalidRow] = []

        def handle(row: arrow_csv.InvalidRow) -> str:
            bad.append(row)
            return "skip"

        parsing = arrow_csv.ParseOptions(
            delimiter=self._layout.separator,
            newlines_in_values=self._block != _BLOCK,
            invalid_row_handler=handle if counts else None,
        )
        given = self._conversion
        converting = arrow_csv.ConvertOptions(
            column_types=dict(types),
            null_values=list(given.na),
            strings_can_be_null=True,
            decimal_point=given.decimal,
            include_columns=None if columns is None else list(columns),
        )
        reading = arrow_csv.ReadOptions(
            column_names=list(self._layout.names), use_threads=not counts, block_size=self._block
        )
        if not rows.size:
            return self._nothing(types, columns)
        try:
            table = arrow_csv.read_csv(pa.BufferReader(rows), reading, parsing, converting)
        except pa.ArrowInvalid as exc:
            if "straddling" in str(exc) and self._block < min(rows.size, _LARGEST):
                self._block = _LARGEST  # a row is longer
                return self._parsed(rows, types, columns, counts=counts)
            if counts or not re.search(r"Expected \d+ columns", str(exc)):
                raise self._explained(exc) from exc
            return self._parsed(rows, types, columns, counts=True)
        if bad:
            self._say_bad(bad, table.num_rows, rows)
        return table

    def _nothing(self, types: Mapping[str, pa.DataType], columns: Sequence[str] | None) -> pa.Table:
        names = self._layout.names if columns is None else columns
        return pa.schema([(name, types.get(name, pa.null())) for name in names]).empty_table()

    def _say_bad(self, bad: Sequence[arrow_csv.InvalidRow], n_good: int, rows_of: pa.Buffer) -> None:
        starts = row_starts(rows_of, replace(self._layout, start=0))
        shown = "; ".join(
            f"row {row.number:,} ({self._place(self._start + int(starts[row.number - 1]))}) has "
            f"{row.actual_columns}: {row.text[:_SHOWN_CHARS]!r}"
            for row in bad[:_SHOWN_ROWS]
        )
        more = f"; and {len(bad) - _SHOWN_ROWS} more" if len(bad) > _SHOWN_ROWS else ""
        rows = "1 row has" if len(bad) == 1 else f"{len(bad):,} rows have"
        text = f"{rows} not the {len(self._layout.names)} values of the header: {shown}{more}"
        if is_marked(self._layout.names[0]) or any(is_marked(row.text) for row in bad):
            text += f". {HINT}"
        if not self._conversion.skips_bad_rows:
            (n_values, times), *_ = Counter(row.actual_columns for row in bad).most_common(1)
            if times > n_good:
                raise ValueError(
                    f"{text}. Most rows have {n_values}: where the header comes later, say skip_rows=; where it lacks "
                    "names, give all with header= and skip_rows=1; or is it separated otherwise, separator=?"
                )
            raise ValueError(f"{text}. Correct them, or leave them out with bad_rows='report'")
        self._said.append((None, f"Left out: {text}."))

    def _explained(self, error: pa.ArrowInvalid) -> ValueError:
        found = _IN_COLUMN.match(str(error))
        if found is None:
            return ValueError(str(error))
        name = self._layout.names[int(found[1])]
        return ValueError(f"column {name!r}: {found[3]} is no {found[2]}")

    def _exact(self, table: pa.Table, rows: pa.Buffer) -> pa.Table:
        """The table with columns as text whose numbers would not be what is written."""
        inferred = [column for column in table.schema if column.name not in self._types]
        integers = [column.name for column in inferred if pa.types.is_integer(column.type)]
        suspects = integers if integers and self._has_zeros_before(rows) else []
        floats = [c.name for c in inferred if pa.types.is_floating(c.type) and _is_large(table[c.name])]
        if not suspects and not floats:
            return table
        texts = self._parsed(rows, {name: pa.string() for name in [*suspects, *floats]}, [*suspects, *floats])
        for name in suspects:
            if pc.any(pc.match_substring_regex(texts[name], _ZEROS_BEFORE)).as_py():
                table = self._replaced(table, name, texts[name], "zeros before numbers, or 0x, which are kept")
        for name in floats:
            exact = _exact_integers(texts[name], table[name])
            if exact is not None:
                table = self._replaced(table, name, exact, "integers that floats do not hold, which are kept")
        return table

    def _replaced(self, table: pa.Table, name: str, values: pa.ChunkedArray, why: str) -> pa.Table:
        text = f"Column {name!r} is read as {values.type}: it has {why}; schema= gives it another type."
        self._said.append((name, text))
        return table.set_column(table.schema.get_field_index(name), name, values)

    def _has_zeros_before(self, rows: pa.Buffer) -> bool:
        """Whether some value may begin with a zero before another digit; few files have any."""
        data, separator = np.frombuffer(rows, np.uint8), ord(self._layout.separator)
        for at in range(0, len(data), _CACHED):
            piece = data[max(at - 1, 0) : at + _CACHED + 1]  # with what stands before and after
            before = piece[:-2]
            found = before < ord(".")  # as blanks, line ends, quotes, signs and most separators are
            if separator >= ord("."):
                found |= before == separator
            found &= piece[1:-1] == ord("0")
            found &= ((piece[2:] - ord("0")) < 10) | ((piece[2:] | 32) == ord("x"))  # noqa: PLR2004 - unsigned
            if found.any():
                return True
        return bool(_ZEROS_FIRST.match(data[:2].tobytes()))


def _is_large(values: pa.ChunkedArray) -> bool:
    """Whether some number, apart from infinity, is beyond what floats hold exactly."""
    for chunk in values.chunks:
        found = chunk.to_numpy(zero_copy_only=False)
        if len(found) and not -_EXACT < found.min() <= found.max() < _EXACT:  # or NaN
            found = np.abs(found[np.isfinite(found)])
            if len(found) and found.max() >= _EXACT:
                return True
    return False


def _exact_integers(texts: pa.ChunkedArray, floats: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The integers as they are written, where floats do not hold them: as unsigned ones if they are, else as text."""
    is_integer = pc.fill_null(pc.match_substring_regex(texts, _INTEGER), fill_value=False)
    written = pc.filter(texts, is_integer).to_pylist()
    read = pc.filter(floats, is_integer).to_pylist()
    if all(int(text) == int(number) for text, number in zip(written, read, strict=True) if np.isfinite(number)):
        return None
    if len(written) == len(texts) - texts.null_count:
        try:
            return pc.cast(pc.utf8_trim_whitespace(texts), pa.uint64())
        except pa.ArrowInvalid:
            pass
    return texts
