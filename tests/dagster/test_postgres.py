"""A Dagster instance on a real PostgreSQL server."""

import pytest
from dagster import AssetKey, AssetRecordsFilter, DagsterInstance

SAMPLES = AssetKey(["numbers", "samples"])

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture(scope="module")
def server():
    from benchmarks.servers import postgres_server

    with postgres_server(is_durable=False) as url:
        yield url


@pytest.fixture
def project_on_postgres(project, server):
    """The project, its instance in a database of its own."""
    import psycopg2

    name = f"dagster_{abs(hash(str(project.folder)))}"
    connection = psycopg2.connect(server.replace("+psycopg2", ""))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    url = server.replace("/postgres?", f"/{name}?")
    (project.home / "dagster.yaml").write_text(
        f'telemetry:\n  enabled: false\nstorage:\n  postgres:\n    postgres_url: "{url}"\n'
    )
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


def test_a_batch_is_stored_at_once(project_on_postgres, monkeypatch):
    """One insert for all materializations of a step, and PostgreSQL's own storage takes it."""
    from dagster_postgres import PostgresEventLogStorage

    batches = []
    store = PostgresEventLogStorage.store_event_batch
    monkeypatch.setattr(
        PostgresEventLogStorage,
        "store_event_batch",
        lambda self, events: (batches.append(len(events)), store(self, events)),
    )
    location = project_on_postgres.load(monkeypatch, NUMBERS_BATCH_SIZE=4, NUMBERS_EXECUTOR="in_process")
    with DagsterInstance.get() as instance:
        assert location.defs.resolve_job_def("numbers_refresh").execute_in_process(instance=instance).success
        assert len(instance.event_log_storage.get_materialized_partitions(SAMPLES)) == 4
    assert batches == [4]
