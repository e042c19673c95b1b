"""What is recorded in Dagster's event log, when, and what happens when that cannot be written."""

import contextlib
import logging
import sqlite3

import pytest
from dagster import AssetKey, AssetRecordsFilter, DagsterInstance, DagsterRunStatus

from curator_dagster import BatchedSqliteEventLogStorage
from curator_dagster._compat.events import event_log  # noqa: PLC2701 - the time it waits for a lock is 30 s
from curator_dagster.steps import recording

SAMPLES = AssetKey(["numbers", "samples"])


@pytest.fixture
def location(project, monkeypatch):
    """The code location, imported into this process."""
    return project.load(monkeypatch, NUMBERS_EXECUTOR="in_process", NUMBERS_BATCH_SIZE=5)


@pytest.fixture
def instance(project, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    with DagsterInstance.get() as found:
        yield found


def refresh(location, instance):
    return location.defs.resolve_job_def("numbers_refresh").execute_in_process(instance=instance, raise_on_error=False)


def materialized(instance):
    records = instance.fetch_materializations(AssetRecordsFilter(SAMPLES), limit=1000).records
    return sorted(record.asset_materialization.partition for record in records)


def test_events_are_stored_in_batches_with_the_default_storage_too(location, instance, monkeypatch):
    """Dagster's own SQLite storage has no batches; ours writes to the same files."""
    batches = []
    store = BatchedSqliteEventLogStorage.store_partition_events
    monkeypatch.setattr(
        BatchedSqliteEventLogStorage,
        "store_partition_events",
        lambda self, events, *others: (batches.append(len(events)), store(self, events, *others)),
    )
    assert refresh(location, instance).success
    assert batches == [4, 1, 4]  # what is planned, the dataset, what was done
    assert materialized(instance) == ["a.txt", "b.txt", "c.txt", "d.txt"]


def test_slow_items_are_recorded_one_by_one(location, instance, monkeypatch):
    """Nobody waits for the others of a batch to see an item's partition."""
    monkeypatch.setattr(recording, "MAX_DELAY_S", 0.0)
    seen = []
    read = location.NumberFiles.__getitem__

    def reading(self, index):
        seen.append(materialized(instance))
        yield from read(self, index)

    monkeypatch.setattr(location.NumberFiles, "__getitem__", reading)
    assert refresh(location, instance).success
    assert [len(keys) for keys in seen] == [0, 1, 2, 3]


def test_many_failures_are_all_on_their_partitions_but_not_all_in_the_run_log(project, location, instance, monkeypatch):
    """The log stays readable."""
    monkeypatch.setattr(recording, "MAX_LOGGED_FAILURES", 2)
    project.put(a="x", b="x", c="x", d="x", e="x")
    result = refresh(location, instance)
    assert not result.success
    observations = instance.fetch_observations(AssetRecordsFilter(SAMPLES), limit=100).records
    assert len(observations) == 5
    logged = [entry.user_message for entry in instance.all_logs(result.run_id) if entry.level == logging.ERROR]
    assert sum("Traceback" in message for message in logged) == 2
    assert sum(message.startswith("More items failed") for message in logged) == 1


@contextlib.contextmanager
def locked(path):
    """Another process writes to the database and does not end."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


def test_a_locked_event_log_fails_the_run_clearly_and_nothing_is_lost(project, location, instance, monkeypatch):
    """The items are done; the next refresh reports them without doing them again."""
    monkeypatch.setattr(event_log, "LOCK_TIMEOUT_S", 0.05)
    read, leave, lock = location.NumberFiles.__getitem__, recording.Recorder.__exit__, contextlib.ExitStack()

    def reading(self, index):
        if index == 0:
            lock.enter_context(locked(project.home / "history" / "runs" / "index.db"))
        yield from read(self, index)

    def leaving(*arguments):
        with lock:  # free again before Dagster writes that the run failed
            leave(*arguments)

    monkeypatch.setattr(location.NumberFiles, "__getitem__", reading)
    monkeypatch.setattr(recording.Recorder, "__exit__", leaving)
    result = refresh(location, instance)
    assert not result.success
    failures = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert "database is locked" in failures[0].user_failure_data.description
    assert "nothing is lost" in failures[0].user_failure_data.description
    assert instance.get_run_by_id(result.run_id).status == DagsterRunStatus.FAILURE
    before = project.invocations()
    assert set(before.values()) == {1}
    monkeypatch.setattr(location.NumberFiles, "__getitem__", read)
    assert refresh(location, instance).success
    after = project.invocations()
    assert set(after.values()) == {1}
    assert set(after) == {"a.txt", "b.txt", "c.txt", "d.txt"}
    assert materialized(instance) == ["a.txt", "b.txt", "c.txt", "d.txt"]
