"""Index results into Dagster's event log, its mirror of the metrics store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dagster import AssetMaterialization, AssetObservation, OpExecutionContext

from curator_core import IndexResult, Pipeline
from curator_core.shards import item_version, sharded_outputs
from curator_dagster._compat import DATA_VERSION_TAG, report_planned
from curator_dagster.curation import Curation
from curator_dagster.metadata import failure_metadata, sample_metadata
from curator_dagster.partitions import partition_key


class Recorder:
    """Logs the results of one pipeline from one op.

    Parameters
    ----------
    context
        The op's context.
    curation, pipeline
        What the results are of.
    """

    def __init__(self, context: OpExecutionContext, curation: Curation, pipeline: Pipeline[Any]) -> None:
        self._context = context
        self._curation = curation
        self._config_hash = pipeline.config_hash
        self._merged = {output.order: output.path for output in sharded_outputs(pipeline)}
        self._sink_order = len(pipeline.filters) + 1

    def completed(self, result: IndexResult) -> None:
        """Log the materialization of a completed item."""
        self._context.log_event(
            AssetMaterialization(
                self._curation.samples_key,
                partition=partition_key(result.key),
                metadata=sample_metadata(self._with_lasting_paths(result), self._config_hash),
                tags={DATA_VERSION_TAG: item_version(result.key, result.fingerprint, self._config_hash)},
            )
        )

    def failed(self, result: IndexResult) -> None:
        """Log why an item failed, on its partition and in the run's log.

        The partition shows as failed when the run fails, which the collecting op sees to.
        """
        context, samples = self._context, self._curation.samples_key
        key = partition_key(result.key)
        if not context.has_partition_key_range and not context.has_partition_key:
            report_planned(context.instance, context.run, samples, [key], str(context.op_handle))
        context.log_event(
            AssetObservation(samples, partition=key, description=result.error, metadata=failure_metadata(result))
        )
        context.log.error("%s failed: %s\n%s", result.key, result.error, result.traceback)

    def _with_lasting_paths(self, result: IndexResult) -> IndexResult:
        # Shards are gone once they are merged; what they are merged into lasts.
        artifacts = tuple(replace(a, path=self._merged.get(a.filter_order, a.path)) for a in result.artifacts)
        outputs = (self._merged[self._sink_order],) if self._sink_order in self._merged else result.output_paths
        return replace(result, artifacts=artifacts, output_paths=outputs)
