"""From older schema versions to the present one, step by step.

A step adds the columns that came with its version, or puts those that are there in another order: whatever read the
older database by the names of its columns goes on reading it. A writer takes the steps. A reader, which may not write,
or may come while an older curator is writing, sees the missing columns as NULL instead.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from curator_core.store.columns import (
    FILTER_ARTIFACTS,
    INDEX_RESULTS,
    OUTPUT_FILES,
    STAGE_METRICS,
    TABLES,
    VERSIONS,
    Column,
    Table,
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One step."""

    version: int
    """Schema version it leads to, from the one before."""
    name: str
    """What it is for."""
    rebuilt: tuple[Table, ...] = ()
    """Tables that are made anew with the columns they have, in the order of their declarations."""

    def columns(self) -> Iterator[tuple[Table, Column]]:
        """The columns it adds: appended in this order, NULL in the rows that are there."""
        return ((table, column) for table in TABLES for column in table.columns if column.since == self.version)

    def apply(self, connection: sqlite3.Connection) -> None:
        """Take the step, within the caller's transaction."""
        for table, column in self.columns():
            connection.execute(f"ALTER TABLE {table.name} ADD COLUMN {column.declaration}")
        for table in self.rebuilt:
            connection.execute(f"ALTER TABLE {table.name} RENAME TO former_{table.name}")
            connection.execute(table.creation(self.version))
            columns = ", ".join(column.name for column in table.columns if column.since <= self.version)
            connection.execute(f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM former_{table.name}")  # noqa: S608 - constants
            connection.execute(f"DROP TABLE former_{table.name}")
        connection.execute(f"PRAGMA user_version={self.version}")


_REBUILT = {5: (INDEX_RESULTS, STAGE_METRICS, OUTPUT_FILES, FILTER_ARTIFACTS)}

MIGRATIONS = tuple(Migration(version, name, _REBUILT.get(version, ())) for version, name in VERSIONS.items())
"""All steps, oldest first; the last one leads to `SCHEMA_VERSION`."""


def schema_version(connection: sqlite3.Connection) -> int:
    """Version that the database has now."""
    ((version,),) = connection.execute("PRAGMA user_version")
    return int(version)


def read_as_present(connection: sqlite3.Connection) -> None:
    """Let queries find the columns that an older database lacks: views of this connection alone hide its tables."""
    version = schema_version(connection)
    for table in TABLES:
        lacking = [f"NULL AS {column.name}" for column in table.columns if column.since > version]
        if lacking:
            select = f"SELECT *, {', '.join(lacking)} FROM main.{table.name}"  # noqa: S608 - constants
            connection.execute(f"CREATE TEMP VIEW {table.name} AS {select}")
