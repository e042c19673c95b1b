"""What is used of Dagster beyond its public interface; fails loudly when a release changes it."""

import asyncio
import datetime as dt
import sys
import time
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    AssetPartitionStatus,
    AssetsDefinition,
    AssetSelection,
    AutomationCondition,
    AutomationResult,
    ConfigurableResource,
    DagsterEvent,
    DagsterEventType,
    DagsterExecutionInterruptedError,
    DagsterInstance,
    DagsterInvalidDefinitionError,
    DagsterInvariantViolationError,
    DagsterRunStatus,
    Definitions,
    DynamicPartitionsDefinition,
    Failure,
    FreshnessPolicy,
    MetadataValue,
    Nothing,
    Out,
    Output,
    ResourceParam,
    RetryPolicy,
    StaticPartitionsDefinition,
    asset,
    build_sensor_context,
    definitions,
    evaluate_automation_conditions,
    job,
    materialize,
    multi_asset_check,
    op,
)
from dagster._cli import cli  # noqa: PLC2701 - as below
from dagster._core.code_pointer import ModuleCodePointer  # noqa: PLC2701 - as below
from dagster._core.definitions.freshness_evaluator import (  # noqa: PLC2701 - as below
    TimeWindowFreshnessPolicyEvaluator,
)
from dagster._core.definitions.job_base import InMemoryJob  # noqa: PLC2701 - as below
from dagster._core.events import EngineEventData  # noqa: PLC2701 - as below
from dagster._core.execution.api import execute_run_iterator  # noqa: PLC2701 - as below
from dagster._core.loader import LoadingContextForTest  # noqa: PLC2701 - as below
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin  # noqa: PLC2701 - as below
from dagster._core.remote_representation.external_data import RepositorySnap  # noqa: PLC2701 - what others see
from dagster._core.storage import tags as dagster_tags  # noqa: PLC2701 - as below
from dagster._core.test_utils import freeze_time  # noqa: PLC2701 - as below
from dagster._grpc.types import ExecuteStepArgs  # noqa: PLC2701 - what the executor hands to a step handler
from dagster_shared.serdes import serialize_value

from curator_dagster._compat import (  # noqa: PLC2701 - what is tested
    automation,
    dynamic_partitions,
    failure,
    interrupts,
    loading,
    notes,
    pools,
    resources,
    runs,
    statuses,
    step_delegation,
)
from curator_dagster._compat.events import asset_events  # noqa: PLC2701 - what is tested

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
            tags = {asset_events.DATA_VERSION_TAG: version} if version else None
            context.log_event(AssetMaterialization(SAMPLES, partition=partition, tags=tags))

    @job
    def recording():
        record()

    assert recording.execute_in_process(instance=instance).success
    assert asset_events.latest_data_versions(instance, SAMPLES) == {"a": "2", "b": "1"}


def test_the_data_version_tag_is_the_one_dagster_reads(instance):
    """What an op logs with the tag is what `get_latest_data_version_record` gives."""

    @asset(key=SAMPLES, partitions_def=DynamicPartitionsDefinition(name="things"))
    def samples(context):
        context.log_event(
            AssetMaterialization(SAMPLES, partition="a", tags={asset_events.DATA_VERSION_TAG: "my-version"})
        )

    instance.add_dynamic_partitions("things", ["a"])
    assert materialize([samples], instance=instance, partition_key="a").success
    assert "my-version" in {
        record.asset_materialization.tags.get(asset_events.DATA_VERSION_TAG)
        for record in instance.fetch_materializations(SAMPLES, limit=10).records
    }


def test_a_planned_partition_of_a_failed_run_counts_as_failed(instance):
    """As Dagster's UI counts it; a version from before that stands no more."""

    @op
    def fail(context):
        events = asset_events.EventBatch(context)
        events.add_materialization(SAMPLES, "b", {}, {asset_events.DATA_VERSION_TAG: "1"}, "b")
        events.add_planned(SAMPLES, "a")
        events.add_planned(SAMPLES, "b")
        events.add_materialization(SAMPLES, "a", {}, {asset_events.DATA_VERSION_TAG: "1"}, "a")
        events.store()
        raise RuntimeError("as meant")

    @job
    def failing():
        fail()

    assert not failing.execute_in_process(instance=instance, raise_on_error=False).success
    storage = instance.event_log_storage
    assert set(storage.get_latest_asset_partition_materialization_attempts_without_materializations(SAMPLES)) == {"b"}
    assert asset_events.standing_data_versions(instance, SAMPLES) == {"a": "1"}


@pytest.mark.parametrize("has_tables", [True, False])
def test_many_partitions_are_removed(monkeypatch, has_tables):
    """In a few statements where the storage has tables, else one after another; those of others stay."""
    monkeypatch.setattr(dynamic_partitions, "STATEMENT_SIZE", 2)
    if not has_tables:
        monkeypatch.setattr("dagster._core.storage.event_log.SqlEventLogStorage", ModuleType)
    keys = [f"{number}" for number in range(5)]
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("things", [*keys, "left"])
        instance.add_dynamic_partitions("others", keys)
        dynamic_partitions.delete_dynamic_partitions(instance, "things", keys)
        assert instance.get_dynamic_partitions("things") == ["left"]
        assert set(instance.get_dynamic_partitions("others")) == set(keys)


class Upstream:
    """An asset upstream of one that is launched by Dagster, and one that is launched when the data changed."""

    def __init__(self, instance):
        policy = FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=1))
        self.raw = asset(name="raw", freshness_policy=policy)(lambda: None)
        eager = AutomationCondition.eager()
        by_data = eager.replace("newly_updated", AutomationCondition.data_version_changed())
        followers = [
            asset(name=name, deps=[self.raw], automation_condition=condition)(lambda: None)
            for name, condition in (("eager", eager), ("by_data", by_data))
        ]
        self.defs, self.instance, self.cursor = Definitions(assets=[self.raw, *followers]), instance, None

    def report(self, event):
        self.instance.report_runless_asset_event(event)

    def launched(self):
        everything = AssetSelection.all()
        found = evaluate_automation_conditions(self.defs, self.instance, asset_selection=everything, cursor=self.cursor)
        self.cursor = found.cursor
        return {name for name in ("eager", "by_data") if found.get_num_requested(AssetKey(name))}

    def freshness(self, now):
        node, context = self.defs.resolve_asset_graph().get(self.raw.key), LoadingContextForTest(self.instance)
        with freeze_time(now):
            return asyncio.run(TimeWindowFreshnessPolicyEvaluator().evaluate_freshness(context, node)).value


@pytest.mark.parametrize("respects", [False, True])
def test_only_a_confirmation_keeps_a_freshness_policy_and_launches_nothing(respects):
    """An observation does not keep it; a materialization of the same data launches what does not ask for the data."""
    settings = {"auto_materialize": {"respect_materialization_data_versions": respects}}
    made = AssetMaterialization("raw", tags={asset_events.DATA_VERSION_TAG: "1"})
    with DagsterInstance.ephemeral(settings=settings) as instance:
        raw = Upstream(instance)
        assert not statuses.confirm(instance, raw.raw.key, "")
        raw.report(made)
        raw.launched()
        in_an_hour = time.time() + 3600
        assert raw.freshness(in_an_hour) == "FAIL"
        raw.report(AssetObservation("raw"))
        assert (raw.freshness(in_an_hour), raw.launched()) == ("FAIL", set())
        assert statuses.confirm(instance, raw.raw.key, "")
        assert (raw.freshness(in_an_hour), raw.launched()) == ("PASS", set())
        raw.report(made)
        assert (raw.freshness(in_an_hour), raw.launched()) == ("PASS", {"eager"})


def test_a_planned_partition_of_a_terminated_run_is_not_in_progress(instance):
    """Nor has it failed: nobody tried."""

    @op
    def plan(context):
        events = asset_events.EventBatch(context)
        events.add_planned(SAMPLES, "a")
        events.store()
        seen.append(status())
        context.instance.report_run_canceled(context.run)
        seen.append(status())

    @job
    def planning():
        plan()

    def status():
        return instance.get_status_by_partition(SAMPLES, ["a"], DynamicPartitionsDefinition(name="things"))["a"]

    seen = []
    instance.add_dynamic_partitions("things", ["a"])
    planning.execute_in_process(instance=instance, raise_on_error=False)
    assert seen == [AssetPartitionStatus.IN_PROGRESS, None]


def test_a_dead_run_is_marked_as_failed(instance):
    """It does not stay in progress for ever."""

    @op
    def nothing():
        pass

    @job
    def empty():
        nothing()

    run = instance.create_run_for_job(empty, status=DagsterRunStatus.STARTED)
    runs.report_run_dead(instance, run, "killed")
    assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.FAILURE


def test_a_run_that_waits_is_marked_as_done():
    """Its message says why, and nobody executes it any more."""

    @job
    def empty(): ...

    with DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(empty, status=DagsterRunStatus.STARTING)
        runs.report_run_answered(instance, run, "done elsewhere", has_failed=False)
        ended = instance.get_run_by_id(run.run_id)
        assert ended.status == DagsterRunStatus.SUCCESS
        (entry,) = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_SUCCESS)
        assert entry.get_dagster_event().message == "done elsewhere"
        ignored = list(execute_run_iterator(InMemoryJob(empty), ended, instance))
        assert "already finished" in ignored[0].message


def test_an_evaluation_that_an_op_logs_knows_its_materialization(instance):
    """The record of the newest materialization becomes the target, which the latest evaluation gives back."""
    check = AssetCheckKey(SAMPLES, "fine")

    @op
    def record(context):
        for _ in range(2):
            yield AssetMaterialization(SAMPLES)
        (newest,) = context.instance.fetch_materializations(SAMPLES, limit=1).records
        yield AssetCheckEvaluation(SAMPLES, "fine", True, target_materialization_data=asset_events.check_target(newest))
        yield Output(None)

    @job
    def recording():
        record()

    assert asset_events.latest_checked_materialization(instance, check) is None
    assert recording.execute_in_process(instance=instance).success
    (newest,) = instance.fetch_materializations(SAMPLES, limit=1).records
    assert asset_events.latest_checked_materialization(instance, check) == newest.storage_id


def test_a_planned_evaluation_is_none(instance):
    """The latest record of a check may be one that was planned in a run that never came to it."""

    @multi_asset_check(specs=[AssetCheckSpec("fine", asset=SAMPLES)])
    def checks():
        raise RuntimeError("as meant")

    job = Definitions(asset_checks=[checks]).resolve_implicit_global_asset_job_def()
    assert not job.execute_in_process(instance=instance, raise_on_error=False).success
    assert asset_events.latest_checked_materialization(instance, AssetCheckKey(SAMPLES, "fine")) is None


def test_an_output_records_nothing_and_lets_others_go_on(instance):
    """An asset whose partitions the op has materialized itself, and one downstream of it in the same run."""
    parts = StaticPartitionsDefinition(["a", "b"])

    @op(out=Out(Nothing))
    def fill(context):
        batch = asset_events.EventBatch(context)
        for key in context.partition_keys:
            batch.add_materialization(SAMPLES, key, {}, {}, key)
        batch.store()
        yield asset_events.unrecorded_output()

    samples = AssetsDefinition.from_op(fill, keys_by_output_name={"result": SAMPLES}, partitions_def=parts)

    @asset(deps=[SAMPLES], partitions_def=parts)
    def after() -> None:
        pass

    job = Definitions(assets=[samples, after]).resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance, partition_key="b").success
    assert [r.partition_key for r in instance.fetch_materializations(SAMPLES, limit=10).records] == ["b"]
    assert instance.get_materialized_partitions(AssetKey("after")) == {"b"}


def test_a_condition_of_ones_own_sees_the_instance_and_what_was_requested(instance):
    """The instance it is evaluated on, and whether the evaluation before requested a run."""
    seen = []

    class Seeing(AutomationCondition):
        def evaluate(self, context):
            assert automation.automated_asset(context).key == context.key
            seen.append((automation.automated_instance(context), automation.was_requested(context)))
            is_first = len(seen) == 1
            return AutomationResult(context, context.candidate_subset if is_first else context.get_empty_subset())

    @asset(automation_condition=Seeing())
    def watched():
        pass

    cursor = None
    for _ in range(3):
        selection = AssetSelection.assets(watched)
        cursor = evaluate_automation_conditions([watched], instance, asset_selection=selection, cursor=cursor).cursor
    assert seen == [(instance, False), (instance, True), (instance, False)]


def test_a_condition_of_ones_own_evaluates_its_child_when_it_wants(instance):
    """The child's result counts; a tick without it is no mistake."""
    ticks = []

    class Child(AutomationCondition):
        def evaluate(self, context):
            return AutomationResult(context, context.candidate_subset)

    class Parent(AutomationCondition):
        children = (Child(),)

        async def evaluate(self, context):  # type: ignore[override]
            ticks.append(await automation.child_result(context, self.children[0]) if len(ticks) != 1 else None)
            wanted = context.get_empty_subset() if ticks[-1] is None else ticks[-1].true_subset
            return AutomationResult(context, wanted, child_results=[t for t in ticks[-1:] if t is not None])

    @asset(automation_condition=Parent())
    def watched():
        pass

    cursor, requested = None, []
    for _ in range(3):
        selection = AssetSelection.assets(watched)
        result = evaluate_automation_conditions([watched], instance, asset_selection=selection, cursor=cursor)
        cursor = result.cursor
        requested.append(result.total_requested)
    assert requested == [1, 0, 1]


def test_a_definition_carries_an_object_that_merging_keeps_and_snapshots_do_not_need():
    """The object itself is found in the process that made it; others see its text."""
    carried = object()

    @job(metadata=loading.carried("curator/thing", "a thing", carried))
    def carrying():
        pass

    merged = Definitions.merge(Definitions(jobs=[carrying]), Definitions())
    (found,) = merged.jobs
    assert loading.carried_value(found.metadata, "curator/thing") is carried
    assert loading.carried_value(found.metadata, "curator/other") is None
    assert found.metadata["curator/thing"].value == "a thing"
    assert "a thing" in serialize_value(RepositorySnap.from_def(merged.get_repository_def()))


def test_definitions_are_found_as_the_command_line_finds_them():
    """One `Definitions`, or one function that gives them; several, or none, are refused."""
    module: Any = ModuleType("some_module")
    with pytest.raises(DagsterInvariantViolationError, match="No Definitions"):
        loading.definitions_of(module)
    module.first = Definitions()
    assert loading.definitions_of(module) is module.first
    module.second = Definitions()
    with pytest.raises(DagsterInvariantViolationError, match="more than one Definitions"):
        loading.definitions_of(module)
    module.lazy = definitions(lambda: module.first)
    found: Any = loading.definitions_of(module)
    assert found() is module.first


def test_a_step_is_settled_from_its_outcome_on_until_it_is_launched_again(instance):
    """A retry is launched after the outcome of the attempt before it."""

    @op
    def nothing():
        pass

    @job
    def empty():
        nothing()

    run = instance.get_run_by_id(empty.execute_in_process(instance=instance).run_id)
    context = step_delegation.StepHandlerContext(instance, None, [], None, dagster_run=run)
    assert step_delegation.is_settled(context, "nothing")
    assert not step_delegation.is_settled(context, "another")
    kind = DagsterEventType.STEP_WORKER_STARTING.value
    again = DagsterEvent(kind, "empty", step_key="nothing", event_specific_data=EngineEventData())
    instance.report_dagster_event(again, run.run_id)
    assert not step_delegation.is_settled(context, "nothing")


def test_a_step_can_be_executed_by_dagsters_command_line(instance):
    """The arguments are those of a command that Dagster has, whatever calls it."""
    origin = JobPythonOrigin("job", RepositoryPythonOrigin(sys.executable, ModuleCodePointer("module", "job")))
    args = ExecuteStepArgs(origin, "run", ["step"])
    arguments = step_delegation.step_arguments(step_delegation.StepHandlerContext(instance, None, [], args))
    assert arguments[:2] == ["api", "execute_step"]
    assert CliRunner().invoke(cli, [*arguments[:2], "--help"]).exit_code == 0


@pytest.mark.parametrize("is_terminated", [True, False])
def test_an_op_is_not_tried_again_when_its_run_is_terminated(instance, is_terminated):
    """It is when only its machine is taken away; the name is what Dagster's multiprocess executor looks for."""
    attempts = []

    @op(retry_policy=RetryPolicy(max_retries=1))
    def interrupted(context):
        if is_terminated:
            instance.report_run_canceling(context.run)
        with interrupts.terminating(context):
            attempts.append(1)
            if len(attempts) == 1:
                raise DagsterExecutionInterruptedError

    @job
    def once():
        interrupted()

    if is_terminated:
        with pytest.raises(DagsterExecutionInterruptedError) as caught:
            once.execute_in_process(instance=instance)
        assert type(caught.value).__name__ == "DagsterExecutionInterruptedError"
    else:
        assert once.execute_in_process(instance=instance).success
    assert len(attempts) == (1 if is_terminated else 2)


def test_an_unrecorded_output_records_nothing_and_lets_what_is_downstream_run(instance):
    """The op's own materialization stays the only one of its partition."""
    partitions = DynamicPartitionsDefinition(name="things")

    @asset(key=SAMPLES, partitions_def=partitions)
    def samples(context):
        context.log_event(AssetMaterialization(SAMPLES, partition="a"))
        return asset_events.unrecorded_output()

    @asset(deps=[samples], partitions_def=partitions)
    def below():
        pass

    instance.add_dynamic_partitions("things", ["a"])
    assert materialize([samples, below], instance=instance, partition_key="a").success
    assert len(instance.fetch_materializations(SAMPLES, limit=10).records) == 1
    assert instance.get_materialized_partitions(below.key) == {"a"}


def test_notes_are_kept_by_topic(instance):
    """Written, replaced, and apart from those of another topic."""
    assert notes.read_notes(instance, "one") == {}
    notes.write_note(instance, "one", "a", {"seen": 1.5})
    notes.write_note(instance, "two", "b", 2)
    assert notes.read_notes(instance, "one") == {"a": {"seen": 1.5}}
    notes.write_note(instance, "one", "a", {"seen": 2.5})
    notes.write_note(instance, "one", "c", 3)
    assert notes.read_notes(instance, "one") == {"a": {"seen": 2.5}, "c": 3}
    notes.forget_notes(instance, "one")
    assert notes.read_notes(instance, "one") == {}
    assert notes.read_notes(instance, "two") == {"b": 2}


def test_notes_that_are_left_at_the_same_moment(instance, monkeypatch):
    """One process has read what is there, and writes after another one did: neither note is lost."""
    storage = type(instance.run_storage)
    write = storage.set_cursor_values

    def meanwhile(self, values):
        monkeypatch.setattr(storage, "set_cursor_values", write)
        notes.write_note(instance, "one", "b", 2)
        write(self, values)

    monkeypatch.setattr(storage, "set_cursor_values", meanwhile)
    notes.write_note(instance, "one", "a", 1)
    assert notes.read_notes(instance, "one") == {"a": 1, "b": 2}


class Place(ConfigurableResource):
    """A resource that is another object for who does not annotate it."""

    name: str


def test_a_missing_resource_is_told_of_in_ones_own_words():
    """By a job and by an asset that its op is in; what is there satisfies both, and other requirements stay."""

    @op(required_resource_keys={"place", "other"})
    def work(context):
        found = resources.original_resources(context.resources)
        assert isinstance(found["place"], Place)
        return found["other"]

    resources.explain_missing_resources(work, {"place": "Nowhere to work"})

    @job
    def working():
        work()

    for made in (Definitions(jobs=[working]), Definitions(assets=[AssetsDefinition.from_op(work)])):
        with pytest.raises(DagsterInvalidDefinitionError, match=r"resource with key 'other' required by op 'work'"):
            Definitions.merge(made, Definitions(resources={"place": Place(name="x")})).get_repository_def()
        with pytest.raises(DagsterInvalidDefinitionError, match=r"^Nowhere to work\. There are: other\.$"):
            Definitions.merge(made, Definitions(resources={"other": 3})).get_repository_def()
        whole = Definitions.merge(made, Definitions(resources={"place": Place(name="x"), "other": 3}))
        assert all(found.execute_in_process().success for found in whole.resolve_all_job_defs())


def test_parameters_are_resources_as_dagster_sees_them():
    """By their annotation; what is bound already is none, and neither is anything of what has no signature."""

    def made(place: Place, plain: ResourceParam[int], other: int = 3, unknown: "Elsewhere | None" = None) -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821
        raise AssertionError

    class Called:
        def __call__(self, place: Place):
            raise AssertionError

    assert resources.resource_parameters(made) == ("place", "plain")
    assert resources.resource_parameters(partial(made, place=Place(name="x"))) == ("plain",)
    assert resources.resource_parameters(partial(partial(made, 3), plain=3)) == ("place",)
    assert resources.resource_parameters(Called()) == ("place",)
    assert resources.resource_parameters(partial(dict, a=3)) == ()
    assert resources.resource_parameters(len) == ()


def test_what_a_location_defines_and_what_a_pool_takes():
    """Neither is public; an asset that is named as upstream only is not defined."""
    with DagsterInstance.local_temp() as instance:
        assert pools.pool_limit(instance, "gpu") is None
        for limit in (0, 3):
            instance.event_log_storage.set_concurrency_slots("gpu", limit)
            assert pools.pool_limit(instance, "gpu") == limit
        repositories = []

        @asset(deps=["elsewhere"])
        def here(context: AssetExecutionContext) -> None:
            repositories.append(pools.repository_of(context.op_execution_context))

        definitions = Definitions([here])
        assert pools.defined_assets(definitions.get_repository_def()) == {here.key}
        assert definitions.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance).success
        assert repositories == [None]
        tick = build_sensor_context(instance, definitions=definitions)
        assert pools.repository_of(tick) is definitions.get_repository_def()


def test_a_clear_failure_is_recorded_without_the_stack_of_dagsters_own_calls(instance):
    """Its sentence, its metadata, and the stack of its cause alone; it is not tried again."""

    @op(retry_policy=RetryPolicy(max_retries=2))
    def fail():
        try:
            int("x")
        except ValueError as exc:
            raise failure.ClearFailure("Nothing is written.", {"free": MetadataValue.int(0)}, exc) from exc

    @job
    def failing():
        fail()

    result = failing.execute_in_process(instance=instance, raise_on_error=False)
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data
    assert (data.error.message, data.error.stack, data.error.cls_name) == ("Nothing is written.\n", [], "Failure")
    assert "invalid literal" in data.error.cause.message
    assert len(data.error.cause.stack) == 1
    assert data.user_failure_data.metadata == {"free": MetadataValue.int(0)}
    with pytest.raises(Failure, match=r"Nothing is written\."):
        failing.execute_in_process(instance=instance)


def test_dagster_names_the_code_server_of_a_run_in_this_tag():
    """By it a run is known that Dagster's default launcher started."""
    assert dagster_tags.GRPC_INFO_TAG == runs.GRPC_INFO_TAG
