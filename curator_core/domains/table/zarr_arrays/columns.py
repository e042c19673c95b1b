"""The columns of tables as arrays with a row for each row, and back, exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curator_core.datasets.layout import VALID, Arrays, RaggedFormat, Rows
from curator_core.domains.table.columns import CommonTypes, kind_of
from curator_core.domains.table.written import converted, schema_of_text
from curator_core.errors import ComponentError, MergeError
from curator_core.formats.arrays import TEXT, Array, ArraySpec
from curator_core.formats.described import METADATA
from curator_core.formats.description import OPENS_AS
from curator_core.formats.record_file import RECORD

ROW: Final = "row"
"""The axis of all arrays."""
_RESERVED: Final = frozenset((VALID, "items", "segments", "present", METADATA, RECORD))
_MAX_NAME_BYTES: Final = 200
"""Of the 255 that a file system takes."""


def own_schema(table: pa.Table) -> pa.Schema:
    """Names and types of the columns of an item; those that can be null are those in which some value is.

    Raises
    ------
    ComponentError
        A column cannot be an array, or its name not that of one.
    """
    fields = []
    for column in table.schema:
        _require_name(column.name)
        _stored(column)
        fields.append(column.with_nullable(table[column.name].null_count > 0))
    return pa.schema(fields)


def _require_name(name: str) -> None:
    is_odd = "/" in name or name.startswith("__") or not name.strip(".")
    if is_odd or name in _RESERVED or len(name.encode()) > _MAX_NAME_BYTES:
        raise ComponentError(f"The column {name!r} cannot be an array of that name: rename it with the filter rename.")


def _stored(column: pa.Field) -> tuple[str, dict[str, str]]:
    """Type of the array of a column, and what is said of it.

    Raises
    ------
    ComponentError
        There is none.
    """
    kind = column.type
    about = {k.decode(): v.decode("utf-8", "replace") for k, v in (column.metadata or {}).items()}
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return TEXT, about
    if pa.types.is_null(kind):
        return "float64", about
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return np.dtype(kind.to_pandas_dtype()).name, about
    if pa.types.is_timestamp(kind):
        return f"datetime64[{kind.unit}]", about | ({} if kind.tz is None else {"time_zone": kind.tz})
    if pa.types.is_date32(kind):
        return "datetime64[D]", about
    raise ComponentError(
        f"The column {column.name!r} holds {kind_of(kind)}, which is no array of numbers, texts or times: leave it out "
        "with the filter select, give it another type with schema= of its source, or write parquet_dataset."
    )


@dataclass(frozen=True)
class ColumnArrays(Arrays):
    """Arrays, with the columns that they hold."""

    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))
    """Names and types of the columns."""

    @classmethod
    def of(cls, schema: pa.Schema, partial: Iterable[str]) -> ColumnArrays:
        """The arrays of some columns, of which those named lack some value."""
        specs = {}
        for column in schema:
            dtype, attributes = _stored(column)
            specs[column.name] = ArraySpec(column.name, dtype, (ROW,), (), attributes)
        return cls(specs, frozenset(partial), schema)


class OtherTypesError(ValueError):
    """The values of a column have no common type.

    Parameters
    ----------
    message
        Which, and why.
    schema
        That of an item that does not go with the others.
    """

    def __init__(self, message: str, schema: str) -> None:
        super().__init__(message)
        self.schema = schema


class TableFormat(RaggedFormat):
    """Datasets of tables: arrays with a row for each row.

    Where a value is missing, ``present/{column}`` is false, and the array holds NaN, 0, ``False``, an empty text or
    not a time.
    """

    name = "curator-table-arrays"

    def own(self, schema: str) -> Arrays:
        found = schema_of_text(schema)
        return ColumnArrays.of(found, [column.name for column in found if column.nullable])

    def joined(self, schemas: Sequence[str]) -> Arrays:
        found = [schema_of_text(text) for text in schemas]
        common = CommonTypes((str(number), schema) for number, schema in enumerate(found))
        for number, why in common.conflicts():
            raise OtherTypesError(f"{why.rpartition(' in ')[0]} in others", schemas[int(number)])
        partial = [
            name
            for name in common.schema.names
            if any(name not in schema.names or schema.field(name).nullable for schema in found)
        ]
        return ColumnArrays.of(common.schema, partial)

    def attributes(self, arrays: Arrays) -> dict[str, Any]:
        return {OPENS_AS: "curator-ragged", "columns": {c.name: str(c.type) for c in _schema(arrays)}}

    def convert(self, rows: Rows, schema: str, arrays: Arrays, names: Iterable[str]) -> Rows:
        wanted = pa.schema([_schema(arrays).field(name) for name in names])
        own = schema_of_text(schema)
        table = table_of(rows, pa.schema([column for column in own if column.name in wanted.names]))
        return rows_of(_converted(table, rows, wanted))

    def restore(self, rows: Rows, schema: str, arrays: Arrays) -> Rows:
        own = schema_of_text(schema)
        joined = pa.schema([_schema(arrays).field(name) for name in own.names])
        return rows_of(_converted(table_of(rows, joined), rows, own))


def _schema(arrays: Arrays) -> pa.Schema:
    return cast("ColumnArrays", arrays).schema


def _converted(table: pa.Table, rows: Rows, schema: pa.Schema) -> pa.Table:
    """A table under another schema; one without columns has rows all the same."""
    if not table.num_columns:
        return pa.table([pa.nulls(rows.n_rows, column.type) for column in schema], schema=_nullable(schema))
    try:
        return converted(table, _nullable(schema), "An item")
    except ComponentError as exc:
        raise MergeError(f"{exc}. Give the column one type with schema= of its source or a filter.") from exc


def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([column.with_nullable(True) for column in schema])  # noqa: FBT003 - pyarrow's only way


def rows_of(table: pa.Table) -> Rows:
    """A table as rows."""
    values: dict[str, Array] = {}
    present: dict[str, npt.NDArray[np.bool_]] = {}
    for column in table.schema:
        found = table[column.name].combine_chunks()
        values[column.name] = _values(found)
        present[column.name] = np.asarray(found.is_valid().to_numpy(zero_copy_only=False), np.bool_)
    return Rows(table.num_rows, values, {}, present)


def _values(column: pa.Array) -> Array:
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.asarray(pc.fill_null(column, "").to_numpy(zero_copy_only=False), object)
    if pa.types.is_timestamp(kind) or pa.types.is_date32(kind):
        return np.asarray(column.to_numpy(zero_copy_only=False))  # not a time where one is missing
    missing = np.nan if pa.types.is_floating(kind) else False if pa.types.is_boolean(kind) else 0
    filled = pc.fill_null(column, pa.scalar(missing).cast(column.type)) if column.null_count else column
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def table_of(rows: Rows, schema: pa.Schema) -> pa.Table:
    """Rows as a table with some of the columns; the inverse of `rows_of`."""
    columns = [_column(rows.values[c.name], rows.present, c) for c in schema]
    return pa.table(columns, schema=_nullable(schema))


def _column(values: Array, present: Mapping[str, npt.NDArray[Any]], column: pa.Field) -> pa.Array:
    kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(values))
    mask = ~present[column.name] if column.name in present else None
    if pa.types.is_timestamp(kind):
        return pa.array(values.view(np.int64), pa.int64(), mask=mask).cast(kind)
    return pa.array(values, kind, mask=mask, from_pandas=False)
