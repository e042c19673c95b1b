"""`dask_executor` on real clusters: in the run's process, and on a scheduler that is shared."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dagster import (
    AssetKey,
    AssetRecordsFilter,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    execute_job,
    reconstructable,
)

from curator_core.errors import ConfigError

pytest.importorskip("distributed")

HERE = Path(__file__).parent
PATH = os.pathsep.join([str(HERE), *sys.path])
SAMPLES = AssetKey(["numbers", "samples"])
OPS = {
    "shapes_job": ["spread", "square", "choose", "taken", "not_taken", "after_not_taken"],
    "single_job": ["spread"],
    "staying_job": ["first", "second", "third"],
    "losing_job": ["stay", "stay_at_first"],
}


def wait_until(claim, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def run_config(job, folder, cluster):
    ops = {name: {"config": str(folder)} for name in OPS[job]}
    return {"ops": ops, "execution": {"config": {"cluster": cluster}}}


def start(project, job, config=None, tags=None, **environment):
    """Start a run in a process of its own."""
    arguments = [json.dumps(found) for found in (tags or {}, config or {})]
    with (project.folder / f"{job}.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, str(HERE / "dask_location.py"), job, *arguments],
            env=project.environment | {"PYTHONPATH": PATH} | environment,
            cwd=project.folder,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )


def finish(project, run, job):
    """Wait for a run's end; returns whether it succeeded."""
    return run.wait(timeout=120) == 0 or (project.folder / f"{job}.log").read_text()[-3000:]


def pids(folder, name):
    path = folder / name
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def failures(instance):
    """Error by step of the latest run."""
    (run,) = instance.get_runs(limit=1)
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.is_dagster_event]
    return {e.step_key: e.step_failure_data.error.message for e in events if e.is_step_failure}


@pytest.fixture
def cluster(project, monkeypatch):
    """A worker with two threads, in a process of its own; its scheduler is shared."""
    from distributed import LocalCluster

    monkeypatch.setenv("NUMBERS_FOLDER", str(project.folder))
    monkeypatch.setenv("NUMBERS_DASK", "{}")
    monkeypatch.setenv("NUMBERS_SLEEP", "0.2")
    monkeypatch.syspath_prepend(str(HERE))  # which its workers take over
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as found:
        yield found


@pytest.fixture
def existing(cluster):
    return {"existing": {"address": cluster.scheduler_address}}


@pytest.fixture
def dask_location(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    import dask_location

    return dask_location


@pytest.fixture
def instance(project):
    with project.instance() as found:
        # Made here, as processes that make the same database at the same time disturb one another.
        assert not found.get_runs()
        assert not found.all_asset_keys()
        yield found


@pytest.mark.campaign
def test_dynamic_outputs_run_unyielded_ones_are_skipped_and_a_failing_step_is_retried(project, instance):
    """All in one run on a local cluster: what Dagster's own executors do with it."""
    job = "shapes_job"
    assert finish(project, start(project, job, run_config(job, project.folder, {"local": {}})), job) is True
    assert (project.folder / "total").read_text() == "5"
    assert [len(pids(project.folder, f"square{n}")) for n in range(3)] == [1, 2, 1]
    assert not pids(project.folder, "not_taken")
    assert not pids(project.folder, "after_not_taken")
    (run,) = instance.get_runs()
    skipped = [s for s in instance.get_run_step_stats(run.run_id) if s.status and s.status.value == "SKIPPED"]
    assert {s.step_key for s in skipped} == {"not_taken", "after_not_taken"}


@pytest.mark.campaign
def test_a_range_of_partitions_runs_and_each_is_materialized_once(project, instance):
    """The samples asset of a curation, on a local cluster; the op that processes items asks for one of its GPUs."""
    instance.add_dynamic_partitions("numbers", ["a.txt", "b.txt", "c.txt", "d.txt"])
    tags = {"dagster/asset_partition_range_start": "b.txt", "dagster/asset_partition_range_end": "d.txt"}
    settings = {
        "NUMBERS_DASK": '{"cluster": {"local": {"resources": {"GPU": 1}}}}',
        "NUMBERS_OP_TAGS": '{"dagster-dask/resource_requirements": {"GPU": 1}}',
    }
    run = start(project, "samples_job", tags=tags, **settings)
    assert finish(project, run, "samples_job") is True
    records = instance.fetch_materializations(AssetRecordsFilter(SAMPLES), limit=100).records
    assert sorted(r.asset_materialization.partition for r in records) == ["b.txt", "c.txt", "d.txt"]
    assert project.invocations() == {"b.txt": 1, "c.txt": 1, "d.txt": 1}
    (logged,) = instance.get_runs()
    events = instance.all_logs(logged.run_id, of_type=DagsterEventType.STEP_WORKER_STARTING)
    asked = {entry.step_key: entry.user_message.partition(" for a worker that has ")[2] for entry in events}
    assert asked.pop("numbers_samples.numbers_process[0]") == "{'GPU': 1}."
    assert set(asked.values()) == {""}


@pytest.mark.campaign
def test_two_runs_at_once_on_one_scheduler_both_compute_everything(project, existing, instance):
    """The same job twice: no task is taken for the other run's."""
    job, folders = "single_job", [project.folder / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    runs = [start(project, job, run_config(job, folder, existing)) for folder in folders]
    assert [finish(project, run, job) for run in runs] == [True, True]
    assert [len(pids(folder, "spread")) for folder in folders] == [1, 1]


def kill_worker(cluster):
    (nanny,) = cluster.workers.values()
    os.kill(nanny.pid, signal.SIGKILL)


@pytest.mark.campaign
def test_a_killed_step_is_retried_by_policy_or_fails_clearly(project, cluster, existing, instance):
    """Whether its process was killed or its worker; no step works on, and dask starts none again on its own."""
    job, folder = "losing_job", project.folder
    run = start(project, job, run_config(job, folder, existing))
    wait_until(lambda: pids(folder, "stay") and pids(folder, "stay_at_first"))
    os.kill(pids(folder, "stay_at_first")[0], signal.SIGKILL)
    wait_until(lambda: len(pids(folder, "stay_at_first")) == 2)
    kill_worker(cluster)
    assert finish(project, run, job) is not True
    assert not lives(pids(folder, "stay")[0])
    assert [len(pids(folder, name)) for name in ("stay", "stay_at_first")] == [1, 2]
    assert "its process ended with exit status -9" in (folder / f"{job}.log").read_text()
    assert "the dask worker that ran it was lost" in failures(instance)["stay"]


@pytest.mark.campaign
def test_a_refresh_survives_the_death_of_a_worker(project, cluster, existing, instance):
    """Batches are tried again, without the items that were done; a second refresh has nothing to do."""
    project.put(**{f"n{i}": str(i) for i in range(6)})
    job, settings = "refresh_job", json.dumps({"cluster": existing})
    run = start(project, job, NUMBERS_DASK=settings)
    wait_until(lambda: len(project.invocations()) >= 3)
    kill_worker(cluster)
    assert finish(project, run, job) is True
    assert len(project.dataset()) == 10
    before = project.invocations()
    assert sum(before.values()) <= 12  # two were under way
    assert finish(project, start(project, job, NUMBERS_DASK=settings), job) is True
    assert project.invocations() == before


def test_resources_that_are_no_numbers_are_refused_by_step():
    """Dask would fail without a word of the tag."""
    from curator_dagster.executors.dask import RESOURCES_TAG, _resources_of  # noqa: PLC2701 - what is tested

    assert _resources_of("process", {RESOURCES_TAG: '{"GPU": 1}'}) == {"GPU": 1}
    assert _resources_of("process", {}) == {}
    for wrong in ("GPU", "[1]", '{"GPU": "one"}'):
        with pytest.raises(ConfigError, match="dagster-dask/resource_requirements of process must name numbers"):
            _resources_of("process", {RESOURCES_TAG: wrong})


@pytest.mark.parametrize("end", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.campaign)])
def test_the_end_of_a_run_stops_its_steps_on_the_cluster(project, existing, instance, end):
    """Terminated or killed: running steps stop, waiting ones never start."""
    job, folder = "staying_job", project.folder
    run = start(project, job, run_config(job, folder, existing))
    started = ["first", "second", "third"]
    wait_until(lambda: sum(bool(pids(folder, name)) for name in started) == 2)
    working = [pid for name in started for pid in pids(folder, name)]
    if end == signal.SIGINT:
        instance.report_run_canceling(instance.get_runs()[0])  # as a run launcher does before it interrupts
    run.send_signal(end)
    run.wait(timeout=30)
    wait_until(lambda: not any(lives(pid) for pid in working))
    assert sum(bool(pids(folder, name)) for name in started) == 2
    if end == signal.SIGINT:
        assert instance.get_runs()[0].status == DagsterRunStatus.CANCELED


def test_an_address_where_nobody_listens_fails_with_one_clear_sentence(project, instance, dask_location, monkeypatch):
    """Within seconds, before any step starts."""
    monkeypatch.setattr("curator_dagster.executors.dask.CONNECT_TIMEOUT_S", 1)
    config = run_config("shapes_job", project.folder, {"existing": {"address": "tcp://127.0.0.1:9"}})
    result = execute_job(reconstructable(dask_location.shapes_job), instance, run_config=config)
    assert "There is no dask scheduler at 'tcp://127.0.0.1:9'" in run_failure(result)
    assert not pids(project.folder, "spread")


def test_missing_dask_is_an_error_that_names_the_extra(project, instance, dask_location, monkeypatch):
    """Not only that a module is missing."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    config = run_config("shapes_job", project.folder, {"local": {}})
    result = execute_job(reconstructable(dask_location.shapes_job), instance, run_config=config)
    assert "pip install 'curator-dagster[dask]'" in run_failure(result)


def run_failure(result):
    (event,) = [event for event in result.all_events if event.is_failure and event.step_key is None]
    return str(event.event_specific_data.error)


def test_an_instance_that_workers_cannot_reach_is_refused(project, dask_location):
    """Before any step starts."""
    config = run_config("shapes_job", project.folder, {"local": {}})
    with DagsterInstance.ephemeral() as ephemeral:
        result = execute_job(reconstructable(dask_location.shapes_job), ephemeral, run_config=config)
    assert "A non-ephemeral instance is needed" in run_failure(result)
    assert not pids(project.folder, "spread")


def test_the_executor_is_loaded_without_dask():
    """A code location stays cheap to import."""
    code = "import curator_dagster, sys; curator_dagster.dask_executor; assert 'dask' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_clusters_are_those_of_dagster_dask():
    """The same names in the configuration, and the same classes."""
    dagster_dask = pytest.importorskip("dagster_dask")
    from curator_dagster.executors.dask import CLUSTERS

    theirs = dagster_dask.dask_executor.config_schema.config_type.fields["cluster"].config_type.fields
    assert set(theirs) - {"existing"} == set(CLUSTERS)
    for kind, (module, name) in CLUSTERS.items():
        meta = dagster_dask.resources.DaskClusterTypes[kind]
        assert (meta["module"].removeprefix("dask."), meta["class"]) == (module, name)
