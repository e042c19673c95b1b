"""Source of tables: files of JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from curator_core.domains.table.contents import checked_encoding, text_of
from curator_core.domains.table.held_tables import Reading
from curator_core.domains.table.json_lines.times import has_times, require_zone, with_zones, written
from curator_core.domains.table.sources import TableSource, types_of
from curator_core.pipeline.annotations import SECRET, UNRECORDED
from curator_core.sources.files import FileItem

_EXACT = 2**53
"""Floats of 64 bits hold every integer up to here."""


class JSONLinesSource(TableSource):
    """Tables from files of JSON lines, one object a line; packed ones, too, see `CSVSource`.

    Types are those of all lines: integers and fractions together are float64, texts that all are times are times, in
    UTC where all have a zone, and stay texts where some have one; in records and lists, too. A column that changes from
    text to numbers fails its item, and so do integers that would not be held exactly.

    Parameters
    ----------
    root
        Folder to search, sub-folders included, or a URL, see `CSVSource`.
    pattern
        Glob pattern of the file names.
    schema
        Types of columns by name, such as ``{"id": "string", "time": "timestamp[us]"}``; others are found.
    encoding
        Of the text, by Python's name for it.
    storage_options
        Credentials and the like for a URL, by obstore's names; otherwise, those of the environment.
    cache_size
        How much is kept of what was downloaded; see `CURATOR_DOWNLOAD_CACHE_SIZE`.

    Raises
    ------
    ConfigError
        A type or the encoding is none.
    """

    name: ClassVar[str] = "json_lines"
    description: ClassVar[str] = "Tables from files of JSON lines"
    checks_arguments: ClassVar[bool] = True
    remedy: ClassVar[str] = "correct the file, or give the column a type with schema="

    def __init__(
        self,
        root: str,
        pattern: str = "*.jsonl",
        schema: Mapping[str, str] | None = None,
        encoding: str = "utf-8",
        *,
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
        cache_size: Annotated[int | str | None, UNRECORDED] = None,
    ) -> None:
        super().__init__(root, pattern, storage_options=storage_options, cache_size=cache_size)
        self._types = types_of(schema, self.name)
        self._encoding = checked_encoding(encoding, self.name)

    def _named_columns(self) -> Iterable[str]:
        return self._types

    def schema_of(self, file: FileItem) -> pa.Schema:
        return self.hold(file, Reading(self._whole(file)))

    def table(self, item: FileItem) -> pa.Table:
        held = self.held(item)
        table = self._whole(item) if held is None else held.table
        chosen = self._chosen(table.column_names)
        return table if chosen is None else table.select(chosen)

    def _whole(self, item: FileItem) -> pa.Table:
        content = text_of(item.path, self._encoding)
        if content.slice(0, min(content.size, 99)).to_pybytes().lstrip().startswith(b"["):
            raise ValueError("it is one list of JSON, not one object a line: write each of the list on its own line")
        table = _parsed(content, self._types)
        times = {column.name: written(column.type) for column in table.schema if has_times(column.type)}
        if times:  # of which pyarrow leaves out the zone
            texts = _parsed(content, times, "ignore")
            for name in times:
                if name in self._types:
                    require_zone(name, self._types[name], texts[name])
                    continue
                values = with_zones(table.schema.field(name).type, texts[name].combine_chunks())
                table = table.set_column(table.schema.get_field_index(name), name, values)
        table.validate(full=True)
        if not table.num_rows:
            raise ValueError("it holds no rows")
        for column in table.schema:
            if pa.types.is_floating(column.type) and column.name not in self._types and _is_large(table[column.name]):
                raise ValueError(
                    f"column {column.name!r} has integers beyond 2**53, which floats do not hold exactly: say "
                    f"schema={{{column.name!r}: 'float64'}} where they are rounded, or 'uint64' or 'decimal128(38, 0)'"
                )
        return table


def _parsed(content: pa.Buffer, types: Mapping[str, pa.DataType], others: str = "infer") -> pa.Table:
    """The rows of JSON lines; columns of other names are found (``infer``) or left out (``ignore``)."""
    schema = pa.schema(list(types.items())) if types else None
    parsing = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=others)
    reading = arrow_json.ReadOptions(block_size=min(max(content.size, 1), 1 << 30))
    return arrow_json.read_json(pa.BufferReader(content), reading, parsing)


def _is_large(values: pa.ChunkedArray) -> bool:
    """Whether some number is a whole one beyond what floats hold exactly."""
    largest = pc.max(pc.abs(values)).as_py()
    return largest is not None and _EXACT <= largest < 2.0**64
