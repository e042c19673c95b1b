"""Writing the metrics database: durability, one writer at a time, results that workers left."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from curator_core import run_pipeline
from curator_core.errors import StoreBusyError
from curator_core.records import IndexResult, LogLine
from curator_core.store import JournalWriter, MetricsStore, StoreWriter, connection, journal_directory, writer
from curator_core.testing import JsonSink, NumbersSource


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.db"


def open_writer(path, *, resume=True, config_hash="c" * 64):
    return StoreWriter(path, config_hash=config_hash, config_json="{}", resume=resume, total_indices=3)


def done(index, key=None, **more):
    return IndexResult(index, key or f"{index:06d}", "completed", completed_at="2026-01-01T00:00:00+00:00", **more)


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


def test_reading_while_writing(path):
    """A reader sees committed results while the writer goes on."""
    with open_writer(path) as results:
        results.write(done(0))
        results.flush()
        with MetricsStore(path) as store:
            results.write(done(1))
            results.flush()
            assert list(store.items(results.run_id)) == ["000000", "000001"]


class Held(NumbersSource):
    """Its last item waits for a byte in a named pipe; all are in one group."""

    def __init__(self, n: int, gate: str):
        super().__init__(n)
        self.gate = Path(gate)

    def __getitem__(self, index):
        if index == len(self) - 1:
            self.gate.with_name("reached").touch()
            with self.gate.open("rb", buffering=0) as pipe:
                pipe.read(1)
        yield from super().__getitem__(index)

    def partition_indices(self, indices):
        return [list(indices)]


@pytest.fixture
def held(tmp_path):
    """Begin a run, wait until it is stuck in its last item, and let it go on at the end of the block."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    @contextmanager
    def begin(**options):
        pipeline = Held(3, str(gate)).write(JsonSink(str(tmp_path / "out"))).with_settings(db_file=tmp_path / "run.db")
        run = threading.Thread(target=run_pipeline, args=(pipeline,), kwargs={"progress": False, **options})
        pipe = os.open(gate, os.O_RDWR)
        run.start()
        try:
            while not (tmp_path / "reached").exists():
                time.sleep(0.005)
            yield pipeline
        finally:
            os.write(pipe, b"x")
            run.join()
            os.close(pipe)

    return begin


def journaled(path):
    """Indices of the results in journals."""
    journals = journal_directory(path).glob("*.jsonl")
    return [json.loads(line)["index"] for journal in journals for line in journal.read_text().splitlines()]


def test_results_are_durable_while_the_next_item_hangs(held, path):
    """A result is visible to readers soon, although the run is stuck in an item."""
    with held(), MetricsStore(path) as store:
        while list(store.items(1)) != ["000000", "000001"]:
            time.sleep(0.005)


def test_results_of_a_long_group_reach_a_journal(held, path):
    """A worker in the middle of a group that takes long has handed over what it finished."""
    with held(n_jobs=2, backend="process_pool") as pipeline:
        while journaled(path) != [0, 1]:
            time.sleep(0.005)
    assert journaled(path) == []
    assert pipeline.completed_indices == {0, 1, 2}


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


def test_new_run_or_the_same(path):
    """With resume the latest run goes on, without it a new one begins; old results stay."""
    for resume in (True, True, False):
        with open_writer(path, resume=resume) as results:
            results.write(done(0))
    with MetricsStore(path) as store:
        assert [run.run_id for run in store.runs()] == [1, 2]
        assert len(store.items(1)) == len(store.items(2)) == 1
