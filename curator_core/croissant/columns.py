"""The files and record sets of a dataset of tables, which programs that know Parquet can iterate."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from curator_core.croissant.fields import Column, Json, RecordSet, data_type
from curator_core.formats.description import DESCRIPTION, OWN_FOLDER

if TYPE_CHECKING:
    import pyarrow as pa

MEDIA_TYPES: Final = ["application/vnd.apache.parquet", "application/x-parquet"]
"""The registered one, and the one that programs of Croissant know."""
ITEMS: Final = f"{OWN_FOLDER}/items.parquet"
"""The table of items."""
_ROWS: Final = "rows"
_FILES: Final = "table"

Read = Callable[[str], bytes]
"""Reads a small file of a dataset by its name."""


def table_files(read: Read) -> list[Json]:
    """The files: what the dataset says of itself and the table of its items with their hashes, and the rows."""
    described, items = read(DESCRIPTION), read(ITEMS)
    folders = len(json.loads(described).get("partition_by", ()))
    return [
        _file(DESCRIPTION, described, "application/json", "Types of the columns, with checksums of the tables."),
        _file(ITEMS, items, MEDIA_TYPES, "The items: key, version, fingerprint and split of each, and its rows."),
        {
            "@type": "cr:FileSet",
            "@id": _FILES,
            "name": _FILES,
            "description": "The rows, in the order of the names of the files.",
            "includes": f"{'*=*/' * folders}[0-9]*.parquet",
            "encodingFormat": MEDIA_TYPES,
        },
    ]


def _file(name: str, data: bytes, media_type: object, description: str) -> Json:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name.rpartition("/")[2],
        "description": description,
        "contentUrl": name,
        "contentSize": f"{len(data)} B",
        "encodingFormat": media_type,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def table_records(read: Read) -> list[RecordSet]:
    """The items, and the rows."""
    attributes: dict[str, Any] = json.loads(read(DESCRIPTION))
    texts = [Column(name, "sc:Text") for name in ("key", "version", "fingerprint", "split")]
    items = RecordSet(
        "items",
        {"fileObject": {"@id": ITEMS}},
        [*texts, Column("n_rows", "cr:Int64", description="Number of its rows")],
        int(attributes["n_items"]),
        "One record for every item.",
        "key",
    )
    rows = RecordSet(_ROWS, {"fileSet": {"@id": _FILES}}, n_records=int(attributes["n_rows"]))
    rows.description = "One record for every row."
    folders = attributes.get("partition_by", [])
    if folders:
        rows.description += f" Names of folders say {', '.join(folders)}, as Hive writes them: left out here."
    rows.columns = [_column(column) for column in _schema(attributes["schema"]) if column.name not in folders]
    return [items, rows]


def _schema(text: str) -> pa.Schema:
    """The schema that a dataset says of itself."""
    import pyarrow as pa

    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def _column(column: pa.Field) -> Column:
    import pyarrow as pa

    said = {key.decode(): value.decode("utf-8", "replace") for key, value in (column.metadata or {}).items()}
    kind, shape = column.type, list[int]()
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        shape.append(kind.list_size if pa.types.is_fixed_size_list(kind) else -1)
        kind = kind.value_type
    parts = tuple(map(_column, kind)) if pa.types.is_struct(kind) and not shape else ()
    is_flat = all(part.dtype and not part.parts for part in parts)
    about = said.get("long_name") or said.get("description", "")
    return Column(
        column.name,
        "" if parts or len(shape) > 1 else data_type(next(_kinds(kind), "")),
        tuple(shape),
        said.get("units", ""),
        about,
        parts if is_flat else (),
    )


def _kinds(kind: pa.DataType) -> Iterator[str]:
    """The name of a type by which `data_type` knows it."""
    import pyarrow as pa

    named = {
        "bool": pa.types.is_boolean,
        "string": lambda one: pa.types.is_string(one) or pa.types.is_large_string(one),
        "bytes": lambda one: pa.types.is_binary(one) or pa.types.is_large_binary(one),
        "datetime": pa.types.is_timestamp,
        "date": pa.types.is_date,
        "time": pa.types.is_time,
        "decimal": pa.types.is_decimal,
    }
    yield from (name for name, is_one in named.items() if is_one(kind))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        yield {"halffloat": "float16", "float": "float32", "double": "float64"}.get(str(kind), str(kind))
