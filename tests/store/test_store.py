"""The metrics database: its tables, its errors, its durability."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from curator_core import run_pipeline
from curator_core.errors import StoreBusyError, StoreCorruptError, StoreError, StoreVersionError
from curator_core.records import Artifact, IndexResult, LogLine, StageMetrics
from curator_core.store import JournalWriter, MetricsStore, StoreWriter, connection, journal_directory, writer
from curator_core.store.columns import SCHEMA_VERSION, TABLES
from curator_core.testing import FaultySource, JsonSink, NumbersSource

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


def done(index, key=None, **more):
    return IndexResult(index, key or f"{index:06d}", "completed", completed_at="2026-01-01T00:00:00+00:00", **more)


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


def test_busy_while_writing(path, monkeypatch):
    """A lock held too long while results are committed is told as busy; after it, they can be written."""
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.1)
    results = open_writer(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError):
        results.write(done(0, worker_id="w", started_at="2026-01-01T00:00:00+00:00"))
    other.execute("ROLLBACK")
    other.close()
    results.flush()
    results.close()
    with MetricsStore(path) as store:
        assert list(store.items(1)) == ["000000"]
        assert [worker["worker_id"] for worker in store.workers(1)] == ["w"]


def test_second_coordinator_is_refused(path, monkeypatch):
    """Two coordinators never write one database: the second is told who holds it."""
    monkeypatch.setattr(writer, "LOCK_TIMEOUT_S", 0.1)
    with open_writer(path), pytest.raises(StoreBusyError, match=r"locked by curator \(process \d+\)"):
        open_writer(path)
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


def test_reading_while_writing(path):
    """A reader sees committed results while the writer goes on."""
    with open_writer(path) as results:
        results.write(done(0))
        results.flush()
        with MetricsStore(path) as store:
            results.write(done(1))
            results.flush()
            assert list(store.items(results.run_id)) == ["000000", "000001"]


def test_results_are_durable_while_the_next_item_hangs(tmp_path):
    """A result is visible to readers 200 ms later, although the run is stuck in a slow item."""
    source = FaultySource(NumbersSource(3), str(tmp_path / "log"), {"000002": [1.5]})
    pipeline = source.write(JsonSink(str(tmp_path / "out"))).with_settings(db_file=tmp_path / "run.db")
    run = threading.Thread(target=run_pipeline, args=(pipeline,), kwargs={"progress": False})
    run.start()
    while not (tmp_path / "log" / "000002").exists():
        time.sleep(0.005)
    time.sleep(0.3)
    with MetricsStore(tmp_path / "run.db") as store:
        assert list(store.items(1)) == ["000000", "000001"]
    run.join()


def test_results_of_a_long_group_reach_a_journal(tmp_path):
    """A worker in the middle of a group that takes long has handed over what it finished."""
    source = _OneGroup(FaultySource(NumbersSource(3), str(tmp_path / "log"), {"000000": [0.2], "000002": [1.5]}))
    pipeline = source.write(JsonSink(str(tmp_path / "out"))).with_settings(db_file=tmp_path / "run.db", resume=True)
    run = threading.Thread(
        target=run_pipeline, args=(pipeline,), kwargs={"progress": False, "n_jobs": 2, "backend": "process_pool"}
    )
    run.start()
    while not (tmp_path / "log" / "000002").exists():
        time.sleep(0.005)
    time.sleep(0.1)
    (journal,) = journal_directory(tmp_path / "run.db").glob("*.jsonl")
    assert [json.loads(line)["index"] for line in journal.read_text().splitlines()] == [0, 1]
    run.join()
    assert not journal.exists()
    assert pipeline.completed_indices == {0, 1, 2}


class _OneGroup(FaultySource):
    """All indices in one group."""

    def __init__(self, source):
        super().__init__(source.source, str(source.log), source.faults)

    def partition_indices(self, indices):
        return [list(indices)]


def test_torn_journal_line_is_cut_off(path):
    """The torn last line of a killed worker is ignored; whole lines before it count."""
    with JournalWriter(journal_directory(path), "c" * 64) as journal:
        journal.append(done(0))
    with journal.path.open("ab") as file:
        file.write(b'{"index": 1, "key"')
    with open_writer(path) as results:
        assert results.fold() == 1
    assert not journal.path.exists()


def test_garbled_journal_line_is_told(path, caplog):
    """A line that is no result is named in a warning; the others count."""
    with JournalWriter(journal_directory(path), "c" * 64) as journal:
        journal.append(done(0))
    journal.path.write_bytes(b'{"index": 7}\n' + journal.path.read_bytes())
    with open_writer(path) as results:
        assert results.fold() == 1
    assert "line 1 is no index result" in caplog.text


def test_folding_twice_changes_nothing(path):
    """A journal that is folded again, after a kill before its removal, adds no rows and no log lines."""
    line = LogLine("2026-01-01T00:00:00+00:00", 30, "WARNING", "x", "hello")
    with JournalWriter(journal_directory(path), "c" * 64) as journal:
        journal.append(done(0, worker_id="w", started_at="2026-01-01T00:00:00+00:00", logs=(line,)))
    content = journal.path.read_bytes()
    for _ in range(2):
        journal.path.write_bytes(content)
        with open_writer(path) as results:
            results.fold()
    with MetricsStore(path) as store:
        assert [log["message"] for log in store.logs(1)] == ["hello"]
        assert store.workers(1)[0]["completed_count"] == 1


def test_journal_of_an_old_listing_finds_its_item(path):
    """A late worker's result goes to its item, although the listing has shifted meanwhile."""
    with open_writer(path) as results:
        results.write(done(0, "b"))
        results.write(done(1, "c"))
        results.reindex(["a", "b", "c"])
        with JournalWriter(journal_directory(path), "c" * 64) as journal:
            journal.append(IndexResult(0, "b", "error", error="late", completed_at="2026-01-02"))
        results.fold()
    with MetricsStore(path) as store:
        assert {key: (r.index, r.status) for key, r in store.items(1).items()} == {
            "b": (1, "error"),
            "c": (2, "completed"),
        }


def test_later_journals_win(path):
    """Of several journals the later one wins for an item, known or new; what was done earlier does not."""
    with open_writer(path) as results:
        results.write(IndexResult(0, "a", "completed", completed_at="2026-01-05"))
    for number, at in ((1, "2026-01-02"), (2, "2026-01-03")):
        with JournalWriter(journal_directory(path), "c" * 64) as journal:
            journal.append(IndexResult(0, "a", "completed", completed_at=at))
            journal.append(IndexResult(1, "b", "error", error=f"try {number}", completed_at=at))
        os.utime(journal.path, (number, number))
    with open_writer(path) as results:
        assert results.fold() == 2
        results.reindex(["b", "a"])
    with MetricsStore(path) as store:
        assert {key: (r.index, r.status, r.error) for key, r in store.items(1).items()} == {
            "b": (0, "error", "try 2"),
            "a": (1, "completed", None),
        }


def test_journal_survives_a_round_trip():
    """An index result is the same after to_json and from_json."""
    made = done(
        3,
        output_paths=("a", "b"),
        artifacts=(Artifact("p", "f", 1),),
        stages=(StageMetrics("s", 5),),
        logs=(LogLine("t", 20, "INFO", "n", "line\u2028two"),),
    )
    assert IndexResult.from_json(made.to_json()) == made


def test_new_run_or_the_same(path):
    """With resume the latest run goes on, without it a new one begins; old results stay."""
    for resume in (True, True, False):
        with open_writer(path, resume=resume) as results:
            results.write(done(0))
    with MetricsStore(path) as store:
        assert [run.run_id for run in store.runs()] == [1, 2]
        assert len(store.items(1)) == len(store.items(2)) == 1


def test_nothing_without_tracking(tmp_path, monkeypatch):
    """``track_metrics=False`` creates no database."""
    monkeypatch.setenv("CURATOR_CACHE_DIR", str(tmp_path / "cache"))
    pipeline = NumbersSource(2).write(JsonSink(str(tmp_path / "out"))).with_settings(track_metrics=False)
    run_pipeline(pipeline, progress=False)
    assert not (tmp_path / "cache").exists()
    assert pipeline.db_path is None


@pytest.mark.parametrize(
    ("variables", "settings", "expected"),
    [
        ({"CURATOR_CACHE_DIR": "c", "XDG_CACHE_HOME": "x"}, {"db_dir": "d"}, "d"),
        ({"CURATOR_CACHE_DIR": "c", "XDG_CACHE_HOME": "x"}, {}, "c"),
        ({"XDG_CACHE_HOME": "/x"}, {}, "/x/curator"),
        ({"HOME": "h"}, {}, "h/.cache/curator"),
    ],
)
def test_place_of_the_database(monkeypatch, variables, settings, expected):
    """db_dir, then CURATOR_CACHE_DIR, then XDG_CACHE_HOME, then the home folder."""
    for name in ("CURATOR_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    pipeline = NumbersSource(1).write(JsonSink("out")).with_settings(resume=True, **settings)
    assert pipeline.db_path == Path(expected) / f"{pipeline.config_hash[:16]}.db"


def test_fresh_database_per_run(tmp_path):
    """Without resume every run has a database of its own, named by hash and time."""
    pipeline = NumbersSource(1).write(JsonSink(str(tmp_path / "out"))).with_settings(db_dir=tmp_path / "db")
    for _ in range(2):
        run_pipeline(pipeline, progress=False)
    names = [path.name for path in (tmp_path / "db").glob("*.db")]
    assert len(names) == 2
    assert all(name.startswith(f"{pipeline.config_hash[:16]}_") for name in names)


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
