"""What a platform team sets of its assets can be set of a curation: keys, tags, pools, retries, hooks, executors."""

import dagster as dg
import pytest

from curator_core import Pipeline
from curator_core.testing import DatasetSink, FileSource
from curator_dagster import Curation, CurationTranslator, build_curation_defs
from curator_dagster.curation.instance_checks import lacking
from curator_dagster.steps.dataset import publish_dataset

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
SAMPLES, DATASET = dg.AssetKey(["texts", "samples"]), dg.AssetKey(["texts", "dataset"])


class Place:
    """Three files, and a curation of them on an instance in memory."""

    def __init__(self, folder, instance):
        self.folder, self.instance = folder, instance
        (folder / "raw").mkdir()
        for number in range(3):
            (folder / "raw" / f"f{number}.txt").write_text(str(number))

    def pipeline(self):
        sink = DatasetSink(str(self.folder / "texts.json"))
        return Pipeline(FileSource(str(self.folder / "raw")), [], sink, db_file=self.folder / "m.db")

    def defs(self, *, name="texts", executor=dg.in_process_executor, **settings):
        return build_curation_defs(name, self.pipeline, executor=executor, batch_size=100, **settings)

    def refresh(self, defs):
        return self.run(defs.resolve_job_def("texts_refresh"))

    def run(self, job, selection=None, **tags):
        return job.execute_in_process(
            instance=self.instance, run_config=QUIET, raise_on_error=False, asset_selection=selection, tags=tags
        )

    def materialize(self, defs, *keys, partition=None):
        tags = {} if partition is None else {"dagster/partition": partition}
        return self.run(defs.resolve_implicit_global_asset_job_def(), list(keys), **tags)

    def warnings(self, run_id):
        return [entry.user_message for entry in self.instance.all_logs(run_id) if entry.level == 30]


@pytest.fixture
def place(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        yield Place(tmp_path, instance)


def ops(defs):
    """Ops of all that a curation defines, by name; those of the refresh and of the assets."""
    job = defs.resolve_job_def("texts_refresh")
    found = [node.definition for node in job.graph.nodes]
    for made in defs.assets:
        node = made.node_def
        found += [inner.definition for inner in node.nodes] if isinstance(node, dg.GraphDefinition) else [node]
    return [*found, *(check.node_def for check in defs.asset_checks)]


def named(defs, ending):
    chosen = [op for op in ops(defs) if op.name.endswith(ending)]
    assert chosen
    return chosen


def test_a_prefix_stands_before_every_key_and_nothing_else_changes(place):
    """Assets, checks, materializations and the condition have it; jobs, ops and partitions keep the name."""
    samples, dataset = (
        dg.AssetKey(["lake", "raw", "texts", "samples"]),
        dg.AssetKey(["lake", "raw", "texts", "dataset"]),
    )
    plain, defs = place.defs(), place.defs(key_prefix=["lake", "raw"])
    assert sorted(op.name for op in ops(defs)) == sorted(op.name for op in ops(plain))
    assert place.refresh(defs).success
    assert set(place.instance.all_asset_keys()) == {samples, dataset}
    assert place.materialize(defs, samples, partition="f1.txt").success
    graph = defs.resolve_asset_graph()
    assert graph.get(dataset).parent_keys == {samples}
    assert {key.asset_key for key in graph.asset_check_keys} == {dataset}
    selected = dg.AssetSelection.assets(dataset)
    assert dg.evaluate_automation_conditions(defs, place.instance, asset_selection=selected).total_requested == 0
    assert set(place.defs(key_prefix="lake").resolve_asset_graph().get_all_asset_keys()) == {
        dg.AssetKey(["lake", *key.path]) for key in (SAMPLES, DATASET)
    }


def test_a_translator_begins_with_the_prefix(place):
    """What it takes from `super` has it; a key of its own is the whole key."""

    class Own(CurationTranslator):
        def get_asset_spec(self, props):
            assert list(props.key_prefix) == ["lake"]
            spec = super().get_asset_spec(props)
            return spec if props.asset == "samples" else spec.replace_attributes(key="table")

    keys = set(place.defs(key_prefix="lake", translator=Own()).resolve_asset_graph().get_all_asset_keys())
    assert keys == {dg.AssetKey(["lake", "texts", "samples"]), dg.AssetKey("table")}


POLICY = dg.RetryPolicy(max_retries=3)
GPU = {"container_config": {"resources": {"limits": {"nvidia.com/gpu": 1}}}}


def test_what_is_set_of_ops_is_of_those_that_process_items(place):
    """In the refresh and in the asset alike, and of no others; one retry is what there is without."""
    defs = place.defs(op_tags={"dagster-k8s/config": GPU, "team": "x"}, pool="gpu", retry_policy=POLICY)
    process = named(defs, "_process")
    assert len(process) == 2
    for op in ops(defs):
        if op in process:
            assert (op.pool, op.tags["team"], op.retry_policy) == ("gpu", "x", POLICY)
            assert "nvidia.com/gpu" in op.tags["dagster-k8s/config"]
        else:
            assert (op.pool, op.tags.get("team"), op.retry_policy) == (None, None, None)
    assert [op.retry_policy.max_retries for op in named(place.defs(), "_process")] == [1, 1]


def test_what_is_set_of_ops_may_differ_by_role(place):
    """The dataset, its checks and the end of a refresh publish; planning is neither."""
    defs = place.defs(
        op_tags={"process": {"node": "gpu"}, "dataset": {"node": "big"}},
        pool={"process": "gpu", "dataset": "disk"},
        retry_policy={"dataset": POLICY},
    )
    for ending, node, pool in (
        ("_process", "gpu", "gpu"),
        ("texts_collect", "big", "disk"),
        ("texts__dataset", "big", "disk"),
        ("texts_checks", "big", "disk"),
        ("_plan", None, None),
        ("_plan_selected", None, None),
        ("_collect_selected", None, None),
    ):
        for op in named(defs, ending):
            assert (op.tags.get("node"), op.pool) == (node, pool), op.name
            assert (op.retry_policy == POLICY) == (pool == "disk"), op.name


def test_publishing_is_tried_again(place, monkeypatch):
    """A step that dies while it publishes is repeated where a policy says so, and publishes."""
    attempts = []

    def failing_once(*args, **kwargs):
        attempts.append(args)
        if len(attempts) == 1:
            raise OSError("no space left")
        return publish_dataset(*args, **kwargs)

    monkeypatch.setattr("curator_dagster.refresh.publish_dataset", failing_once)
    assert place.refresh(place.defs(retry_policy={"dataset": dg.RetryPolicy(max_retries=1)})).success
    assert len(attempts) == 2
    assert place.instance.get_latest_materialization_event(DATASET) is not None


def test_runs_carry_tags_from_when_they_are_requested(place):
    """Those of the jobs, sensors and schedules; runs of partitions from when they begin, unless they have others."""
    defs = place.defs(tags={"team": "x", "limits": {"cpu": 2}}, schedule="@daily")
    expected = {"team": "x", "limits": '{"cpu": 2}', "curator/curation": "texts"}
    assert defs.resolve_job_def("texts_refresh").run_tags == expected
    (merging,) = [s for s in defs.sensors if isinstance(s, dg.AutomationConditionSensorDefinition)]
    assert merging.run_tags == expected
    place.instance.add_dynamic_partitions("texts", ["f1.txt"])
    job = defs.resolve_implicit_global_asset_job_def()
    done = place.run(job, [SAMPLES], **{"dagster/partition": "f1.txt", "team": "y"})
    tags = place.instance.get_run_by_id(done.run_id).tags
    assert {tag: tags[tag] for tag in expected} == expected | {"team": "y"}


def test_hooks_see_the_steps_of_jobs_and_assets(place):
    """Success and failure, each with the op's name."""
    seen = []

    @dg.success_hook
    def on_success(context):
        seen.append(context.op.name)

    @dg.failure_hook
    def on_failure(context):
        seen.append(f"{context.op.name} failed")

    defs = place.defs(hooks={on_success, on_failure})
    assert place.refresh(defs).success
    assert seen == ["texts_plan", "texts_process", "texts_collect"]
    (place.folder / "raw" / "f1.txt").write_text("no number")
    assert not place.materialize(defs, SAMPLES, partition="f1.txt").success
    assert seen[3:] == ["texts_plan_selected", "texts_process", "texts_collect_selected failed"]
    assert all(set(made.hook_defs) == {on_success, on_failure} for made in defs.assets)


def test_a_backfill_policy_is_of_the_samples(place):
    """By default one run takes all that are neighbours; what is none is as not given."""
    unset = dict.fromkeys(["key_prefix", "deps", "op_tags", "pool", "retry_policy", "tags", "hooks", "backfill_policy"])
    chosen = dg.BackfillPolicy.multi_run(max_partitions_per_run=7)
    for settings, policy in ((unset, dg.BackfillPolicy.single_run()), ({"backfill_policy": chosen}, chosen)):
        graph = place.defs(**settings).resolve_asset_graph()
        assert graph.get(SAMPLES).backfill_policy == policy
        assert graph.get(DATASET).backfill_policy is None


@dg.asset
def other() -> None:
    """Beside the curations."""


def test_curations_are_merged_with_each_other_and_with_other_assets(place):
    """Each is a group by its name; executors may differ where all but one are for jobs alone."""
    multi = dg.multiprocess_executor
    defs = dg.Definitions.merge(
        place.defs(name="rain"),
        place.defs(name="snow", executor=multi, executor_for="jobs"),
        place.defs(name="hail", group_name="ice"),
        dg.Definitions(assets=[other]),
    )
    dg.Definitions.validate_loadable(defs)
    graph = defs.resolve_asset_graph()
    groups = {key.to_user_string(): graph.get(key).group_name for key in graph.get_all_asset_keys()}
    assert groups == {
        "other": "default",
        **{
            f"{name}/{asset}": group
            for name, group in (("rain", "rain"), ("snow", "snow"), ("hail", "ice"))
            for asset in ("samples", "dataset")
        },
    }
    assert defs.resolve_job_def("snow_refresh").executor_def is multi
    assert defs.executor is dg.in_process_executor


def same_key(props):
    return dg.AssetKey("table" if props.asset == "dataset" else [props.name, "samples"])


def test_two_curations_with_one_key_are_refused(place):
    """When the code location loads, by the key."""

    class Same(CurationTranslator):
        def get_asset_spec(self, props):
            return super().get_asset_spec(props).replace_attributes(key=same_key(props))

    defs = dg.Definitions.merge(*(place.defs(name=name, translator=Same()) for name in ("rain", "snow")))
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="table"):
        dg.Definitions.validate_loadable(defs)


def never() -> Pipeline:
    """A factory that must not be called."""
    raise AssertionError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"key_prefix": "lake/raw"}, r"key_prefix 'lake/raw' has a slash; give its parts as a list: \['lake', 'raw'\]"),
        ({"key_prefix": ["lake", ""]}, "key_prefix must be a text or a list of texts"),
        ({"key_prefix": 3}, "key_prefix must be a text or a list of texts, none empty, not 3"),
        ({"timezone": "Europe/Berln"}, "no time zone 'Europe/Berln'; did you mean Europe/Berlin"),
        ({"timezone": ""}, "no time zone ''"),
        ({"op_tags": {"a": object()}}, "op_tags: 'a' has a value that JSON does not keep"),
        ({"op_tags": {"process": {}, "team": "x"}}, "op_tags has 'team' beside 'process'"),
        ({"tags": ["x"]}, "tags must be a mapping"),
        ({"tags": {"curator/curation": "x"}}, "always the curation's name"),
        ({"pool": "two words"}, "pool must be a name without spaces, not 'two words'"),
        ({"pool": {"plan": "gpu"}}, "pool: there are no 'plan' ops, only process and dataset"),
        ({"retry_policy": 3}, r"retry_policy must be a RetryPolicy, such as RetryPolicy\(max_retries=3\), not 3"),
        ({"hooks": {print}}, "hooks must be a set of what @success_hook"),
        ({"hooks": print}, "hooks must be a set of what @success_hook"),
        ({"translator": 3}, "translator must be an object of CurationTranslator"),
        ({"backfill_policy": 5}, "backfill_policy must be one of BackfillPolicy"),
        ({"executor_for": "me"}, "executor_for must be 'all' or 'jobs'"),
        ({"group_name": "two words"}, '"two words" is not a valid asset group name'),
        ({"deps": "raw"}, r"deps must be a list: \['raw'\]"),
    ],
)
def test_what_is_wrong_is_said_when_the_definitions_load(settings, message):
    """In one sentence, with the curation's name."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=f"Curation 'texts'.*{message}"):
        build_curation_defs("texts", never, **settings)


def test_what_an_instance_lacks_is_named_in_the_log_of_a_run(place):
    """Pools without a limit, and assets upstream of which nobody knows anything."""
    elsewhere = dg.AssetKey(["elsewhere", "raw"])
    place.instance.report_runless_asset_event(dg.AssetMaterialization(elsewhere))
    done = place.refresh(place.defs(pool="free", deps=["rwa", elsewhere]))
    assert done.success
    pool, upstream = place.warnings(done.run_id)
    assert "The pool 'free' of texts has no limit on this instance" in pool
    assert "deps of texts has rwa: this code location defines no such asset" in upstream


def test_pools_without_slots_and_misspelt_assets_are_named(place, monkeypatch):
    """With what sets slots, and what was meant; an asset that is defined but was never materialized is known.

    A tick says it of the run that it waits for.
    """
    settings = {"pool": {"dataset": "shut"}, "deps": ["othr", "other"]}
    defs = dg.Definitions.merge(place.defs(**settings), dg.Definitions(assets=[other]))
    (watching,) = [found for found in defs.sensors if found.name == "texts_new_data"]
    curation, repository = Curation.of("texts", place.pipeline, **settings), defs.get_repository_def()
    limits = {"shut": 0}  # an instance in memory has no pools
    monkeypatch.setattr("curator_dagster.curation.instance_checks.pool_limit", lambda _, pool: limits.get(pool))
    shut, misspelt = lacking(place.instance, curation, repository)
    job = defs.resolve_job_def("texts_refresh")
    place.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    skipped = watching(dg.build_sensor_context(place.instance, definitions=defs))
    limits["shut"] = 2
    assert list(lacking(place.instance, curation, repository)) == [misspelt]
    assert "has no slots on this instance" in shut
    assert "dagster instance concurrency set shut 1" in shut
    assert misspelt.endswith("Did you mean AssetKey(['other'])?")
    assert skipped.skip_message.endswith(shut)


def test_how_many_versions_are_kept(place):
    """As many as the curation says, else as the pipeline does; what is no number is refused."""
    assert Curation.of("texts", place.pipeline).open_pipeline().keep_versions == 2
    assert Curation.of("texts", place.pipeline, keep_versions=5).open_pipeline().keep_versions == 5
    for given in (0, True, 1.5):
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="keep_versions must be a whole number"):
            Curation.of("texts", place.pipeline, keep_versions=given)
