"""The two assets of a curation: partitioned samples, and the dataset merged from them."""

# No deferred annotations here: Dagster reads those of ops as they are.
import inspect
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetOut,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    BetaWarning,
    DagsterEventType,
    DataVersion,
    DynamicOutput,
    GraphIn,
    GraphOut,
    In,
    MaterializeResult,
    MetadataValue,
    Nothing,
    OpDefinition,
    OpExecutionContext,
    Out,
    Output,
    graph,
    multi_asset,
    op,
)

from curator_core.session import Session
from curator_dagster._compat.events.asset_events import unrecorded_output
from curator_dagster._compat.statuses import look_upstream_again
from curator_dagster.curation.curation import Curation
from curator_dagster.curation.failing import failing_clearly, step_failure
from curator_dagster.curation.instance_checks import prepare_run
from curator_dagster.curation.launch import NO_CONFIG, SelectionConfig, force
from curator_dagster.curation.owners import Owner
from curator_dagster.curation.partition_block import PartitionBlock, blocks_of
from curator_dagster.curation.resources import explain_missing, in_context
from curator_dagster.curation.runs import begin_run
from curator_dagster.inputs import INPUTS_KEY, curation_inputs
from curator_dagster.metadata.item import PREFIX, RETRY, failures_in_words, failures_table, retry_hint
from curator_dagster.steps.backfill import answers_of_others, end_waiting_runs, share_of
from curator_dagster.steps.dataset import Publication, publish_dataset
from curator_dagster.steps.fanout import BatchSummary, batches_out, finish_reexecution
from curator_dagster.steps.planning import Batch, await_others, make_batches, recorded_results
from curator_dagster.steps.processing import segments_encoder
from curator_dagster.steps.recording import Recorder
from curator_dagster.steps.turns import sole_turn

AUTOMATED = "dagster/from_automation_condition"
"""Tag that Dagster gives a run which a condition asked for."""


@contextmanager
def _with_beta() -> Iterator[None]:
    """Assets take resources of their own, which is beta, without a warning: so what is downstream finds its inputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)
        yield


@_with_beta()
def samples_asset(curation: Curation, process: OpDefinition) -> AssetsDefinition:
    """The partitioned asset: any selection of partitions runs as one fan-out, once what is upstream is done."""
    plan, collect, spec = _plan_selected(curation), _collect_selected(curation), curation.samples_spec
    upstream = {f"upstream_{number}": dep for number, dep in enumerate(spec.deps)}

    def samples(**waited_for: Any) -> None:  # noqa: ANN401 - outputs of what is upstream, which hold nothing
        batches = plan(upstream=list(waited_for.values())) if waited_for else plan()
        return collect(batches.map(process).collect())  # type: ignore[no-any-return]

    # Dagster looks up the inputs of a graph in its function's signature, and their number is known here alone.
    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in upstream]
    samples.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]

    made = AssetsDefinition.from_graph(
        graph(
            name=f"{curation.name}_samples",
            ins={name: GraphIn() for name in upstream},
            out=GraphOut(),
            description=spec.description,
        )(samples),
        keys_by_input_name={name: dep.asset_key for name, dep in upstream.items()},
        partition_mappings={n: dep.partition_mapping for n, dep in upstream.items() if dep.partition_mapping},
        keys_by_output_name={"result": spec.key},
        partitions_def=curation.partitions_def,
        backfill_policy=curation.backfill_policy or BackfillPolicy.single_run(),
        resource_defs={INPUTS_KEY: curation_inputs},
    )
    return _with_spec(made, spec).with_hooks(set(curation.hooks or ()))


def _with_spec(made: AssetsDefinition, spec: AssetSpec) -> AssetsDefinition:
    """The same asset with all that a translator says of it."""
    (own,) = made.specs
    whole = spec.replace_attributes(deps=own.deps, partitions_def=own.partitions_def, skippable=own.skippable)
    return made.map_asset_specs(lambda _: whole)


def _plan_selected(declared: Curation) -> OpDefinition:
    @op(
        name=f"{declared.name}_plan_selected",
        ins={"upstream": In(Nothing)},
        out=batches_out(),
        required_resource_keys=set(declared.resource_keys),
        description="Look up the selected partitions in the source and divide what is due into batches.",
    )
    def plan_selected(context: OpExecutionContext, config: SelectionConfig) -> Iterator[DynamicOutput[Batch]]:
        curation = in_context(declared, context.resources)
        with failing_clearly():
            pipeline = curation.open_pipeline()
            with sole_turn(context, curation, pipeline) as session:
                await_others(session, context.log.info)
                session.take_over()
                begin_run(context, curation.name)
                prepare_run(context, curation)
                Owner.of_curation(curation, pipeline).announce(context.instance, context.log.warning, is_pruning=False)
                keys = share_of(context, curation)
                blocks, gone = _selected(curation, session, keys)
                if config.force:
                    force(session, [index for block in blocks for index in block.indices])
                    blocks, _ = _selected(curation, session, keys)
                # What is up to date is not done again, but this run answers for every partition it was given.
                done = recorded_results(session, [block for block in blocks if not block.due])
                with Recorder(context, curation, session) as recorder:
                    for results in done:
                        recorder.completed(results)
                    for partition in gone:
                        recorder.unlisted(partition)
                batches = make_batches(curation, session, blocks)
            context.log.info("%d of %d partitions are up to date, %d batches", len(done), len(blocks), len(batches))
        for batch in batches:
            yield DynamicOutput(batch, mapping_key=str(batch.number))

    explain_missing(declared, plan_selected)
    return plan_selected


def _collect_selected(declared: Curation) -> OpDefinition:
    @op(
        name=f"{declared.name}_collect_selected",
        out=Out(Nothing, io_manager_key=INPUTS_KEY),
        config_schema=NO_CONFIG,
        required_resource_keys=set(declared.resource_keys),
        description="Write the results into the metrics store; fail when items failed.",
    )
    def collect_selected(context: OpExecutionContext, summaries: list[BatchSummary]) -> Iterator[Output[None]]:
        curation = in_context(declared, context.resources)
        with failing_clearly():
            pipeline = curation.open_pipeline()
            with sole_turn(context, curation, pipeline, is_last=True) as session:
                summaries, _ = finish_reexecution(context, curation, session, summaries, set(context.partition_keys))
                session.take_over()
                blocks, gone = _selected(curation, session, context.partition_keys)
                others = answers_of_others(context, curation)
                if any(summary.is_planned_anew for summary in summaries) or context.run.parent_run_id is not None:
                    _answer_for_all(context, curation, session, [b for b in blocks if b.partition not in others.done])
            end_waiting_runs(context, curation)
            failed = {key: others.failed[key] for key in context.partition_keys if key in others.failed}
            failed |= dict.fromkeys(gone, f"the source does not list it, see {curation.name}_refresh")
            raise_failed(summaries, failed, retry=curation.retry_name)
            context.log.info("%d items are done", sum(summary.n_completed for summary in summaries))
        yield unrecorded_output()  # every item is materialized already; what is downstream in this run goes on

    explain_missing(declared, collect_selected)
    return collect_selected


def _selected(curation: Curation, session: Session, keys: Sequence[str]) -> tuple[list[PartitionBlock], list[str]]:
    """Some partitions, and those of them that are not in the source."""
    listed = {block.partition: block for block in blocks_of(session.plan, curation.partition_size, session.config_hash)}
    return [listed[key] for key in keys if key in listed], [key for key in keys if key not in listed]


def _answer_for_all(
    context: OpExecutionContext, curation: Curation, session: Session, blocks: Sequence[PartitionBlock]
) -> None:
    """Materialize what a run before or beside this one completed: Dagster expects all partitions from this one."""
    events = context.instance.all_logs(context.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
    recorded = {event.get_dagster_event().partition for event in events}
    others = [block for block in blocks if not block.due and block.partition not in recorded]
    with Recorder(context, curation, session) as recorder:
        for results in recorded_results(session, others):
            recorder.completed(results)


def raise_failed(
    summaries: Sequence[BatchSummary],
    others: Mapping[str, str] = MappingProxyType({}),
    *,
    postponed: Collection[str] = (),
    retry: str = "",
) -> None:
    """Fail the run if items failed, so that their partitions show as failed.

    Parameters
    ----------
    summaries
        How the batches ended.
    others
        Reason by partition key of what could not be processed at all.
    postponed
        Keys whose failure counts for nothing: they changed while they were read, or are gone.
    retry
        The job that tries again what failed.

    Raises
    ------
    Failure
        With a table of the failed keys and their errors.
    """
    failed = {key: error for summary in summaries for key, error in summary.failures.items()}
    failures = {key: error for key, error in failed.items() if key not in postponed} | dict(others)
    if failures:
        n_items = sum(summary.n_completed for summary in summaries) + len(failures)
        hint = {RETRY: MetadataValue.text(retry_hint(retry))} if retry else {}
        raise step_failure(failure_text(failures, n_items), {**hint, f"{PREFIX}failed": failures_table(failures)})


def failure_text(failures: dict[str, str], n_items: int) -> str:
    """One line a tired person understands: how many, which, why."""
    return f"{len(failures)} of {n_items} items failed: {failures_in_words(failures)}"


@_with_beta()
def dataset_asset(declared: Curation) -> AssetsDefinition:
    """The merged dataset, downstream of all samples."""
    spec, settings = declared.dataset_spec, declared.op_settings["dataset"]

    @multi_asset(  # unlike `asset`, it names its op otherwise than the key
        name=f"{declared.name}__dataset",
        outs={"result": AssetOut(key=spec.key, io_manager_key=INPUTS_KEY, is_required=False)},
        deps=spec.deps,
        required_resource_keys=set(declared.resource_keys),
        resource_defs={INPUTS_KEY: curation_inputs},
        config_schema=NO_CONFIG,
        description=spec.description,
        op_tags=settings.tags,
        pool=settings.pool,
        retry_policy=settings.retry_policy,
        hooks=set(declared.hooks or ()),
    )
    def dataset(context: AssetExecutionContext) -> Iterator[MaterializeResult[None]]:
        curation = in_context(declared, context.resources)
        with failing_clearly():
            pipeline = curation.open_pipeline()
            with sole_turn(context.op_execution_context, curation, pipeline, is_last=True) as session:
                look_upstream_again(context)
                session.encode = segments_encoder(context.op_execution_context, curation, session)
                is_automated = AUTOMATED in context.run.tags
                published = publish_dataset(curation, session, context.log.info, is_automated=is_automated)
            raise_unpublished(curation, published, context.log.warning)
            metadata = published.metadata(curation, context.log.warning)
        if published.is_published:
            yield MaterializeResult(metadata=metadata, data_version=DataVersion(published.data_version))

    explain_missing(declared, dataset.op)
    return _with_spec(dataset, spec)


def raise_unpublished(curation: Curation, published: Publication, warn: Callable[[str], None]) -> None:
    """Fail when too much is missing for the dataset to be published.

    What a refresh was to leave, or what came or changed meanwhile, is no failure: the next one does it.

    Raises
    ------
    Failure
        The last good dataset stays.
    """
    if published.is_published:
        return
    waiting = published.postponed.intersection(published.missing)
    if curation.tolerates(len(published.missing) - len(waiting), len(published.plan.items)):
        warn(
            f"The last good dataset stays: {len(waiting)} items were left, or came or changed meanwhile; the next "
            f"refresh does them: {', '.join(sorted(waiting)[:5])}."
        )
    else:
        raise step_failure(
            f"{len(published.missing)} of {len(published.plan.items)} items are missing, more than "
            f"max_missing={curation.max_missing} allows: the last good dataset stays. "
            + "; ".join(f"{key}: {why}" for key, why in list(published.missing.items())[:5]),
            {
                RETRY: MetadataValue.text(retry_hint(curation.retry_name)),
                f"{PREFIX}missing": failures_table(published.missing),
            },
        )
