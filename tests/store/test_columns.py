"""Declarations of columns, and what is made of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import fields
from itertools import pairwise

import pytest

from curator_core.records import Artifact, IndexResult, LogLine, StageMetrics, WorkerUsage
from curator_core.store.columns import (
    FILTER_ARTIFACTS,
    INDEX_RESULTS,
    LOGS,
    SCHEMA_VERSION,
    STAGE_METRICS,
    TABLES,
    WORKERS,
)

VERSION_5 = """
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
    worker_id         TEXT PRIMARY KEY,
    run_id            INTEGER NOT NULL,
    pid               INTEGER NOT NULL,
    hostname          TEXT NOT NULL,
    started_at        TEXT NOT NULL,
    last_heartbeat    TEXT NOT NULL,
    current_index     INTEGER,
    completed_count   INTEGER NOT NULL DEFAULT 0,
    invocation_id     TEXT,
    current_since     TEXT,
    job               TEXT,
    job_state         TEXT,
    elapsed_s         REAL,
    n_cpus            INTEGER,
    cpu_s             REAL,
    peak_memory_bytes INTEGER
);
CREATE TABLE output_files (
    run_id  INTEGER NOT NULL,
    idx     INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    path    TEXT NOT NULL,
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
"""What databases of others hold; it never changes."""
UNITS = ("_ns", "_s", "_bytes")


def shapes(statements):
    """By table, its columns as SQLite has them, and its statement from the first rule of a table on."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(";".join(statements))
        return {
            name: (
                db.execute(f"PRAGMA table_info({name})").fetchall(),
                db.execute(f"PRAGMA foreign_key_list({name})").fetchall(),
                "WITHOUT ROWID" in sql,
                "CHECK (status IN ('completed', 'error'))" in sql,
            )
            for name, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
        }


def test_version_5_is_made_as_ever():
    """The declarations make the tables that version 5 had before there were declarations."""
    assert shapes(table.creation(5) for table in TABLES) == shapes([VERSION_5])


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_later_columns_are_the_last(table):
    """Columns stand in the order of their versions, as migrations append them, and none is of a version to come."""
    versions = [column.since for column in table.columns]
    assert versions == sorted(versions)
    assert versions[-1] <= SCHEMA_VERSION


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_rows_that_were_there_need_no_later_column(table):
    """A column that came later may be NULL, which is what a reader of an older database sees in it."""
    assert [column.name for column in table.columns if column.since > 1 and not column.may_be_null] == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_measures_have_limits(table):
    """Whatever has a unit in its name says what it is at most."""
    assert [name for name in table.names if name.endswith(UNITS) and name not in table.limits] == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_exported_columns_have_names_and_places_of_their_own(table):
    """No two exported columns share a name or a place."""
    places, names, _ = zip(*table.exported, strict=True) if table.exported else ((), (), ())
    assert len({*names}) == len(names)
    assert all(before < after for before, after in pairwise(places))


@pytest.mark.parametrize(
    ("table", "given", "record"),
    [
        (INDEX_RESULTS, ("run_id", "idx"), IndexResult),
        (STAGE_METRICS, ("run_id", "idx", "stage_order"), StageMetrics),
        (FILTER_ARTIFACTS, ("run_id", "idx"), Artifact),
        (LOGS, ("id", "run_id", "worker_id", "idx"), LogLine),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_columns_are_fields_of_records(table, given, record):
    """The record that a row is made of has a field for each column that the writer does not give."""
    known = {field.name for field in fields(record)}
    assert {name for name in table.fields(*given).values() if name not in known} == set()


def test_results_have_columns():
    """Every field of a result is a column of its item; but for those that other tables hold, and what is not stored."""
    elsewhere = {"artifacts", "stages", "logs", "written", "worker_pid", "worker_host", "item_path", "exception"}
    known = {field.name for field in fields(IndexResult)} - elsewhere
    assert known <= {*INDEX_RESULTS.fields().values()}


def test_usage_of_workers_has_columns():
    """Whatever is recorded of what a worker used has a column of its name."""
    known = {field.name for field in fields(WorkerUsage)} - {"host"}  # which is the column hostname
    assert known <= set(WORKERS.names)
