"""A workflow as assets: experiments are partitions, one job runs it, resumes it and records what it finds."""

import importlib.util
from pathlib import Path

import pytest
from dagster import (
    AssetKey,
    AssetRecordsFilter,
    AssetSpec,
    DagsterInstance,
    DagsterInvalidDefinitionError,
    DagsterRunStatus,
    Definitions,
    asset,
    build_schedule_context,
    failure_hook,
    in_process_executor,
)
from dagster._core.definitions.job_base import InMemoryJob  # noqa: PLC2701 - publicly only what can be loaded anew is re-executed
from dagster._core.execution.api import execute_run_iterator  # noqa: PLC2701 - the same

pytest.importorskip("pandas")

from curator_core.storage import exclusive_lock
from curator_core.workflow import ExperimentData, SlurmCluster, Step, Workflow
from curator_dagster import build_workflow_defs

EXPERIMENTS, TABLE = AssetKey(["study", "experiments"]), AssetKey(["study", "table"])
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Studied:
    """The location's workflow in this process, on an instance in memory."""

    def __init__(self, folder, location, instance):
        self.folder = folder
        self.location = location
        self.instance = instance

    def run(self, **settings):
        job = self.location.definitions(**settings).resolve_job_def("study_run")
        return job.execute_in_process(instance=self.instance, raise_on_error=False, run_config=QUIET)

    def rerun(self, parent):
        """Re-execute a run, as the UI does; its status."""
        job = self.location.definitions().resolve_job_def("study_run")
        run = self.instance.create_run_for_job(job, run_config=QUIET, parent_run_id=parent, root_run_id=parent)
        for _ in execute_run_iterator(InMemoryJob(job), run, self.instance):
            pass
        return self.instance.get_run_by_id(run.run_id).status

    @property
    def data(self):
        return ExperimentData.from_file(self.folder / "jobs" / "study")

    @property
    def notes(self):
        return (self.folder / "notes").read_text().split()

    @property
    def partitions(self):
        return self.instance.get_dynamic_partitions("study")

    def statuses(self):
        keys = self.partitions
        definition = self.location.definitions().resolve_asset_graph().get(EXPERIMENTS).partitions_def
        found = self.instance.get_status_by_partition(EXPERIMENTS, keys, definition)
        return [found[key].value if found.get(key) else None for key in keys]

    def metadata(self, partition):
        wanted = AssetRecordsFilter(EXPERIMENTS, asset_partitions=[partition])
        records = self.instance.fetch_materializations(wanted, limit=10).records
        return [{k: v.value for k, v in r.asset_materialization.metadata.items()} for r in records]

    def observed(self, partition):
        wanted = AssetRecordsFilter(EXPERIMENTS, asset_partitions=[partition])
        (record,) = self.instance.fetch_observations(wanted, limit=10).records
        return {k: v.value for k, v in record.asset_observation.metadata.items()}

    def table(self):
        return self.instance.get_latest_materialization_event(TABLE).asset_materialization


def error_of(result):
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    return failed.step_failure_data.error_display_string


@pytest.fixture
def studied(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_FOLDER", str(tmp_path))
    spec = importlib.util.spec_from_file_location("study_location", Path(__file__).with_name("study_location.py"))
    location = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(location)
    with DagsterInstance.ephemeral() as instance:
        yield Studied(tmp_path, location, instance)


def test_experiments_are_partitions_and_one_that_fails_is_a_failed_one(studied):
    """Inputs and outputs as metadata; the run says which failed; a re-execution repeats nothing, a new run adds."""
    first = studied.run()
    assert not first.success
    assert "1 of 4 experiments failed, the workflow is done: 3: ValueError: no square of 3" in error_of(first)
    assert studied.partitions == ["0", "1", "2", "3"]
    assert studied.statuses() == ["MATERIALIZED"] * 3 + ["FAILED"]
    expected = {"curator/row": 2, "curator/input/x": 2, "curator/output/y": 4, "curator/output/unit": "m²"}
    assert studied.metadata("2") == [expected]
    failed = studied.observed("3")
    assert failed["curator/error"] == "ValueError: no square of 3"
    assert "in execute" in failed["curator/traceback"]
    assert failed["curator/input/x"] == 3
    table = {name: value.value for name, value in studied.table().metadata.items()}
    counts = {"dagster/row_count": 4, "curator/n_finished": 3, "curator/n_failed": 1}
    assert {name: table[name] for name in counts} == counts
    assert table["curator/path"] == str(studied.folder / "jobs" / "study")
    assert studied.instance.get_run_by_id(first.run_id).tags["curator/curation"] == "study"
    assert not studied.run().success  # done and recorded, so this is the next one, which adds to the table
    assert len(studied.data) == len(studied.partitions) == 8
    assert [len(studied.metadata(str(row))) for row in range(8)] == [1, 1, 1, 0, 1, 1, 1, 1]
    assert studied.notes == ["design", "x0", "x1", "design", "x2", "x3", "design", "x4", "x5", "design", "x6", "x7"]
    assert studied.statuses() == ["MATERIALIZED"] * 3 + ["FAILED"] + ["MATERIALIZED"] * 4


def test_a_run_resumes_where_the_one_before_it_failed(studied):
    """Nothing is evaluated or recorded twice; the error names the step and what to do; `prune` removes partitions."""
    studied.instance.add_dynamic_partitions("study", ["old"])
    (studied.folder / "break").touch()
    error = error_of(studied.run())
    assert "Step 'Design', iteration 2 failed: RuntimeError: broken, as meant. Mend it and launch study_run" in error
    assert "it resumes with that step" in error
    assert studied.statuses() == [None] + ["MATERIALIZED"] * 2
    assert studied.instance.get_latest_materialization_event(TABLE) is None
    (studied.folder / "break").unlink()
    assert "1 of 4 experiments failed" in error_of(studied.run(prune=True))
    assert studied.partitions == ["0", "1", "2", "3"]
    assert studied.notes == ["design", "x0", "x1", "design", "design", "x2", "x3"]
    assert [len(studied.metadata(str(row))) for row in range(4)] == [1, 1, 1, 0]


def test_a_workflow_that_ended_elsewhere_is_recorded_and_not_begun_anew(studied):
    """As after a run that was killed while SLURM went on, or from the command line."""
    studied.location.study(n=1).run(rootdir=studied.folder / "jobs", project_job="study", backend="sequential")
    first = studied.run()
    assert first.success
    assert studied.statuses() == ["MATERIALIZED"] * 2
    assert studied.notes == ["design", "x0", "design", "x1"]
    assert studied.rerun(first.run_id) is DagsterRunStatus.SUCCESS
    assert len(studied.notes) == 4
    assert [len(studied.metadata(str(row))) for row in range(2)] == [1, 1]


def test_a_second_run_at_the_same_time_is_refused_with_the_name_of_the_first(studied, monkeypatch):
    """It would record everything twice."""
    monkeypatch.setattr("curator_dagster.workflow.following.LOCK_TIMEOUT_S", 0)
    (studied.folder / "jobs" / "study").mkdir(parents=True)
    with exclusive_lock(studied.folder / "jobs/study/.curator-dagster-lock", timeout_s=0, holder="run 17 of Dagster"):
        assert "Another run follows the workflow" in error_of(studied.run())
    assert not (studied.folder / "notes").exists()


def test_what_is_lacking_is_said(studied, tmp_path):
    """A pool without slots while the schedule waits; an asset upstream that nobody knows, and a pool without a limit.

    A run that was launched from the page of an asset gets the tags.
    """
    settings = {"deps": ["mehs"], "pool": "licences", "tags": {"team": "x"}, "schedule": "@daily"}
    defs = studied.location.definitions(**settings)
    location = Definitions.merge(defs, Definitions(assets=[AssetSpec("mesh")]))
    job = location.resolve_implicit_global_asset_job_def()
    ran = job.execute_in_process(
        instance=studied.instance, asset_selection=[TABLE], raise_on_error=False, run_config=QUIET
    )
    said = "\n".join(entry.user_message for entry in studied.instance.all_logs(ran.run_id))
    assert "The pool 'licences' of study has no limit on this instance, so that it limits nothing" in said
    assert "deps of study has mehs: this code location defines no such asset" in said
    assert {"team": "x", "curator/curation": "study"}.items() <= studied.instance.get_run_by_id(ran.run_id).tags.items()
    schedule = location.resolve_schedule_def("study_schedule")
    waiting = location.resolve_job_def("study_run")
    with DagsterInstance.local_temp(str(tmp_path)) as instance, build_schedule_context(instance) as context:
        instance.event_log_storage.set_concurrency_slots("licences", 0)
        instance.create_run_for_job(waiting, status=DagsterRunStatus.STARTING)
        skipped = schedule.evaluate_tick(context).skip_message
    assert "nothing more is requested until it ended" in skipped
    assert "The pool 'licences' of study has no slots on this instance, so that its steps wait" in skipped


def nothing(project_dir):
    pass


def test_settings_stand_where_those_of_a_curation_do(tmp_path):
    """Key prefix, group, upstream assets, pool, tags of op and job, schedule."""

    @asset
    def mesh():
        pass

    @failure_hook
    def called(context):
        pass

    defs = build_workflow_defs(
        "w",
        Workflow("w", [Step(nothing)]),
        rootdir=tmp_path,
        key_prefix=["lab", "beams"],
        group_name="beams",
        deps=[mesh],
        op_tags={"a": "b"},
        pool="licences",
        tags={"team": "x"},
        schedule="@daily",
        timezone="Europe/Berlin",
        hooks={called},
        executor=in_process_executor,
        executor_for="jobs",
    )
    graph = Definitions.merge(defs, Definitions(assets=[mesh])).resolve_asset_graph()
    experiments, table = AssetKey(["lab", "beams", "w", "experiments"]), AssetKey(["lab", "beams", "w", "table"])
    assert graph.get(experiments).parent_keys == {mesh.key}
    assert graph.get(table).parent_keys == {mesh.key, experiments}
    assert {graph.get(key).group_name for key in (experiments, table)} == {"beams"}
    assert not graph.get(experiments).is_executable
    job = defs.resolve_job_def("w_run")
    assert {name: job.tags[name] for name in ("team", "curator/curation")} == {"team": "x", "curator/curation": "w"}
    (node,) = job.nodes
    assert (node.definition.tags["a"], node.definition.pools) == ("b", {"licences"})
    assert job.executor_def is in_process_executor
    assert defs.executor is None
    assert called in job.hook_defs
    assert defs.resolve_schedule_def("w_schedule").execution_timezone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rootdir": "jobs"}, "rootdir must be an absolute path"),
        ({"mode": "slurm"}, "needs a cluster"),
        ({"mode": "slurm", "cluster": SlurmCluster(), "n_jobs": 2}, "takes no backend"),
        ({"mode": "cloud"}, "mode must be 'local' or 'slurm'"),
        ({"backend": "nowhere"}, "nowhere"),
        ({"key_prefix": "a/b"}, "key_prefix 'a/b' has a slash"),
        ({"timezone": "Europe/Berlln"}, "there is no time zone"),
        ({"pool": "two words"}, "pool must be a name without spaces"),
        ({"tags": {"a": object()}}, "tags: 'a' has a value that JSON does not keep"),
        ({"tags": {"curator/curation": "x"}}, "'curator/curation' is always the workflow's name"),
        ({"hooks": [nothing]}, "hooks must be a set of"),
        ({"deps": "mesh"}, r"deps must be a list: \['mesh'\]"),
        ({"deps": ["mesh", "mesh"]}, "deps has mesh twice"),
        ({"executor_for": "job"}, "executor_for must be 'all' or 'jobs', not 'job'"),
        ({"retry_policy": 3}, "retry_policy must be a RetryPolicy"),
        ({"project_job": "../x"}, "leaves the folder of jobs"),
        ({"workflow": Workflow("w", [])}, "has no step"),
        ({"workflow": Workflow("w", [Step(nothing, kwargs={"a": 1})])}, "called wrongly"),
        ({"workflow": [Step(nothing)]}, "a Workflow is needed"),
        ({"name": "a b"}, "letters, digits and underscores"),
    ],
)
def test_a_wrong_setting_is_refused_when_definitions_are_built(tmp_path, settings, message):
    """In one sentence with the workflow's name."""
    given = {"name": "w", "workflow": Workflow("w", [Step(nothing)]), "rootdir": tmp_path} | settings
    with pytest.raises(DagsterInvalidDefinitionError, match=f"^Workflow .*: .*{message}"):
        build_workflow_defs(given.pop("name"), given.pop("workflow"), **given)
