"""The refresh job on a persistent instance, through Dagster's own command line and multiprocess executor."""

import shutil

import pytest
from dagster import AssetKey, AssetRecordsFilter

SAMPLES = AssetKey(["numbers", "samples"])
DATASET = AssetKey(["numbers", "dataset"])


def materializations(instance, partition=None):
    filters = AssetRecordsFilter(SAMPLES, asset_partitions=[partition] if partition else None)
    return [record.asset_materialization for record in instance.fetch_materializations(filters, limit=1000).records]


def test_an_empty_instance_is_filled_by_one_run(project):
    """Partitions are registered, every item is materialized once with its metadata, the dataset is published."""
    done = project.refresh(executor="multiprocess")
    assert done.returncode == 0, done.stderr[-3000:]
    assert project.dataset() == {"a.txt": [1, 2], "b.txt": [3], "c.txt": [4, 5, 6], "d.txt": [7]}
    with project.instance() as instance:
        assert instance.get_dynamic_partitions("numbers") == ["a.txt", "b.txt", "c.txt", "d.txt"]
        found = {m.partition: m for m in materializations(instance)}
        assert len(materializations(instance)) == 4
        metadata = found["c.txt"].metadata
        assert metadata["curator/key"].value == "c.txt"
        assert metadata["curator/wall_time_s"].value > 0
        assert metadata["curator/stages"].value.startswith("NumberFiles ")
        assert metadata["curator/peak_memory_mib"].value > 1
        assert (
            instance.get_latest_materialization_event(DATASET).asset_materialization.metadata["curator/n_numbers"].value
            == 7
        )


def test_only_what_is_new_or_changed_is_processed_and_the_rest_stays(project, tmp_path_factory):
    """Add, change and delete files: each is processed alone, and the outputs equal those of a run from scratch."""
    assert project.refresh().returncode == 0
    project.put(bb="8 9", c="40")
    (project.input / "a.txt").unlink()
    assert project.refresh(NUMBERS_PRUNE="1").returncode == 0
    assert project.invocations() == {"a.txt": 1, "b.txt": 1, "bb.txt": 1, "c.txt": 2, "d.txt": 1}
    assert project.dataset() == {"b.txt": [3], "bb.txt": [8, 9], "c.txt": [40], "d.txt": [7]}
    kept = project.outputs()
    with project.instance() as instance:
        assert set(instance.get_dynamic_partitions("numbers")) == {"b.txt", "bb.txt", "c.txt", "d.txt"}
        assert len(materializations(instance, "c.txt")) == 2
        assert len(materializations(instance, "d.txt")) == 1
    (project.folder / "metrics.db").unlink()
    shutil.rmtree(project.folder / "output")
    (project.folder / "output").mkdir()
    assert project.refresh().returncode == 0
    assert project.outputs() == kept


def test_a_refresh_without_changes_processes_nothing(project):
    """Nothing is processed, and no materialization is added, when nothing changed."""
    assert project.refresh().returncode == 0
    assert project.refresh().returncode == 0
    assert set(project.invocations().values()) == {1}
    with project.instance() as instance:
        assert len(materializations(instance)) == 4


def test_a_bad_item_fails_alone_and_the_last_good_dataset_stays(project):
    """The item's partition is failed with its error, its neighbours are materialized, the run fails."""
    assert project.refresh().returncode == 0
    before = project.outputs()
    project.put(b="3 x", e="10")
    failed = project.refresh(executor="multiprocess")
    assert failed.returncode != 0, failed.stderr
    assert project.outputs() == before
    with project.instance() as instance:
        assert {m.partition for m in materializations(instance, "e.txt")} == {"e.txt"}
        assert len(materializations(instance, "b.txt")) == 1
        (metadata,) = observed(instance, "b.txt")
        assert metadata["curator/error"].value == "ValueError: invalid literal for int() with base 10: 'x'"
        assert "numbers_location.py" in metadata["curator/traceback"].value
        assert failed_partitions(instance) == {"b.txt"}
        (run,) = instance.get_runs(limit=1)
        assert run.is_failure
    project.put(b="30")
    assert project.refresh().returncode == 0
    assert project.dataset()["b.txt"] == [30]
    assert project.dataset()["e.txt"] == [10]
    assert project.invocations()["e.txt"] == 1
    with project.instance() as instance:
        assert failed_partitions(instance) == set()


@pytest.mark.campaign
def test_items_that_end_their_process_fail_by_name_and_alone(project):
    """Two in one batch, each of which ends its process whenever it is read: all others are materialized."""
    project.put(b="2 die", c="die", e="10")
    done = project.refresh(executor="multiprocess", NUMBERS_BATCH_SIZE="100", NUMBERS_MAX_MISSING="2")
    assert done.returncode != 0, done.stderr
    assert project.dataset() == {"a.txt": [1, 2], "d.txt": [7], "e.txt": [10]}
    assert {key: n for key, n in project.invocations().items() if n > 1} == {"b.txt": 3, "c.txt": 2}
    with project.instance() as instance:
        assert instance.get_materialized_partitions(SAMPLES) == {"a.txt", "d.txt", "e.txt"}
        assert failed_partitions(instance) == {"b.txt", "c.txt"}
        for key in ("b.txt", "c.txt"):
            metadata = observed(instance, key)[0]
            assert "WorkerDiedError" in metadata["curator/error"].value
    project.put(b="2", c="3")
    assert project.refresh().returncode == 0
    assert len(project.dataset()) == 5


def observed(instance, partition):
    """Metadata of the latest observations of a partition, newest first."""
    records = instance.fetch_observations(AssetRecordsFilter(SAMPLES, asset_partitions=[partition]), limit=5).records
    return [record.asset_observation.metadata for record in records]


def failed_partitions(instance):
    """Partitions that a failed run meant to materialize and did not, as Dagster's UI sees them."""
    storage = instance.event_log_storage
    attempts = storage.get_latest_asset_partition_materialization_attempts_without_materializations(SAMPLES)
    return {partition for partition, (run_id, _) in attempts.items() if instance.get_run_by_id(run_id).is_failure}


def test_within_the_tolerance_the_dataset_is_published_without_the_failed_item(project):
    """`max_missing=1`: published, the missing item named in metadata and manifest; the run still fails."""
    project.put(b="x")
    assert project.refresh(NUMBERS_MAX_MISSING="1").returncode != 0
    assert set(project.dataset()) == {"a.txt", "c.txt", "d.txt"}
    manifest = (project.folder / "output" / "numbers.json.manifest.json").read_text()
    assert "ValueError: invalid literal" in manifest
    with project.instance() as instance:
        metadata = instance.get_latest_materialization_event(DATASET).asset_materialization.metadata
        assert metadata["curator/n_missing"].value == 1
        assert "b.txt" in str(metadata["curator/missing"].value)


def test_a_source_that_lists_nothing_fails_clearly_and_takes_nothing_away(project):
    """An unmounted folder must not empty the dataset: one sentence, partitions and dataset stay."""
    assert project.refresh().returncode == 0
    before = project.outputs()
    project.input.rename(project.folder / "elsewhere")
    failed = project.refresh(NUMBERS_PRUNE="1")
    assert failed.returncode != 0
    assert "EmptySourceError: The source of 'numbers' (NumberFiles) lists no items" in failed.stderr
    assert project.outputs() == before
    with project.instance() as instance:
        assert len(instance.get_dynamic_partitions("numbers")) == 4
    (project.folder / "elsewhere").rename(project.input)
    assert project.refresh(NUMBERS_PRUNE="1").returncode == 0
    assert set(project.invocations().values()) == {1}


def test_keys_that_dagster_cannot_take_are_made_safe(project):
    """The partition has a safe key, the original stands in the metadata."""
    names = {"a,b", "x...y", "käse", "a" * 240}
    project.put(**dict.fromkeys(names, "1"))
    assert project.refresh().returncode == 0
    with project.instance() as instance:
        partitions = {
            m.metadata["curator/key"].value.removesuffix(".txt"): m.partition for m in materializations(instance)
        }
    assert partitions.keys() == names | set("abcd")
    assert not [key for key in partitions.values() if "," in key or "..." in key]
