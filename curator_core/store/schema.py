"""Tables of the metrics database as this version has them; `migrations` brings older ones here."""

from __future__ import annotations

SCHEMA_VERSION = 5
"""Kept in SQLite's ``user_version``."""

APPLICATION_ID = 0x43555241
"""Kept in SQLite's ``application_id``: tells a metrics database from any other."""

# An item's identity is its key. `idx` is its present position in the source: `StoreWriter.reindex` moves
# the rows when the listing shifts, and gives items that vanished a negative idx. Where there is no rowid, the
# columns of the key come first: SQLite 3.40 takes rows with others before them for damaged (integrity_check).
TABLES = """
CREATE TABLE pipeline_runs (
    run_id        INTEGER PRIMARY KEY,
    config_hash   TEXT NOT NULL,
    config_json   TEXT NOT NULL,
    started_at    TEXT NOT NULL,
    run_dir       TEXT,
    total_indices INTEGER NOT NULL
);
CREATE TABLE index_results (
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
) WITHOUT ROWID;
CREATE TABLE stage_metrics (
    run_id       INTEGER NOT NULL,
    idx          INTEGER NOT NULL,
    stage_order  INTEGER NOT NULL,
    stage_name   TEXT NOT NULL,
    wall_time_ns INTEGER NOT NULL,
    PRIMARY KEY (run_id, idx, stage_order)
) WITHOUT ROWID;
CREATE TABLE workers (
    worker_id       TEXT PRIMARY KEY,
    run_id          INTEGER NOT NULL,
    pid             INTEGER NOT NULL,
    hostname        TEXT NOT NULL,
    started_at      TEXT NOT NULL,
    last_heartbeat  TEXT NOT NULL,
    current_index   INTEGER,
    completed_count INTEGER NOT NULL DEFAULT 0,
    invocation_id   TEXT,
    current_since   TEXT,
    job             TEXT,
    job_state       TEXT,
    elapsed_s       REAL,
    n_cpus          INTEGER,
    cpu_s           REAL,
    peak_memory_bytes INTEGER
);
CREATE TABLE output_files (
    run_id INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    path   TEXT NOT NULL,
    written INTEGER,
    PRIMARY KEY (run_id, idx, seq)
) WITHOUT ROWID;
CREATE TABLE filter_artifacts (
    run_id       INTEGER NOT NULL,
    idx          INTEGER NOT NULL,
    filter_order INTEGER NOT NULL,
    path         TEXT NOT NULL,
    filter_name  TEXT NOT NULL,
    written      INTEGER,
    PRIMARY KEY (run_id, idx, filter_order, path)
) WITHOUT ROWID;
CREATE TABLE logs (
    id          INTEGER PRIMARY KEY,
    run_id      INTEGER NOT NULL,
    timestamp   TEXT NOT NULL,
    level       INTEGER NOT NULL,
    level_name  TEXT NOT NULL,
    logger_name TEXT NOT NULL,
    message     TEXT NOT NULL,
    worker_id   TEXT,
    idx         INTEGER
);
"""

INDEXED_TABLES = ("index_results", "stage_metrics", "output_files", "filter_artifacts")
"""Tables whose rows move with their item."""

TABLE_NAMES = (*INDEXED_TABLES, "pipeline_runs", "workers", "logs")
"""All seven."""
