"""Values of a database are of the kinds that its columns hold; SQLite itself lets anything stand anywhere."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from typing import Any

from curator_core.errors import StoreCorruptError
from curator_core.store.schema import TABLE_NAMES, TABLES

_TYPES: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "REAL": (int, float), "TEXT": (str,)}

_N_ROWS = 500
"""Rows that are looked at together, column by column, which costs a third of row by row."""


def sound_rows(path: str | os.PathLike[str], cursor: sqlite3.Cursor) -> Iterator[Any]:
    """Rows of a query, each value checked whose column bears the name of one of ours.

    Raises
    ------
    StoreCorruptError
        A value is of another kind.
    """
    names = [name for name, *_ in cursor.description or ()]
    known: list[set[type]] = [set() for _ in names]
    while rows := cursor.fetchmany(_N_ROWS):
        for of_column, column in zip(known, zip(*rows, strict=True), strict=True):
            if not of_column.issuperset(map(type, column)):  # one look for all values of the same kinds
                for row in rows:
                    _check(path, names, row)
                of_column.update(map(type, column))
        yield from rows


_LONGEST_NS = 10**18
"""More than thirty years."""
_LONGEST_S = 10**10
"""The same for all CPUs of a job."""
_MOST_BYTES = 2**55
_MOST_ITEMS = 2**53
"""Above, the numbers of a report and of JSON are no longer exact."""

_MEASURES: dict[str, tuple[str, dict[str, int]]] = {
    "index_results": (
        "'item ' || item_key",
        {"wall_time_ns": _LONGEST_NS, "peak_memory_bytes": _MOST_BYTES, "gpu_memory_bytes": _MOST_BYTES},
    ),
    "stage_metrics": ("stage_name || ' at index ' || idx", {"wall_time_ns": _LONGEST_NS}),
    "workers": (
        "'worker ' || worker_id",
        {
            "completed_count": _MOST_ITEMS,
            "peak_memory_bytes": _MOST_BYTES,
            "elapsed_s": _LONGEST_S,
            "cpu_s": _LONGEST_S,
            "n_cpus": 10**6,
        },
    ),
    "pipeline_runs": ("'run ' || run_id", {"total_indices": _MOST_ITEMS}),
}
"""By table: how its rows are named, and what its measures are at most; none is negative."""


def check_measures(path: str | os.PathLike[str], db: sqlite3.Connection, run_id: int) -> None:
    """Find out measures of a run that cannot be true, before they are added up or drawn.

    Raises
    ------
    StoreCorruptError
        One is negative, larger than any can be, or no number.
    """
    for table, (named, limits) in _MEASURES.items():
        odd = " OR ".join(f"{column} NOT BETWEEN 0 AND {limit}" for column, limit in limits.items())
        sql = f"SELECT {named}, {', '.join(limits)} FROM {table} WHERE run_id = ? AND ({odd}) LIMIT 1"  # noqa: S608 - constants
        for where, *values in db.execute(sql, (run_id,)):
            column, value = next(
                (c, v) for (c, most), v in zip(limits.items(), values, strict=True) if _is_odd(v, most)
            )
            raise StoreCorruptError(
                f"{os.fspath(path)} is damaged: {value!r:.60} stands where {column} of {where!s:.200} belongs. "
                "It was left as it is: move it away to start anew."
            )


def _is_odd(value: object, most: int) -> bool:
    return value is not None and not (isinstance(value, int | float) and 0 <= value <= most)


def _check(path: str | os.PathLike[str], names: list[str], row: tuple[object, ...]) -> None:
    allowed = _allowed()
    for name, value in zip(names, row, strict=True):
        if name in allowed and not isinstance(value, allowed[name]):
            raise StoreCorruptError(
                f"{os.fspath(path)} is damaged: {value!r:.60} stands where {name} belongs. "
                "It was left as it is: move it away to start anew."
            )


@cache
def _allowed() -> dict[str, tuple[type, ...]]:
    """Kinds by name of column, those of all tables that have it."""
    found: dict[str, set[type]] = defaultdict(set)
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in TABLES.split(";"):
            db.execute(statement)
        for table in TABLE_NAMES:
            for _, name, kind, is_required, _, is_key in db.execute(f"PRAGMA table_info({table})"):
                found[name].update(_TYPES[kind], () if is_required or is_key else (type(None),))
    return {name: tuple(kinds) for name, kinds in found.items()}
