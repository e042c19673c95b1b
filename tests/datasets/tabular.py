"""Tables for the tests' histories: a sink under any name, and what items hold."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from curator_core.domains.table import ParquetSink, TableZarrSink


class TablesSink(ParquetSink):
    """In a folder of whatever name."""

    name = "test_tables"

    def check(self) -> None:
        self.retained_items(self.output_path)


def tables_sink(output_path: str, items_per_segment: int = 1) -> TablesSink:
    return TablesSink(output_path, items_per_segment=items_per_segment, row_group_rows=2)


def table_arrays_sink(output_path: str, items_per_segment: int = 1) -> TableZarrSink:
    return TableZarrSink(output_path, items_per_segment, chunk_rows=2, shard_rows=16)


SINKS: dict[str, Any] = {"tables": tables_sink, "table arrays": table_arrays_sink}


def table(random: Any, key: str, version: int) -> pa.Table:
    """Rows whose columns, and their types, differ from item to item, so that those of a dataset change."""
    n = int(random.integers(0, 5))
    values = [None if random.random() < 0.2 else int(random.integers(0, 100)) for _ in range(n)]
    kind = [pa.int8(), pa.int64(), pa.float32(), pa.uint16()][(version + len(key)) % 4]
    columns = {"n": pa.array(values, kind), "note": pa.array([f"{key} é {row}" for row in range(n)], pa.string())}
    if version % 2:
        columns["time"] = pa.array(range(n), pa.timestamp("s" if version % 3 else "ms"))
    if n and version % 3:
        columns["flag"] = pa.array([None] * n) if version % 7 else pa.array([True] * n)
    return pa.table(columns)
