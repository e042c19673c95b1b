"""A curation on celery: real workers, a real Redis."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterRunStatus

pytest.importorskip("dagster_celery")

HERE = Path(__file__).parent
SAMPLES = AssetKey(["numbers", "samples"])
pytestmark = [pytest.mark.campaign, pytest.mark.xdist_group("redis")]


def environment(config):
    return {"NUMBERS_EXECUTOR": "dagster_celery:celery_executor", "NUMBERS_EXECUTOR_CONFIG": json.dumps(config)}


def wait_until(claim, log, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, log.read_text()[-5000:]
        time.sleep(0.05)


@pytest.fixture
def config(redis):
    """A database of the broker that nobody else uses: numbers 0 to 15."""
    return {"broker": f"{redis}?virtual_host=1", "backend": f"{redis}?virtual_host=2"}


@pytest.fixture
def celery(project, config):
    """Workers with two processes, started as dagster-celery says."""
    settings = project.folder / "celery.yaml"
    settings.write_text(json.dumps({"execution": {"config": config}}))
    program = Path(sys.executable).with_name("dagster-celery")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [program, "worker", "start", "-A", "dagster_celery.app", "-y", settings, "--", "-c", "2"]
    log = project.folder / "celery.log"
    with log.open("w") as file:
        running = subprocess.Popen(
            command,
            env=project.environment | environment(config) | {"PATH": path},
            cwd=project.folder,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        wait_until(lambda: " ready." in log.read_text(), log)
        yield log
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


@pytest.fixture
def refresh(project, config):
    """Runs the refresh; gives its exit status."""

    @contextmanager
    def start(**more):
        with (project.folder / "run.log").open("w") as file:
            running = subprocess.Popen(
                project.refresh_command(),
                env=project.environment | environment(config) | more,
                cwd=project.folder,
                stdout=file,
                stderr=file,
            )
        yield running
        running.wait(timeout=120)

    return start


def test_a_refresh_on_celery(project, celery, refresh):
    """Failures stand on their partitions, the others are materialized, and a correction is all that is done next."""
    project.put(b="x")
    with refresh() as running:
        pass
    assert running.returncode == 1
    with project.instance() as instance:
        (run,) = instance.get_runs()
        assert run.status == DagsterRunStatus.FAILURE
        assert instance.get_materialized_partitions(SAMPLES) == {"a.txt", "c.txt", "d.txt"}
    project.put(b="3")
    with refresh() as running:
        pass
    assert running.returncode == 0, (project.folder / "run.log").read_text()[-5000:]
    assert project.dataset() == {"a.txt": [1, 2], "b.txt": [3], "c.txt": [4, 5, 6], "d.txt": [7]}
    assert project.invocations() == {"a.txt": 1, "b.txt": 2, "c.txt": 1, "d.txt": 1}


@pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning")  # dagster-celery's own
def test_a_run_that_celery_gave_up_is_executed_again(project, celery, refresh, config, monkeypatch):
    """As run retries do: a task lost its process, which may start no other; what was done stays done."""
    from dagster import ReexecutionOptions, execute_job, reconstructable

    project.put(b="die")
    with refresh() as running:
        pass
    assert running.returncode == 1
    project.put(b="3")
    for name, value in (project.environment | environment(config)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.delitem(sys.modules, "numbers_location", raising=False)
    import numbers_location

    with project.instance() as instance:
        (killed,) = instance.get_runs()
        again = ReexecutionOptions.from_failure(killed.run_id, instance)
        with execute_job(reconstructable(numbers_location.refresh), instance, reexecution_options=again) as result:
            assert result.success
    assert project.dataset() == {"a.txt": [1, 2], "b.txt": [3], "c.txt": [4, 5, 6], "d.txt": [7]}
    assert project.invocations() == {"a.txt": 1, "b.txt": 2, "c.txt": 1, "d.txt": 1}
