"""A table of any length as a CSV, JSON or Parquet file, written row by row, or as a data frame."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from curator_core.errors import MissingDependencyError
from curator_core.storage.atomic import published

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from _typeshed import SupportsWrite

Row = dict[str, Any]
Kind = Literal["integer", "real", "text", "list of text", "time"]

_BATCH = 5_000
_ROW_GROUP = 100_000


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns, and rows that are made as they are asked for."""

    columns: Mapping[str, Kind]
    """What each column holds, in order; any value may be ``None``. Times are ISO-8601 text with a zone."""
    rows: Iterable[Row]
    """Every row has a value for every column."""


def write_csv(table: Table, file: SupportsWrite[str]) -> None:
    """One line per row under the column names; an empty cell is ``None``, lists are JSON."""
    lists = [name for name, kind in table.columns.items() if kind == "list of text"]
    writer = csv.DictWriter(file, fieldnames=list(table.columns), lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        writer.writerow(row | {name: json.dumps(row[name]) for name in lists})


def write_json(table: Table, file: SupportsWrite[str]) -> None:
    """An array with one object per row, each on a line of its own."""
    separator = "[\n"
    for row in table.rows:
        file.write(f"{separator}{json.dumps(row)}".replace("\x7f", "\\u007f"))
        separator = ",\n"
    file.write("[]\n" if separator == "[\n" else "\n]\n")


def write_parquet(table: Table, path: str | Path) -> None:
    """A Parquet file with typed columns; times are UTC in microseconds.

    Raises
    ------
    MissingDependencyError
        pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as exc:
        raise MissingDependencyError.of("pyarrow", "parquet", "Writing Parquet files") from exc
    types = {
        "integer": pa.int64(),
        "real": pa.float64(),
        "text": pa.string(),
        "list of text": pa.list_(pa.string()),
        "time": pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema([(name, types[kind]) for name, kind in table.columns.items()])
    with published(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        batches = _batches(table, schema)
        while group := list(islice(batches, _ROW_GROUP // _BATCH)):
            writer.write_table(pa.Table.from_batches(group, schema))


def data_frame(table: Table) -> pd.DataFrame:
    """The table as a data frame.

    Raises
    ------
    MissingDependencyError
        pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as exc:
        raise MissingDependencyError.of("pandas", "pandas", "Making data frames") from exc
    return pd.DataFrame(list(table.rows), columns=list(table.columns))


def _batches(table: Table, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa  # heavy

    times = [name for name, kind in table.columns.items() if kind == "time"]
    rows = iter(table.rows)
    while batch := list(islice(rows, _BATCH)):
        moments = ({name: row[name] and datetime.fromisoformat(row[name]) for name in times} for row in batch)
        yield pa.RecordBatch.from_pylist([row | moment for row, moment in zip(batch, moments, strict=True)], schema)
