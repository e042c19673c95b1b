"""The refresh job: list the source, follow it, process what is due, merge; all in one run."""

# No deferred annotations here: Dagster reads those of ops as they are.
from collections.abc import Iterator

from dagster import (
    AssetMaterialization,
    DynamicOutput,
    ExecutorDefinition,
    JobDefinition,
    OpDefinition,
    OpExecutionContext,
    graph,
    op,
)

from curator_dagster._compat import DATA_VERSION_TAG, carried
from curator_dagster.assets import raise_failed, raise_unpublished
from curator_dagster.curation import Curation
from curator_dagster.dataset import Publication, latest_dataset_version, publish_dataset
from curator_dagster.fanout import BatchSummary, batches_out, failing_clearly
from curator_dagster.metadata import CURATION_METADATA
from curator_dagster.partitions import partition_key, register_partitions
from curator_dagster.planning import Batch, make_batches, settle, unmirrored
from curator_dagster.recording import Recorder


def refresh_job(curation: Curation, process: OpDefinition, executor: ExecutorDefinition) -> JobDefinition:
    """The job ``{name}_refresh``: unpartitioned, so scattered work fits in one run."""
    plan, collect = _plan_due(curation), _collect_due(curation)

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
    def plan(context: OpExecutionContext) -> Iterator[DynamicOutput[Batch]]:
        with failing_clearly():
            pipeline = curation.open_pipeline()
            listing = curation.list_source(pipeline)
            keys = [partition_key(key) for key in listing.keys]
            added, removed = register_partitions(context.instance, curation.name, keys, prune=curation.prune)
            decided = settle(pipeline, listing)
            behind = unmirrored(context.instance, curation, pipeline, decided)
            recorder = Recorder(context, curation, pipeline)
            for result in behind:
                recorder.completed(result)
            batches = make_batches(curation, pipeline, [item.item for item in decided.due])
        counts = ", ".join(f"{n} {reason}" for reason, n in sorted(decided.counts().items()))
        context.log.info("%d items: %s", len(keys), counts)
        context.log.info("%d partitions added, %d removed; %d batches", len(added), len(removed), len(batches))
        for batch in batches:
            yield DynamicOutput(batch, mapping_key=str(batch.number))

    return plan


def _collect_due(curation: Curation) -> OpDefinition:
    @op(
        name=f"{curation.name}_collect",
        description="Write the results into the metrics store, merge, publish; fail when items failed.",
    )
    def collect(context: OpExecutionContext, summaries: list[BatchSummary]) -> None:
        with failing_clearly():
            published = publish_dataset(curation, curation.open_pipeline(), context.log.info)
        if published.is_published:
            _record_dataset(context, curation, published)
        raise_unpublished(curation, published)
        raise_failed(summaries)

    return collect


def _record_dataset(context: OpExecutionContext, curation: Curation, published: Publication) -> None:
    if latest_dataset_version(context.instance, curation) == published.data_version:
        context.log.info("The dataset is up to date.")
        return
    tags = {DATA_VERSION_TAG: published.data_version}
    context.log_event(AssetMaterialization(curation.dataset_key, metadata=published.metadata, tags=tags))
