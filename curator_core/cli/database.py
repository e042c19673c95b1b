"""What a metrics database, and the journals beside it, say about a run."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from curator_core.records import IndexResult
from curator_core.storage.locks import may_exist
from curator_core.store import JobUsage, MetricsStore, RunRecord, journal_directory, read_journals
from curator_core.store.connection import classified, open_for_reading
from curator_core.store.inventory import is_being_written, was_heard_of
from curator_core.store.kinds import sound_rows

Query = Callable[..., list[Any]]


@dataclass(frozen=True, slots=True)
class Failure:
    """An item whose last processing failed."""

    index: int
    """Position in the source."""
    key: str
    """Key of the item."""
    error: str
    """``"ErrorType: message"``."""
    traceback: str | None
    """Where it happened, where that is known."""


@dataclass(frozen=True, slots=True)
class WorkerActivity:
    """One worker of a run."""

    worker_id: str
    """UUID4, hexadecimal."""
    hostname: str
    """Its host."""
    pid: int
    """Its process id."""
    n_items: int
    """Items it processed."""
    last_heartbeat: str
    """When it was last heard of, ISO-8601; empty when unknown."""
    current_index: int | None = None
    """The index it processes, ``None`` when idle or ended."""
    current_key: str | None = None
    """Key of that item, where something is recorded of it."""
    current_since: str | None = None
    """When it began that, ISO-8601."""

    @property
    def is_active(self) -> bool:
        """Whether it is at an item, or was heard of within the last minute and is not known to have ended."""
        if self.current_index is not None:
            return True
        return was_heard_of(self.last_heartbeat) and may_exist(self.hostname, self.pid)


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The present state of the newest run in a database, waiting journals included."""

    db_path: Path
    """The database."""
    run: RunRecord
    """The run."""
    n_completed: int
    """Items completed."""
    failures: list[Failure]
    """Items failed, in index order."""
    n_vanished: int
    """Items recorded that the source no longer lists."""
    n_waiting: int
    """Results that wait in journals; they are counted in all the other numbers."""
    completed_wall_time_ns: int
    """Time spent on completed items, summed over the workers, nanoseconds."""
    peak_memory_bytes: int | None
    """Largest peak memory of any worker, bytes."""
    last_result_at: str | None
    """When the newest result was made, ISO-8601."""
    workers: list[WorkerActivity]
    """Its workers, oldest first."""
    jobs: JobUsage | None
    """What they used, where a cluster kept accounts."""

    @property
    def n_total(self) -> int:
        """Items of the source."""
        return max(self.run.total_indices, self.n_completed + len(self.failures))

    @property
    def mean_time_ms(self) -> float:
        """Mean time of a completed item, milliseconds."""
        return self.completed_wall_time_ns / self.n_completed / 1e6 if self.n_completed else 0.0


def waiting_results(db_path: str | os.PathLike[str], config_hash: str) -> dict[str, IndexResult]:
    """Results in journals that no coordinator has taken over yet, the newest of each key."""
    journals = read_journals(journal_directory(db_path), config_hash)
    return {result.key: result for _, results in journals for result in results}


def read_status(db_path: Path, config_hash: str | None = None) -> RunStatus:
    """State of the newest run, of one configuration if given.

    Raises
    ------
    StoreError
        The file is no metrics database, or holds no such run.
    """
    is_going_on = is_being_written(db_path)  # asked before the workers are read, whom its end sets to idle
    with MetricsStore(db_path) as store:
        run = store.run(config_hash=config_hash)
        store.check_measures(run.run_id)
        workers = store.workers(run.run_id)
        jobs = store.job_usage(run.run_id)
    waiting = waiting_results(db_path, run.config_hash)
    completed = [result for result in waiting.values() if result.is_completed]
    with _reading(db_path) as query:
        totals = _totals(query, run.run_id, waiting)
        failures = _failures(query, run.run_id, waiting)
        keys = _keys(query, run.run_id, [worker["current_index"] for worker in workers])
        ((n_vanished,),) = query("SELECT count(*) FROM index_results WHERE run_id = ? AND idx < 0", run.run_id)
    peaks = [row[3] for row in totals.values()] + [result.peak_memory_bytes for result in waiting.values()]
    times = [row[4] for row in totals.values()] + [result.completed_at for result in waiting.values()]
    _, n_completed, wall_time_ns, *_ = totals.get("completed", ("completed", 0, 0))
    return RunStatus(
        db_path=db_path,
        run=run,
        n_completed=n_completed + len(completed),
        failures=failures,
        n_vanished=n_vanished,
        n_waiting=len(waiting),
        completed_wall_time_ns=wall_time_ns + sum(result.wall_time_ns for result in completed),
        peak_memory_bytes=max((peak for peak in peaks if peak is not None), default=None),
        last_result_at=max((time for time in times if time is not None), default=None),
        workers=_workers(workers, keys, waiting, is_going_on=is_going_on),
        jobs=jobs,
    )


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in the order of what a database holds; clocks may be set meanwhile."""

    n_workers: int = 0
    """Row of its last worker; 0 where there is no database yet."""
    n_runs: int = 0
    """Its last run."""
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    """The time, ISO-8601, for results of simple backends, which no worker is recorded of."""

    @classmethod
    def of(cls, db_path: Path | None) -> Moment:
        """The present one."""
        if db_path is None or not db_path.exists():
            return cls()
        with _reading(db_path) as query:
            ((n_workers,), (n_runs,)) = (
                query(f"SELECT ifnull(max({row}), 0) FROM {table}")[0]  # noqa: S608 - constants
                for row, table in (("rowid", "workers"), ("run_id", "pipeline_runs"))
            )
        return cls(n_workers, n_runs)


def count_since(db_path: str | os.PathLike[str], config_hash: str, since: Moment | None) -> int:
    """Number of items of the newest run of a configuration that were completed since; ``None``: since its beginning."""
    sql = (
        "SELECT count(*) FROM index_results WHERE status = 'completed' AND idx >= 0"
        " AND run_id = (SELECT max(run_id) FROM pipeline_runs WHERE config_hash = ?)"
    )
    values: list[object] = [config_hash]
    if since is not None:
        sql += " AND (run_id > ? OR worker_id IN (SELECT worker_id FROM workers WHERE rowid > ?)"
        sql += " OR (worker_id IS NULL AND completed_at >= ?))"
        values += [since.n_runs, since.n_workers, since.time]
    with _reading(db_path) as query:
        ((n_completed,),) = query(sql, *values)
    return int(n_completed)


_NOT_REPLACED = "run_id = ? AND idx >= 0 AND item_key NOT IN (SELECT value FROM json_each(?))"


def _totals(query: Query, run_id: int, waiting: dict[str, IndexResult]) -> dict[str, Any]:
    """(status, count, wall time, peak memory, newest time) by status, of what no journal replaces."""
    columns = (
        "status, count(*), CAST(total(wall_time_ns) AS INTEGER) AS wall_time_ns,"
        " max(peak_memory_bytes) AS peak_memory_bytes, max(completed_at) AS completed_at"
    )
    sql = f"SELECT {columns} FROM index_results WHERE {_NOT_REPLACED} GROUP BY status"  # noqa: S608 - constants
    return {row[0]: row for row in query(sql, run_id, json.dumps(list(waiting)))}


def _failures(query: Query, run_id: int, waiting: dict[str, IndexResult]) -> list[Failure]:
    sql = f"SELECT idx, item_key, error, traceback FROM index_results WHERE {_NOT_REPLACED} AND status = 'error'"  # noqa: S608
    rows = query(sql, run_id, json.dumps(list(waiting)))
    rows += [(r.index, r.key, r.error, r.traceback) for r in waiting.values() if not r.is_completed]
    return [Failure(index, key, error or "failed", trace) for index, key, error, trace in sorted(rows)]


def _keys(query: Query, run_id: int, indices: list[int | None]) -> dict[int, str]:
    sql = "SELECT idx, item_key FROM index_results WHERE run_id = ? AND idx IN (SELECT value FROM json_each(?))"
    return dict(query(sql, run_id, json.dumps(indices)))


def _workers(
    recorded: list[dict[str, Any]], keys: dict[int, str], waiting: dict[str, IndexResult], *, is_going_on: bool
) -> list[WorkerActivity]:
    found = {}
    for row in recorded:
        index = row["current_index"] if is_going_on and may_exist(row["hostname"], row["pid"]) else None
        found[row["worker_id"]] = WorkerActivity(
            *(row["worker_id"], row["hostname"], row["pid"], row["completed_count"], row["last_heartbeat"] or ""),
            current_index=index,
            current_key=keys.get(index) if index is not None else None,
            current_since=row["current_since"] if index is not None else None,
        )
    for result in waiting.values():
        if result.worker_id is not None:
            new = WorkerActivity(result.worker_id, result.worker_host or "", result.worker_pid or 0, 0, "")
            known = found.get(result.worker_id, new)
            heard = max(known.last_heartbeat, result.completed_at or "")
            found[result.worker_id] = replace(known, n_items=known.n_items + 1, last_heartbeat=heard)
    return list(found.values())


@contextlib.contextmanager
def _reading(db_path: str | os.PathLike[str]) -> Iterator[Query]:
    connection = open_for_reading(Path(db_path))

    def query(sql: str, *values: object) -> list[Any]:
        with classified(Path(db_path)):
            return list(sound_rows(db_path, connection.execute(sql, values)))

    try:
        yield query
    finally:
        connection.close()
