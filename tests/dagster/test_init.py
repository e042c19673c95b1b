"""``curator dagster init``: what it writes works in Dagster, on SQLite and on PostgreSQL."""

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.servers import postgres_programs
from curator_core.errors import ConfigError
from curator_dagster import BatchedSqliteEventLogStorage
from curator_dagster.cli.init import dagster_group


def init(*words):
    """Run ``curator dagster init``; returns what it printed."""
    return CliRunner().invoke(dagster_group, ["init", *map(str, words)], catch_exceptions=False).output


@pytest.fixture
def bare(project):
    """The project with nothing in its home."""
    (project.home / "dagster.yaml").unlink()
    project.home.rmdir()
    return project


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


RUNS = "{ runsOrError(limit: 1) { ... on Runs { results { status } } } }"
LAUNCH = """mutation { launchRun(executionParams: {
    mode: "default"
    selector: {repositoryLocationName: "%s", repositoryName: "__repository__", jobName: "numbers_refresh"}
}) { __typename } }"""


@pytest.mark.campaign
def test_dagster_dev_runs_what_is_queued(bare):
    """Webserver and daemon take the settings: a refresh that is launched goes through the queue to its end.

    Its events are in the batched log, within the home.
    """
    said = init(bare.home)
    assert f"export DAGSTER_HOME={bare.home}\n" in said
    assert "dagster dev -m" in said
    port, log = free_port(), bare.folder / "dev.log"
    command = ["dagster", "dev", "-f", str(bare.location), "-h", "127.0.0.1", "-p", str(port)]
    with log.open("w") as file:
        running = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=bare.folder,
            env=bare.environment | {"NUMBERS_EXECUTOR": "in_process"},
            stdout=file,
            stderr=file,
        )
    try:
        wait_until(lambda: (ask(port, RUNS) or {}).get("runsOrError") == {"results": []}, running, log)
        launched = ask(port, LAUNCH % bare.location.name)
        assert launched == {"launchRun": {"__typename": "LaunchRunSuccess"}}
        done = {"runsOrError": {"results": [{"status": "SUCCESS"}]}}
        wait_until(lambda: ask(port, RUNS) == done, running, log)
    finally:
        running.terminate()
        running.wait(timeout=60)
    assert "'MonitoringDaemon'" in log.read_text()
    assert (bare.home / "history" / "runs" / "index.db").exists()
    with bare.instance() as instance:
        assert type(instance.event_log_storage) is BatchedSqliteEventLogStorage
        assert instance.get_dynamic_partitions("numbers") == ["a.txt", "b.txt", "c.txt", "d.txt"]
        assert not instance.telemetry_enabled


def wait_until(is_so, running, log):
    """Ask until it is so, the process is gone or a minute is over."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert running.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def ask(port, text):
    """What the webserver answers; nothing while it does not."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": text}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)["data"]
    except OSError:
        return None


@contextmanager
def postgres(password):
    """Port of a PostgreSQL server with a user `curator` and a database `dagster`."""
    try:
        programs = postgres_programs()
    except FileNotFoundError as exc:
        pytest.skip(str(exc))
    owner = "postgres" if getpass.getuser() == "root" else None  # the server refuses to be root
    folder, port = Path(tempfile.mkdtemp(prefix="pg-")), str(free_port())
    secret = folder / "password"
    secret.write_text(password)
    if owner:
        for path in (folder, secret):
            shutil.chown(path, owner)

    def run(program, *words, **environment):
        command = [str(programs / program), *words]
        subprocess.run(command, user=owner, cwd=folder, env=os.environ | environment, check=True, capture_output=True)

    data, log = str(folder / "data"), str(folder / "log")
    try:
        run("initdb", "-D", data, "-U", "curator", "-A", "scram-sha-256", "--pwfile", str(secret), "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start")
        run("createdb", "-h", "127.0.0.1", "-p", port, "-U", "curator", "dagster", PGPASSWORD=password)
        yield port
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_postgresql_takes_its_password_from_the_environment(bare, monkeypatch):
    """The refresh is recorded in the database; the password is not in the file."""
    pytest.importorskip("dagster_postgres")
    with postgres("a b:c/@") as port:
        init(bare.home, "--postgres", f"postgresql://curator@127.0.0.1:{port}/dagster?connect_timeout=10")
        assert "a b:c/@" not in (bare.home / "dagster.yaml").read_text()
        done = bare.refresh(DAGSTER_PG_PASSWORD="a b:c/@")
        assert done.returncode == 0, done.stderr[-3000:]
        monkeypatch.setenv("DAGSTER_PG_PASSWORD", "a b:c/@")
        with bare.instance() as instance:
            kept = (instance.event_log_storage, instance.run_storage, instance.schedule_storage)
            assert [type(storage).__name__ for storage in kept] == [
                "BatchedPostgresEventLogStorage",
                "PostgresRunStorage",
                "PostgresScheduleStorage",
            ]
            assert instance.get_dynamic_partitions("numbers") == ["a.txt", "b.txt", "c.txt", "d.txt"]


def test_a_file_that_is_there_is_replaced_only_if_told(tmp_path):
    """One line, and the file is as it was; --force writes it anew."""
    path = tmp_path / "dagster.yaml"
    path.write_text("telemetry: {enabled: true}\n")
    with pytest.raises(ConfigError, match=r"dagster\.yaml is there already; --force replaces it"):
        init(tmp_path)
    assert path.read_text() == "telemetry: {enabled: true}\n"
    init(tmp_path, "--force")
    assert "BatchedSqliteEventLogStorage" in path.read_text()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://me:hush@host/db", "leave the password out"),
        ("postgresql://me@host/db?password=hush", "leave the password out"),
        ("mysql://me@host/db", "no URL of a PostgreSQL database. Write postgresql://USER@HOST:PORT/DATABASE"),
        ("postgresql://me@host:port/db", "no URL"),
        ("postgresql://me@host", "no URL"),
        ("postgresql://host/db", "no URL"),
    ],
)
def test_a_wrong_url_is_refused_without_showing_it(tmp_path, url, message):
    """Nothing is written, and a password appears nowhere."""
    pytest.importorskip("dagster_postgres")
    with pytest.raises(ConfigError, match=message) as caught:
        init(tmp_path / "home", "--postgres", url)
    assert "hush" not in str(caught.value)
    assert not (tmp_path / "home").exists()


def test_paths_that_need_quotes_are_quoted(tmp_path):
    """In the file for YAML, in the command for the shell."""
    home = tmp_path / 'it\'s: "mine" # käse'
    said = init(home)
    command = next(line for line in said.splitlines() if "export" in line)
    shown = subprocess.run(["bash", "-c", f"{command}; echo $DAGSTER_HOME"], capture_output=True, text=True, check=True)
    assert shown.stdout == f"{home}\n"
    from dagster import DagsterInstance

    with DagsterInstance.from_config(str(home)) as instance:
        assert instance.run_retries_enabled
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert (home / "history" / "runs" / "index.db").exists()
