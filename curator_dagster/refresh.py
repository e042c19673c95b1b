"""The refresh job: list the source, follow it, process what is due, merge; all in one run."""

# No deferred annotations here: Dagster reads those of ops as they are.
from collections.abc import Iterator

from dagster import (
    AssetCheckEvaluation,
    AssetMaterialization,
    DynamicOutput,
    ExecutorDefinition,
    JobDefinition,
    OpDefinition,
    OpExecutionContext,
    Output,
    graph,
    op,
)

from curator_dagster._compat.asset_events import DATA_VERSION_TAG
from curator_dagster._compat.loading import carried
from curator_dagster.assets import raise_failed, raise_unpublished
from curator_dagster.blocks import blocks_of, partition_keys
from curator_dagster.checks import DatasetChecks
from curator_dagster.curation import Curation
from curator_dagster.dataset import Publication, latest_dataset_version, publish_dataset
from curator_dagster.fanout import BatchSummary, batches_out, failing_clearly, finish_reexecution
from curator_dagster.metadata import CURATION_METADATA
from curator_dagster.partitions import register_partitions
from curator_dagster.planning import Batch, await_others, make_batches, settle, unmirrored
from curator_dagster.recording import Recorder
from curator_dagster.runs import begin_run


def refresh_job(
    curation: Curation, process: OpDefinition, executor: ExecutorDefinition, checks: DatasetChecks
) -> JobDefinition:
    """The job ``{name}_refresh``: unpartitioned, so scattered work fits in one run."""
    plan, collect = _plan_due(curation), _collect_due(curation, checks)

    @graph(name=curation.refresh_name)
    def refresh() -> None:
        collect(plan().map(process).collect())

    return refresh.to_job(
        name=curation.refresh_name,
        metadata=carried(CURATION_METADATA, curation.name, curation),
        executor_def=executor,
        description=f"Follow the source of {curation.name}: process what is new, changed or failed, and merge.",
    )


def _plan_due(curation: Curation) -> OpDefinition:
    @op(
        name=f"{curation.name}_plan",
        out=batches_out(),
        description="List the source, register its partitions, and divide what is due into batches.",
    )
    def plan_due(context: OpExecutionContext) -> Iterator[DynamicOutput[Batch]]:
        with failing_clearly():
            pipeline = curation.open_pipeline()
            await_others(pipeline, context.log.info)
            listing = curation.list_source(pipeline)
            begin_run(context, curation)
            keys = partition_keys(listing, curation.partition_size)
            added, removed = register_partitions(context.instance, curation.name, keys, prune=curation.prune)
            plan = settle(pipeline, listing)
            blocks = list(blocks_of(plan, curation.partition_size, pipeline.config_hash))
            with Recorder(context, curation, pipeline) as recorder:
                for results in unmirrored(context.instance, curation, pipeline, blocks):
                    recorder.completed(results)
            batches = make_batches(curation, pipeline, plan, blocks)
        counts = ", ".join(f"{n} {reason}" for reason, n in sorted(plan.counts().items()))
        context.log.info("%d items: %s", len(listing), counts)
        context.log.info("%d partitions added, %d removed; %d batches", len(added), len(removed), len(batches))
        for batch in batches:
            yield DynamicOutput(batch, mapping_key=str(batch.number))

    return plan_due


def _collect_due(curation: Curation, checks: DatasetChecks) -> OpDefinition:
    @op(
        name=f"{curation.name}_collect",
        description="Write the results into the metrics store, merge, publish; fail when items failed.",
    )
    def collect(
        context: OpExecutionContext, summaries: list[BatchSummary]
    ) -> Iterator[AssetMaterialization | AssetCheckEvaluation | Output[None]]:
        with failing_clearly():
            summaries = finish_reexecution(context, curation, summaries)
            published = publish_dataset(curation, curation.open_pipeline(), context.log.info)
        if published.is_published:
            yield from _materialized(context, curation, published)
        yield from checks.evaluations(context.instance, published)
        raise_unpublished(curation, published)
        raise_failed(summaries)
        yield Output(None)

    return collect


def _materialized(
    context: OpExecutionContext, curation: Curation, published: Publication
) -> Iterator[AssetMaterialization]:
    if latest_dataset_version(context.instance, curation) == published.data_version:
        context.log.info("The dataset is up to date.")
        return
    tags = {DATA_VERSION_TAG: published.data_version}
    yield AssetMaterialization(curation.dataset_key, metadata=published.metadata, tags=tags)
