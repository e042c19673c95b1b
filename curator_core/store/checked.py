"""A database opened read-only. Its values are checked: SQLite lets anything stand in any column."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Self

from curator_core.errors import StoreCorruptError
from curator_core.store.columns import TABLES
from curator_core.store.connection import classified, open_for_reading

_N_ROWS = 500
"""Rows that are looked at together, column by column, which costs a third of row by row."""


class CheckedDatabase:
    """A metrics database, opened read-only.

    Parameters
    ----------
    path
        The database.

    Raises
    ------
    StoreError
        It does not exist, is no metrics database, or is of a newer schema version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._db = open_for_reading(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def query(self, sql: str, *values: object) -> Iterator[Any]:
        """Rows of any SELECT, one at a time."""
        with classified(self.path):
            yield from sound_rows(self.path, self._db.execute(sql, values))

    def _rows(self, sql: str, *values: object) -> list[Any]:
        return list(self.query(sql, *values))

    def _is_so(self, sql: str, *values: object) -> bool:
        """Answer of a query for one truth value."""
        ((found,),) = self._rows(sql, *values)
        return bool(found)

    def check_measures(self, run_id: int) -> None:
        """Raise `StoreCorruptError` when a measure of a run cannot be true: negative, far too large, or no number."""
        with classified(self.path):
            for table in TABLES:
                for where, column, value in self._odd_measures(table.name, table.row_name, table.limits, run_id):
                    raise StoreCorruptError(_misfit(self.path, value, f"{column} of {where!s:.200}"))

    def _odd_measures(
        self, table: str, row_name: str, limits: dict[str, int], run_id: int
    ) -> Iterator[tuple[object, str, object]]:
        """Row, column and value of the first measure that cannot be true."""
        if not limits:
            return
        odd = " OR ".join(f"{column} NOT BETWEEN 0 AND {limit}" for column, limit in limits.items())
        sql = f"SELECT {row_name}, {', '.join(limits)} FROM {table} WHERE run_id = ? AND ({odd}) LIMIT 1"  # noqa: S608 - constants
        for where, *values in self._db.execute(sql, (run_id,)):
            measures = zip(limits.items(), values, strict=True)
            yield next((where, column, value) for (column, most), value in measures if _is_odd(value, most))


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


def of_index(index: int | None) -> tuple[str, tuple[int, ...]]:
    """Condition that leaves the rows of one index, and its values; none for all."""
    return ("", ()) if index is None else (" AND idx = ?", (index,))


def _is_odd(value: object, most: int) -> bool:
    return value is not None and not (isinstance(value, int | float) and 0 <= value <= most)


def _check(path: str | os.PathLike[str], names: list[str], row: tuple[object, ...]) -> None:
    allowed = _allowed()
    for name, value in zip(names, row, strict=True):
        if name in allowed and not isinstance(value, allowed[name]):
            raise StoreCorruptError(_misfit(path, value, name))


def _misfit(path: str | os.PathLike[str], value: object, place: str) -> str:
    return (
        f"{os.fspath(path)} is damaged: {value!r:.60} stands where {place} belongs. "
        "It was left as it is: move it away to start anew."
    )


@cache
def _allowed() -> dict[str, tuple[type, ...]]:
    """Kinds by name of column, those of all tables that have it."""
    found: dict[str, set[type]] = defaultdict(set)
    for table in TABLES:
        for column in table.columns:
            found[column.name].update(column.python_types)
    return {name: tuple(kinds) for name, kinds in found.items()}
