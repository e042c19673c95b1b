"""`dask_executor` with workers that are jobs on a real SLURM, through dask-jobqueue."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("dagster")
if importlib.util.find_spec("dask_jobqueue") is None:  # loading it here would take Ctrl-C from all other tests
    pytest.skip("no dask_jobqueue", allow_module_level=True)

from dagster import AssetKey, DagsterRunStatus

from curator_core.workflow import ExperimentData

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

LOCATIONS = Path(__file__).parents[1] / "dagster"
SAMPLES = AssetKey(["numbers", "samples"])
WORKERS = {"queue": "batch", "cores": 1, "processes": 1, "memory": "500MB", "walltime": "00:05:00", "n_workers": 2}


def wait_until(claim, process=None, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, told()
        assert process is None or process.poll() is None, told()
        time.sleep(0.05)


def told():
    """What the runs said, for the one who reads a failure."""
    return Path("log").read_text()[-8000:] if Path("log").exists() else ""


def queue():
    command = ["squeue", "--noheader", "--format=%A"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture
def start(slurm, project, monkeypatch):
    """Starts a run in a process of its own."""
    monkeypatch.chdir(project.folder)
    started = []

    def start(location, *arguments, **environment):
        paths = os.pathsep.join([str(LOCATIONS), *sys.path])
        cluster = json.dumps({"cluster": {"slurm": WORKERS}})
        settings = {"NUMBERS_DASK": cluster, "WORKFLOW_DASK": cluster, "WORKFLOW_FOLDER": str(project.folder)}
        with (project.folder / "log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, str(LOCATIONS / location), *arguments],
                env=project.environment | settings | environment | {"PYTHONPATH": paths},
                cwd=project.folder,
                stdout=log,
                stderr=log,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.campaign
def test_a_refresh_on_workers_of_slurm_survives_the_loss_of_all_of_them(project, start):
    """Jobs that are cancelled are replaced; items that were done are not done again; the jobs end with the run."""
    project.put(**{f"n{i}": str(i) for i in range(8)})
    run = start("dask_location.py", "refresh_job", "{}", "{}", NUMBERS_SLEEP="0.5")
    wait_until(lambda: len(project.invocations()) >= 3, run)
    subprocess.run(["scancel", *queue()], check=True)
    assert run.wait(timeout=120) == 0, told()
    with project.instance() as instance:
        assert len(instance.get_materialized_partitions(SAMPLES)) == 12
    assert len(project.dataset()) == 12
    assert sum(project.invocations().values()) <= 14  # two were under way
    wait_until(lambda: not queue())


@pytest.mark.campaign
def test_a_terminated_run_ends_its_jobs(project, start):
    """Nothing is left in the queue."""
    run = start("dask_location.py", "refresh_job", "{}", "{}", NUMBERS_SLEEP="60")
    wait_until(lambda: len(project.invocations()) >= 1, run)
    with project.instance() as instance:
        instance.report_run_canceling(instance.get_runs()[0])
    run.send_signal(signal.SIGINT)
    run.wait(timeout=60)
    wait_until(lambda: not queue())
    with project.instance() as instance:
        assert instance.get_runs()[0].status == DagsterRunStatus.CANCELED


@pytest.mark.campaign
def test_a_workflow_on_workers_of_slurm(project, start):
    """Every step where a job is."""
    run = start("workflow_location.py", "plain", "", "study", WORKFLOW_EXECUTOR="dask")
    assert run.wait(timeout=120) == 0, told()
    data = ExperimentData.from_file(project.folder / "jobs" / "study")
    assert data.jobs.tolist() == ["finished"] * 3 + ["error"] + ["finished"] * 2
    notes = (project.folder / "notes").read_text().splitlines()
    assert sorted(notes) == ["design", "fragile", "sum 0 6", *(f"x{x}" for x in range(6))]


def test_ctrl_c_stays_what_it_was():
    """dask-jobqueue takes it for itself when it is loaded."""
    code = """
import signal
from curator_dagster.executors.dask import _cluster_class
assert _cluster_class("slurm").__name__ == "SLURMCluster"
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""
    subprocess.run([sys.executable, "-c", code], check=True)
