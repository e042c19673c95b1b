"""A curation on an executor of somebody's own, whose steps are new processes with a clean environment."""

import json
import os
import sys
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterRunStatus, execute_job, reconstructable

HERE = Path(__file__).parent
SAMPLES = AssetKey(["numbers", "samples"])

pytestmark = pytest.mark.campaign


@pytest.fixture
def fresh(project, monkeypatch):
    """The location's job, on that executor; a step's process knows the folder and where modules are."""
    own = {"NUMBERS_FOLDER": str(project.folder), "NUMBERS_EXECUTOR": "fresh_processes:fresh_processes"}
    own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
    own |= {"NUMBERS_BATCH_SIZE": "100", "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)])}
    for name, value in (own | {"FRESH_ENVIRONMENT": json.dumps(own)}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(HERE))
    for name in ("fresh_processes", "numbers_location"):
        monkeypatch.delitem(sys.modules, name, raising=False)  # it reads its settings when it is imported
    from fresh_processes import STARTED
    from numbers_location import refresh

    yield reconstructable(refresh)
    for process in STARTED:
        process.wait(timeout=60)


def test_steps_in_clean_environments(project, fresh):
    """No step knows the instance's folder; the failed item is red with its reason, the others are there once."""
    project.put(b="x")
    with project.instance() as instance, execute_job(fresh, instance) as result:
        assert not result.success
        (failure,) = [e for e in result.all_events if e.is_step_failure]
        assert "1 of 4 items are missing, more than max_missing=0 allows" in failure.step_failure_data.error.message
        assert "b.txt: failed: ValueError" in failure.step_failure_data.error.message
        assert instance.get_materialized_partitions(SAMPLES) == {"a.txt", "c.txt", "d.txt"}
    assert project.invocations() == dict.fromkeys(["a.txt", "b.txt", "c.txt", "d.txt"], 1)


def test_a_process_that_dies_is_replaced(project, fresh):
    """An item that ends its process: the batch is tried again, the item fails by name, those after it are done."""
    project.put(b="die")
    with project.instance() as instance:
        with execute_job(fresh, instance) as result:
            assert not result.success
            (failure,) = [e for e in result.all_events if e.is_step_failure]
        assert "1 of 4 items are missing" in failure.step_failure_data.error.message
        assert "b.txt: failed: WorkerDiedError" in failure.step_failure_data.error.message
        assert instance.get_materialized_partitions(SAMPLES) == {"a.txt", "c.txt", "d.txt"}
        project.put(b="3")
        with execute_job(fresh, instance) as result:
            assert result.success
        assert [run.status for run in instance.get_runs()] == [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
    assert project.dataset() == {"a.txt": [1, 2], "b.txt": [3], "c.txt": [4, 5, 6], "d.txt": [7]}
