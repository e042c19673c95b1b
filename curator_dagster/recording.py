"""Index results into Dagster's event log, its mirror of the metrics store."""

from __future__ import annotations

from collections.abc import Iterable

from dagster import AssetMaterialization, AssetObservation, OpExecutionContext

from curator_core import IndexResult
from curator_dagster._compat import DATA_VERSION_TAG, report_planned
from curator_dagster.curation import Curation, sample_version
from curator_dagster.metadata import failure_metadata, sample_metadata
from curator_dagster.partitions import partition_key


def record_completed(
    context: OpExecutionContext, curation: Curation, results: Iterable[IndexResult], config_hash: str
) -> None:
    """Log one materialization per completed item."""
    for result in results:
        context.log_event(
            AssetMaterialization(
                curation.samples_key,
                partition=partition_key(result.key),
                metadata=sample_metadata(result, config_hash),
                tags={DATA_VERSION_TAG: sample_version(result.key, result.fingerprint, config_hash)},
            )
        )


def record_failed(context: OpExecutionContext, curation: Curation, result: IndexResult) -> None:
    """Log why an item failed, on its partition and in the run's log.

    The partition shows as failed when the run fails, which `collect` sees to.
    """
    key = partition_key(result.key)
    if not context.has_partition_key_range and not context.has_partition_key:
        report_planned(context.instance, context.run, curation.samples_key, [key], str(context.op_handle))
    context.log_event(
        AssetObservation(
            curation.samples_key, partition=key, description=result.error, metadata=failure_metadata(result)
        )
    )
    context.log.error("%s failed: %s\n%s", result.key, result.error, result.traceback)
