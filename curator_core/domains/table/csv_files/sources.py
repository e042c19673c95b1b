"""Source of tables: CSV files, whole or by rows."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import pyarrow as pa

from curator_core.domains.table.contents import checked_encoding, text_of
from curator_core.domains.table.csv_files.comments import blanked
from curator_core.domains.table.csv_files.dialect import Layout, layout_of, row_starts
from curator_core.domains.table.csv_files.reading import DEFAULT_NA, Conversion, CSVReader
from curator_core.domains.table.held_tables import Reading
from curator_core.domains.table.sources import TableSource, types_of
from curator_core.errors import ConfigError
from curator_core.pipeline.annotations import SECRET, UNRECORDED
from curator_core.sources.files import FileItem

logger = logging.getLogger("curator")

_FOUND_AS_THEY_ARE = (pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("s"), pa.timestamp("ns"))
"""Types of pyarrow's, of which nothing is said: others stand for values that these would not hold."""


class CSVSource(TableSource):
    """Tables from CSV files, whole or by rows; those packed as gzip, bzip2, xz, zstd, lz4 or a zip file of one, too.

    Types are those of the whole file, whatever its length: integers, some of which are missing, stay integers. What
    would be read as something else than is written stays text, and is logged: numbers with zeros before them, such as
    ``007``, and integers beyond what floats hold. A row with another number of values, a quote that is never closed,
    text that is no UTF-8 and two columns of one name fail the item.

    Parameters
    ----------
    root
        Folder to search, sub-folders included; a path, or a URL: ``file://``, ``s3://``, ``gs://``, ``az://``,
        ``https://``, ``http://``.
    pattern
        Glob pattern of the file names.
    schema
        Types of columns by name, such as ``{"zip": "string", "time": "timestamp[us]"}``; others are found. Before the
        first item, every file that is new or changed is read for that, unless it is the only one or all its columns are
        named; what fits into 256 MiB isn't read again for its item.
    separator
        Between values; found in each file by default: a comma, semicolon, tab or vertical bar.
    encoding
        Of the text, by Python's name for it.
    header
        Whether the first line names the columns (else they are ``f0``, ``f1``, …), or their names, where no line does.
    na
        Texts that stand for no value; by default none at all, ``NA``, ``NaN``, ``null`` and the like.
    decimal
        Mark before the decimals of numbers.
    bad_rows
        ``fail``: a row with another number of values fails its item. ``report``: such rows are left out and logged.
    rows_per_index
        Rows of a file that are one item, named after the first: ``flights.csv#0``. When rows are added to a file, the
        items of the others stay as they are. By default a file is one.
    skip_rows
        Number of lines before the header.
    comment
        Mark, such as ``#``, with which lines begin that are left out, before the header and after it. Within a line, it
        is part of a value, other than pandas has it.
    storage_options
        Credentials and the like for a URL, by obstore's names; otherwise, those of the environment.
    cache_size
        How much is kept of what was downloaded; see `CURATOR_DOWNLOAD_CACHE_SIZE`.

    Raises
    ------
    ConfigError
        A type, the encoding, separator or number of rows is none.
    """

    name: ClassVar[str] = "csv"
    description: ClassVar[str] = "Tables from CSV files, whole or by rows"
    checks_arguments: ClassVar[bool] = True
    remedy: ClassVar[str] = "correct the file, or read the column as text everywhere with schema="

    def __init__(  # noqa: PLR0917 - the public contract's order
        self,
        root: str,
        pattern: str = "*.csv",
        schema: Mapping[str, str] | None = None,
        separator: str | None = None,
        encoding: str = "utf-8",
        header: bool | Sequence[str] = True,  # noqa: FBT001, FBT002 - the public contract's order
        na: Sequence[str] | None = None,
        decimal: str = ".",
        bad_rows: Literal["fail", "report"] = "fail",
        rows_per_index: int | None = None,
        *,
        skip_rows: int = 0,
        comment: str | None = None,
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
        cache_size: Annotated[int | str | None, UNRECORDED] = None,
    ) -> None:
        super().__init__(root, pattern, storage_options=storage_options, cache_size=cache_size)
        self._types = types_of(schema, self.name)
        _require_marks(separator, decimal, comment)
        if skip_rows < 0 or (rows_per_index is not None and rows_per_index < 1):
            raise ConfigError(
                f"{self.name}: skip_rows must be at least 0 and rows_per_index at least 1, got {skip_rows!r} and "
                f"{rows_per_index!r}."
            )
        if not isinstance(header, bool) and (not header or not all(header) or len(set(header)) < len(header)):
            raise ConfigError(f"{self.name}: header must be a name for each column, no two alike, not {header!r}.")
        self._separator, self._n_rows, self._skip_rows, self._comment = separator, rows_per_index, skip_rows, comment
        self._encoding = checked_encoding(encoding, self.name)
        self._header = header if isinstance(header, bool) else tuple(header)
        texts = DEFAULT_NA if na is None else tuple(na)
        self._conversion = Conversion(self._types, texts, decimal, skips_bad_rows=bad_rows == "report")
        self._found: dict[str, pa.Schema] = {}

    def _named_columns(self) -> Iterable[str]:
        return self._types

    def splits(self) -> bool:
        return self._n_rows is not None

    def split(self, file: FileItem) -> Iterable[FileItem]:
        """The parts of a file, each of so many rows; their fingerprints are of these rows and of the types."""
        if self._n_rows is None:
            return [file]
        content, layout = self._opened(file)
        schema = self.kept_schema(file, lambda: self._whole(content, layout).table.schema)
        self._found[file.key] = schema
        starts = row_starts(content, layout)
        head = repr((layout.names, layout.separator, [str(kind) for kind in schema.types]))
        parts = []
        for number in range(0, len(starts) - 1, self._n_rows):
            start, stop = int(starts[number]), int(starts[min(number + self._n_rows, len(starts) - 1)])
            digest = hashlib.blake2b(content.slice(start, stop - start), digest_size=16, key=_key(head)).hexdigest()
            parts.append(replace(file.part(str(number), start, stop), fingerprint=digest))
        return parts

    def schema_of(self, file: FileItem) -> pa.Schema:
        key = file.key if file.stop is None else file.key.rpartition("#")[0]
        if key in self._found:
            return self._found[key]
        content, layout = self._opened(file)
        if set(layout.names) <= self._types.keys():
            return pa.schema([(name, self._types[name]) for name in layout.names])
        return self.hold(file, self._whole(content, layout))

    def names_of(self, file: FileItem) -> Sequence[str]:
        return self._opened(file)[1].names

    def table(self, item: FileItem) -> pa.Table:
        reading = self.held(item)
        if reading is None:
            content, layout = self._opened(item)
            chosen = self._chosen(layout.names)
            reading = self._read(item, content, layout, chosen)
        else:
            chosen = self._chosen(reading.table.column_names)
        table = reading.table if chosen is None else reading.table.select(chosen)
        if not table.num_rows:
            raise ValueError("it has a header and no rows")
        for name, text in reading.said:
            if name is None or name in table.column_names:
                logger.warning("%s", text)
        return table

    def _read(self, item: FileItem, content: pa.Buffer, layout: Layout, chosen: Sequence[str] | None) -> Reading:
        """The rows of an item, of some columns or all."""
        if item.stop is None:
            known = self._of_known_types(item, content, layout, chosen)
            return known or CSVReader(content, layout, self._conversion).read(layout.start, None, chosen)
        key = item.key.rpartition("#")[0]
        schema = self._found.get(key)
        if schema is None:  # in a process that listed nothing
            schema = self._found[key] = self._whole(content, layout).table.schema
        conversion = replace(self._conversion, types=dict(zip(schema.names, schema.types, strict=True)))
        return CSVReader(content, layout, conversion).read(item.start, item.stop, chosen)

    def _of_known_types(
        self, item: FileItem, content: pa.Buffer, layout: Layout, chosen: Sequence[str] | None
    ) -> Reading | None:
        """The table, where types are known of this very content, which are not looked for again.

        Columns of text are: what made them text is said of every item that has them.
        """
        known = {f.name: f.type for f in self._known.get(item.key, ()) if f.type in _FOUND_AS_THEY_ARE}
        if not known:
            return None
        conversion = replace(self._conversion, types=known | dict(self._conversion.types))
        try:
            reading = CSVReader(content, layout, conversion).read(layout.start, None, chosen)
        except ValueError:
            return None  # said better, and of what is there now, where types are found
        return reading if self._is_unchanged(item) else None

    def _opened(self, file: FileItem) -> tuple[pa.Buffer, Layout]:
        content = text_of(file.path, self._encoding)
        layout = layout_of(content, self._separator, self._header, self._skip_rows, self._comment)
        if self._comment is not None:
            content = blanked(content, layout.start, layout.separator, self._comment)
        return content, layout

    def _whole(self, content: pa.Buffer, layout: Layout) -> Reading:
        return CSVReader(content, layout, self._conversion).read(layout.start, None)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=32).digest()


def _require_marks(separator: str | None, decimal: str, comment: str | None) -> None:
    """Raise `ConfigError` where one of the marks would be part of what it divides."""
    for what, mark in (("separator", separator), ("decimal", decimal), ("comment", comment)):
        if mark is not None and (len(mark) != 1 or not mark.isascii() or mark in '"\r\n'):
            raise ConfigError(
                f"{CSVSource.name}: {what} must be one ASCII character, no quote and no end of a line, not {mark!r}."
            )
    if comment is not None and (comment == separator or comment.isalnum() or comment in "+-. \t"):
        raise ConfigError(
            f"{CSVSource.name}: comment={comment!r} cannot be the mark of comments: values begin with it."
        )
    if decimal == separator or decimal.isalnum() or decimal in "+-; \t":
        raise ConfigError(f"{CSVSource.name}: decimal={decimal!r} cannot be the mark before decimals here.")
