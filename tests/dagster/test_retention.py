"""Old runs are removed, and Dagster knows of assets and partitions what it knew before."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from dagster import AssetKey, AssetRecordsFilter, DagsterInstance, DagsterRunStatus
from dagster._core.test_utils import create_run_for_test  # noqa: PLC2701 - runs without their cost

from curator_core.errors import ConfigError
from curator_dagster import prune_runs
from curator_dagster.cli.init import dagster_group
from curator_dagster.curation.retention import old_runs

SAMPLES, DATASET = AssetKey(["numbers", "samples"]), AssetKey(["numbers", "dataset"])


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))])
def project_on_either(request, project):
    """The project, its instance on either database."""
    if request.param == "postgres":
        url = request.getfixturevalue("new_database")()
        settings = f'telemetry: {{enabled: false}}\nstorage: {{postgres: {{postgres_url: "{url}"}}}}\n'
        (project.home / "dagster.yaml").write_text(settings)
    return project


def known(instance):
    """What Dagster's pages are made of, the number of materializations of each partition, and the latest of all."""
    log = instance.event_log_storage
    attempts = log.get_latest_asset_partition_materialization_attempts_without_materializations(SAMPLES)
    statuses = {key: instance.get_run_by_id(run_id).status for key, (run_id, _) in attempts.items()}
    records = instance.fetch_materializations(AssetRecordsFilter(SAMPLES), limit=100).records
    return {
        "materialized": log.get_materialized_partitions(SAMPLES),
        "latest": log.get_latest_storage_id_by_partition(SAMPLES, log_kind()),
        "versions": log.get_latest_tags_by_partition(SAMPLES, log_kind(), ["dagster/data_version"]),
        "failed": statuses,
        "observed": {r.asset_observation.partition for r in instance.fetch_observations(SAMPLES, limit=100).records},
        "dataset": instance.get_latest_materialization_event(DATASET),
        "samples": instance.get_latest_materialization_event(SAMPLES),
        "newest": records[0].event_log_entry,
    }, Counter(record.asset_materialization.partition for record in records)


def log_kind():
    from dagster import DagsterEventType

    return DagsterEventType.ASSET_MATERIALIZATION


def folders(home):
    """Runs of which there are files."""
    files = [*(home / "storage").glob("*"), *(home / "history" / "runs").glob("*.db")]
    return {path.stem for path in files} - {"index"}


def test_what_dagster_knows_stays_and_nothing_is_written_again(project_on_either, monkeypatch):
    """A run to which a partition owes that it shows as failed stays; what it overtakes later goes the next time."""
    project = project_on_either
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    assert project.refresh().returncode == 0
    project.put(a="8 8")
    assert project.refresh().returncode == 0
    project.put(c="x")
    assert project.refresh().returncode != 0
    with project.instance() as instance:
        ids = [run.run_id for run in instance.get_runs()]
        before, counts = known(instance)
        assert (counts["a.txt"], before["failed"]) == (2, {"c.txt": DagsterRunStatus.FAILURE})
        left = Path(instance.storage_directory(), "0f" * 4 + "-0000-0000-0000-" + "0f" * 6)
        left.mkdir(parents=True)
        assert prune_runs(instance) == 2
        after, counts = known(instance)
        assert after == before
        assert counts == dict.fromkeys(["a.txt", "b.txt", "c.txt", "d.txt"], 1)
        assert [run.run_id for run in instance.get_runs()] == ids[:1]
        assert folders(project.home) <= {ids[0]}
    project.put(c="4 5 6 7")
    assert project.refresh().returncode == 0
    with project.instance() as instance:
        assert known(instance)[1] == {"a.txt": 1, "b.txt": 1, "c.txt": 2, "d.txt": 1}
        assert prune_runs(instance) == 1
        assert known(instance)[1] == dict.fromkeys(["a.txt", "b.txt", "c.txt", "d.txt"], 1)


def test_only_runs_that_nothing_needs_are_old():
    """By age and number, of curations; not of a family of which one stays, nor what a sensor would request again."""
    ours = {"curator/curation": "numbers"}
    with DagsterInstance.ephemeral() as instance:

        def run(job, tags, status=DagsterRunStatus.SUCCESS, **others):
            return create_run_for_test(instance, job_name=job, tags=tags, status=status, **others).run_id

        first, second, other = run("a", ours), run("a", ours), run("b", ours, DagsterRunStatus.CANCELED)
        run("a", ours, DagsterRunStatus.STARTED)
        parent = run("a", ours, DagsterRunStatus.FAILURE)
        run("a", ours, DagsterRunStatus.STARTED, root_run_id=parent, parent_run_id=parent)
        foreign = run("c", {})
        run("c", {"dagster/run_key": "a file"})

        def found(**options):
            return {old.run_id for old in old_runs(instance, **options)}

        assert found() == {first, second, other}
        assert found(keep=1) == {first, second}
        assert found(keep=4) == {first}
        assert found(older_than=timedelta(hours=1)) == set()
        assert found(of_all_jobs=True) == {first, second, other, foreign}


def prune(*words):
    return CliRunner().invoke(dagster_group, ["prune", *words], catch_exceptions=False)


def test_the_command_shows_what_goes_and_removes_it_when_told(project, monkeypatch):
    """A script without --yes removes nothing."""
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    assert project.refresh().returncode == 0
    project.put(a="8")
    assert project.refresh().returncode == 0
    assert prune().exit_code == 2
    assert "Nothing was removed: 0 runs would be." in prune("--older-than", "1h").output
    shown = prune("--keep", "1").output
    assert "numbers_refresh  1" in shown
    assert "Nothing was removed: 1 run would be. Add --yes to remove them." in shown
    assert "Removed 1 run and " in prune("--keep", "1", "--yes").output
    with project.instance() as instance:
        assert instance.get_runs_count() == 1


def test_an_instance_that_is_not_there_is_said(monkeypatch):
    """Without DAGSTER_HOME there is nothing to prune."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(ConfigError, match="The Dagster instance cannot be opened"):
        prune("--keep", "1")
