"""Opening the metrics database: its tables, and files that are none."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing

import pytest

from curator_core.errors import StoreBusyError, StoreCorruptError, StoreError, StoreVersionError
from curator_core.store import MetricsStore, StoreWriter, connection
from curator_core.store.columns import SCHEMA_VERSION, TABLES

COLUMNS = {
    "pipeline_runs": "run_id config_hash config_json started_at run_dir total_indices",
    "index_results": "idx run_id status output_paths completed_at wall_time_ns peak_memory_bytes gpu_memory_bytes "
    "error worker_id item_key fingerprint",
    "stage_metrics": "idx run_id stage_order stage_name wall_time_ns",
    "workers": "worker_id run_id pid hostname started_at last_heartbeat current_index completed_count invocation_id",
    "output_files": "path idx run_id seq",
    "filter_artifacts": "path idx run_id filter_name filter_order",
    "logs": "id run_id timestamp level level_name logger_name message worker_id idx",
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.db"


def open_writer(path, *, resume=True, config_hash="c" * 64):
    return StoreWriter(path, config_hash=config_hash, config_json="{}", resume=resume, total_indices=3)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_columns(path, table):
    """Every table has the columns that are declared, among them those that others may count on."""
    open_writer(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        found = [row[1] for row in db.execute(f"PRAGMA table_info({table.name})")]
    assert found == [*table.names]
    assert {*COLUMNS[table.name].split()} <= {*found}


def test_write_ahead_log(path):
    """The database is in WAL mode and tells what it is."""
    open_writer(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def foreign(path):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE users (name TEXT)")
    db.close()


def newer(path):
    open_writer(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA user_version=99")
    db.close()


def damaged(path):
    open_writer(path).close()
    content = bytearray(path.read_bytes())
    content[100:] = b"\x5a" * (len(content) - 100)
    path.write_bytes(content)


def without_a_table(path):
    open_writer(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TABLE logs")
    db.close()


def text(path):
    path.write_text("# my notes\n" * 500)


@pytest.mark.parametrize("opening", [open_writer, MetricsStore])
@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (foreign, StoreCorruptError, "is no metrics database of curator"),
        (newer, StoreVersionError, "schema version 99.*upgrade curator"),
        (damaged, StoreCorruptError, "damaged"),
        (without_a_table, StoreCorruptError, "no table logs"),
        (text, StoreCorruptError, "no SQLite database"),
    ],
)
def test_unusable_files_stay_as_they_are(path, opening, make, error, says):
    """A foreign, damaged or newer file is the right error, for readers and writers, and not a byte changes."""
    make(path)
    before = path.read_bytes()
    with pytest.raises(error, match=says):
        opening(path)
    assert path.read_bytes() == before
    assert not path.with_name("run.db-wal").exists() or not path.with_name("run.db-wal").stat().st_size


@pytest.mark.parametrize("opening", [open_writer, MetricsStore])
def test_busy_is_not_corrupt(path, opening, monkeypatch):
    """A database that another program locks is StoreBusyError after the waiting time, and stays."""
    open_writer(path).close()
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("DELETE FROM logs")
    with pytest.raises(StoreBusyError, match="in use by another process"):
        opening(path)
    other.execute("ROLLBACK")
    other.close()
    open_writer(path).close()


def test_missing_database(tmp_path):
    """Reading what is not there says so, and creates nothing."""
    with pytest.raises(StoreError, match="no metrics database"):
        MetricsStore(tmp_path / "none.db")
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_made(tmp_path):
    """A database below a file is a StoreError naming the place."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        open_writer(tmp_path / "file" / "run.db")


def test_database_that_is_made_is_whole_at_any_moment(tmp_path):
    """A kill while it is made leaves none; what it leaves beside is removed by the next run."""
    path = tmp_path / "run.db"
    pid = os.fork()
    if pid == 0:
        os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        StoreWriter(path, config_hash="a", config_json="{}", resume=True)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert not path.exists()
    assert any("curator-tmp" in left.name for left in tmp_path.iterdir())
    StoreWriter(path, config_hash="a", config_json="{}", resume=True).close()
    assert [left.name for left in tmp_path.iterdir() if "curator-tmp" in left.name] == []


def test_file_system_without_links(tmp_path, monkeypatch):
    """The database is made in place."""
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "Operation not permitted")))
    StoreWriter(tmp_path / "run.db", config_hash="a", config_json="{}", resume=True).close()
    with MetricsStore(tmp_path / "run.db") as store:
        assert [run.config_hash for run in store.runs()] == ["a"]


def test_empty_file_is_a_database_without_records(tmp_path):
    """Readers find nothing in it, and a run writes to it."""
    path = tmp_path / "run.db"
    path.touch()
    with MetricsStore(path) as store:
        assert store.runs() == []
    assert path.stat().st_size == 0
    StoreWriter(path, config_hash="a", config_json="{}", resume=True).close()
    with MetricsStore(path) as store:
        assert len(store.runs()) == 1
