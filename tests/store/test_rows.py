"""What the workers are at, as recorded."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial

import pytest

from curator_core.records import IndexResult, LogLine
from curator_core.run.workers.heartbeats import WorkerStatus
from curator_core.store import MetricsStore, StoreWriter, rows

BEGUN = 1_767_225_600.25
BEGUN_TEXT = "2026-01-01T00:00:00.250000+00:00"


@pytest.fixture
def path(tmp_path):
    """Where the database is to be."""
    return tmp_path / "run.db"


@pytest.fixture
def open_writer(path):
    """Open the database for writing, to go on with its run."""
    return partial(StoreWriter, path, config_hash="c" * 64, config_json="{}", resume=True, total_indices=3)


def at(worker_id, index):
    """A worker at an index."""
    return WorkerStatus(worker_id, 7, "host", index, BEGUN)


def recorded(path):
    """Index and time of its beginning, by worker."""
    with MetricsStore(path) as store:
        return {w["worker_id"]: (w["current_index"], w["current_since"]) for w in store.workers(1)}


def test_index_and_time_come_and_go_together(path, open_writer):
    """An index is recorded with the time of its beginning; idle, or at the end, there is neither."""
    with open_writer() as results:
        results.heartbeat([at("a", 0), at("b", None)])
        assert recorded(path) == {"a": (0, BEGUN_TEXT), "b": (None, None)}
        results.heartbeat([at("a", None), at("b", 2)])
        assert recorded(path) == {"a": (None, None), "b": (2, BEGUN_TEXT)}
    assert recorded(path) == {"a": (None, None), "b": (None, None)}


def test_worker_that_left_is_at_nothing(path, open_writer):
    """A worker that is on the board no more is at nothing, the others are where they were."""
    with open_writer() as results:
        results.heartbeat([at("a", 0), at("b", 1)])
        results.heartbeat([at("b", 1)])
        assert recorded(path) == {"a": (None, None), "b": (1, BEGUN_TEXT)}
        results.heartbeat([])
        assert recorded(path) == {"a": (None, None), "b": (None, None)}


def test_next_run_clears_what_a_killed_one_left(path, open_writer):
    """Workers of a run that was killed are at nothing as soon as another one writes."""
    with open_writer() as results:
        results.heartbeat([at("a", 0)])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE workers SET current_index = 0, current_since = ?", (BEGUN_TEXT,))
    assert recorded(path) == {"a": (0, BEGUN_TEXT)}
    with open_writer():
        assert recorded(path) == {"a": (None, None)}


def test_results_know_when_they_were_begun(path, open_writer):
    """A result is read as it was written, its beginning included."""
    result = IndexResult(0, "k", "completed", started_at=BEGUN_TEXT, completed_at="2026-01-01T00:00:01+00:00")
    with open_writer() as results:
        results.write(result)
    with MetricsStore(path) as store:
        assert list(store.results(1)) == [result]


def test_workers_without_results_do_not_pile_up(path, open_writer, monkeypatch):
    """Of those whose results were all replaced the newest stay, with their log lines; nobody with a result goes."""
    monkeypatch.setattr(rows, "MAX_WORKERS", 2)
    for k, (worker, index) in enumerate([("first", 1), *((f"w{n}", 0) for n in range(5))]):
        line = LogLine(BEGUN_TEXT, 20, "INFO", "a", worker)
        done = {"started_at": BEGUN_TEXT, "completed_at": f"2026-01-01T00:00:0{k}+00:00"}
        with open_writer() as results:
            results.write(IndexResult(index, str(index), "completed", worker_id=worker, logs=(line,), **done))
    with MetricsStore(path) as store:
        assert [worker["worker_id"] for worker in store.workers(1)] == ["first", "w3", "w4"]
        assert [line["worker_id"] for line in store.logs(1)] == ["first", "w3", "w4"]
