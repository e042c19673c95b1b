"""kill -9 of any process of a run at any moment: the next refresh carries on, exactly."""

import os
import random
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from dagster import AssetKey, DagsterRunStatus, RunsFilter

from curator_core import MetricsStore
from curator_core.store import journal_directory
from curator_dagster.curation import runs

N_ITEMS = 8


def wait_until(claim, timeout_s=30.0, log=None):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, log.read_text()[-8000:] if log is not None else "timed out"
        time.sleep(0.02)


def recorded_complete(project):
    """Keys recorded as completed, in the database or in a journal."""
    database = project.folder / "metrics.db"
    keys = set()
    if database.exists():
        with MetricsStore(database) as store:
            for run in store.runs():
                keys |= {key for key, record in store.items(run.run_id).items() if record.status == "completed"}
    for journal in journal_directory(database).glob("*.jsonl"):
        for line in journal.read_bytes().split(b"\n")[:-1]:
            if b'"status":"completed"' in line:
                keys.add(line.split(b'"key":"')[1].split(b'"')[0].decode())
    return keys


def start(project, sleep="0.15"):
    with (project.folder / "log").open("a") as log:
        return subprocess.Popen(
            project.refresh_command(),
            env=project.environment | {"NUMBERS_SLEEP": sleep},
            cwd=project.folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


@pytest.mark.parametrize("seed", range(int(os.environ.get("CURATOR_KILLS", "1"))))
def test_a_killed_run_loses_nothing_and_nothing_is_done_twice(project, session_processes, seed):
    """Kill a random process at a random moment; no orphan works on; the next refresh does what was not recorded."""
    rng = random.Random(seed)
    project.put(**{f"n{i}": f"{i} {i * i}" for i in range(N_ITEMS - 4)})
    running = start(project)
    moment = rng.random()
    wait_until(lambda: len(project.invocations()) >= 1 + int(moment * N_ITEMS * 0.7) or running.poll() is not None)
    time.sleep(rng.random() * 0.3)
    alive = session_processes(running.pid)
    if alive:
        victim = rng.choice([running.pid, rng.choice(alive)])
        os.kill(victim, signal.SIGKILL)
    running.wait(timeout=60)
    wait_until(lambda: not session_processes(running.pid))
    complete, before = recorded_complete(project), project.invocations()
    done = project.refresh()
    assert done.returncode == 0, done.stderr[-3000:]
    after = project.invocations()
    assert {key for key in complete if after[key] != before[key]} == set()
    assert len(project.dataset()) == N_ITEMS
    assert project.dataset()["n3.txt"] == [3, 9]
    with project.instance() as instance:
        # The refresh marked the killed run as failed, if it had come as far as planning.
        unfinished = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED]))
        assert [run.run_id for run in unfinished if "curator/host" in run.tags] == []
        assert len(instance.get_materialized_partitions(AssetKey(["numbers", "samples"]))) == N_ITEMS


def test_ctrl_c_ends_the_run_and_keeps_what_is_done(project, session_processes):
    """SIGINT to the whole group, as a terminal sends it."""
    project.put(**{f"n{i}": str(i) for i in range(N_ITEMS - 4)})
    running = start(project)
    wait_until(lambda: len(project.invocations()) >= 3, log=project.folder / "log")
    os.killpg(running.pid, signal.SIGINT)
    running.wait(timeout=60)
    wait_until(lambda: not session_processes(running.pid))
    complete, before = recorded_complete(project), project.invocations()
    assert complete
    assert project.refresh().returncode == 0
    assert {key for key in complete if project.invocations()[key] != before[key]} == set()
    assert len(project.dataset()) == N_ITEMS


def test_a_process_that_got_the_id_of_a_dead_one_is_not_taken_for_it():
    """Ids are used again, after a reboot for one; a process that began after the run is another."""
    assert runs._is_alive(os.getpid(), time.time())
    assert not runs._is_alive(os.getpid(), time.time() - 10 * 365 * 86400)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not runs._is_alive(ended.pid, time.time())


def test_a_run_is_looked_for_only_where_its_process_can_be_seen(watched, monkeypatch):
    """A step on another host, or in another container of one, cannot say whether the process of its run lives."""
    from dagster import DagsterInstance

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    processes = {"gone": (gone.pid, time.time()), "here": (os.getpid(), time.time()), "not yet": None}
    with DagsterInstance.ephemeral() as instance:
        job = watched.defs.resolve_job_def("numbers_refresh")
        made = {
            name: instance.create_run_for_job(
                job, status=DagsterRunStatus.STARTED, tags={"curator/curation": "numbers"}
            )
            for name in processes
        }
        by_id = {made[name].run_id: process for name, process in processes.items()}
        monkeypatch.setattr(runs, "run_process", lambda _, run: by_id[run.run_id])
        for name, run in made.items():
            context = SimpleNamespace(instance=instance, run=run, run_id=run.run_id)
            runs.tag_run(context, "numbers")
            assert ("curator/host" in instance.get_run_by_id(run.run_id).tags) == (name == "here")
        assert runs.fail_dead_runs(instance, "numbers") == []
        here = made["here"].run_id
        by_id[here] = processes["gone"]
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr("socket.gethostname", lambda: "elsewhere")
            assert runs.fail_dead_runs(instance, "numbers") == []
        assert runs.fail_dead_runs(instance, "numbers") == [here]
        assert instance.get_run_by_id(here).is_failure


@pytest.mark.parametrize(
    ("tags", "is_known"),
    [
        ({"curator/requested_on": runs.this_host(), ".dagster/grpc_info": "{}"}, True),
        ({"curator/requested_on": "elsewhere", ".dagster/grpc_info": "{}"}, False),
        ({"curator/requested_on": runs.this_host()}, False),  # launched in a container of its own
        ({".dagster/grpc_info": "{}"}, False),
    ],
)
def test_a_run_that_was_killed_before_its_first_step_is_not_waited_for(watched, monkeypatch, tags, is_known):
    """With its code server, so that nobody saw it: the automation would wait for it for ever."""
    from dagster import DagsterInstance

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setattr(runs, "run_process", lambda *_: (gone.pid, time.time()))
    with DagsterInstance.ephemeral() as instance:
        job = watched.defs.resolve_job_def("numbers_refresh")
        tags = {"curator/curation": "numbers", **tags}
        run = instance.create_run_for_job(job, status=DagsterRunStatus.STARTED, tags=tags)
        assert runs.fail_dead_runs(instance, "numbers") == ([run.run_id] if is_known else [])


def test_a_step_ends_with_the_process_of_its_run_and_not_with_a_code_server(monkeypatch):
    """Where the step is executed in the process of its run, the parent of that is a code server."""
    ending = []
    monkeypatch.setattr(runs, "exit_with_parent", lambda: ending.append(True))
    for pid, n_ending in ((os.getpid(), 0), (os.getppid(), 1)):
        monkeypatch.setattr(runs, "run_process", lambda _, __, pid=pid: (pid, time.time()))
        runs.exit_with_run(SimpleNamespace(instance=None, run=None))
        assert len(ending) == n_ending


def test_a_terminated_run_is_canceled_and_its_item_did_not_fail(project, session_processes):
    """As the UI's button does it: a word to the event log and SIGINT; the next refresh does the item in work."""
    project.put(a="1", b="2", c="3", d="4")
    running = start(project, sleep="20")
    wait_until(lambda: len(project.invocations()) >= 1, log=project.folder / "log")
    with project.instance() as instance:
        instance.report_run_canceling(instance.get_runs()[0])
    os.kill(running.pid, signal.SIGINT)
    running.wait(timeout=60)
    wait_until(lambda: not session_processes(running.pid))
    with project.instance() as instance:
        (run,) = instance.get_runs()
        assert run.status == DagsterRunStatus.CANCELED
        assert not instance.fetch_observations(AssetKey(["numbers", "samples"]), limit=10).records
    assert project.refresh().returncode == 0
    with MetricsStore(project.folder / "metrics.db") as store:
        assert {record.status for run in store.runs() for record in store.items(run.run_id).values()} == {"completed"}
