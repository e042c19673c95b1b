"""Dagster's event log on PostgreSQL with batches of any kind of event."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from dagster._core.storage.event_log import SqlEventLogStorageTable

from curator_dagster._compat.events.batched_events import BatchedEventLogStorage

try:
    from dagster_postgres import PostgresEventLogStorage
    from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config
except ModuleNotFoundError as exc:
    from curator_core.errors import MissingDependencyError

    raise MissingDependencyError.of("dagster-postgres", "postgres", "BatchedPostgresEventLogStorage") from exc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dagster._serdes import ConfigurableClassData
    from sqlalchemy import Connection, Table

    from curator_dagster._compat.events.batched_events import Row


COMPRESSED_FROM = 2048
"""Characters of a text from which PostgreSQL compresses its row, to less than half (``TOAST_TUPLE_THRESHOLD``)."""


class BatchedPostgresEventLogStorage(BatchedEventLogStorage, PostgresEventLogStorage):
    """Dagster's event log on PostgreSQL, with the events of a batch stored in one statement.

    It takes the configuration of Dagster's own, and goes on with its tables. Name it in ``dagster.yaml``, as
    ``curator dagster init --postgres`` does:

    .. code-block:: yaml

        event_log_storage:
          module: curator_dagster
          class: BatchedPostgresEventLogStorage
          config:
            postgres_db: …

    Dagster's own stores the events that say what a run is going to materialize one by one.
    """

    has_copies = False

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Made by Dagster from ``dagster.yaml``."""
        cls.ask_for_batches()
        return cls(
            pg_url_from_config(config_value),
            config_value.get("should_autocreate_tables", True),
            inst_data,
            get_token_provider_from_config(config_value),
        )

    def store_rows(
        self,
        run_id: str,
        rows: Sequence[Row],
        of_assets: Sequence[Row],
        finish: Callable[[Connection, Sequence[int]], None],
    ) -> None:
        """Store events by themselves, then what is known of assets, as Dagster does."""
        # Ids show when a statement is done: a longer transaction would let readers, which go on from the highest
        # id that they saw, miss more of those that are given out meanwhile.
        table = SqlEventLogStorageTable
        statement = table.insert().returning(table.c.id, sort_by_parameter_order=True)
        with self.run_connection(run_id) as log:
            ids = list(log.execute(statement, list(rows)).scalars())
        if of_assets:
            is_of_asset = set(map(id, of_assets))
            with self.index_transaction() as index:
                finish(index, [found for found, row in zip(ids, rows, strict=True) if id(row) in is_of_asset])

    @staticmethod
    def fitting(text: str) -> str:
        """With blanks at its end, so that PostgreSQL compresses it."""
        return text.ljust(COMPRESSED_FROM)

    @staticmethod
    def insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
        """Insert rows that have the same columns."""
        connection.execute(table.insert(), list(rows))

    @staticmethod
    def time(timestamp: float) -> datetime:
        """In UTC, without saying so."""
        return datetime.fromtimestamp(timestamp, tz=UTC).replace(tzinfo=None)
