"""What is used of Dagster beyond its public interface; fails loudly when a release changes it."""

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    DagsterRunStatus,
    DynamicPartitionsDefinition,
    Output,
    asset,
    job,
    materialize,
    op,
)

from curator_dagster import _compat  # noqa: PLC2701 - what is tested

SAMPLES = AssetKey(["things", "samples"])


@pytest.fixture
def instance(tmp_path):
    with DagsterInstance.local_temp(str(tmp_path)) as found:
        yield found


def test_the_latest_data_version_of_every_partition_is_found_in_one_query(instance):
    """The newest materialization counts; partitions without a version are left out."""

    @op
    def record(context):
        for partition, version in [("a", "1"), ("b", "1"), ("a", "2"), ("c", None)]:
            tags = {_compat.DATA_VERSION_TAG: version} if version else None
            context.log_event(AssetMaterialization(SAMPLES, partition=partition, tags=tags))

    @job
    def recording():
        record()

    assert recording.execute_in_process(instance=instance).success
    assert _compat.latest_data_versions(instance, SAMPLES) == {"a": "2", "b": "1"}


def test_the_data_version_tag_is_the_one_dagster_reads(instance):
    """What an op logs with the tag is what `get_latest_data_version_record` gives."""

    @asset(key=SAMPLES, partitions_def=DynamicPartitionsDefinition(name="things"))
    def samples(context):
        context.log_event(AssetMaterialization(SAMPLES, partition="a", tags={_compat.DATA_VERSION_TAG: "my-version"}))

    instance.add_dynamic_partitions("things", ["a"])
    assert materialize([samples], instance=instance, partition_key="a").success
    assert "my-version" in {
        record.asset_materialization.tags.get(_compat.DATA_VERSION_TAG)
        for record in instance.fetch_materializations(SAMPLES, limit=10).records
    }


def test_a_planned_partition_of_a_failed_run_counts_as_failed(instance):
    """As Dagster's UI counts it."""

    @op
    def fail(context):
        events = _compat.EventBatch(context)
        events.add_planned(SAMPLES, "a")
        events.add_planned(SAMPLES, "b")
        events.add_materialization(AssetMaterialization(SAMPLES, partition="a"))
        events.store()
        raise RuntimeError("as meant")

    @job
    def failing():
        fail()

    assert not failing.execute_in_process(instance=instance, raise_on_error=False).success
    storage = instance.event_log_storage
    assert set(storage.get_latest_asset_partition_materialization_attempts_without_materializations(SAMPLES)) == {"b"}


def test_a_dead_run_is_marked_as_failed(instance):
    """It does not stay in progress for ever."""

    @op
    def nothing():
        pass

    @job
    def empty():
        nothing()

    run = instance.create_run_for_job(empty, status=DagsterRunStatus.STARTED)
    _compat.report_run_dead(instance, run, "killed")
    assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.FAILURE


def test_an_evaluation_that_an_op_logs_knows_its_materialization(instance):
    """The record of the newest materialization becomes the target, which the latest evaluation gives back."""
    check = AssetCheckKey(SAMPLES, "fine")

    @op
    def record(context):
        for _ in range(2):
            yield AssetMaterialization(SAMPLES)
        (newest,) = context.instance.fetch_materializations(SAMPLES, limit=1).records
        yield AssetCheckEvaluation(SAMPLES, "fine", True, target_materialization_data=_compat.check_target(newest))
        yield Output(None)

    @job
    def recording():
        record()

    assert _compat.latest_checked_materialization(instance, check) is None
    assert recording.execute_in_process(instance=instance).success
    (newest,) = instance.fetch_materializations(SAMPLES, limit=1).records
    assert _compat.latest_checked_materialization(instance, check) == newest.storage_id
