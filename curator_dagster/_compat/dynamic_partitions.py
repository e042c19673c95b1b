"""Dynamic partitions, many at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dagster import DagsterInstance

STATEMENT_SIZE = 10_000
"""Keys in a statement: some SQLite builds allow no more than 32,766 variables."""


def delete_dynamic_partitions(instance: DagsterInstance, name: str, keys: Sequence[str]) -> None:
    """Remove partition keys, as `DagsterInstance.delete_dynamic_partition` does with each.

    Publicly there is that only, with a connection, a statement and a commit for every key.
    """
    # A code location that only declares curations need not load Dagster's storages, which take half a second.
    from dagster._core.storage.event_log import SqlEventLogStorage  # noqa: PLC0415
    from dagster._core.storage.event_log.schema import DynamicPartitionsTable as Table  # noqa: PLC0415

    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        for key in keys:
            instance.delete_dynamic_partition(name, key)
        return
    storage._check_partitions_table()  # noqa: SLF001 - an instance that was never migrated is told so
    for start in range(0, len(keys), STATEMENT_SIZE):
        chosen = Table.c.partition.in_(keys[start : start + STATEMENT_SIZE])
        with storage.index_connection() as connection:
            connection.execute(Table.delete().where(Table.c.partitions_def_name == name, chosen))
