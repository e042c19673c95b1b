"""Dagster's SQLite event log with batches."""

from __future__ import annotations

import os
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.sql import create_engine
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dagster import EventLogEntry
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy import Connection, Engine

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
