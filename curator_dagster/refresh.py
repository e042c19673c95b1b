"""The refresh job: list the source, follow it, process what is due, merge; all in one run.

A retry is the same for what failed.
"""

# No deferred annotations here: Dagster reads those of ops as they are.
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetMaterialization,
    AssetObservation,
    DynamicOut,
    DynamicOutput,
    ExecutorDefinition,
    JobDefinition,
    MetadataValue,
    OpDefinition,
    OpExecutionContext,
    Out,
    Output,
    graph,
    op,
)

from curator_core.session import Session
from curator_dagster._compat.events.asset_events import DATA_VERSION_TAG
from curator_dagster._compat.loading import carried
from curator_dagster._compat.statuses import confirm, is_answered, provenance_tags
from curator_dagster.assets import raise_failed, raise_unpublished
from curator_dagster.checks.spec import DatasetChecks
from curator_dagster.curation.curation import Curation
from curator_dagster.curation.failing import failing_clearly
from curator_dagster.curation.instance_checks import prepare_run
from curator_dagster.curation.launch import (
    NO_CONFIG,
    Planned,
    RefreshConfig,
    RetryConfig,
    chosen_blocks,
    chosen_indices,
    force,
)
from curator_dagster.curation.owners import follow_partitions
from curator_dagster.curation.partition_block import PartitionBlock, blocks_of
from curator_dagster.curation.partitions import failed_partitions
from curator_dagster.curation.resources import explain_missing, in_context
from curator_dagster.curation.runs import begin_run
from curator_dagster.metadata.item import CURATION_METADATA
from curator_dagster.steps.dataset import Publication, is_published, latest_dataset_version, publish_dataset
from curator_dagster.steps.fanout import BatchSummary, finish_reexecution
from curator_dagster.steps.planning import Batch, await_others, make_batches, unmirrored
from curator_dagster.steps.processing import segments_encoder
from curator_dagster.steps.recording import Recorder
from curator_dagster.steps.turns import sole_turn

LAST_UPDATED = "dagster/last_updated_timestamp"
"""Metadata by which Dagster's freshness checks know that an observed asset is up to date."""


def refresh_jobs(
    curation: Curation, process: OpDefinition, executor: ExecutorDefinition, checks: DatasetChecks
) -> tuple[JobDefinition, JobDefinition]:
    """The jobs ``{name}_refresh`` and ``{name}_retry``: unpartitioned, so scattered work fits in one run."""
    collect = _collect_due(curation, checks)

    def job(name: str, plan: OpDefinition, description: str, **metadata: MetadataValue[Any]) -> JobDefinition:
        @graph(name=name)
        def planned_run() -> None:
            planned = plan()
            collect(planned.planned, planned.batches.map(process).collect())

        return planned_run.to_job(
            name=name,
            metadata=metadata,
            executor_def=executor,
            tags=curation.run_tags,
            hooks=set(curation.hooks or ()),
            description=description,
        )

    refresh = job(
        curation.refresh_name,
        _plan_op(
            curation,
            f"{curation.name}_plan",
            RefreshConfig,
            "List the source, register its partitions, and divide what is due into batches.",
        ),
        f"Follow the source of {curation.name}: process what is new, changed or failed, and merge.",
        **carried(CURATION_METADATA, curation.name, curation),
    )
    retry = job(
        curation.retry_name,
        _plan_op(
            curation,
            f"{curation.name}_plan_failed",
            RetryConfig,
            "List the source, look up what failed, and divide it into batches.",
        ),
        f"Try again all items of {curation.name} that failed, and merge; what is new or changed is left.",
    )
    return refresh, retry


def _plan_op(
    declared: Curation, name: str, config: type[RefreshConfig] | type[RetryConfig], description: str
) -> OpDefinition:
    @op(
        name=name,
        out={"planned": Out(Planned), "batches": DynamicOut(Batch)},
        config_schema=config.schema_of_op(),
        required_resource_keys=set(declared.resource_keys),
        description=description,
    )
    def plan(context: OpExecutionContext) -> Iterator[Output[Planned] | DynamicOutput[Batch]]:
        yield from _planned_outputs(context, in_context(declared, context.resources), config(**context.op_config))

    explain_missing(declared, plan)
    return plan


def _planned_outputs(
    context: OpExecutionContext, curation: Curation, config: RefreshConfig | RetryConfig
) -> Iterator[Output[Planned] | DynamicOutput[Batch]]:
    if isinstance(config, RetryConfig):
        curation = replace(curation, prune=False)
    with failing_clearly():
        pipeline = curation.open_pipeline()
        with sole_turn(context, curation, pipeline) as session:
            chosen, batches = _planned_work(context, curation, session, config)
            plan = session.plan
        taken = {index for block in chosen for index in block.due}
        left = [item for item in plan.due if item.index not in taken]
        context.log.info("%d items: %s", len(plan.listing), _counted(plan.counts()))
        context.log.info("%d batches", len(batches))
        if left:
            reasons = _counted(Counter(item.reason for item in left))
            tell = context.log.warning if isinstance(config, RetryConfig) else context.log.info
            tell("%d items are left to %s: %s.", len(left), curation.refresh_name, reasons)
    yield Output(Planned(plan.listing, frozenset(item.key for item in left)), "planned")
    for batch in batches:
        yield DynamicOutput(batch, mapping_key=str(batch.number), output_name="batches")


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()))


def _planned_work(
    context: OpExecutionContext, curation: Curation, session: Session, config: RefreshConfig | RetryConfig
) -> tuple[list[PartitionBlock], list[Batch]]:
    """The partitions of what is due that this run does, and batches of these."""
    await_others(session, context.log.info)
    wanted = chosen_indices(session.listing, config.keys)
    begin_run(context, curation.name)
    prepare_run(context, curation)
    session.take_over()
    added, removed = follow_partitions(context.instance, curation, session.pipeline, session.plan, context.log.warning)
    context.log.info("%d partitions added, %d removed", len(added), len(removed))
    if isinstance(config, RefreshConfig) and config.force:
        force(session, wanted)
    blocks = list(blocks_of(session.plan, curation.partition_size, session.config_hash))
    asked = [block.partition for block in blocks if isinstance(config, RetryConfig) or not block.due]
    failed = failed_partitions(context.instance, curation.samples_key, curation.partitions_def, asked)
    chosen = chosen_blocks(blocks, session.plan, config, failed)
    with Recorder(context, curation, session) as recorder:
        for results in unmirrored(context.instance, curation, session, blocks, failed=failed):
            recorder.completed(results)
        recorder.planned([block.partition for block in chosen])
        if _is_to_be_published(context, curation, session, chosen):
            recorder.planned_dataset()
    return chosen, make_batches(curation, session, chosen)


def _is_to_be_published(
    context: OpExecutionContext, curation: Curation, session: Session, chosen: Iterable[PartitionBlock]
) -> bool:
    """Whether the dataset will be something new if all that is chosen succeeds."""
    instance, plan = context.instance, session.plan
    n_taken = sum(len(block.due) for block in chosen)
    return curation.tolerates(len(plan.due) - n_taken, len(plan.listing)) and (
        n_taken > 0
        or not is_published(instance, curation, session)
        or not is_answered(instance, curation.dataset_key)  # it shows as failed, though it is right
    )


def _collect_due(declared: Curation, checks: DatasetChecks) -> OpDefinition:
    settings = declared.op_settings["dataset"]

    @op(
        name=f"{declared.name}_collect",
        config_schema=NO_CONFIG,
        required_resource_keys=set(declared.resource_keys),
        tags=settings.tags,
        pool=settings.pool,
        retry_policy=settings.retry_policy,
        description="Write the results into the metrics store, merge, publish; fail when items failed.",
    )
    def collect(
        context: OpExecutionContext, planned: Planned, summaries: list[BatchSummary]
    ) -> Iterator[AssetMaterialization | AssetObservation | AssetCheckEvaluation | Output[None]]:
        curation = in_context(declared, context.resources)
        with failing_clearly():
            pipeline = curation.open_pipeline()
            with sole_turn(context, curation, pipeline, is_last=True) as session:
                summaries, listing = finish_reexecution(context, curation, session, summaries, kept=planned.left)
                if listing is not None:  # the run before planned, and this one answers for it
                    planned = Planned(listing, planned.left)
                    with Recorder(context, curation, session) as recorder:
                        recorder.planned_dataset()
                made_of = provenance_tags(context, curation.dataset_spec)  # what comes from here on is not in it
                failed = {key for summary in summaries for key in summary.failures}
                session.encode = segments_encoder(context, curation, session)
                published = publish_dataset(curation, session, context.log.info, planned, failed=failed)
            if published.is_published:
                yield from _materialized(context, curation, published, made_of)
            yield from checks.evaluations(context.instance, published)
            raise_unpublished(curation, published, context.log.warning)
            raise_failed(summaries, postponed=published.postponed, retry=curation.retry_name)
            confirm(context.instance, curation.samples_key, context.run_id)
        yield Output(None)

    explain_missing(declared, collect)
    return collect


def _materialized(
    context: OpExecutionContext, curation: Curation, published: Publication, made_of: Mapping[str, str]
) -> Iterator[AssetMaterialization | AssetObservation]:
    """A materialization of a new dataset; of one that is as it was, that it is up to date."""
    if latest_dataset_version(context.instance, curation) != published.data_version:
        tags = {**made_of, DATA_VERSION_TAG: published.data_version}
        metadata = published.metadata(curation, context.log.warning)
        yield AssetMaterialization(curation.dataset_key, metadata=metadata, tags=tags)
        return
    # Another materialization would launch what is downstream, which does not ask whether the data changed.
    context.log.info("The dataset is up to date.")
    confirm(context.instance, curation.dataset_key, context.run_id)
    checked = {LAST_UPDATED: MetadataValue.timestamp(time.time())}
    yield AssetObservation(curation.dataset_key, description="Checked: it is up to date.", metadata=checked)
