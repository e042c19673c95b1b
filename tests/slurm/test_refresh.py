"""Refreshes in Dagster whose items are a job array on a real SLURM."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

pytest.importorskip("dagster")

from dagster import AssetKey, AssetRecordsFilter, DagsterRunStatus

from curator_core import MetricsStore

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

SAMPLES = AssetKey(["numbers", "samples"])


def wait_until(claim, process=None, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, told()
        assert process is None or process.poll() is None, told()
        time.sleep(0.02)


def told():
    """What the refreshes said, and the queue, for the one who reads a failure."""
    log = Path("log").read_text() if Path("log").exists() else ""
    found = subprocess.run(["squeue", "--array", "--states=all"], capture_output=True, text=True, check=False)
    return f"{log[-8000:]}\n{found.stdout}{found.stderr}"


def queue(*options):
    """Tasks of arrays, as SLURM has them."""
    command = ["squeue", "--noheader", "--array", "--format=%F", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture
def on_slurm(slurm, project):
    """Settings of the code location: a job array of four tasks."""
    cluster = {"account": "", "runner": slurm.runner}
    resources = {"time": "00:05:00", "mem": "100M", "max_array_size": 4}
    settings = {"backend": "slurm", "backend_options": {"cluster": cluster, "resources": resources}}
    return {"NUMBERS_SETTINGS": json.dumps(settings), "NUMBERS_EXECUTOR": "in_process"}


@pytest.fixture
def start(project, on_slurm, monkeypatch):
    """Starts a refresh in a process of its own."""
    monkeypatch.chdir(project.folder)
    with project.instance():
        pass  # two processes that make one at the same time, and tests look into it early, break it (dagster 1.13)
    started = []

    def start(**environment):
        with (project.folder / "log").open("a") as log:
            started.append(
                subprocess.Popen(
                    project.refresh_command(),
                    env=project.environment | on_slurm | environment,
                    cwd=project.folder,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def materialized(project):
    with project.instance() as instance:
        return sorted(instance.get_materialized_partitions(SAMPLES))


def statuses(project):
    with MetricsStore(project.folder / "metrics.db") as store:
        return {record.status for run in store.runs() for record in store.items(run.run_id).values()}


def test_a_refresh_as_a_job_array_has_each_partitions_outcome_in_dagster(project, start):
    """One array; the bad item's partition has its error; the next refresh does that item alone."""
    project.put(b="3 x")
    assert start().wait(timeout=90) == 1, told()
    assert project.invocations() == dict.fromkeys(["a.txt", "b.txt", "c.txt", "d.txt"], 1)
    assert materialized(project) == ["a.txt", "c.txt", "d.txt"]
    with project.instance() as instance:
        (seen,) = instance.fetch_observations(AssetRecordsFilter(SAMPLES), limit=10).records
        assert seen.partition_key == "b.txt"
        assert "ValueError" in seen.asset_observation.metadata["curator/error"].text
        (run,) = instance.get_runs()
        said = [entry.user_message for entry in instance.all_logs(run.run_id)]
    assert [text for text in said if "4 tasks for 4 items" in text]  # what the backend says is in the run's log
    project.put(b="3")
    assert start().wait(timeout=90) == 0, told()
    assert project.invocations() == {"a.txt": 1, "b.txt": 2, "c.txt": 1, "d.txt": 1}
    assert project.dataset() == {"a.txt": [1, 2], "b.txt": [3], "c.txt": [4, 5, 6], "d.txt": [7]}
    assert materialized(project) == ["a.txt", "b.txt", "c.txt", "d.txt"]
    assert not list(project.folder.glob("metrics.db.slurm/*"))


@pytest.mark.campaign
def test_a_refresh_records_what_its_tasks_used(project, start, accounted):
    """In the metrics database, where `curator status` and the report find it, and as a line of the run's log."""
    cluster = {"account": accounted.account, "runner": accounted.runner}
    resources = {"time": "00:05:00", "mem": "100M", "max_array_size": 2}
    settings = {"backend": "slurm", "backend_options": {"cluster": cluster, "resources": resources}}
    assert start(NUMBERS_SETTINGS=json.dumps(settings)).wait(timeout=120) == 0, told()
    with MetricsStore(project.folder / "metrics.db") as store:
        (run,) = store.runs()
        used, workers = store.job_usage(run.run_id), store.workers(run.run_id)
    assert used.n_jobs == 2
    assert used.cpu_s > 0
    assert sorted((worker["completed_count"], worker["job_state"]) for worker in workers) == [(2, "completed")] * 2
    with project.instance() as instance:
        said = [entry.user_message for entry in instance.all_logs(instance.get_runs()[0].run_id)]
    assert [text for text in said if "2 of 2 cluster jobs have accounts: CPU time" in text]


@pytest.mark.campaign
def test_a_killed_refresh_leaves_its_array_to_the_next_one(project, start):
    """Kill -9 while tasks work: nothing is submitted again, no item is processed twice."""
    project.put(**{f"n{i}": str(i) for i in range(8)})
    first = start(NUMBERS_SLEEP="1")
    wait_until(lambda: len(project.invocations()) >= 4, first)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    arrays = set(queue("--states=all"))
    assert queue()  # it goes on
    assert start(NUMBERS_SLEEP="1").wait(timeout=90) == 0, told()
    assert set(queue("--states=all")) == arrays
    assert set(project.invocations().values()) == {1}
    assert len(project.dataset()) == len(materialized(project)) == 12


@pytest.mark.campaign
def test_a_terminated_refresh_cancels_its_array(project, start):
    """As the UI's button does it; no item failed by it, and the next refresh does what is left."""
    project.put(**{f"n{i}": str(i) for i in range(8)})
    first = start(NUMBERS_SLEEP="2")
    wait_until(lambda: len(materialized(project)) >= 2, first)
    with project.instance() as instance:
        instance.report_run_canceling(instance.get_runs()[0])
    os.kill(first.pid, signal.SIGINT)
    first.wait(timeout=60)
    wait_until(lambda: not queue())
    with project.instance() as instance:
        assert instance.get_runs()[0].status == DagsterRunStatus.CANCELED
        assert not instance.fetch_observations(SAMPLES, limit=10).records
    done = materialized(project)
    assert len(done) < 12
    assert start().wait(timeout=90) == 0, told()
    assert {key: n for key, n in project.invocations().items() if n != 1 and key in done} == {}
    assert len(materialized(project)) == 12
    assert statuses(project) == {"completed"}
