"""Types of columns that a Delta table has, for those that it has not: the same values."""

from __future__ import annotations

import pyarrow as pa

from curator_core.errors import ComponentError
from curator_core.storage.objects.delta.schema import has_type


def delta_schema(schema: pa.Schema) -> pa.Schema:
    """A schema in types that a Delta table has, and in which the values of the given one are the same.

    A column in which everything is missing is one of text. Times of nanoseconds are of microseconds: values that are
    none in full fail where they are converted.

    Raises
    ------
    ComponentError
        A Delta table has no type for a column.
    """
    return pa.schema([column.with_type(_delta_type(column)) for column in schema])


def _delta_type(column: pa.Field) -> pa.DataType:
    found = _converted(column.type)
    if not has_type(found):
        raise ComponentError(
            f"The column {column.name!r} holds {column.type}, which a Delta table has not: give it another type with "
            "schema= of its source or the filter cast, leave it out with the filter select, or publish a folder that "
            "ends in .parquet."
        )
    return found


def _converted(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_struct(kind):
        return pa.struct([member.with_type(_converted(member.type)) for member in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_converted(kind.value_type)))
    return kind
