"""The two assets of a curation: partitioned samples, and the dataset merged from them."""

# No deferred annotations here: Dagster reads those of ops as they are.
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    DagsterEventType,
    DataVersion,
    DynamicOutput,
    Failure,
    GraphOut,
    MaterializeResult,
    Nothing,
    OpDefinition,
    OpExecutionContext,
    Out,
    Output,
    asset,
    graph,
    op,
)

from curator_core import Pipeline, Plan
from curator_dagster.automation import dataset_condition
from curator_dagster.blocks import Block, blocks_of
from curator_dagster.curation import Curation
from curator_dagster.dataset import Publication, publish_dataset
from curator_dagster.fanout import BatchSummary, batches_out, failing_clearly, finish_reexecution
from curator_dagster.metadata import PREFIX, failures_table
from curator_dagster.planning import Batch, make_batches, recorded_results, settle
from curator_dagster.recording import Recorder
from curator_dagster.runs import begin_run


def samples_asset(curation: Curation, process: OpDefinition) -> AssetsDefinition:
    """The partitioned asset: any selection of partitions runs as one fan-out."""
    plan, collect = _plan_selected(curation), _collect_selected(curation)

    @graph(
        name=f"{curation.name}_samples",
        out=GraphOut(),
        description="One partition per item of the source; each is processed on its own and recorded as it completes.",
    )
    def samples() -> None:
        return collect(plan().map(process).collect())  # type: ignore[no-any-return]

    return AssetsDefinition.from_graph(
        samples,
        keys_by_output_name={"result": curation.samples_key},
        partitions_def=curation.partitions_def,
        backfill_policy=BackfillPolicy.single_run(),
        group_name=curation.group_name,
    )


def _plan_selected(curation: Curation) -> OpDefinition:
    @op(
        name=f"{curation.name}_plan_selected",
        out=batches_out(),
        description="Look up the selected partitions in the source and divide what is due into batches.",
    )
    def plan_selected(context: OpExecutionContext) -> Iterator[DynamicOutput[Batch]]:
        with failing_clearly():
            pipeline = curation.open_pipeline()
            listing = curation.list_source(pipeline)
            begin_run(context, curation)
            plan = settle(pipeline, listing)
            blocks, _ = _selected(context, curation, pipeline, plan)
            # What is up to date is not done again, but this run answers for every partition it was given.
            done = recorded_results(pipeline, [block for block in blocks if not block.due])
            with Recorder(context, curation, pipeline) as recorder:
                for results in done:
                    recorder.completed(results)
            batches = make_batches(curation, pipeline, plan, blocks)
        context.log.info("%d of %d partitions are up to date, %d batches", len(done), len(blocks), len(batches))
        for batch in batches:
            yield DynamicOutput(batch, mapping_key=str(batch.number))

    return plan_selected


def _collect_selected(curation: Curation) -> OpDefinition:
    @op(
        name=f"{curation.name}_collect_selected",
        out=Out(Nothing, is_required=False),
        description="Write the results into the metrics store; fail when items failed.",
    )
    def collect_selected(context: OpExecutionContext, summaries: list[BatchSummary]) -> Iterator[Output[None]]:
        with failing_clearly():
            summaries = finish_reexecution(context, curation, summaries, set(context.partition_keys))
            pipeline = curation.open_pipeline()
            plan = settle(pipeline, curation.list_source(pipeline))
            blocks, gone = _selected(context, curation, pipeline, plan)
            if context.run.parent_run_id is not None:
                _answer_for_all(context, curation, pipeline, blocks)
        raise_failed(summaries, dict.fromkeys(gone, f"the source no longer lists it, see {curation.name}_refresh"))
        context.log.info("%d items are done", sum(summary.n_completed for summary in summaries))
        # Every item is materialized already: an output here would add one more event per partition.
        yield from ()

    return collect_selected


def _selected(
    context: OpExecutionContext, curation: Curation, pipeline: Pipeline[Any], plan: Plan
) -> tuple[list[Block], list[str]]:
    """The partitions of this run, and those that are in the source no more."""
    listed = {block.partition: block for block in blocks_of(plan, curation.partition_size, pipeline.config_hash)}
    keys = context.partition_keys
    return [listed[key] for key in keys if key in listed], [key for key in keys if key not in listed]


def _answer_for_all(
    context: OpExecutionContext, curation: Curation, pipeline: Pipeline[Any], blocks: Sequence[Block]
) -> None:
    """Materialize what the run before this one completed: Dagster expects all partitions of it from this one."""
    events = context.instance.all_logs(context.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
    recorded = {event.get_dagster_event().partition for event in events}
    others = [block for block in blocks if not block.due and block.partition not in recorded]
    with Recorder(context, curation, pipeline) as recorder:
        for results in recorded_results(pipeline, others):
            recorder.completed(results)


def raise_failed(summaries: Sequence[BatchSummary], others: Mapping[str, str] = MappingProxyType({})) -> None:
    """Fail the run if items failed, so that their partitions show as failed.

    Parameters
    ----------
    summaries
        How the batches ended.
    others
        Reason by partition key of what could not be processed at all.

    Raises
    ------
    Failure
        With a table of the failed keys and their errors.
    """
    failures = {key: error for summary in summaries for key, error in summary.failures.items()} | dict(others)
    if failures:
        n_items = sum(summary.n_completed for summary in summaries) + len(failures)
        raise Failure(
            failure_text(failures, n_items), metadata={f"{PREFIX}failed": failures_table(failures)}, allow_retries=False
        )


def failure_text(failures: dict[str, str], n_items: int) -> str:
    """One line a tired person understands: how many, which, why."""
    shown = "; ".join(f"{key}: {error}" for key, error in list(failures.items())[:5])
    more = f"; and {len(failures) - 5} more" if len(failures) > 5 else ""  # noqa: PLR2004
    return f"{len(failures)} of {n_items} items failed: {shown}{more}"


def dataset_asset(curation: Curation) -> AssetsDefinition:
    """The merged dataset, downstream of all samples."""

    @asset(
        key=curation.dataset_key,
        deps=[curation.samples_key],
        group_name=curation.group_name,
        automation_condition=dataset_condition(curation),
        description="All completed samples, merged and published atomically.",
    )
    def dataset(context: AssetExecutionContext) -> MaterializeResult[None]:
        with failing_clearly():
            published = publish_dataset(curation, curation.open_pipeline(), context.log.info)
        raise_unpublished(curation, published)
        return MaterializeResult(metadata=published.metadata, data_version=DataVersion(published.data_version))

    return dataset


def raise_unpublished(curation: Curation, published: Publication) -> None:
    """Fail when too much is missing for the dataset to be published.

    Raises
    ------
    Failure
        The last good dataset stays.
    """
    if not published.is_published:
        raise Failure(
            f"{len(published.missing)} of {len(published.plan.items)} items are missing, more than "
            f"max_missing={curation.max_missing} allows: the last good dataset stays. "
            + "; ".join(f"{key}: {why}" for key, why in list(published.missing.items())[:5]),
            metadata={f"{PREFIX}missing": failures_table(published.missing)},
            allow_retries=False,
        )
