"""The samples and dataset assets, as Dagster runs them from its UI: single partitions, ranges, backfills."""

import json

import pytest
from dagster import AssetKey, AssetRecordsFilter, DagsterInstance, RunsFilter, materialize

SAMPLES = AssetKey(["numbers", "samples"])
DATASET = AssetKey(["numbers", "dataset"])


@pytest.fixture
def location(project, monkeypatch):
    """The code location, imported into this process."""
    return project.load(monkeypatch)


@pytest.fixture
def instance(project, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    with DagsterInstance.get() as found:
        found.add_dynamic_partitions("numbers", ["a.txt", "b.txt", "c.txt", "d.txt"])
        yield found


def run_samples(location, instance, first, last=None, *, raise_on_error=True):
    job = location.defs.resolve_implicit_global_asset_job_def()
    if last is None:
        return job.execute_in_process(
            instance=instance, asset_selection=[SAMPLES], partition_key=first, raise_on_error=raise_on_error
        )
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return job.execute_in_process(
        instance=instance, asset_selection=[SAMPLES], tags=tags, raise_on_error=raise_on_error
    )


def materialized(instance):
    records = instance.fetch_materializations(AssetRecordsFilter(SAMPLES), limit=1000).records
    return sorted(record.asset_materialization.partition for record in records)


def test_a_single_partition_processes_its_item_alone(project, location, instance):
    """One partition, one item, one materialization."""
    assert run_samples(location, instance, "b.txt").success
    assert materialized(instance) == ["b.txt"]
    assert project.invocations() == {"b.txt": 1}


def test_a_range_is_one_run_with_one_materialization_per_item(project, location, instance):
    """Every partition of the range is materialized exactly once, none besides."""
    assert run_samples(location, instance, "b.txt", "d.txt").success
    assert materialized(instance) == ["b.txt", "c.txt", "d.txt"]
    assert project.invocations() == {"b.txt": 1, "c.txt": 1, "d.txt": 1}


def test_a_partition_that_is_up_to_date_is_answered_for_but_not_processed_again(project, location, instance):
    """A second run over the range materializes from the record."""
    run_samples(location, instance, "a.txt", "b.txt")
    assert run_samples(location, instance, "a.txt", "c.txt").success
    assert materialized(instance) == ["a.txt", "a.txt", "b.txt", "b.txt", "c.txt"]
    assert set(project.invocations().values()) == {1}


def test_a_failing_item_fails_its_partition_alone(project, location, instance):
    """The run fails, the neighbours are materialized, a second run processes the failed item only."""
    project.put(c="x")
    assert not run_samples(location, instance, "a.txt", "d.txt", raise_on_error=False).success
    assert materialized(instance) == ["a.txt", "b.txt", "d.txt"]
    project.put(c="5")
    assert run_samples(location, instance, "a.txt", "d.txt").success
    assert project.invocations() == {"a.txt": 1, "b.txt": 1, "c.txt": 2, "d.txt": 1}


def test_a_partition_whose_item_is_gone_fails_alone_with_a_hint(project, location, instance):
    """The others of the run are materialized; the message names the partition and the job that follows the source."""
    (project.input / "c.txt").unlink()
    result = run_samples(location, instance, "b.txt", "d.txt", raise_on_error=False)
    assert materialized(instance) == ["b.txt", "d.txt"]
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    assert "c.txt: the source does not list it" in failure.step_failure_data.user_failure_data.description
    assert "numbers_refresh" in failure.step_failure_data.user_failure_data.description


def test_the_dataset_asset_publishes_what_the_samples_made(project, location, instance):
    """Materializing the dataset merges all samples; its data version follows its content."""
    run_samples(location, instance, "a.txt", "d.txt")
    assets = location.defs.resolve_asset_graph().assets_defs
    assert materialize(assets, selection=[DATASET], instance=instance).success
    assert project.dataset() == {"a.txt": [1, 2], "b.txt": [3], "c.txt": [4, 5, 6], "d.txt": [7]}
    version = instance.get_latest_materialization_event(DATASET).asset_materialization.tags["dagster/data_version"]
    assert materialize(assets, selection=[DATASET], instance=instance).success
    again = instance.get_latest_materialization_event(DATASET).asset_materialization.tags["dagster/data_version"]
    assert again == version
    manifest = json.loads((project.folder / "output" / "numbers.json.manifest.json").read_text())
    assert manifest["data_version"] == version


def test_the_dataset_asset_refuses_while_items_are_missing(project, location, instance):
    """Nothing is published, the failure says how many are missing."""
    run_samples(location, instance, "a.txt", "c.txt")
    assets = location.defs.resolve_asset_graph().assets_defs
    result = materialize(assets, selection=[DATASET], instance=instance, raise_on_error=False)
    assert not result.success
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    assert "1 of 4 items are missing" in failure.step_failure_data.user_failure_data.description
    assert project.dataset() is None
    assert instance.get_runs(RunsFilter(run_ids=[result.run_id]))[0].is_failure
