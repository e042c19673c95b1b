"""A Dagster instance on a real PostgreSQL server."""

import contextlib
import os
import subprocess
from types import SimpleNamespace

import pytest
from dagster import AssetKey, AssetRecordsFilter, DagsterInstance
from sqlalchemy import Engine, event

from benchmarks.servers import postgres_programs, postgres_server
from curator_dagster import BatchedPostgresEventLogStorage

SAMPLES = AssetKey(["numbers", "samples"])

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture(params=["own", "batched"])
def project_on_postgres(request, project, new_database):
    """The project, its instance in a database of its own, with Dagster's settings or those of ``init``."""
    config = f'{{postgres_url: "{new_database()}"}}'
    storages = {"own": f"storage: {{postgres: {config}}}"}
    storages["batched"] = "\n".join(
        f"{part}_storage: {{module: {module}, class: {name}, config: {config}}}"
        for part, module, name in [
            ("event_log", "curator_dagster", "BatchedPostgresEventLogStorage"),
            ("run", "dagster_postgres.run_storage", "PostgresRunStorage"),
            ("schedule", "dagster_postgres.schedule_storage", "PostgresScheduleStorage"),
        ]
    )
    (project.home / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{storages[request.param]}\n")
    return project


def test_a_refresh_records_in_batches_and_follows_changes(project_on_postgres):
    """As on SQLite: each partition once, failures on their partitions, and only what changed the next time."""
    project = project_on_postgres
    project.put(c="x")
    assert project.refresh().returncode != 0
    with project.instance() as instance:
        assert "Postgres" in type(instance.event_log_storage).__name__
        storage = instance.event_log_storage
        assert storage.get_materialized_partitions(SAMPLES) == {"a.txt", "b.txt", "d.txt"}
        attempts = storage.get_latest_asset_partition_materialization_attempts_without_materializations(SAMPLES)
        assert set(attempts) == {"c.txt"}
        (observed,) = instance.fetch_observations(AssetRecordsFilter(SAMPLES), limit=10).records
        assert "ValueError" in observed.asset_observation.metadata["curator/error"].value
    project.put(c="5")
    done = project.refresh()
    assert done.returncode == 0, done.stderr[-3000:]
    with project.instance() as instance:
        records = instance.fetch_materializations(AssetRecordsFilter(SAMPLES), limit=100).records
        assert sorted(r.asset_materialization.partition for r in records) == ["a.txt", "b.txt", "c.txt", "d.txt"]
        latest = instance.get_latest_materialization_event(SAMPLES).asset_materialization
        assert latest.partition == "c.txt"
    assert project.dataset() == {"a.txt": [1, 2], "b.txt": [3], "c.txt": [5], "d.txt": [7]}


@pytest.fixture
def statements():
    """Inserts into the event log and how many rows each had, as they are made."""
    found = []

    def note(connection, cursor, statement, parameters, context, executemany):  # noqa: PLR0917 - SQLAlchemy's
        if statement.startswith("INSERT INTO event_logs"):
            found.append(statement.count("%(run_id") or 1)

    event.listen(Engine, "before_cursor_execute", note)
    yield found
    event.remove(Engine, "before_cursor_execute", note)


def test_a_batch_is_one_statement(project_on_postgres, monkeypatch, statements):
    """One insert for all that a refresh plans, one for all that a step materializes, whatever storage is configured."""
    for name in "efghij":
        project_on_postgres.put(**{name: "1"})
    location = project_on_postgres.load(monkeypatch, NUMBERS_BATCH_SIZE=10, NUMBERS_EXECUTOR="in_process")
    with DagsterInstance.get() as instance:
        assert location.defs.resolve_job_def("numbers_refresh").execute_in_process(instance=instance).success
        assert len(instance.event_log_storage.get_materialized_partitions(SAMPLES)) == 10
    assert sorted(statements)[-3:] == [1, 10, 10]


def test_what_is_planned_is_one_statement(project_on_postgres, monkeypatch, statements):
    """Dagster's own events for the partitions of a run, which its own storage stores one by one."""
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    location = project_on_postgres.load(monkeypatch, NUMBERS_BATCH_SIZE=10, NUMBERS_EXECUTOR="in_process")
    with DagsterInstance.get() as instance:
        is_batched = type(instance.event_log_storage) is BatchedPostgresEventLogStorage
        instance.add_dynamic_partitions("numbers", ["a.txt", "b.txt", "c.txt", "d.txt"])
        job = location.defs.resolve_job_def("__ASSET_JOB").get_subset(asset_selection={SAMPLES})
        tags = {"dagster/asset_partition_range_start": "a.txt", "dagster/asset_partition_range_end": "d.txt"}
        assert job.execute_in_process(instance=instance, tags=tags).success
        assert len(instance.event_log_storage.get_materialized_partitions(SAMPLES)) == 4
    assert statements.count(4) == (2 if is_batched else 1)


@pytest.fixture
def own_server(project):
    """A PostgreSQL server of the test's own, with the project's instance on it, that can be stopped and started."""
    with postgres_server() as url:
        folder = url.partition("host=")[2]
        config = f'{{postgres_url: "{url}"}}'
        (project.home / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\nstorage: {{postgres: {config}}}\n")

        def control(*words):
            command = [postgres_programs() / "pg_ctl", "-D", f"{folder}/data", "-w", *words]
            user = "postgres" if os.geteuid() == 0 else None
            subprocess.run(command, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)

        server = SimpleNamespace(
            stop=lambda: control("stop", "-m", "immediate"),
            start=lambda: control("start", "-o", f"-k {folder} -c listen_addresses=", "-l", f"{folder}/again"),
        )
        yield server
        with contextlib.suppress(subprocess.CalledProcessError):  # a test that failed may have left it stopped
            server.stop()


@pytest.mark.campaign
def test_a_server_that_restarts_during_a_step_is_waited_for(project, own_server, monkeypatch):
    """Nothing is processed again, the run is green, and all partitions are there."""
    for name in "efgh":
        project.put(**{name: "1"})
    location = project.load(monkeypatch, NUMBERS_BATCH_SIZE=100, NUMBERS_EXECUTOR="in_process")
    read = location.NumberFiles.__getitem__

    def reading(self, index):
        if index == 2:
            own_server.stop()
        if index == 6:
            own_server.start()
        yield from read(self, index)

    monkeypatch.setattr(location.NumberFiles, "__getitem__", reading)
    with DagsterInstance.get() as instance:
        assert location.defs.resolve_job_def("numbers_refresh").execute_in_process(instance=instance).success
        assert len(instance.event_log_storage.get_materialized_partitions(SAMPLES)) == 8
    assert set(project.invocations().values()) == {1}


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_a_server_that_stays_away_loses_nothing(project, own_server, deployment):
    """All items are done nevertheless, the process says so in one sentence; the next refresh only reports them."""
    project.put(e="x", f="1", g="1")
    settings = {"NUMBERS_BATCH_SIZE": "100", "NUMBERS_SLEEP": "0.5", "NUMBERS_EXECUTOR": "multiprocess"}
    run = subprocess.Popen(
        project.refresh_command(),
        env=project.environment | settings,
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deployment.wait_for(lambda: len(project.invocations()) >= 2, "two items")
    own_server.stop()
    _, printed = run.communicate()
    printed += "".join(path.read_text() for path in project.home.glob("storage/*/compute_logs/*.err"))
    assert run.returncode != 0
    sentence = next(line for line in printed.splitlines() if "nothing is lost" in line)
    assert "event log cannot be written: connection to server" in sentence
    assert "numbers_refresh reports them" in sentence
    assert project.invocations() == dict.fromkeys([f"{name}.txt" for name in "abcdefg"], 1)
    own_server.start()
    project.put(e="5")
    done = project.refresh()
    assert done.returncode == 0, done.stderr[-3000:]
    assert project.invocations() == dict.fromkeys([f"{name}.txt" for name in "abcdfg"], 1) | {"e.txt": 2}
    with project.instance() as instance:
        assert len(instance.event_log_storage.get_materialized_partitions(SAMPLES)) == 7
        assert [run.status.value for run in instance.get_runs()] == ["SUCCESS", "FAILURE"]
