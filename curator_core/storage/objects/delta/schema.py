"""The schema of a table as its Delta log says it: that of its Parquet files, in Delta's types."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from curator_core.errors import MergeError

if TYPE_CHECKING:
    import pyarrow as pa

TIMES_WITHOUT_ZONE: Final = "timestamp_ntz"
"""Delta's type of times in no time zone, which its readers have to know as a feature."""

_PLAIN: Final = {
    "bool": "boolean",
    "int8": "byte",
    "uint8": "short",
    "int16": "short",
    "uint16": "integer",
    "int32": "integer",
    "uint32": "long",
    "int64": "long",
    "uint64": "decimal(20,0)",
    "float": "float",
    "double": "double",
    "string": "string",
    "large_string": "string",
    "binary": "binary",
    "large_binary": "binary",
    "date32[day]": "date",
    "date64[ms]": "date",
}
"""Delta's types by Arrow's; unsigned integers are of the type in which all of their values fit."""


def schema_string(schema: pa.Schema) -> str:
    """What the log says of the columns.

    Parameters
    ----------
    schema
        That of the Parquet files; what is said of a column, such as ``units``, is said in the log, too.

    Raises
    ------
    MergeError
        Delta has no type for a column.
    """
    fields = []
    for column in schema:
        found = _type(column.type)
        if found is None:
            raise MergeError(f"The column {column.name!r} holds {column.type}, which a Delta table has not.")
        fields.append(_field(column, found))
    return json.dumps({"type": "struct", "fields": fields}, ensure_ascii=False)


def has_type(kind: pa.DataType) -> bool:
    """Whether Delta has a type for the values of an Arrow type."""
    return _type(kind) is not None


def _field(column: pa.Field, kind: object) -> dict[str, object]:
    said = {key.decode(): value.decode("utf-8", "replace") for key, value in (column.metadata or {}).items()}
    said = {key: value for key, value in said.items() if not key.startswith("PARQUET:")}
    return {"name": column.name, "type": kind, "nullable": True, "metadata": said}


def _type(kind: pa.DataType) -> Any:  # noqa: ANN401 - JSON; `None` where there is none
    import pyarrow.types as arrow

    if arrow.is_timestamp(kind) and kind.unit != "ns":
        return TIMES_WITHOUT_ZONE if kind.tz is None else "timestamp"
    if arrow.is_decimal128(kind) and 0 <= kind.scale <= kind.precision:
        return f"decimal({kind.precision},{kind.scale})"
    return _nested(kind) or _PLAIN.get("binary" if arrow.is_fixed_size_binary(kind) else str(kind))


def _nested(kind: pa.DataType) -> dict[str, Any] | None:
    import pyarrow.types as arrow

    if arrow.is_struct(kind):
        members = [(member, _type(member.type)) for member in kind]
        is_whole = members and all(found is not None for _, found in members)
        return {"type": "struct", "fields": [_field(*member) for member in members]} if is_whole else None
    if arrow.is_map(kind):
        key, value = _type(kind.key_type), _type(kind.item_type)
        found = {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
        return None if None in (key, value) else found
    if arrow.is_list(kind) or arrow.is_large_list(kind) or arrow.is_fixed_size_list(kind):
        element = _type(kind.value_type)
        return None if element is None else {"type": "array", "elementType": element, "containsNull": True}
    return None
