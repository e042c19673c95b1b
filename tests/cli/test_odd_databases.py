"""Databases with odd values: each command shows what it can, or ends with one line that names the file."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from curator_core import run_pipeline
from curator_core.cli import main
from curator_core.testing import JsonSink, NumbersSource


@pytest.fixture
def database(tmp_path):
    """A database of three items."""
    pipeline = NumbersSource(3).write(JsonSink(str(tmp_path / "out"))).with_settings(db_file=tmp_path / "odd.db")
    run_pipeline(pipeline, progress=False)
    return tmp_path / "odd.db"


def changed(database, change, *values):
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("PRAGMA ignore_check_constraints=ON")
        db.execute(change, values)


ODD = [
    ("pipeline_runs", "total_indices", "five"),
    ("pipeline_runs", "total_indices", ""),
    ("pipeline_runs", "total_indices", -5),
    ("pipeline_runs", "config_hash", b"blob"),
    ("pipeline_runs", "config_json", "[1]"),
    ("pipeline_runs", "config_json", "x"),
    ("pipeline_runs", "config_json", "[" * 100_000),
    ("pipeline_runs", "config_json", '{"source": 5, "filters": 7, "sink": 1}'),
    ("pipeline_runs", "config_json", '{"source": {"component": 5}, "filters": [], "sink": null}'),
    ("pipeline_runs", "started_at", "yesterday"),
    ("pipeline_runs", "started_at", "0001-01-01"),
    ("pipeline_runs", "started_at", 5),
    ("index_results", "wall_time_ns", "long"),
    ("index_results", "peak_memory_bytes", "much"),
    ("index_results", "status", "done"),
    ("index_results", "item_key", b"key"),
    ("index_results", "completed_at", "later"),
    ("workers", "pid", "none"),
    ("workers", "last_heartbeat", ""),
    ("workers", "current_index", "x"),
    ("stage_metrics", "wall_time_ns", "x"),
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: f"{odd[1]}={odd[2]!r:.12}")
def test_one_clear_line_or_what_can_be_shown(odd, database, tmp_path, capsys):
    """No command ends with an unexpected error, and each error names the file."""
    table, column, value = odd
    changed(database, f"UPDATE {table} SET {column} = ?", value)
    for words in (
        ("status", str(database)),
        ("status", str(database), "--json"),
        ("export", str(database), "--csv"),
        ("cache", "list", "--db-dir", str(tmp_path)),
        ("cache", "prune", "--older-than", "1h", "--db-dir", str(tmp_path)),
    ):
        code = main(words)
        said = capsys.readouterr().err
        assert "unexpected" not in said
        assert code == 0 or "odd.db" in said


def test_one_odd_database_among_others(database, tmp_path, capsys):
    """The others are listed and pruned; the odd one is listed with a note, and kept."""
    for name in ("a", "b"):
        shutil.copy(database, tmp_path / f"{name}.db")
    changed(database, "UPDATE pipeline_runs SET config_json = '[1]'")
    assert main(["cache", "list", "--db-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("a.db", "b.db", "odd.db", "its configuration is none that curator writes"))
    assert main(["cache", "prune", "--keep", "0", "--yes", "--db-dir", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.glob("*.db")} == {"odd.db"}
