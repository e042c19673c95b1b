"""The one door to parts of Dagster that are not public.

Every function says which public interface is missing; ``tests/dagster/test_compat.py`` fails when a
release of Dagster changes what is used here.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    EventLogEntry,
    EventLogRecord,
    OpExecutionContext,
)
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.events import (
    ASSET_CHECK_EVENTS,
    ASSET_EVENTS,
    EVENT_TYPE_TO_PIPELINE_RUN_STATUS,
    AssetMaterializationPlannedData,
    AssetObservationData,
    StepMaterializationData,
)
from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.sql import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from curator_core.errors import CuratorError

if TYPE_CHECKING:
    from dagster._core.storage.event_log import EventLogStorage
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy import Connection, Engine

DATA_VERSION_TAG = "dagster/data_version"
"""Tag of a materialization that holds its data version.

Dagster sets it from ``MaterializeResult(data_version=…)``; there is no public name of it for
materializations that an op logs.
"""
LOCK_TIMEOUT_S = 30.0
"""Longest wait for another process that writes to the same SQLite file, seconds."""
MAX_ENGINES = 32
"""Databases (one for each run) of which a process remembers how to open them."""
EVENT_BATCH_SIZE = 1000
"""Events that Dagster gives `BatchedSqliteEventLogStorage` at once, unless ``DAGSTER_EVENT_BATCH_SIZE`` is set."""


STEP_MODULES = (
    "dagster._core.executor.multiprocess",
    "dagster._core.instance.factory",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.storage.legacy_storage",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.definitions.repository_definition.repository_data_builder",
    "dagster._core.workspace.autodiscovery",
    "watchdog.observers.polling",
    "dotenv",
    "upath.implementations.local",
)
"""What the process of a step imports of Dagster: forked from a server that has it, it starts a second earlier.

Publicly Dagster names nothing to preload.
"""


def latest_data_versions(instance: DagsterInstance, asset: AssetKey) -> Mapping[str, str]:
    """Data version of the latest materialization of every partition of an asset.

    Publicly there is only `get_latest_data_version_record`, one query per partition.
    """
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        asset, DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
    )
    return {partition: found[DATA_VERSION_TAG] for partition, found in tags.items() if DATA_VERSION_TAG in found}


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
        self._entries: list[EventLogEntry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add_materialization(self, materialization: AssetMaterialization) -> None:
        """A partition was materialized."""
        data = StepMaterializationData(materialization)
        self._add(DagsterEventType.ASSET_MATERIALIZATION, data, "Materialized value.")

    def add_observation(self, observation: AssetObservation) -> None:
        """Something was observed on a partition."""
        data = AssetObservationData(observation)
        self._add(DagsterEventType.ASSET_OBSERVATION, data, observation.description or "")

    def add_planned(self, asset: AssetKey, partition: str) -> None:
        """The run means to materialize a partition, which shows as failed when the run fails without it.

        Dagster says so itself for runs of a partitioned asset job; an op job cannot say it publicly.
        """
        data = AssetMaterializationPlannedData(asset, partition)
        message = f"{self._run.job_name} intends to materialize asset {asset.to_string()}"
        self._add(DagsterEventType.ASSET_MATERIALIZATION_PLANNED, data, message)

    def store(self) -> None:
        """Store what was added; what cannot be stored stays.

        Raises
        ------
        EventLogError
            The event log cannot be written, for example because its database is locked.
        """
        # PostgreSQL's storage takes events of one kind at a time.
        for _, entries in groupby(self._entries.copy(), key=lambda entry: entry.dagster_event_type):
            group = list(entries)
            try:
                self._storage.store_event_batch(group)
            except (DBAPIError, OSError) as exc:
                raise EventLogError(f"Dagster's event log cannot be written: {str(exc).splitlines()[0]}") from exc
            del self._entries[: len(group)]

    def _add(self, kind: DagsterEventType, data: _AssetEventData, message: str) -> None:
        event = DagsterEvent(
            event_type_value=kind.value,
            job_name=self._run.job_name,
            step_handle=self._step.handle,
            node_handle=self._step.node_handle,
            step_kind_value=self._step.kind.value,
            event_specific_data=data,
            message=message,
            pid=os.getpid(),
        )
        entry = EventLogEntry(  # type: ignore[no-untyped-call]
            user_message="",
            level=logging.DEBUG,
            job_name=self._run.job_name,
            run_id=self._run.run_id,
            error_info=None,
            timestamp=time.time(),
            step_key=self._step.key,
            dagster_event=event,
        )
        self._entries.append(entry)


def _batching(storage: EventLogStorage) -> EventLogStorage:
    # Both kinds of SQLite storage keep the same files, and may have them open at the same time.
    if type(storage) is not SqliteEventLogStorage:
        return storage
    return BatchedSqliteEventLogStorage(storage._base_dir)  # noqa: SLF001


def run_process(instance: DagsterInstance, run: DagsterRun) -> int | None:
    """Id of the process that executes a run, ``None`` before it started.

    Events tell it; publicly nothing does.
    """
    started = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_START)
    return started[-1].get_dagster_event().pid if started else None


def report_run_dead(instance: DagsterInstance, run: DagsterRun, message: str) -> None:
    """Mark a run as failed whose process is gone.

    Publicly only the daemon's run monitoring does it, for runs that it launched.
    """
    instance.report_run_failed(run, message)


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
    target = None if evaluation is None else evaluation.target_materialization_data
    return None if target is None else target.storage_id


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

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Made by Dagster from ``dagster.yaml``."""
        # Dagster gives its own events in batches (one for each partition that a run is going to materialize)
        # only where its environment says so, and only its environment can.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(EVENT_BATCH_SIZE))
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def _engine(self, shard: str) -> Engine:
        # Dagster makes an engine for every event and compiles its statement anew: two thirds of an event's cost.
        # No connection is kept: a shard may be deleted.
        engine = self._engines.pop(shard, None)
        if engine is None:
            timeout = {"timeout": LOCK_TIMEOUT_S}
            engine = create_engine(self.conn_string_for_shard(shard), poolclass=NullPool, connect_args=timeout)
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        self._engines[shard] = engine  # the last one used is the last one to be dropped
        if len(self._engines) > MAX_ENGINES:
            self._engines.pop(next(iter(self._engines))).dispose()
        return engine

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
