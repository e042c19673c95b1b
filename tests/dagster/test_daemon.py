"""Sensor and automation condition on a real instance, run by Dagster's own daemon."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterRunStatus

LOCATION = Path(__file__).with_name("watched_location.py")
DATASET = AssetKey(["numbers", "dataset"])


def dagster(project, *words):
    """One of Dagster's commands, run to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "dagster", *words, "-f", str(LOCATION)],
        env=project.environment,
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@contextmanager
def one_at_a_time(project):
    """A refresh in the background, whose items wait until each is allowed; at the end it has succeeded."""
    allowed = project.folder / "allowed"
    allowed.mkdir()
    command = [sys.executable, "-m", "dagster", "job", "execute", "-j", "numbers_refresh", "-f", str(LOCATION)]
    environment = project.environment | {"NUMBERS_ALLOWED": str(allowed)}
    with (project.folder / "refresh.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=project.folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield lambda name: (allowed / name).touch()
            assert process.wait(timeout=120) == 0, (project.folder / "refresh.log").read_text()[-3000:]
        finally:
            process.kill()
            process.wait()


@contextmanager
def daemon(project, session_processes, **environment):
    """The daemon, with all that it started, in a session of its own."""
    with (project.folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-f", str(LOCATION)],
            env=project.environment | environment,
            cwd=project.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # its code servers, too, which would wait for a while
            process.wait(timeout=30)
            wait_for(lambda: not session_processes(process.pid), "the daemon's processes to end", process=None)


def wait_for(claim, what, *, process, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not (found := claim()):
        assert process is None or process.poll() is None, "the daemon ended"
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.1)
    return found


def sensor_ticks(instance, name):
    """Its ticks that ended, the newest first."""
    states = [state for state in instance.all_instigator_state() if state.instigator_name == name]
    found = [t for s in states for t in instance.get_ticks(s.instigator_origin_id, s.selector_id, limit=50)]
    return [tick for tick in found if tick.end_timestamp is not None]


def ended_runs(instance):
    return [run for run in instance.get_runs() if run.is_finished]


@pytest.fixture
def instance(project, watched):
    """On disk, where runs are launched without a queue, which takes less time."""
    with (project.home / "dagster.yaml").open("a") as file:
        file.write("run_coordinator:\n  module: dagster._core.run_coordinator\n  class: DefaultRunCoordinator\n")
    watched.settings = {"max_missing": 1}
    with project.instance() as watched.instance:
        yield watched.instance


def died_after_launch(project, watched):
    """What a tick leaves that died after its launch: the old cursor, and a run of which nothing came."""
    from dagster import build_sensor_context

    sensor = watched.defs.resolve_sensor_def("numbers_new_data")

    def tick(cursor):
        return sensor.evaluate_tick(build_sensor_context(watched.instance, cursor=cursor, definitions=watched.defs))

    seen = tick(None).cursor
    project.put(e="8")
    (request,) = tick(seen).run_requests
    tags = {"dagster/run_key": request.run_key, "dagster/sensor_name": "numbers_new_data"}
    job = watched.defs.resolve_job_def("numbers_refresh")
    watched.instance.create_run_for_job(job, tags=tags, status=DagsterRunStatus.FAILURE)
    dagster(project, "sensor", "cursor", "numbers_new_data", "--set", seen)
    return request.run_key


@pytest.mark.campaign
def test_the_daemon_follows_a_folder(project, watched, instance, session_processes):
    """Turned on, it requests nothing twice, waits for a folder that is gone, and has what changed processed, once."""
    assert watched.refresh()
    run_key = died_after_launch(project, watched)
    dagster(project, "sensor", "start", "numbers_new_data")
    with daemon(project, session_processes) as process:

        def wait_for_tick(said):
            def is_last():
                ticks = sensor_ticks(instance, "numbers_new_data")
                return ticks and said in str(ticks[0].skip_reason)

            wait_for(is_last, f"a tick that says {said!r}", process=process)

        ticks = wait_for(lambda: sensor_ticks(instance, "numbers_new_data"), "a tick", process=process)
        assert ticks[-1].run_keys == [run_key]
        assert not ticks[-1].run_ids
        elsewhere = project.input.rename(project.folder / "elsewhere")
        wait_for_tick("lists no items")
        assert len(instance.get_runs()) == 2
        (elsewhere / "f.txt").write_text("9")
        (elsewhere / "c.txt").write_text("40 50")
        (elsewhere / "a.txt").unlink()
        elsewhere.rename(project.input)
        wait_for(lambda: len(ended_runs(instance)) == 3, "the refresh", process=process)
        wait_for_tick("5 items, nothing changed.")
        (refresh, *others) = instance.get_runs()
        assert len(others) == 2
        assert refresh.is_success
        assert refresh.tags["curator/items"] == "2 up to date, 1 changed, 2 new"
    assert project.dataset() == {"b.txt": [3], "c.txt": [40, 50], "d.txt": [7], "e.txt": [8], "f.txt": [9]}
    once = dict.fromkeys(["a.txt", "b.txt", "d.txt", "e.txt", "f.txt"], 1)
    assert project.invocations() == {"c.txt": 2, **once}


def test_the_daemon_merges_updated_samples_although_one_is_missing(project, watched, instance, session_processes):
    """Samples are processed as from the UI, one of them fails; the dataset follows without it, once."""
    project.put(b="x")
    instance.add_dynamic_partitions("numbers", ["a.txt", "b.txt", "c.txt", "d.txt", "gone.txt"])
    assert not watched.run_samples("a.txt", "d.txt")
    with daemon(project, session_processes, NUMBERS_START="1", NUMBERS_WATCH="0") as process:
        wait_for(lambda: len(ended_runs(instance)) == 2, "the merge", process=process)
    merge, _ = instance.get_runs()
    assert merge.asset_selection == {DATASET}
    assert merge.is_success
    assert project.dataset().keys() == {"a.txt", "c.txt", "d.txt"}


@pytest.mark.campaign
def test_the_daemon_launches_what_is_downstream_once(project, watched, instance, session_processes):
    """A refresh takes longer than many ticks, in which its items are done one by one; another finds nothing to do."""
    assert watched.refresh()
    with daemon(project, session_processes, NUMBERS_REPORT="1", NUMBERS_WATCH="0") as process:

        def wait_for_ticks(n):
            before = len(sensor_ticks(instance, "reports"))
            wait_for(lambda: len(sensor_ticks(instance, "reports")) >= before + n, "ticks", process=process)

        wait_for_ticks(2)
        project.put(a="10", b="20", c="30", d="40")
        with one_at_a_time(project) as allow:
            for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
                wait_for_ticks(1)
                allow(name)
        wait_for(lambda: len(ended_runs(instance)) == 3, "the report", process=process)
        dagster(project, "job", "execute", "-j", "numbers_refresh")
        wait_for_ticks(2)
        launched = [run for run in instance.get_runs() if run.asset_selection == {AssetKey("report")}]
    assert len(launched) == 1
    assert launched[0].is_success


@pytest.mark.campaign
@pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources`:DeprecationWarning")  # in Dagster itself
def test_a_backfill_of_a_scattered_selection_ends_with_the_right_counts(project, watched, instance, session_processes):
    """A run for each part without a gap; the failed partition is counted as failed, the others as materialized."""
    from dagster._core.execution.backfill import (  # noqa: PLC2701 - what the partitions dialog makes
        BulkActionStatus,
        PartitionBackfill,
    )

    samples = AssetKey(["numbers", "samples"])
    project.put(e="8", f="x")
    keys = [f"{name}.txt" for name in "abcdef"]
    instance.add_dynamic_partitions("numbers", keys)
    selected = ["a.txt", "b.txt", "d.txt", "f.txt"]
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id="scattered",
        asset_graph=watched.defs.resolve_asset_graph(),
        partition_names=selected,
        asset_selection=[samples],
        backfill_timestamp=time.time(),
        tags={},
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    with daemon(project, session_processes, NUMBERS_WATCH="0") as process:

        def ended():
            found = instance.get_backfill("scattered")
            return found if found.status in {BulkActionStatus.FAILED, BulkActionStatus.COMPLETED_FAILED} else None

        done = wait_for(ended, "the backfill's end", process=process, timeout_s=150)
    assert done.status == BulkActionStatus.COMPLETED_FAILED
    (status,) = done.asset_backfill_data.get_backfill_status_per_asset_key(watched.defs.resolve_asset_graph())
    assert {state.value: n for state, n in status.partitions_counts_by_status.items()} == {
        "MATERIALIZED": 3,
        "FAILED": 1,
        "IN_PROGRESS": 0,
    }
    assert len(instance.get_runs()) == 3
    assert project.invocations() == dict.fromkeys(selected, 1)
    assert instance.get_materialized_partitions(samples) == set(selected) - {"f.txt"}
