"""Re-execution from failure, as the button of a failed run does it."""

import pathlib
import subprocess
import sys
from collections import Counter

import pytest
from dagster import AssetKey, AssetRecordsFilter, DagsterRunStatus

SAMPLES, DATASET = AssetKey(["numbers", "samples"]), AssetKey(["numbers", "dataset"])
SCRIPT = """
import importlib.util, sys
from dagster import AssetKey, DagsterInstance, Definitions, ReexecutionOptions
from dagster import define_asset_job, execute_job, reconstructable

what, parent, *partitions = sys.argv[1:]


def location():
    spec = importlib.util.spec_from_file_location("numbers_location_here", {location!r})
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.defs


def refresh():
    return location().resolve_job_def("numbers_refresh")


def samples():
    pick = define_asset_job("pick", selection=[AssetKey(["numbers", "samples"])])
    return Definitions.merge(location(), Definitions(jobs=[pick])).resolve_job_def("pick")


if __name__ == "__main__":
    with DagsterInstance.get() as instance:
        options, tags = None, {{}}
        if parent != "-":
            options = ReexecutionOptions.from_failure(parent, instance)
        if partitions:
            instance.add_dynamic_partitions("numbers", ["a.txt", "b.txt", "c.txt", "d.txt"])
            tags = dict(zip(["dagster/asset_partition_range_start", "dagster/asset_partition_range_end"], partitions))
        result = execute_job(
            reconstructable(globals()[what]),
            instance,
            reexecution_options=options,
            tags=tags,
            raise_on_error=False,
        )
        print("RUN", result.run_id, result.success)
"""


@pytest.fixture
def execute(project):
    """Executes ``refresh`` or ``samples`` in a process of its own; returns run id and success."""
    script = project.folder / "execute.py"
    script.write_text(SCRIPT.format(location=str(project.location)))

    def run(what, parent="-", *partitions, **environment):
        done = subprocess.run(
            [sys.executable, str(script), what, parent, *partitions],
            env=project.environment | {"NUMBERS_EXECUTOR": "in_process", "NUMBERS_BATCH_SIZE": "2"} | environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        _, run_id, success = done.stdout.strip().splitlines()[-1].split()
        return run_id, success == "True"

    return run


def materialized(project, run_id):
    with project.instance() as instance:
        records = instance.fetch_materializations(AssetRecordsFilter(SAMPLES), limit=1000).records
        return Counter(r.asset_materialization.partition for r in records if r.run_id == run_id)


def attempts(project):
    with project.instance() as instance:
        storage = instance.event_log_storage
        return set(storage.get_latest_asset_partition_materialization_attempts_without_materializations(SAMPLES))


def test_a_refresh_re_executed_from_failure_processes_what_failed_and_publishes(project, execute):
    """Of the four items only the failed one is processed again."""
    project.put(c="x")
    parent, success = execute("refresh")
    assert not success
    project.put(c="5")
    child, success = execute("refresh", parent)
    assert success
    assert project.invocations() == {"a.txt": 1, "b.txt": 1, "c.txt": 2, "d.txt": 1}
    assert materialized(project, child) == {"c.txt": 1}
    assert project.dataset() == {"a.txt": [1, 2], "b.txt": [3], "c.txt": [5], "d.txt": [7]}
    assert not attempts(project)
    with project.instance() as instance:  # the dataset does not show as failed either
        planned = instance.get_latest_planned_materialization_info(DATASET)
        assert planned.run_id == instance.get_latest_materialization_event(DATASET).run_id == child


@pytest.mark.campaign
def test_a_refresh_re_executed_without_a_repair_fails_again(project, execute):
    """With the item's error, not with another one."""
    project.put(c="x")
    parent, _ = execute("refresh")
    child, success = execute("refresh", parent)
    assert not success
    assert project.invocations()["c.txt"] == 2
    with project.instance() as instance:
        assert instance.get_run_by_id(child).status == DagsterRunStatus.FAILURE
    assert attempts(project) == {"c.txt"}


@pytest.mark.campaign
def test_samples_re_executed_from_failure_answer_for_all_their_partitions(project, execute):
    """One item is processed; every partition of the run is materialized once by the second run, too."""
    project.put(c="x")
    parent, success = execute("samples", "-", "a.txt", "d.txt")
    assert not success
    assert materialized(project, parent) == {"a.txt": 1, "b.txt": 1, "d.txt": 1}
    assert attempts(project) == {"c.txt"}
    project.put(c="5")
    child, success = execute("samples", parent, "a.txt", "d.txt")
    assert success
    assert project.invocations() == {"a.txt": 1, "b.txt": 1, "c.txt": 2, "d.txt": 1}
    assert materialized(project, child) == {"a.txt": 1, "b.txt": 1, "c.txt": 1, "d.txt": 1}
    assert not attempts(project)


@pytest.mark.campaign
def test_an_item_that_was_removed_meanwhile_does_not_fail_a_re_execution(project, execute):
    """The run before planned it, and the dataset is of what is listed now."""
    script = [sys.executable, str(project.folder / "execute.py"), "refresh", "-"]
    environment = project.environment | {"NUMBERS_EXECUTOR": "in_process", "NUMBERS_BATCH_SIZE": "2"}
    project.put(c="die")
    assert subprocess.run(script, env=environment, check=False, capture_output=True, timeout=120).returncode == 1
    with project.instance() as instance:
        (run,) = instance.get_runs()
        instance.report_run_failed(run, "as the daemon's run monitoring does")
    project.put(c="leave")
    _, success = execute("refresh", run.run_id)
    assert success
    assert project.dataset() == {"a.txt": [1, 2], "b.txt": [3], "d.txt": [7]}


@pytest.mark.parametrize("size", [pytest.param("5", marks=pytest.mark.campaign), "1"])
def test_a_killed_run_re_executed_from_failure_goes_on_where_it_was(project, execute, size):
    """What is done of the batch in work, and changed inputs, count; so do batches that had not begun."""
    environment = project.environment | {"NUMBERS_EXECUTOR": "in_process", "NUMBERS_BATCH_SIZE": size}
    project.put(c="die", e="8")
    script = [sys.executable, str(project.folder / "execute.py"), "refresh", "-"]
    assert subprocess.run(script, env=environment, check=False, capture_output=True, timeout=120).returncode == 1
    assert pathlib.Path(project.folder / "metrics.db.journals").exists()
    with project.instance() as instance:
        (run,) = instance.get_runs()
        assert run.status == DagsterRunStatus.STARTED
        instance.report_run_failed(run, "as the daemon's run monitoring does")
    project.put(c="5")
    child, success = execute("refresh", run.run_id, NUMBERS_BATCH_SIZE=size)
    assert success
    assert project.invocations() == {"a.txt": 1, "b.txt": 1, "c.txt": 2, "d.txt": 1, "e.txt": 1}
    assert sum((materialized(project, run_id) for run_id in (run.run_id, child)), Counter()) == {
        "a.txt": 1,
        "b.txt": 1,
        "c.txt": 1,
        "d.txt": 1,
        "e.txt": 1,
    }
    assert project.dataset()["c.txt"] == [5]
