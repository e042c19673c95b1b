"""`build_workflow_defs`: a workflow as assets, run and followed by one job."""

# No deferred annotations here: Dagster reads those of ops as they are.
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Literal

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSelection,
    AssetSpec,
    DataVersion,
    Definitions,
    ExecutorDefinition,
    HookDefinition,
    MaterializeResult,
    MetadataValue,
    OpExecutionContext,
    RetryPolicy,
    asset,
    define_asset_job,
)

from curator_core.errors import WorkflowError
from curator_core.workflow import STATE_FILE, Progress, SlurmCluster, Workflow, WorkflowStatus
from curator_dagster._compat.interrupts import terminating
from curator_dagster.automation.sensor import job_schedule
from curator_dagster.curation.failing import failing_clearly, step_failure
from curator_dagster.curation.instance_checks import prepare_run
from curator_dagster.curation.launch import NO_CONFIG
from curator_dagster.curation.runs import CURATION_TAG, begin_run, exit_with_run, tags_of_runs
from curator_dagster.curation.setting_checks import (
    check_executor_for,
    check_members,
    check_pool,
    check_retry_policy,
    check_run_tags,
    check_tags,
    check_timezone,
    naming,
    upstream_of,
)
from curator_dagster.curation.settings import Upstream
from curator_dagster.definitions import curation_executor
from curator_dagster.metadata.item import PREFIX, failures_in_words, failures_table
from curator_dagster.metadata.location import definitions_metadata
from curator_dagster.workflow.following import Follower, run_here, run_on_slurm, sole_follower
from curator_dagster.workflow.partitions import prune_partitions
from curator_dagster.workflow.study import Prefix, Study

STATE_TAG = f"{PREFIX}workflow_state"
"""Tag of a materialization of the table: which end of the workflow it records."""


def build_workflow_defs(
    name: str,
    workflow: Workflow,
    *,
    rootdir: str | Path,
    project_job: str | None = None,
    mode: Literal["local", "slurm"] = "local",
    cluster: SlurmCluster | None = None,
    backend: str = "auto",
    n_jobs: int = -1,
    backend_options: Mapping[str, Any] | None = None,
    key_prefix: Prefix = None,
    group_name: str | None = None,
    deps: Sequence[Upstream] | None = None,
    executor: ExecutorDefinition | None = None,
    executor_for: Literal["all", "jobs"] = "all",
    op_tags: Mapping[str, Any] | None = None,
    pool: str | None = None,
    retry_policy: RetryPolicy | None = None,
    tags: Mapping[str, Any] | None = None,
    hooks: AbstractSet[HookDefinition] | None = None,
    schedule: str | None = None,
    timezone: str = "UTC",
    start_automation: bool = False,
    prune: bool = False,
) -> Definitions:
    """Assets of a workflow, and the job that runs it; no data is read.

    Parameters
    ----------
    name
        Prefix of everything: the assets ``{name}/experiments``, with a partition for each experiment, and
        ``{name}/table``, the job ``{name}_run``, the dynamic partitions definition ``{name}``.
    workflow
        The workflow.
    rootdir
        Folder of jobs, an absolute path: runs may have other working folders.
    project_job
        Name of the job's folder; `name` by default. Every run resumes where the job is.
    mode
        ``"local"``: in the process of the run and its workers. ``"slurm"``: as jobs of a cluster, which the run
        follows; a run that is killed leaves them to the next one, a run that is terminated cancels them.
    cluster
        Where it runs on SLURM.
    backend, n_jobs, backend_options
        For parallel steps in local mode, see `run_pipeline`.
    key_prefix
        Stands before the names of the assets: a name, or a list of names.
    group_name
        Asset group; `name` by default.
    deps
        Assets upstream: keys, definitions, or what else Dagster takes as ``deps``.
    executor, executor_for
        Carries the run; `curation_executor` by default. For ``"jobs"`` alone it is not that of the code location.
    op_tags, pool, retry_policy
        Of the op that runs the workflow.
    tags
        Tags of the job, besides ``curator/curation`` with its name.
    hooks
        Of the job: what is called when its step succeeds or fails.
    schedule, timezone
        Cron expression of a schedule ``{name}_schedule`` for the job, and its time zone.
    start_automation
        The schedule runs from the moment it is loaded; otherwise it is turned on in the UI.
    prune
        Remove the partitions of experiments that are in no table any more.

    Returns
    -------
    dagster.Definitions
        To be merged with others, or used as a code location.

    Raises
    ------
    DagsterInvalidDefinitionError
        A setting is wrong.
    """
    with naming(name, "Workflow"):
        upstream = upstream_of(deps)
        check_timezone(timezone)
        check_executor_for(executor_for)
        check_members("hooks", hooks, HookDefinition, "what @success_hook and @failure_hook make")
        check_run_tags(tags, CURATION_TAG, "workflow")
        _check_op(op_tags, pool, retry_policy)
    study = Study(
        name=name,
        workflow=workflow,
        rootdir=Path(rootdir),
        project_job=project_job or name,
        mode=mode,
        cluster=cluster,
        backend=backend,
        n_jobs=n_jobs,
        backend_options=backend_options or {},
        prefix=key_prefix,
        prune=prune,
        deps=upstream,
        pool=pool,
        run_tags=tags_of_runs(name, tags),
    )
    study.check()
    assets = _assets(study, group_name or name, op_tags=op_tags, pool=pool, retry_policy=retry_policy)
    runner = executor if executor is not None else curation_executor()
    requests: dict[str, Any] = {"timezone": timezone, "is_started": start_automation}
    schedules = [] if schedule is None else [job_schedule(study, study.job_name, schedule, **requests)]
    shared, metadata = runner if executor_for == "all" else None, definitions_metadata(name, "workflow", study)
    job = define_asset_job(study.job_name, executor_def=runner, hooks=frozenset(hooks or ()), **_of_job(study))
    return Definitions(assets=assets, jobs=[job], schedules=schedules, executor=shared, metadata=metadata)


def _check_op(tags: Mapping[str, Any] | None, pool: str | None, retry_policy: RetryPolicy | None) -> None:
    check_tags("op_tags", tags)
    check_pool(pool)
    check_retry_policy(retry_policy)


def _of_job(study: Study) -> dict[str, Any]:
    return {
        "selection": AssetSelection.assets(study.table_key),
        "tags": study.run_tags,  # from when it is requested, for limits of concurrency
        "description": f"Run the workflow {study.workflow.name or study.name!r}, or resume it.",
    }


def _assets(
    study: Study,
    group_name: str,
    **of_op: Any,  # noqa: ANN401 - as `asset`
) -> list[AssetSpec | AssetsDefinition]:
    """The experiments, which are nobody's to materialize but the job's, and the table, whose op runs the workflow."""
    experiments = AssetSpec(
        study.experiments_key,
        deps=study.deps,
        partitions_def=study.partitions_def,
        group_name=group_name,
        description=f"One partition per experiment of the workflow; {study.job_name} records each as it ends.",
    )
    table = asset(
        key=study.table_key,
        deps=[experiments.key, *study.deps],
        group_name=group_name,
        config_schema=NO_CONFIG,
        description="All experiments of the workflow, once it is done.",
        **of_op,
    )
    return [experiments, table(_run(study))]


def _run(study: Study) -> Callable[[AssetExecutionContext], Iterator[MaterializeResult[None]]]:
    """The function of the table's asset."""

    def table(context: AssetExecutionContext) -> Iterator[MaterializeResult[None]]:
        op = context.op_execution_context
        exit_with_run(op)
        with terminating(op), failing_clearly(), sole_follower(op, study):
            begin_run(op, study.name)
            prepare_run(op, study)
            is_shared = study.owner.announce(op.instance, op.log.warning, is_pruning=study.prune)
            follower = Follower(op, study)
            progress = _carried_out(op, study, follower)
            if study.prune and not is_shared:
                prune_partitions(op.instance, study, follower.rows)
        yield _materialized(study, follower, progress)
        _raise_failed(follower)

    return table


def _carried_out(context: OpExecutionContext, study: Study, follower: Follower) -> Progress:
    """The workflow's end; it is begun, resumed, or only recorded where it has ended since the last run."""
    found = Progress.read(study.job_dir)
    if found is not None:
        found.check_same(study.workflow.name, study.workflow.course.outline, study.job_dir)
    if found is not None and found.status is WorkflowStatus.DONE and not _begins_anew(context, study):
        context.log.info("The workflow is done; what no run has recorded yet is recorded now.")
        follower.look()
        return found
    run = run_here if study.mode == "local" else run_on_slurm
    try:
        run(context, study, follower)
    except Exception as exc:  # a step's own code: anything can be raised
        progress = Progress.read(study.job_dir)
        if progress is None or progress.status is not WorkflowStatus.FAILED:
            raise
        raise _failure(study, progress) from exc
    progress = Progress.read(study.job_dir)
    if progress is None:
        raise WorkflowError(f"{study.job_dir} holds no workflow any more.")
    if progress.status is WorkflowStatus.FAILED:
        raise _failure(study, progress)
    for said in progress.failures:
        context.log.error("%s; the next one does not depend on it.", said)
    return progress


def _failure(study: Study, progress: Progress) -> WorkflowError:
    step = study.workflow.course.step(progress.place).name
    iteration = f", iteration {progress.place.iteration + 1}" if progress.place.iteration else ""
    error = (progress.error or "").rstrip(".")
    return WorkflowError(
        f"Step {step!r}{iteration} failed: {error}. Mend it and launch {study.job_name}: it resumes with that "
        f"step. The workflow is in {study.job_dir}."
    )


def _begins_anew(context: OpExecutionContext, study: Study) -> bool:
    """Whether a run of a workflow that is done is the next one, and not one that records its end."""
    if context.retry_number > 0 or context.run.parent_run_id is not None:
        return False
    last = context.instance.get_latest_materialization_event(study.table_key)
    recorded = None if last is None else last.asset_materialization
    return recorded is not None and (recorded.tags or {}).get(STATE_TAG) == _state(study)


def _state(study: Study) -> str:
    """Differs from one end of the workflow to the next."""
    return str((study.job_dir / STATE_FILE).stat().st_mtime_ns)


def _materialized(study: Study, follower: Follower, progress: Progress) -> MaterializeResult[None]:
    recorder, n_rows = follower.recorder, sum(map(len, follower.rows.values()))
    found: dict[str, MetadataValue[Any]] = {
        "dagster/row_count": MetadataValue.int(n_rows),
        "dagster/uri": MetadataValue.text(study.job_dir.as_uri()),
        f"{PREFIX}path": MetadataValue.path(str(study.job_dir)),
        f"{PREFIX}n_finished": MetadataValue.int(len(recorder.versions)),
        f"{PREFIX}n_failed": MetadataValue.int(len(recorder.failures)),
    }
    if recorder.failures:
        found[f"{PREFIX}failed"] = failures_table(recorder.failures)
    if progress.failures:
        found[f"{PREFIX}failed_steps"] = MetadataValue.json(list(progress.failures))
    content = json.dumps([sorted(recorder.versions.items()), sorted(recorder.failures)])
    version = DataVersion(hashlib.sha256(content.encode()).hexdigest()[:32])
    return MaterializeResult(metadata=found, data_version=version, tags={STATE_TAG: _state(study)})


def _raise_failed(follower: Follower) -> None:
    """Fail the run if experiments failed, so that their partitions show as failed.

    Raises
    ------
    Failure
        With a table of the failed experiments and their errors.
    """
    failures = follower.recorder.failures
    if not failures:
        return
    shown = failures_in_words({key: (error.splitlines() or [""])[0] for key, error in failures.items()})
    n_rows = sum(map(len, follower.rows.values()))
    raise step_failure(
        f"{len(failures)} of {n_rows} experiments failed, the workflow is done: {shown}",
        {f"{PREFIX}failed": failures_table(failures)},
    )
