"""Events of assets: many stored at a time, and the latest of each partition in one query."""

from __future__ import annotations

import logging
import os
import time
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetKey,
    AssetObservation,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    EventLogEntry,
    EventLogRecord,
    MetadataValue,
    OpExecutionContext,
    Output,
)
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.events import AssetMaterializationPlannedData, AssetObservationData, StepMaterializationData

from curator_core.errors import CuratorError
from curator_dagster._compat.databases import database_errors, database_reason
from curator_dagster._compat.events.serialized import (
    PartitionEvent,
    PartitionMaterialized,
    PartitionPlanned,
    PartitionTexts,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dagster._core.storage.event_log import EventLogStorage

DATA_VERSION_TAG = "dagster/data_version"
"""Tag of a materialization that holds its data version.

Dagster sets it from ``MaterializeResult(data_version=…)``; there is no public name of it for
materializations that an op logs.
"""

MAX_WHOLE = 100
"""Materializations of a step that a run's own log has with their metadata, where it has copies; planned ones alike.

Nobody reads more of them there: they are on the asset's page.
"""

_AssetEventData = StepMaterializationData | AssetObservationData | AssetMaterializationPlannedData


class EventLogError(CuratorError, OSError):
    """Dagster's event log cannot be written."""


class EventBatch:
    """Events of one step, built here and stored many at a time.

    Publicly an op can only log one event at a time (`log_event`), each with a commit of its own, and every
    executor carries it through its queues besides.

    Parameters
    ----------
    context
        Of the op that records.
    """

    def __init__(self, context: OpExecutionContext) -> None:
        self._storage = _batching(context.instance.event_log_storage)
        self._run = context.run
        self._step = context.get_step_execution_context().step
        self._waiting: list[EventLogEntry | PartitionEvent] = []
        self._texts = PartitionTexts(self._of_partition)
        self._n_whole: dict[type, int] = dict.fromkeys((PartitionMaterialized, PartitionPlanned), MAX_WHOLE)

    def __len__(self) -> int:
        return len(self._waiting)

    def add_materialization(
        self,
        asset: AssetKey,
        partition: str,
        metadata: Mapping[str, Value | MetadataValue[Any]],
        tags: Mapping[str, str],
        message: str,
    ) -> None:
        """A partition was materialized; the message is what its row on the run's page says."""
        self._waiting.append(PartitionMaterialized(asset, partition, metadata, tags, time.time(), message))

    def add_observation(self, observation: AssetObservation, message: str) -> None:
        """Something was observed on a partition; the message is what its row on the run's page says."""
        data = AssetObservationData(observation)
        self._waiting.append(self._entry(DagsterEventType.ASSET_OBSERVATION, data, message, time.time()))

    def add_planned(self, asset: AssetKey, partition: str | None = None) -> None:
        """The run means to materialize a partition, or an asset that has none.

        It shows as in progress until it is done or the run ends, and then as failed if the run failed. Dagster says so
        itself for runs of a partitioned asset job; an op job cannot say it publicly.
        """
        self._waiting.append(PartitionPlanned(asset, partition, time.time()))

    def store(self) -> None:
        """Store what was added; what cannot be stored stays.

        Raises
        ------
        EventLogError
            The event log cannot be written, for example because its database is locked.
        """
        # PostgreSQL's storage takes events of one kind at a time.
        for _, events in groupby(self._waiting.copy(), key=_kind):
            group = list(events)
            try:
                self._store(group)
            except database_errors() as exc:
                raise EventLogError(f"Dagster's event log cannot be written: {database_reason(exc)}") from exc
            del self._waiting[: len(group)]

    def _store(self, group: list[EventLogEntry | PartitionEvent]) -> None:
        store_events = getattr(self._storage, "store_partition_events", None)
        events = [event for event in group if not isinstance(event, EventLogEntry)]
        if not events or store_events is None:
            entries = [e if isinstance(e, EventLogEntry) else self._of_partition(e) for e in group]
            self._storage.store_event_batch(entries)
        else:
            kind = type(events[0])
            store_events(events, self._texts, self._of_partition(events[-1]), self._n_whole[kind])
            self._n_whole[kind] = max(0, self._n_whole[kind] - len(events))

    def _of_partition(self, event: PartitionEvent) -> EventLogEntry:
        if isinstance(event, PartitionMaterialized):
            data = StepMaterializationData(event.materialization())
            return self._entry(DagsterEventType.ASSET_MATERIALIZATION, data, event.message, event.timestamp)
        planned = AssetMaterializationPlannedData(event.asset, event.partition)
        message = f"{self._run.job_name} intends to materialize asset {event.asset.to_string()}"
        return self._entry(DagsterEventType.ASSET_MATERIALIZATION_PLANNED, planned, message, event.timestamp)

    def _entry(self, kind: DagsterEventType, data: _AssetEventData, message: str, timestamp: float) -> EventLogEntry:
        event = DagsterEvent(
            event_type_value=kind.value,
            job_name=self._run.job_name,
            step_key=self._step.key,  # without its handle, which would say the same at length
            node_handle=self._step.node_handle,
            step_kind_value=self._step.kind.value,
            event_specific_data=data,
            message=message,
            pid=os.getpid(),
        )
        return EventLogEntry(  # type: ignore[no-untyped-call]
            user_message="",
            level=logging.DEBUG,
            job_name=self._run.job_name,
            run_id=self._run.run_id,
            error_info=None,
            timestamp=timestamp,
            step_key=self._step.key,
            dagster_event=event,
        )


def _kind(event: EventLogEntry | PartitionEvent) -> object:
    return event.dagster_event_type if isinstance(event, EventLogEntry) else (type(event), event.asset)


def _batching(storage: EventLogStorage) -> EventLogStorage:
    """The same event log through our own class, which stores many events at once."""
    # Imported where it is needed: a code location needs none.
    if type(storage).__module__.startswith("dagster_postgres."):
        from dagster_postgres import PostgresEventLogStorage  # noqa: PLC0415

        from curator_dagster._compat.events.event_log_postgres import BatchedPostgresEventLogStorage  # noqa: PLC0415

        if type(storage) is PostgresEventLogStorage:
            return BatchedPostgresEventLogStorage(storage.postgres_url, False, None, storage._token_provider)  # noqa: FBT003, SLF001
        return storage
    from dagster._core.storage.event_log import SqliteEventLogStorage  # noqa: PLC0415

    if type(storage) is not SqliteEventLogStorage:
        return storage
    from curator_dagster._compat.events.event_log import BatchedSqliteEventLogStorage  # noqa: PLC0415

    # Both kinds of SQLite storage keep the same files, and may have them open at the same time.
    return BatchedSqliteEventLogStorage(storage._base_dir)  # noqa: SLF001


def latest_data_versions(instance: DagsterInstance, asset: AssetKey) -> Mapping[str, str]:
    """Data version of the latest materialization of every partition of an asset.

    Publicly there is only `get_latest_data_version_record`, one query per partition.
    """
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        asset, DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
    )
    return {partition: found[DATA_VERSION_TAG] for partition, found in tags.items() if DATA_VERSION_TAG in found}


def standing_data_versions(instance: DagsterInstance, asset: AssetKey) -> Mapping[str, str]:
    """Data version of every partition whose latest event is a materialization, not a run that means to make one.

    Publicly nothing says what was planned.
    """
    storage = instance.event_log_storage
    planned = storage.get_latest_asset_partition_materialization_attempts_without_materializations(asset)
    return {name: version for name, version in latest_data_versions(instance, asset).items() if name not in planned}


def unrecorded_output() -> Output[None]:
    """The output of a partitioned asset whose partitions the op has materialized itself.

    Dagster records a materialization of every partition of the run when an asset's output is yielded, and skips what
    is downstream in the same run when it is not. It has a mark for outputs of observed sources that have reported
    themselves; there is no public one.
    """
    return Output(None, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def check_target(record: EventLogRecord) -> AssetCheckEvaluationTargetMaterializationData:
    """The materialization that a check was made of, for an evaluation that an op logs.

    Dagster fills it in for checks that it runs itself; `AssetCheckEvaluation` is public, this part of it not.
    """
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
    )


def latest_checked_materialization(instance: DagsterInstance, check: AssetCheckKey) -> int | None:
    """Storage id of the materialization that a check's latest evaluation was made of.

    There is no public way to ask for a check's latest evaluation.
    """
    record = instance.get_latest_asset_check_evaluation_record(check)
    evaluation = None if record is None else record.evaluation
    if not isinstance(evaluation, AssetCheckEvaluation):  # planned in a run that never came to it
        return None
    target = evaluation.target_materialization_data
    return None if target is None else target.storage_id
