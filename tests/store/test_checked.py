"""Values that cannot stand where they do are never passed on."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from curator_core.errors import StoreCorruptError
from curator_core.store.columns import INDEX_RESULTS, TABLES

FREE = [name for name in INDEX_RESULTS.names if name not in (*INDEX_RESULTS.key, "status")]  # SQLite checks these
MEASURES = [(table.name, column, most) for table in TABLES for column, most in table.limits.items()]


def put(store, table, column, value):
    """Put a value into a column of every row of a table."""
    with closing(sqlite3.connect(store.path)) as db, db:
        assert db.execute(f"UPDATE {table} SET {column} = ?", (value,)).rowcount > 0


@pytest.mark.parametrize(("table", "column", "most"), MEASURES)
def test_measures_that_cannot_be_true(recorded, table, column, most):
    """The largest one that can be true is taken; above it, below nothing and what is no number are refused by name."""
    put(recorded, table, column, most)
    recorded.check_measures(1)
    for odd in (most + 1, -1, "many"):
        put(recorded, table, column, odd)
        with pytest.raises(StoreCorruptError, match=rf"{odd!r}(\.0)? stands where {column} of "):
            recorded.check_measures(1)


@pytest.mark.parametrize("column", FREE)
def test_values_of_another_kind(recorded, column):
    """A value of another kind than the column's is refused, by the name of the column, in whatever question."""
    put(recorded, "index_results", column, b"\x00")
    with pytest.raises(StoreCorruptError, match=f"stands where {column} belongs"):
        list(recorded.query(f"SELECT {column} FROM index_results"))
