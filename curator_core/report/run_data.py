"""What the report needs of a metrics database, in few passes whatever the number of items."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from curator_core.store import JobUsage, MetricsStore, RunRecord, journal_directory
from curator_core.store.inventory import is_being_written, was_heard_of
from curator_core.store.journal import live_journals

MAX_SLOWEST = 20
"""Slow items listed."""
MAX_FAILURES = 50
"""Failed items listed, each with its traceback."""
MAX_KINDS = 12
"""Kinds of errors counted."""

ITEM = np.dtype([("end_s", "f8"), ("wall_s", "f8"), ("peak_bytes", "f8"), ("is_failed", "?"), ("worker", "i4")])
"""One processed item: time of completion (POSIX), its cost, peak memory (NaN: not measured), number of its worker."""

_UNIX_EPOCH_DAY = 2440587.5
_LAST_DATE_S = 253370764800
"""The year 9999, the last that a date can have, POSIX time."""
_PRESENT = "FROM index_results WHERE run_id = ? AND idx >= 0"


@dataclass(frozen=True, slots=True)
class StageTotal:
    """Time spent in one stage by all items."""

    name: str
    """Name of the source, filter or sink."""
    total_s: float
    """Sum, seconds."""
    mean_s: float
    """Mean of the items, seconds."""
    max_s: float
    """The longest, seconds."""


@dataclass(frozen=True, slots=True)
class SlowItem:
    """One of the items that took longest."""

    index: int
    """Position in the source."""
    key: str
    """Key of the item."""
    wall_s: float
    """How long it took, seconds."""
    stage: str
    """The stage that took most of it."""
    stage_share: float
    """How much of it, 0 to 1."""
    peak_bytes: int | None
    """Peak memory of its worker meanwhile."""
    is_failed: bool
    """Whether it failed."""


@dataclass(frozen=True, slots=True)
class FailedItem:
    """An item that failed."""

    index: int
    """Position in the source."""
    key: str
    """Key of the item."""
    error: str
    """``"ErrorType: message"``."""
    traceback: str | None
    """Where it happened, if that is known."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker."""

    worker_id: str
    """UUID4, hexadecimal."""
    host: str
    """Its host."""
    pid: int
    """Its process id."""
    last_heartbeat: str
    """When it was last heard of, ISO-8601."""


@dataclass(frozen=True, slots=True)
class RunData:
    """Everything a report shows of one run."""

    run: RunRecord
    """The run."""
    items: npt.NDArray[Any]
    """(n_items,) `ITEM`: what was processed, in the order of the source."""
    n_undated: int
    """Results without a time, which are in no plot over time."""
    n_vanished: int
    """Items recorded that the source no longer lists."""
    stages: list[StageTotal]
    """The stages, source first."""
    slowest: list[SlowItem]
    """The slowest items first."""
    failures: list[FailedItem]
    """The first failed items."""
    error_kinds: list[tuple[str, int]]
    """Types of errors with their number of items, most frequent first."""
    workers: list[Worker]
    """Workers by their number in `items`."""
    jobs: JobUsage | None
    """What they used, where a cluster kept accounts."""
    is_being_written: bool = False
    """Whether a process is writing the database, or a journal beside it."""

    @property
    def n_failed(self) -> int:
        """Items that failed."""
        return int(np.count_nonzero(self.items["is_failed"]))

    @property
    def n_completed(self) -> int:
        """Items that were completed."""
        return len(self.items) - self.n_failed

    @property
    def n_total(self) -> int:
        """Items of the source."""
        return max(self.run.total_indices, len(self.items))

    @property
    def n_remaining(self) -> int:
        """Items not processed yet."""
        return self.n_total - len(self.items)

    @property
    def is_going_on(self) -> bool:
        """Whether it is being worked on, as far as can be told from here, and there is something left to do."""
        return self.n_remaining > 0 and (self.is_being_written or any(map(_is_elsewhere, self.workers)))


def _is_elsewhere(worker: Worker) -> bool:
    """Whether a worker of another host was heard of within the last minute, by this host's clock."""
    return worker.host != socket.gethostname() and was_heard_of(worker.last_heartbeat)


def read_run(store: MetricsStore, run: RunRecord) -> RunData:
    """Read what the report shows of a run.

    Raises
    ------
    StoreCorruptError
        A measure cannot be true.
    """
    is_going_on = is_being_written(store.path) or bool(live_journals(journal_directory(store.path), run.config_hash))
    store.check_measures(run.run_id)
    recorded = {row["worker_id"]: row for row in store.workers(run.run_id)}
    numbers: dict[str | None, int] = {}
    items = np.fromiter(_items(store, run.run_id, numbers), dtype=ITEM)
    ((n_vanished,),) = store.query("SELECT count(*) FROM index_results WHERE run_id = ? AND idx < 0", run.run_id)
    return RunData(
        run=run,
        items=items,
        n_undated=int(np.count_nonzero(np.isnan(items["end_s"]))),
        n_vanished=n_vanished,
        stages=_stages(store, run.run_id),
        slowest=_slowest(store, run.run_id),
        failures=_failures(store, run.run_id),
        error_kinds=_error_kinds(store, run.run_id),
        workers=[_worker(worker_id, recorded.get(worker_id or "")) for worker_id in numbers],
        jobs=store.job_usage(run.run_id),
        is_being_written=is_going_on,
    )


def _items(store: MetricsStore, run_id: int, numbers: dict[str | None, int]) -> Iterator[tuple[Any, ...]]:
    sql = (
        f"SELECT (julianday(completed_at) - {_UNIX_EPOCH_DAY}) * 86400, wall_time_ns / 1e9, peak_memory_bytes,"
        f" status = 'error', worker_id {_PRESENT} ORDER BY idx"
    )
    missing = float("nan")
    for end_s, wall_s, peak_bytes, is_failed, worker_id in store.query(sql, run_id):
        yield (
            missing if end_s is None or not 0 <= end_s < _LAST_DATE_S else end_s,
            wall_s,
            missing if peak_bytes is None else peak_bytes,
            is_failed,
            numbers.setdefault(worker_id, len(numbers)),
        )


def _worker(worker_id: str | None, row: dict[str, Any] | None) -> Worker:
    if row is None:
        return Worker(worker_id or "unknown", "", 0, "")
    return Worker(row["worker_id"], row["hostname"], row["pid"], row["last_heartbeat"] or "")


def _stages(store: MetricsStore, run_id: int) -> list[StageTotal]:
    sql = (
        "SELECT min(stage_name), total(wall_time_ns) / 1e9, avg(wall_time_ns) / 1e9, max(wall_time_ns) / 1e9"
        " FROM stage_metrics WHERE run_id = ? AND idx >= 0 GROUP BY stage_order ORDER BY stage_order"
    )
    return [StageTotal(*row) for row in store.query(sql, run_id)]


def _slowest(store: MetricsStore, run_id: int) -> list[SlowItem]:
    sql = (
        f"SELECT idx, item_key, wall_time_ns, peak_memory_bytes, status = 'error' {_PRESENT}"
        " ORDER BY wall_time_ns DESC, idx LIMIT ?"
    )
    longest = (
        "SELECT stage_name, wall_time_ns FROM stage_metrics WHERE run_id = ? AND idx = ?"
        " ORDER BY wall_time_ns DESC LIMIT 1"
    )
    found = []
    for index, key, wall_ns, peak_bytes, is_failed in store.query(sql, run_id, MAX_SLOWEST):
        stage, stage_ns = next(store.query(longest, run_id, index), ("", 0))
        found.append(
            SlowItem(index, key, wall_ns / 1e9, stage, stage_ns / max(wall_ns, 1), peak_bytes, bool(is_failed))
        )
    return found


def _failures(store: MetricsStore, run_id: int) -> list[FailedItem]:
    sql = f"SELECT idx, item_key, coalesce(error, 'failed'), traceback {_PRESENT} AND status = 'error'"
    return [FailedItem(*row) for row in store.query(f"{sql} ORDER BY idx LIMIT ?", run_id, MAX_FAILURES)]


def _error_kinds(store: MetricsStore, run_id: int) -> list[tuple[str, int]]:
    kind = "substr(coalesce(error, 'failed'), 1, instr(coalesce(error, 'failed') || ':', ':') - 1)"
    sql = f"SELECT {kind}, count(*) AS n {_PRESENT} AND status = 'error' GROUP BY 1 ORDER BY n DESC, 1 LIMIT ?"
    return list(store.query(sql, run_id, MAX_KINDS))
