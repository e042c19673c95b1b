"""`curator status`."""

import json
from pathlib import Path

import pytest

from curator_core import IndexResult, Pipeline
from curator_core.store import JournalWriter, journal_directory


def shown(result, label):
    (line,) = [line for line in result.out.splitlines() if line.startswith(label)]
    return line.removeprefix(label).strip()


def test_counts_and_failures(curator, write_pipeline):
    """Counts, and each failure with its error, and exit status 0 all the same."""
    path = write_pipeline(fail=[3])
    curator("run", path)
    result = curator("status", path)
    assert result.code == 0
    assert shown(result, "items") == "5: 4 completed, 1 failed"
    assert "3      n0003        ValueError: number 3 is bad\n" in result.out


def test_database_file_can_be_given(curator, write_pipeline):
    """A database tells about its newest run without a pipeline file."""
    curator("run", write_pipeline(), "--db", "mine.db")
    Path("p.yaml").unlink()
    result = curator("status", "mine.db")
    assert shown(result, "pipeline") == "Numbers → Files"
    assert shown(result, "items") == "5: 5 completed, 0 failed"


def test_newest_database_of_the_configuration_is_found(curator, write_pipeline):
    """A pipeline that was run several times, each with a fresh database, shows the last one."""
    path = write_pipeline()
    curator("run", path)
    curator("run", path, "--indices", "0-1")
    assert shown(curator("status", path), "items") == "5: 2 completed, 0 failed, 3 not processed yet"


def test_traceback_shows_where_items_failed(curator, write_pipeline):
    """--traceback shows the recorded traceback of each failure."""
    path = write_pipeline(fail=[3])
    curator("run", path)
    result = curator("status", path, "--traceback")
    assert "n0003 (index 3)\n  Traceback (most recent call last):" in result.out
    assert "cli_parts.py" in result.out


def test_json_is_complete(curator, write_pipeline):
    """--json has stable names for everything."""
    path = write_pipeline(fail=[3])
    curator("run", path)
    data = json.loads(curator("status", path, "--json").out)
    assert list(data) == [
        "database",
        "config_hash",
        "started_at",
        "last_result_at",
        "total",
        "completed",
        "failed",
        "remaining",
        "vanished",
        "waiting_in_journals",
        "mean_time_ms",
        "work_s",
        "peak_memory_bytes",
        "cluster_jobs",
        "failures",
        "workers",
        "to_gather",
    ]
    assert (data["total"], data["completed"], data["failed"], data["remaining"]) == (5, 4, 1, 1)
    assert data["failures"][0]["key"] == "n0003"
    (worker,) = data["workers"]
    assert list(worker) == [
        *("worker_id", "hostname", "pid", "current_index", "current_since", "items", "last_heartbeat", "active"),
    ]
    assert worker["items"] == 5


@pytest.fixture
def with_journal(curator, write_pipeline):
    """A run with items 0, 1 recorded (1 failed), while a worker's journal holds 1 (mended), 2 and 3 (failed)."""
    path = write_pipeline(fail=[1], settings={"resume": True})
    curator("run", path, "--indices", "0-1")
    pipeline = Pipeline.load(path)
    with JournalWriter(journal_directory(pipeline.db_path), pipeline.config_hash) as journal:
        for index, status in [(1, "completed"), (2, "completed"), (3, "error")]:
            journal.append(
                IndexResult(
                    index=index,
                    key=f"n{index:04d}",
                    status=status,
                    error="OSError: disk" if status == "error" else None,
                    worker_id="w" * 32,
                    worker_pid=7,
                    worker_host="node7",
                    completed_at="2030-01-01T00:00:00+00:00",
                    wall_time_ns=1_000_000,
                )
            )
    return path


def test_waiting_journals_are_counted(curator, with_journal):
    """While another process still holds results in journals, the counts include them, each item once."""
    data = json.loads(curator("status", with_journal, "--json").out)
    assert (data["completed"], data["failed"], data["remaining"]) == (3, 1, 2)
    assert data["waiting_in_journals"] == 3
    assert [failure["key"] for failure in data["failures"]] == ["n0003"]
    assert data["last_result_at"] == "2030-01-01T00:00:00+00:00"


def test_workers_of_journals_are_listed(curator, with_journal):
    """A worker known from its journal alone is listed."""
    workers = json.loads(curator("status", with_journal, "--json").out)["workers"]
    assert [(w["hostname"], w["pid"], w["items"]) for w in workers if w["hostname"] == "node7"] == [("node7", 7, 3)]


def test_waiting_journals_are_explained(curator, with_journal):
    """The text says how many of the results wait."""
    assert shown(curator("status", with_journal), "in journals") == "3 of these, of a run in progress or stopped"


def test_plan_mentions_waiting_journals(curator, with_journal):
    """The plan, which does not count them, says that results are waiting."""
    assert "Not counted: 3 results of a run in progress" in curator("plan", with_journal).out


def test_status_changes_nothing(curator, with_journal):
    """Asking leaves journals and database as they are."""
    before = {path: path.read_bytes() for path in Path("cache").rglob("*.jsonl")}
    curator("status", with_journal)
    assert {path: path.read_bytes() for path in Path("cache").rglob("*.jsonl")} == before
