"""The one door to parts of Dagster that are not public.

Every function says which public interface is missing; ``tests/dagster/test_compat.py`` fails when a
release of Dagster changes what is used here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

from dagster import AssetKey, DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, EventLogEntry
from dagster._core.events import (
    ASSET_CHECK_EVENTS,
    ASSET_EVENTS,
    EVENT_TYPE_TO_PIPELINE_RUN_STATUS,
    AssetMaterializationPlannedData,
)
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.execution.tags import get_tag_concurrency_limits_config
from dagster._core.executor.step_delegating import (
    CheckStepHealthResult,
    StepDelegatingExecutor,
    StepHandler,
    StepHandlerContext,
)
from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage

if TYPE_CHECKING:
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy import Connection

__all__ = [
    "DATA_VERSION_TAG",
    "BatchedSqliteEventLogStorage",
    "CheckStepHealthResult",
    "ExecutionPlan",
    "PlanOrchestrationContext",
    "RetryMode",
    "StepDelegatingExecutor",
    "StepHandler",
    "StepHandlerContext",
    "get_retries_config",
    "get_tag_concurrency_limits_config",
    "is_settled",
    "latest_data_versions",
    "report_planned",
    "report_run_dead",
    "report_starting",
    "step_arguments",
]

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


# `StepDelegatingExecutor` and what belongs to it carry Dagster's own executors for Kubernetes, Docker and
# Celery. Publicly an executor can only be written from nothing, on parts that are not public either.

_ATTEMPT_STARTS = DagsterEventType.STEP_WORKER_STARTING
_ATTEMPT_ENDS = {
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_UP_FOR_RETRY,
    DagsterEventType.RESOURCE_INIT_FAILURE,  # the executor makes a failure or a retry of it
}


def step_arguments(context: StepHandlerContext) -> Sequence[str]:
    """Arguments of the command ``dagster`` that executes a step, without what comes before them.

    The command is internal, though every step-delegating executor uses it.
    """
    command = context.execute_step_args.get_command_args()
    return command[command.index("api") :]


def report_starting(context: StepHandlerContext, step_key: str, message: str) -> DagsterEvent:
    """Log that a step is handed to a worker; `is_settled` takes it for the start of an attempt."""
    return DagsterEvent.step_worker_starting(context.get_step_context(step_key), message, metadata={})


def is_settled(context: StepHandlerContext, step_key: str) -> bool:
    """Whether the event log has the outcome of the latest attempt at a step.

    Publicly a run's events can be had only all together.
    """
    records = context.instance.all_logs(context.dagster_run.run_id, of_type={_ATTEMPT_STARTS, *_ATTEMPT_ENDS})
    kinds = [entry.dagster_event_type for entry in records if entry.step_key == step_key]
    return bool(kinds) and kinds[-1] in _ATTEMPT_ENDS


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's SQLite event log, with the events of a batch stored in one transaction.

    Whatever is asked of it gives what Dagster's own storage gives, whose files it can go on with. Name it in
    ``dagster.yaml``:

    .. code-block:: yaml

        event_log_storage:
          module: curator_dagster
          class: BatchedSqliteEventLogStorage
          config:
            base_dir: /path/to/dagster_home/history/runs

    Publicly there is no storage to build upon: Dagster's writes every event of a batch on its own, with two
    engines and two commits each.
    """

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Made by Dagster from ``dagster.yaml``."""
        return cls(inst_data=inst_data, **config_value)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events, in order."""
        for (run_id, is_plain), group in groupby(events, key=lambda event: (event.run_id, _is_plain(event))):
            if is_plain:
                self._store_plain(run_id, list(group))
            else:
                for event in group:
                    self.store_event(event)

    def _store_plain(self, run_id: str, events: list[EventLogEntry]) -> None:
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(run_id) as run_shard:
            run_shard.execute(SqlEventLogStorageTable.insert(), rows)
        mirrored = [(event, row) for event, row in zip(events, rows, strict=True) if _is_of_asset(event)]
        if not mirrored:
            return
        of_assets = [event for event, _ in mirrored]
        with self.index_transaction() as index:
            index.execute(SqlEventLogStorageTable.insert(), [row for _, row in mirrored])
            ids = _last_ids(index, len(mirrored))
            self._store_asset_event_tags(index, of_assets, ids)
            # Of each kind of event, an asset's row tells the last.
            last = {(e.get_dagster_event().asset_key, e.dagster_event_type): n for n, e in enumerate(of_assets)}
            for position in sorted(last.values()):
                self._store_asset_event(index, of_assets[position], ids[position])


def _is_of_asset(event: EventLogEntry) -> bool:
    return event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS


def _is_plain(event: EventLogEntry) -> bool:
    """Whether it changes no state of a run or of a check, which Dagster mirrors in ways of their own."""
    kind = event.dagster_event_type if event.is_dagster_event else None
    return kind not in ASSET_CHECK_EVENTS and kind not in EVENT_TYPE_TO_PIPELINE_RUN_STATUS


def _last_ids(connection: Connection, n_rows: int) -> list[int]:
    """Ids of the rows inserted last: consecutive ones, as nobody else can write meanwhile."""
    last: int = connection.exec_driver_sql("SELECT last_insert_rowid()").scalar_one()
    return list(range(last - n_rows + 1, last + 1))
