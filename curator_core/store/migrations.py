"""From older schema versions to the present one, step by step.

A step adds columns, or puts those that are there in another order: whatever read the older database by the names of
its columns goes on reading it. A writer takes the steps. A reader, which may not write, or may come while an older
curator is writing, sees the missing columns as NULL instead.
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
    columns: tuple[tuple[str, str, str], ...] = ()
    """Table, name and type of every added column; appended in this order, NULL in the rows that are there."""
    rebuilt: tuple[tuple[str, str], ...] = ()
    """Name and statement of every table that is made anew with the columns it has, in the order of the statement."""

    def apply(self, connection: sqlite3.Connection) -> None:
        """Take the step, within the caller's transaction."""
        for table, column, kind in self.columns:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
        for table, statement in self.rebuilt:
            connection.execute(f"ALTER TABLE {table} RENAME TO former_{table}")
            connection.execute(statement)
            columns = ", ".join(name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})"))
            connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM former_{table}")  # noqa: S608 - constants
            connection.execute(f"DROP TABLE former_{table}")
        connection.execute(f"PRAGMA user_version={self.version}")


_KEYS_FIRST = (
    (
        "index_results",
        """CREATE TABLE index_results (
    run_id            INTEGER NOT NULL REFERENCES pipeline_runs (run_id),
    idx               INTEGER NOT NULL,
    status            TEXT NOT NULL CHECK (status IN ('completed', 'error')),
    output_paths      TEXT NOT NULL,
    completed_at      TEXT,
    wall_time_ns      INTEGER NOT NULL,
    peak_memory_bytes INTEGER,
    gpu_memory_bytes  INTEGER,
    error             TEXT,
    worker_id         TEXT,
    item_key          TEXT NOT NULL,
    fingerprint       TEXT,
    traceback         TEXT,
    written_idx       INTEGER NOT NULL,
    started_at        TEXT,
    PRIMARY KEY (run_id, idx)
) WITHOUT ROWID""",
    ),
    (
        "stage_metrics",
        """CREATE TABLE stage_metrics (
    run_id       INTEGER NOT NULL,
    idx          INTEGER NOT NULL,
    stage_order  INTEGER NOT NULL,
    stage_name   TEXT NOT NULL,
    wall_time_ns INTEGER NOT NULL,
    PRIMARY KEY (run_id, idx, stage_order)
) WITHOUT ROWID""",
    ),
    (
        "output_files",
        """CREATE TABLE output_files (
    run_id INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    path   TEXT NOT NULL,
    written INTEGER,
    PRIMARY KEY (run_id, idx, seq)
) WITHOUT ROWID""",
    ),
    (
        "filter_artifacts",
        """CREATE TABLE filter_artifacts (
    run_id       INTEGER NOT NULL,
    idx          INTEGER NOT NULL,
    filter_order INTEGER NOT NULL,
    path         TEXT NOT NULL,
    filter_name  TEXT NOT NULL,
    written      INTEGER,
    PRIMARY KEY (run_id, idx, filter_order, path)
) WITHOUT ROWID""",
    ),
)

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
    Migration(5, "key columns first, for SQLite's integrity check", rebuilt=_KEYS_FIRST),
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
