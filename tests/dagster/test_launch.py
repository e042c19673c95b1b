"""What a run is told at launch, what it carries when it is requested, and what else is in its run."""

import os
from pathlib import Path

import pytest
from dagster import (
    AssetKey,
    AssetRecordsFilter,
    BackfillPolicy,
    DagsterInstance,
    DagsterInvalidConfigError,
    Definitions,
    DynamicPartitionsDefinition,
    ReexecutionOptions,
    asset,
    execute_job,
    in_process_executor,
    reconstructable,
    validate_run_config,
)

from curator_core.testing import FileSource
from curator_core.workflow import Block, Step, Workflow
from curator_dagster import build_curation_defs, build_workflow_job

from .conftest import LOCATION, QUIET, loaded

SAMPLES, DATASET = AssetKey(["numbers", "samples"]), AssetKey(["numbers", "dataset"])


class Nothing(Block):
    """Does nothing."""

    def call(self, data, **_):
        return data


def configured(**ops):
    return QUIET | {"ops": {name: {"config": fields} for name, fields in ops.items()}}


def refreshed(watched, **fields):
    job = watched.defs.resolve_job_def("numbers_refresh")
    given = configured(numbers_plan=fields) if fields else QUIET
    return job.execute_in_process(instance=watched.instance, raise_on_error=False, run_config=given).success


def run_range(watched, assets, definitions=None, first="a.txt", last="d.txt"):
    job = (definitions or watched.defs).resolve_implicit_global_asset_job_def()
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return job.execute_in_process(
        instance=watched.instance, asset_selection=assets, tags=tags, raise_on_error=False, run_config=QUIET
    )


@pytest.mark.parametrize(
    "given", [{"again": True}, {"limit": "many"}, {"limit": 0}, {"limit": -1}, {"keys": "a.txt"}, {"keys": [1]}]
)
def test_config_that_a_refresh_does_not_know_is_refused(watched, given):
    """Before anything runs, whether it is the name or the value."""
    with pytest.raises(DagsterInvalidConfigError):
        refreshed(watched, **given)
    assert watched.project.invocations() == {}


@pytest.mark.parametrize("op", ["numbers_process", "numbers_collect"])
def test_ops_of_a_refresh_that_take_no_config_refuse_it(watched, op):
    """Where somebody types the fields of the first op one op too low."""
    with pytest.raises(DagsterInvalidConfigError):
        validate_run_config(watched.defs.resolve_job_def("numbers_refresh"), configured(**{op: {"force": True}}))


@pytest.mark.parametrize("op", ["numbers__dataset", "numbers_checks"])
def test_the_dataset_and_its_checks_refuse_config(watched, op):
    """They take none."""
    job = watched.defs.resolve_implicit_global_asset_job_def()
    with pytest.raises(DagsterInvalidConfigError):
        validate_run_config(job, configured(**{op: {"force": True}}))


def workflow_job(tmp_path, **options):
    return build_workflow_job(
        Workflow("study", [Step(Nothing(), name="only")]),
        rootdir=tmp_path,
        executor_def=in_process_executor,
        **options,
    )


def test_the_steps_of_a_workflow_refuse_config(tmp_path):
    """What they need stands in the resource."""
    with pytest.raises(DagsterInvalidConfigError):
        validate_run_config(workflow_job(tmp_path), configured(only={"limit": 1}))


def test_runs_carry_their_curation_when_they_are_requested(watched, tmp_path):
    """Of the refresh, the automation, and a workflow, which may be given another."""
    assert watched.defs.resolve_job_def("numbers_refresh").run_tags["curator/curation"] == "numbers"
    assert watched.defs.resolve_sensor_def("numbers_automation").run_tags["curator/curation"] == "numbers"
    assert workflow_job(tmp_path).run_tags["curator/curation"] == "study"
    assert workflow_job(tmp_path, tags={"curator/curation": "mine"}).run_tags["curator/curation"] == "mine"


@pytest.mark.parametrize("size", [1, 3])
def test_a_limit_leaves_the_others_to_the_next_refresh(watched, size):
    """The dataset is not published before all are there, and the limited run is green."""
    watched.settings["partition_size"] = size
    assert refreshed(watched, limit=1)
    assert 0 < len(watched.project.invocations()) < 4
    assert refreshed(watched)
    assert set(watched.project.invocations().values()) == {1}
    assert len(watched.project.dataset()) == 4


def test_a_field_without_a_value_is_as_if_it_were_left_out(watched):
    """Of a refresh, and of a run of partitions."""
    assert refreshed(watched, force=None, limit=None, keys=None, retry_failed=None)
    assert set(watched.project.invocations().values()) == {1}
    job = watched.defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={SAMPLES})
    inner = {"numbers_samples": {"ops": {"numbers_plan_selected": {"config": {"force": None}}}}}
    assert job.execute_in_process(
        instance=watched.instance, partition_key="a.txt", raise_on_error=False, run_config=QUIET | {"ops": inner}
    ).success
    assert watched.project.invocations()["a.txt"] == 1


def test_failed_items_are_left_beside_others_that_are_due(watched):
    """In a partition with new items, too; the partition is not materialized before the failed one is done."""
    watched.settings |= {"partition_size": 2, "max_missing": 3}
    watched.project.put(a="x")
    assert not refreshed(watched)
    watched.project.put(b="33")
    assert refreshed(watched, retry_failed=False)
    assert watched.project.invocations() == {"a.txt": 1, "b.txt": 2, "c.txt": 1, "d.txt": 1}
    assert watched.project.dataset()["b.txt"] == [33]
    assert watched.instance.get_materialized_partitions(SAMPLES) == {"000000002-000000003"}
    watched.project.put(a="11")
    assert refreshed(watched, retry_failed=False)  # it changed, so it is not the one that failed
    assert watched.project.dataset()["a.txt"] == [11]
    assert len(watched.instance.get_materialized_partitions(SAMPLES)) == 2


def test_keys_that_the_source_does_not_list_are_told(watched):
    """Nothing is processed for a slip of the finger."""
    assert not refreshed(watched, keys=["a.txt", "z.txt"])
    assert watched.project.invocations() == {}


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")  # a backfill policy of one's own asset
@pytest.mark.parametrize("size", [1, 2])
def test_what_is_downstream_of_samples_is_run_with_them(watched, size):
    """An own asset and the dataset, in one run; no partition is materialized twice."""
    watched.settings["partition_size"] = size
    partitions = DynamicPartitionsDefinition(name="numbers")

    @asset(deps=[SAMPLES], partitions_def=partitions, backfill_policy=BackfillPolicy.single_run())
    def thumbnail() -> None: ...

    first, last = ("a.txt", "d.txt") if size == 1 else ("000000000-000000001", "000000002-000000003")
    watched.instance.add_dynamic_partitions(
        "numbers", ["a.txt", "b.txt", "c.txt", "d.txt"] if size == 1 else [first, last]
    )
    together = Definitions.merge(watched.defs, Definitions(assets=[thumbnail]))
    done = run_range(watched, [SAMPLES, DATASET, AssetKey("thumbnail")], together, first, last)
    assert done.success
    assert len(watched.instance.get_materialized_partitions(AssetKey("thumbnail"))) == 4 // size
    assert len(watched.project.dataset()) == 4
    records = watched.instance.fetch_materializations(AssetRecordsFilter(SAMPLES), limit=100).records
    assert len(records) == 4 // size
    assert all("curator/wall_time_s" in record.asset_materialization.metadata for record in records)


def test_what_is_downstream_of_failed_samples_is_not_run(watched):
    """The run is red, as with any other asset."""
    watched.project.put(c="x")
    watched.instance.add_dynamic_partitions("numbers", ["a.txt", "b.txt", "c.txt", "d.txt"])
    assert not run_range(watched, [SAMPLES, DATASET]).success
    assert watched.project.dataset() is None


def test_a_check_that_was_planned_and_never_evaluated_does_no_harm(watched):
    """The dataset's own run fails before its checks; every later refresh evaluates them."""
    assert refreshed(watched)
    watched.project.put(b="x")
    assert not refreshed(watched)
    job = watched.defs.resolve_implicit_global_asset_job_def()
    for _ in range(2):
        failed = job.execute_in_process(
            instance=watched.instance, asset_selection=[DATASET], raise_on_error=False, run_config=QUIET
        )
        assert not failed.success
    watched.project.put(b="30")
    assert refreshed(watched)
    assert refreshed(watched)
    assert watched.project.dataset()["b.txt"] == [30]


def limited_refresh():
    """Of the numbers in $NUMBERS_FOLDER."""
    return loaded(LOCATION).defs.resolve_job_def("numbers_refresh")


def test_a_limited_run_that_is_reexecuted_keeps_its_limit(project, monkeypatch):
    """From failure: the items that it was told to leave are left again."""
    for name, value in (project.environment | {"NUMBERS_EXECUTOR": "in_process"}).items():
        monkeypatch.setenv(name, value)
    project.put(a="x")
    job, given = reconstructable(limited_refresh), configured(numbers_plan={"keys": ["a.txt"]})
    with DagsterInstance.get() as instance:
        first = execute_job(job, instance, run_config=given, raise_on_error=False)
        assert not first.success
        options = ReexecutionOptions.from_failure(first.run_id, instance)
        execute_job(job, instance, run_config=given, reexecution_options=options, raise_on_error=False)
    assert set(project.invocations()) == {"a.txt"}


class Uploading(FileSource):
    """While the first item is read, its folder changes as $UPLOAD says."""

    def __getitem__(self, index):
        folder = Path(self.folder)
        done = folder.parent / "uploaded"
        if not done.exists():
            done.touch()
            for name in os.environ["UPLOAD"].split():
                (folder / name[1:]).write_text("9") if name[0] == "+" else (folder / name[1:]).unlink()
        yield from super().__getitem__(index)


@pytest.mark.parametrize("upload", ["+z.txt", "-a.txt", "+0.txt -b.txt"])
def test_what_changes_during_a_refresh_is_the_next_ones(watched, monkeypatch, upload):
    """Before, between and after what was listed: the refresh is green and publishes, the next one has the rest."""
    monkeypatch.setenv("UPLOAD", upload)
    made = watched.pipeline()
    defs = build_curation_defs(
        "numbers",
        lambda: made.with_settings(source=Uploading(str(watched.project.input))),
        executor=in_process_executor,
        prune=True,
    )
    job = defs.resolve_job_def("numbers_refresh")
    for _ in range(2):
        assert job.execute_in_process(instance=watched.instance, raise_on_error=False, run_config=QUIET).success
        assert watched.project.dataset()
    listed = {path.name for path in watched.project.input.glob("*.txt")}
    assert set(watched.project.dataset()) == listed
    assert set(watched.instance.get_dynamic_partitions("numbers")) == listed
