"""What Dagster keeps of runs, and which of it nobody can spare."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import DagsterEventType, DagsterInstance
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES
from dagster._core.instance import RUNLESS_RUN_ID
from dagster._core.storage.event_log import SqlEventLogStorage, SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetEventTagsTable
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.runs.schema import RunTagsTable
from dagster._core.storage.tags import BACKFILL_ID_TAG, RUN_KEY_TAG
from sqlalchemy import and_, exists, make_url, not_, or_, select

from curator_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement

__all__ = [
    "BACKFILL_ID_TAG",
    "RUN_KEY_TAG",
    "delete_events",
    "delete_files",
    "delete_record",
    "needed_runs",
    "open_backfills",
    "runs_in_events",
    "runs_in_files",
    "shrink",
]

_LASTING = (DagsterEventType.ASSET_MATERIALIZATION.value, DagsterEventType.ASSET_OBSERVATION.value)
"""Of which kinds of events the latest one of a partition, or of an asset that has none, says how it is."""

_TOLERATED = 0.25
"""Part of a file of SQLite that may be empty: what is written next goes there."""

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def needed_runs(instance: DagsterInstance) -> set[str]:
    """Runs that made the latest attempt at a partition, or at an asset, without success: it shows as failed.

    There is no public way to ask for all partitions of an asset at once.
    """
    log, found = instance.event_log_storage, set[str]()
    for asset in log.all_asset_keys():
        attempts = log.get_latest_asset_partition_materialization_attempts_without_materializations(asset)
        found.update(run_id for run_id, _ in attempts.values())
        planned = log.get_latest_planned_materialization_info(asset)
        found.update({planned.run_id} if planned is not None else ())
    return found


def open_backfills(instance: DagsterInstance) -> set[str]:
    """Backfills that go on: the daemon looks at their runs.

    There is no public list of backfills.
    """
    return {b.backfill_id for b in instance.get_backfills() if b.status not in BULK_ACTION_TERMINAL_STATUSES}


def delete_events(instance: DagsterInstance, run_ids: Collection[str]) -> None:
    """Delete the events of runs, apart from those that say how an asset or a partition is.

    Publicly a run can only be deleted with all of its events: what it materialized would count as missing.

    Raises
    ------
    ConfigError
        The event log is no SQL database.
    """
    events, tags = SqlEventLogStorageTable, AssetEventTagsTable
    doomed = and_(events.c.run_id.in_(run_ids), not_(_is_latest()))
    with _sql(instance).index_transaction() as index:
        index.execute(tags.delete().where(tags.c.event_id.in_(select(events.c.id).where(doomed))))
        index.execute(events.delete().where(doomed))


def _sql(instance: DagsterInstance) -> SqlEventLogStorage:
    log = instance.event_log_storage
    if not isinstance(log, SqlEventLogStorage):
        raise ConfigError(f"Runs can be deleted on SQLite and PostgreSQL, not with {type(log).__name__}.")
    return log


def _is_latest() -> ColumnElement[bool]:
    events = SqlEventLogStorageTable
    newer = events.alias("newer")
    is_alike = (
        newer.c.asset_key == events.c.asset_key,
        newer.c.dagster_event_type == events.c.dagster_event_type,
        newer.c.id > events.c.id,
    )
    # Apart, so that each is one look into an index.
    partitions = exists().where(*is_alike, newer.c.partition == events.c.partition).correlate(events)
    whole = exists().where(*is_alike, newer.c.partition.is_(None)).correlate(events)
    has_newer = or_(partitions, and_(events.c.partition.is_(None), whole))
    return and_(events.c.asset_key.is_not(None), events.c.dagster_event_type.in_(_LASTING), not_(has_newer))


def delete_files(instance: DagsterInstance, run_id: str) -> int:
    """Delete what a run left in files: outputs of its steps, what they printed, its own event log; returns bytes."""
    freed = 0
    for path in _files_of(instance, run_id):
        freed += sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    instance.compute_log_manager.delete_logs(prefix=[run_id])  # which may be elsewhere
    return freed


def _files_of(instance: DagsterInstance, run_id: str) -> list[Path]:
    log = instance.event_log_storage
    shard = Path(log.path_for_shard(run_id)) if isinstance(log, SqliteEventLogStorage) else None
    own = [] if shard is None else [shard.with_name(shard.name + suffix) for suffix in ("", "-wal", "-shm")]
    return [path for path in (Path(instance.storage_directory(), run_id), *own) if path.exists()]


def delete_record(instance: DagsterInstance, run_id: str) -> None:
    """Delete the record of a run, and its tags, which Dagster leaves in SQLite.

    Publicly its events go with it.
    """
    storage = instance.run_storage
    storage.delete_run(run_id)
    if isinstance(storage, SqliteRunStorage):
        with storage.connect() as runs:
            runs.execute(RunTagsTable.delete().where(RunTagsTable.c.run_id == run_id))


def shrink(instance: DagsterInstance) -> list[Path]:
    """Give the room of what was deleted back to the disk; returns the files of SQLite that others are using now."""
    log, runs = instance.event_log_storage, instance.run_storage
    files = [Path(log.path_for_shard("index"))] if isinstance(log, SqliteEventLogStorage) else []
    if isinstance(runs, SqliteRunStorage):
        files.append(Path(make_url(runs._conn_string).database or ""))  # noqa: SLF001
    return [path for path in files if not _has_shrunk(path)]


def _has_shrunk(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            n_pages, n_free = (
                file.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count")
            )
            if n_free > n_pages * _TOLERATED:
                file.execute("VACUUM")
    except sqlite3.OperationalError:  # locked
        return False
    return True


def runs_in_events(instance: DagsterInstance) -> set[str]:
    """Runs that are gone, of which there are events: some may have been the latest of their partition until now.

    Publicly nothing lists them.
    """
    events = SqlEventLogStorageTable
    with _sql(instance).index_connection() as index:
        found = set(index.execute(select(events.c.run_id).distinct()).scalars())
    return found - {None, RUNLESS_RUN_ID} - set(instance.get_run_ids())  # which are asked for last


def runs_in_files(instance: DagsterInstance) -> set[str]:
    """Runs that are gone, of which there are files: whoever else deletes a run leaves those.

    Publicly nothing lists them.
    """
    log = instance.event_log_storage
    found = {path.name for path in Path(instance.storage_directory()).glob("*") if _RUN_ID.fullmatch(path.name)}
    if isinstance(log, SqliteEventLogStorage):
        found.update(run_id for run_id in log.get_all_run_ids() if _RUN_ID.fullmatch(run_id))
    return found - set(instance.get_run_ids())
