"""Dagster's SQLite event log with batches."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetEventTagsTable
from dagster._core.storage.sql import create_engine
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dagster import EventLogEntry
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy import Connection, Engine, Table

    from curator_dagster._compat.serialized import PartitionMaterialized

LOCK_TIMEOUT_S = 30.0
"""Longest wait for another process that writes to the same SQLite file, seconds."""


MAX_ENGINES = 32
"""Databases (one for each run) of which a process remembers how to open them."""


EVENT_BATCH_SIZE = 1000
"""Events that Dagster gives `BatchedSqliteEventLogStorage` at once, unless ``DAGSTER_EVENT_BATCH_SIZE`` is set."""


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
                events_of_run = list(group)
                self._store_rows(run_id, events_of_run, [self._event_to_row(event) for event in events_of_run])
            else:
                for event in group:
                    self.store_event(event)

    def store_materializations(
        self, events: Sequence[PartitionMaterialized], texts: Iterable[str], last: EventLogEntry
    ) -> None:
        """Store materializations of one step, which are serialized already.

        Parameters
        ----------
        events
            The materializations, in order.
        texts
            What Dagster's serializer gives for each.
        last
            The last one, as Dagster has it.
        """
        like = self._event_to_row(last)
        rows = [
            (like | {"event": text, "timestamp": _utc(event.timestamp), "partition": event.partition})
            for event, text in zip(events, texts, strict=True)
        ]
        with self.run_connection(last.run_id) as run_shard:
            _insert(run_shard, SqlEventLogStorageTable, rows)
        indexed = self.get_asset_tags_to_index({name for event in events for name in event.tags})
        with self.index_transaction() as index:
            _insert(index, SqlEventLogStorageTable, rows)
            ids = _last_ids(index, len(rows))
            tags = [
                {
                    "event_id": event_id,
                    "asset_key": row["asset_key"],
                    "key": name,
                    "value": event.tags[name],
                    "event_timestamp": row["timestamp"],
                }
                for event_id, row, event in zip(ids, rows, events, strict=True)
                for name in event.tags
                if name in indexed
            ]
            if tags and self.has_table(AssetEventTagsTable.name):
                _insert(index, AssetEventTagsTable, tags)
            self._store_asset_event(index, last, ids[-1])

    def _store_rows(self, run_id: str, events: list[EventLogEntry], rows: list[dict[str, Any]]) -> None:
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


def _utc(timestamp: float) -> str:
    """As SQLAlchemy writes a time into SQLite: in UTC, without saying so."""
    return datetime.fromtimestamp(timestamp, tz=UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    # SQLAlchemy's own way looks at every value of every row, which takes as long as SQLite does.
    columns = list(rows[0])
    statement = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
    connection.exec_driver_sql(statement, [tuple(row.values()) for row in rows])


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
