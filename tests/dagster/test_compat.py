"""What is used of Dagster beyond its public interface; fails loudly when a release changes it."""

import sys

import pytest
from click.testing import CliRunner
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    DynamicPartitionsDefinition,
    asset,
    job,
    materialize,
    op,
)
from dagster._cli import cli  # noqa: PLC2701 - as below
from dagster._core.code_pointer import ModuleCodePointer  # noqa: PLC2701 - as below
from dagster._core.events import EngineEventData  # noqa: PLC2701 - as below
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin  # noqa: PLC2701 - as below
from dagster._grpc.types import ExecuteStepArgs  # noqa: PLC2701 - what the executor hands to a step handler

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
        _compat.report_planned(context.instance, context.run, SAMPLES, ["a", "b"], "fail")
        context.log_event(AssetMaterialization(SAMPLES, partition="a"))
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


def test_a_step_is_settled_from_its_outcome_on_until_it_is_launched_again(instance):
    """A retry is launched after the outcome of the attempt before it."""

    @op
    def nothing():
        pass

    @job
    def empty():
        nothing()

    run = instance.get_run_by_id(empty.execute_in_process(instance=instance).run_id)
    context = _compat.StepHandlerContext(instance, None, [], None, dagster_run=run)
    assert _compat.is_settled(context, "nothing")
    assert not _compat.is_settled(context, "another")
    kind = DagsterEventType.STEP_WORKER_STARTING.value
    again = DagsterEvent(kind, "empty", step_key="nothing", event_specific_data=EngineEventData())
    instance.report_dagster_event(again, run.run_id)
    assert not _compat.is_settled(context, "nothing")


def test_a_step_can_be_executed_by_dagsters_command_line(instance):
    """The arguments are those of a command that Dagster has, whatever calls it."""
    origin = JobPythonOrigin("job", RepositoryPythonOrigin(sys.executable, ModuleCodePointer("module", "job")))
    args = ExecuteStepArgs(origin, "run", ["step"])
    arguments = _compat.step_arguments(_compat.StepHandlerContext(instance, None, [], args))
    assert arguments[:2] == ["api", "execute_step"]
    assert CliRunner().invoke(cli, [*arguments[:2], "--help"]).exit_code == 0
