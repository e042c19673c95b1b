"""Dagster's SQLite event log with batches."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.sql import create_engine
from sqlalchemy.event import listen
from sqlalchemy.pool import NullPool

from curator_dagster._compat.events.batched_events import BatchedEventLogStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dagster._serdes import ConfigurableClassData
    from sqlalchemy import Connection, Engine, Table

    from curator_dagster._compat.events.batched_events import Row

LOCK_TIMEOUT_S = 30.0
"""Longest wait for another process that writes to the same SQLite file, seconds."""

PAGE_BYTES = 8192
"""Of the pages of a new index, bytes: an event of a partition leaves nearly half of SQLite's own 4096 empty.

The file of a run, which may have nothing but empty tables, would be twice as large.
"""

MAX_ENGINES = 32
"""Databases (one for each run) of which a process remembers how to open them."""


class BatchedSqliteEventLogStorage(BatchedEventLogStorage, SqliteEventLogStorage):
    """Dagster's SQLite event log, with the events of a batch stored in one transaction.

    Whatever is asked of it gives what Dagster's own storage gives, whose files it can go on with. Name it in
    ``dagster.yaml``:

    .. code-block:: yaml

        event_log_storage:
          module: curator_dagster
          class: BatchedSqliteEventLogStorage
          config:
            base_dir: /path/to/dagster_home/history/runs

    Dagster's own writes every event of a batch by itself, with two engines and two commits each.
    """

    has_copies = True

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Made by Dagster from ``dagster.yaml``."""
        cls.ask_for_batches()
        return cls(inst_data=inst_data, **config_value)

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:  # noqa: FBT001, FBT002 - Dagster's
        if for_index_shard:  # tables are made with pages of this size; it changes nothing in a file that is there
            listen(engine, "connect", lambda connection, _: connection.execute(f"PRAGMA page_size = {PAGE_BYTES}"))
        super()._initdb(engine, for_index_shard)

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

    def store_rows(
        self,
        run_id: str,
        rows: Sequence[Row],
        of_assets: Sequence[Row],
        finish: Callable[[Connection, Sequence[int]], None],
    ) -> None:
        """Store events in the run's own database, and those of assets in the index, too."""
        if rows:
            with self.run_connection(run_id) as run_shard:
                self.insert(run_shard, SqlEventLogStorageTable, rows)
        if not of_assets:
            return
        with self.index_transaction() as index:
            self.insert(index, SqlEventLogStorageTable, of_assets)
            last: int = index.exec_driver_sql("SELECT last_insert_rowid()").scalar_one()
            # Consecutive ids, as nobody else can write meanwhile.
            finish(index, range(last - len(of_assets) + 1, last + 1))

    @staticmethod
    def insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
        """Insert rows that have the same columns."""
        # SQLAlchemy's own way looks at every value of every row, which takes as long as SQLite does.
        columns = list(rows[0])
        statement = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
        connection.exec_driver_sql(statement, [tuple(row.values()) for row in rows])

    @staticmethod
    def time(timestamp: float) -> str:
        """As SQLAlchemy writes a time into SQLite: in UTC, without saying so."""
        return datetime.fromtimestamp(timestamp, tz=UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
