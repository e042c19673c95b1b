"""Journals that somebody writes: read by others, but not taken away."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from curator_core import Pipeline, gather_pipeline, run_pipeline
from curator_core.errors import StoreBusyError, StoreError
from curator_core.records import IndexResult
from curator_core.store import JournalWriter, MetricsStore, StoreWriter, await_journals, journal, journal_directory
from curator_core.testing import NumbersSource
from curator_core.testing.dummies import DatasetSink

DIGEST = "c" * 64


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.db"


@pytest.fixture
def writer(path):
    with StoreWriter(path, config_hash=DIGEST, config_json="{}", resume=True) as opened:
        yield opened


def result(number):
    return IndexResult(number, f"k{number}", "completed", worker_id="w", completed_at=f"2026-01-01T00:00:0{number}")


def keys(writer):
    with MetricsStore(writer.path) as store:
        return set(store.items(writer.run_id))


def test_a_live_journal_stays_and_nothing_added_later_is_lost(path, writer):
    """What is in it is taken over, each result once; it goes once its writer has ended."""
    with JournalWriter(journal_directory(path), DIGEST) as live:
        live.append(result(0))
        assert writer.fold() == 1
        live.append(result(1))
        assert writer.fold() == 1
        assert live.path.exists()
        live.append(result(2))
    assert writer.fold() == 1
    assert not live.path.exists()
    assert keys(writer) == {"k0", "k1", "k2"}


def test_a_journal_that_ends_while_it_is_folded_stays_until_the_next_time(path, writer, monkeypatch):
    """It may have grown after it was read."""
    live = JournalWriter(journal_directory(path), DIGEST)
    live.append(result(0))
    read = journal.read_journals

    def reading(*args):
        found = read(*args)
        live.append(result(1))
        live.close()
        return found

    with monkeypatch.context() as patched:
        patched.setattr("curator_core.store.writer.read_journals", reading)
        assert writer.fold() == 1
    assert writer.fold() == 1
    assert keys(writer) == {"k0", "k1"}


def test_a_journal_taken_away_before_it_was_locked(path, writer, monkeypatch):
    """Its writer notices, and makes another."""
    lock = fcntl.flock

    def too_late(file, operation):
        monkeypatch.undo()
        writer.fold()
        lock(file, operation)

    monkeypatch.setattr("curator_core.store.journal.fcntl.flock", too_late)
    with JournalWriter(journal_directory(path), DIGEST) as live:
        live.append(result(0))
        assert live.path.exists()
    assert writer.fold() == 1


def test_a_forked_child_does_not_keep_a_journal_alive(path, writer):
    """A component's child may outlive the step: the journal ends with the step, killed or not."""
    live = JournalWriter(journal_directory(path), DIGEST)
    live.append(result(0))
    wait, tell = os.pipe()
    is_up, up = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(tell)
        os.write(up, b"x")
        os.read(wait, 1)
        os._exit(0)
    os.read(is_up, 1)
    with pytest.raises(StoreBusyError, match=r"writes .*jsonl"):
        await_journals(live.path.parent, DIGEST, timeout_s=0)
    live._file.close()  # as the system does it for a process that is killed
    await_journals(live.path.parent, DIGEST, timeout_s=0)
    os.close(tell)
    os.waitpid(pid, 0)
    assert writer.fold() == 1
    assert not live.path.exists()


def test_a_resting_journal_may_be_taken_away(path, writer):
    """Its worker has nothing at work: it makes another for its next result."""
    with JournalWriter(journal_directory(path), DIGEST) as live:
        live.append(result(0))
        live.rest()
        await_journals(live.path.parent, DIGEST, timeout_s=0)
        assert writer.fold() == 1
        assert not live.path.exists()
        live.append(result(1))
        live.rest()
        live.append(result(2))
        assert writer.fold() == 2
        assert live.path.exists()


def test_nothing_is_merged_while_a_step_is_at_work(tmp_path, monkeypatch):
    """Gathering waits, then gives up; shards of the step are nobody's to remove."""
    monkeypatch.setattr("curator_core.session.gather._WAIT_S", 0)
    sink = DatasetSink(str(tmp_path / "data.json"))
    pipeline = Pipeline(NumbersSource(2), [], sink, db_file=tmp_path / "m.db", resume=True)
    run_pipeline(pipeline, progress=False)
    with JournalWriter(journal_directory(pipeline.db_path), pipeline.config_hash):
        with pytest.raises(StoreBusyError, match="A run is going on"):
            gather_pipeline(pipeline)
        assert len(list(tmp_path.glob("*_shard_*"))) == 2
    assert gather_pipeline(pipeline) == [str(tmp_path / "data.json")]


def test_a_journal_that_cannot_be_made(tmp_path):
    """One clear error names the folder."""
    Path(tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"journal cannot be made in .*file/below"):
        JournalWriter(tmp_path / "file" / "below", DIGEST)
