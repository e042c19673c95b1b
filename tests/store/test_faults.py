"""Damage and surprises that befall a database: errors that name the file, never a bare one."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from curator_core import gather_pipeline, run_pipeline
from curator_core.errors import PipelineStateError, StoreCorruptError, StoreError
from curator_core.records import IndexResult
from curator_core.store import MetricsStore, StoreWriter
from curator_core.store.connection import is_metrics_database
from curator_core.store.inventory import find_databases
from curator_core.store.location import make_own_file
from curator_core.testing import DatasetSink, JsonSink, NumbersSource


@pytest.fixture
def pipeline(tmp_path):
    """Five numbers, recorded."""
    made = NumbersSource(5).write(JsonSink(str(tmp_path / "out")))
    made = made.with_settings(db_file=tmp_path / "m.db", resume=True)
    run_pipeline(made, progress=False)
    return made


def damage(path, table):
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((page,),) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,))
        ((size,),) = db.execute("PRAGMA page_size")
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))


@pytest.mark.parametrize(
    "table", ["index_results", "output_files", "workers", "pipeline_runs", "filter_artifacts", "stage_metrics"]
)
def test_a_damaged_page(table, pipeline, tmp_path):
    """Whoever meets a page of zeros is told the file, or can do without the page."""
    damage(tmp_path / "m.db", table)
    asked = (
        lambda: run_pipeline(pipeline, progress=False),
        pipeline.plan,
        pipeline.summary,
        lambda: pipeline.metrics,
        lambda: pipeline.active_workers,
        lambda: gather_pipeline(pipeline),
        pipeline.reset,
        lambda: pipeline.reset_index(1),
    )
    said = []
    for ask in asked:
        try:
            ask()
        except StoreCorruptError as exc:
            said.append(str(exc))
    assert said
    assert all("m.db" in text for text in said)


def remove(path):
    path.unlink()


def move(path):
    path.rename(path.with_name("elsewhere"))


def replace(path):
    path.unlink()
    path.touch()


def remove_log(path):
    path.with_name(f"{path.name}-wal").unlink()


@pytest.mark.parametrize("happens", [remove, move, replace, remove_log])
def test_a_database_that_goes_away_during_a_run(happens, tmp_path):
    """A run does not end well when what it recorded is gone."""

    class Cleaned(NumbersSource):
        def __getitem__(self, index):
            if index == 2:
                happens(tmp_path / "m.db")
            yield index

    made = Cleaned(4).write(JsonSink(str(tmp_path / "out"))).with_settings(db_file=tmp_path / "m.db")
    with pytest.raises(StoreError, match=r"m\.db(-wal)? was removed, moved or replaced"):
        run_pipeline(made, progress=False)


def read_it(path):
    with MetricsStore(path):
        pass


@pytest.mark.parametrize(
    "looks", [read_it, is_metrics_database, make_own_file, lambda path: find_databases(path.parent)]
)
def test_log_of_a_run_that_was_looked_at(looks, tmp_path):
    """Whoever looks at the database in the process of the run does not give up its locks.

    POSIX locks go when any descriptor of the file is closed. Another program that closes the database then takes itself
    for the last one, merges the log and removes it, and what the run writes from there on is in a file without a name.
    """
    path = tmp_path / "m.db"
    with StoreWriter(path, config_hash="c" * 64, config_json="{}", resume=True) as writer:
        looks(path)
        subprocess.run([sys.executable, "-c", OTHER_PROGRAM, path], check=True)
        writer.write(IndexResult(0, "a", "completed"))
        writer.flush()
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT item_key FROM index_results").fetchall() == [("a",)]


OTHER_PROGRAM = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("SELECT * FROM pipeline_runs").fetchall()
db.close()
"""


def test_gathering_what_a_deleted_database_recorded(tmp_path):
    """After a run, a database that is gone is told; before one, there is just nothing to gather."""
    made = NumbersSource(3).write(DatasetSink(str(tmp_path / "all.json"))).with_settings(db_file=tmp_path / "m.db")
    assert gather_pipeline(made) == []
    run_pipeline(made, progress=False)
    (tmp_path / "m.db").unlink()
    with pytest.raises(PipelineStateError, match=r"m\.db"):
        gather_pipeline(made)


class Slow(sqlite3.Connection):
    """Every change of many rows takes a moment longer."""

    def executemany(self, sql, rows):
        done = super().executemany(sql, rows)
        time.sleep(0.01)
        return done


def test_two_threads_and_a_slow_disk(tmp_path, monkeypatch):
    """Presences are recorded while the coordinator changes rows: neither gets into the other's transaction."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **options, factory=Slow))
    failures = []
    writer = StoreWriter(tmp_path / "m.db", config_hash="h", config_json="{}", resume=True)
    done = threading.Event()

    def beat():
        try:
            while not done.wait(0.001):
                writer.heartbeat([])
        except StoreError as exc:
            failures.append(exc)

    thread = threading.Thread(target=beat)
    thread.start()
    for turn in range(3):
        writer.write(IndexResult(turn, str(turn), "completed", output_paths=("/a",)))
        writer.replace_paths("sink", 0, [(turn, "/a", "/b")])
        writer.reindex([str(turn)])
        writer.watch_shifted()
        writer.record_usage([])
        writer.forget([0])
    done.set()
    thread.join()
    writer.close()
    assert failures == []


def test_log_lines_move_with_their_item(tmp_path):
    """When the listing shifts, an item's log lines are found at its present index, not at another's."""
    with StoreWriter(tmp_path / "m.db", config_hash="h", config_json="{}", resume=True) as writer:
        for index in range(2):
            writer.write(IndexResult(index, f"key{index}", "completed"))
        writer.flush()
        with closing(sqlite3.connect(tmp_path / "m.db")) as db, db:
            for index in range(2):
                db.execute(
                    "INSERT INTO logs (run_id, timestamp, level, level_name, logger_name, message, idx)"
                    " VALUES (1, 'now', 30, 'WARNING', 'x', ?, ?)",
                    (f"about {index}", index),
                )
        writer.reindex(["new", "key0", "key1"])
    with MetricsStore(tmp_path / "m.db") as store:
        assert [line["message"] for line in store.logs(1, 1)] == ["about 0"]
        assert [line["message"] for line in store.logs(1, 2)] == ["about 1"]


def test_reading_another_users_database_leaves_nothing(pipeline, tmp_path):
    """Whoever looks at a database of somebody else leaves no file beside it, though the folder may be written."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(tmp_path / "m.db", 1111, 1111)
    before = sorted(tmp_path.iterdir())
    with MetricsStore(tmp_path / "m.db") as store:
        assert len(store.items(1)) == 5
        assert sorted(tmp_path.iterdir()) == before
    assert sorted(tmp_path.iterdir()) == before
