"""What a metrics database, and the journals beside it, say about a run."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from curator_core.records import IndexResult
from curator_core.storage.locks import may_exist
from curator_core.store import JobUsage, MetricsStore, RunRecord, journal_directory, read_journals
from curator_core.store.inventory import is_being_written, was_heard_of
from curator_core.store.metrics import StatusTotals
from curator_core.store.reader import FailedItem


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
    failures: list[FailedItem]
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
    with MetricsStore(db_path) as store:
        totals = store.totals(run.run_id, without=waiting)
        failures = _failures(store.failures(run.run_id, without=waiting), waiting)
        positions = [worker["current_index"] for worker in workers if worker["current_index"] is not None]
        keys = store.keys_at(run.run_id, positions)
        n_vanished = store.n_vanished(run.run_id)
    peaks = [of_status.peak_memory_bytes for of_status in totals.values()]
    peaks += [result.peak_memory_bytes for result in waiting.values()]
    times = [of_status.completed_at for of_status in totals.values()]
    times += [result.completed_at for result in waiting.values()]
    recorded = totals.get("completed", StatusTotals())
    return RunStatus(
        db_path=db_path,
        run=run,
        n_completed=recorded.n_items + len(completed),
        failures=failures,
        n_vanished=n_vanished,
        n_waiting=len(waiting),
        completed_wall_time_ns=recorded.wall_time_ns + sum(result.wall_time_ns for result in completed),
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
        with MetricsStore(db_path) as store:
            n_runs, n_workers = store.last_rows()
        return cls(n_workers, n_runs)


def count_since(db_path: str | os.PathLike[str], config_hash: str, since: Moment | None) -> int:
    """Number of items of the newest run of a configuration that were completed since; ``None``: since its beginning."""
    with MetricsStore(db_path) as store:
        if since is None:
            return store.n_completed_since(config_hash)
        return store.n_completed_since(config_hash, run_id=since.n_runs, worker_row=since.n_workers, time=since.time)


def _failures(recorded: list[FailedItem], waiting: dict[str, IndexResult]) -> list[FailedItem]:
    """The failed items that are recorded and those that wait in journals, in index order."""
    failed = (result for result in waiting.values() if not result.is_completed)
    found = [*recorded, *(FailedItem(r.index, r.key, r.error or "failed", r.traceback) for r in failed)]
    return sorted(found, key=lambda failure: (failure.index, failure.key))


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
