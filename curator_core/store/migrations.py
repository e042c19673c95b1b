"""From older schema versions to the present one, step by step.

A step adds columns and does nothing else: whatever read the older database goes on reading it. A writer
takes the steps. A reader, which may not write, or may come while an older curator is writing, sees the
missing columns as NULL instead.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Migration:
    """One step."""

    version: int
    """Schema version it leads to, from the one before."""
    name: str
    """What it is for."""
    columns: tuple[tuple[str, str, str], ...]
    """Table, name and type of every added column; appended in this order, NULL in the rows that are there."""

    def apply(self, connection: sqlite3.Connection) -> None:
        """Take the step, within the caller's transaction."""
        for table, column, kind in self.columns:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
        connection.execute(f"PRAGMA user_version={self.version}")


MIGRATIONS = (
    Migration(
        2,
        "when an index was begun",
        (("index_results", "started_at", "TEXT"), ("workers", "current_since", "TEXT")),
    ),
    Migration(
        3,
        "what workers used that a cluster ran as jobs",
        (
            *(("workers", "job", "TEXT"), ("workers", "job_state", "TEXT"), ("workers", "elapsed_s", "REAL")),
            *(("workers", "n_cpus", "INTEGER"), ("workers", "cpu_s", "REAL")),
            ("workers", "peak_memory_bytes", "INTEGER"),
        ),
    ),
    Migration(
        4,
        "what tells an output from one that was written over it",
        (("output_files", "written", "INTEGER"), ("filter_artifacts", "written", "INTEGER")),
    ),
)
"""All steps, oldest first; the last one leads to `SCHEMA_VERSION`."""


def schema_version(connection: sqlite3.Connection) -> int:
    """Version that the database has now."""
    ((version,),) = connection.execute("PRAGMA user_version")
    return int(version)


def read_as_present(connection: sqlite3.Connection) -> None:
    """Let queries find the columns that an older database lacks: views of this connection alone hide its tables."""
    lacking = defaultdict(list)
    for migration in MIGRATIONS:
        if migration.version > schema_version(connection):
            for table, column, _ in migration.columns:
                lacking[table].append(f"NULL AS {column}")
    for table, columns in lacking.items():
        connection.execute(f"CREATE TEMP VIEW {table} AS SELECT *, {', '.join(columns)} FROM main.{table}")  # noqa: S608 - constants
