"""An instance that the oldest supported release of Dagster made, and the one here goes on with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterRunStatus
from dagster import __version__ as here

SAMPLES = AssetKey(["numbers", "samples"])
OLDEST = os.environ.get("CURATOR_OLDEST_DAGSTER_PYTHON", "")

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("postgres"),
    pytest.mark.skipif(not Path(OLDEST).is_file(), reason="no oldest Dagster; `make campaigns` installs it"),
]


@pytest.fixture(params=["sqlite", "batched", "postgres"])
def home(request, project):
    """The instance's settings: Dagster's event log on SQLite, ours, and a database server."""
    storage = ""
    if request.param == "batched":
        module, name = "curator_dagster", "BatchedSqliteEventLogStorage"
        place = f"config: {{base_dir: {project.home / 'history' / 'runs'}}}"
        storage = f"event_log_storage: {{module: {module}, class: {name}, {place}}}"
    if request.param == "postgres":
        url = request.getfixturevalue("new_database")()
        storage = f'storage: {{postgres: {{postgres_url: "{url}"}}}}'
    (project.home / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{storage}\n")
    return project.home


def dagster(project, python, *words):
    """One of Dagster's commands, of one release or the other."""
    done = subprocess.run(
        [python, "-m", "dagster", *words],
        env=project.environment | {"NUMBERS_EXECUTOR": "in_process"},
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_what_the_oldest_release_did_is_not_done_again(project, home):
    """Migrated, a refresh does what changed and what had failed; the history and the runs are those of before."""
    command = ["job", "execute", "-f", str(project.location), "-j", "numbers_refresh"]
    assert here not in dagster(project, OLDEST, "--version")[1]
    project.put(b="x")
    status, said = dagster(project, OLDEST, *command)
    assert status == 1
    assert "b.txt: failed: ValueError" in said
    status, said = dagster(project, sys.executable, "instance", "migrate")
    assert status == 0, said[-3000:]
    project.put(b="3", e="9")
    status, said = dagster(project, sys.executable, *command)
    assert status == 0, said[-3000:]
    assert project.dataset() == {"a.txt": [1, 2], "b.txt": [3], "c.txt": [4, 5, 6], "d.txt": [7], "e.txt": [9]}
    assert project.invocations() == {"a.txt": 1, "b.txt": 2, "c.txt": 1, "d.txt": 1, "e.txt": 1}
    with project.instance() as instance:
        assert [run.status for run in instance.get_runs()] == [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
        assert len(instance.get_materialized_partitions(SAMPLES)) == 5
        records = instance.fetch_materializations(SAMPLES, limit=10).records
        assert sorted(record.partition_key for record in records) == ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]


def test_a_code_server_of_the_oldest_release(project, home, deployment):
    """Webserver and daemon are upgraded first, as Dagster says; a refresh goes through them meanwhile."""
    refresh_through_servers(project, home, deployment, OLDEST)


def refresh_through_servers(project, home, deployment, python):
    """A refresh with the code server of one Python, and all else of another."""
    own = {"NUMBERS_FOLDER": str(project.folder), "NUMBERS_EXECUTOR": "in_process"}
    deployment.start_code(project.location, python=python, **own)
    if "curator_dagster" in (home / "dagster.yaml").read_text():
        deployment.without_curator = False
    deployment.start_daemon()
    deployment.start_webserver()
    assert deployment.await_end(deployment.launch("numbers_refresh"), timeout_s=300) == "SUCCESS"
    assert project.invocations() == dict.fromkeys(["a.txt", "b.txt", "c.txt", "d.txt"], 1)


def test_a_daemon_and_a_webserver_of_the_oldest_release(project, home, deployment):
    """The code server is upgraded first, as a user's image may be; a refresh goes through them all the same."""
    deployment.python = OLDEST
    refresh_through_servers(project, home, deployment, sys.executable)
