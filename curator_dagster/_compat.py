"""The one door to parts of Dagster that are not public.

Every function says which public interface is missing; ``tests/dagster/test_compat.py`` fails when a
release of Dagster changes what is used here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from dagster import AssetKey, DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun
from dagster._core.events import AssetMaterializationPlannedData

DATA_VERSION_TAG = "dagster/data_version"
"""Tag of a materialization that holds its data version.

Dagster sets it from ``MaterializeResult(data_version=…)``; there is no public name of it for
materializations that an op logs.
"""


def latest_data_versions(instance: DagsterInstance, asset: AssetKey) -> Mapping[str, str]:
    """Data version of the latest materialization of every partition of an asset.

    Publicly there is only `get_latest_data_version_record`, one query per partition.
    """
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        asset, DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
    )
    return {partition: found[DATA_VERSION_TAG] for partition, found in tags.items() if DATA_VERSION_TAG in found}


def report_planned(
    instance: DagsterInstance, run: DagsterRun, asset: AssetKey, partitions: Sequence[str], step_key: str
) -> None:
    """Announce that a run means to materialize partitions, so that they show as failed when it fails.

    Dagster does so itself for runs of a partitioned asset job; an op job cannot say it publicly.
    """
    for partition in partitions:
        event = DagsterEvent.build_asset_materialization_planned_event(
            run.job_name, step_key, AssetMaterializationPlannedData(asset, partition=partition)
        )
        instance.report_dagster_event(event, run.run_id, logging.DEBUG)


def report_run_dead(instance: DagsterInstance, run: DagsterRun, message: str) -> None:
    """Mark a run as failed whose process is gone.

    Publicly only the daemon's run monitoring does it, for runs that it launched.
    """
    instance.report_run_failed(run, message)
