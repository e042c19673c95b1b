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
from curator_core.store.metrics import SlowItem, StageTotal
from curator_core.store.reader import FailedItem, Warned

MAX_SLOWEST = 20
"""Slow items listed."""
MAX_FAILURES = 50
"""Failed items listed, each with its traceback."""
MAX_KINDS = 12
"""Kinds of errors counted."""
MAX_WARNINGS = 20
"""Warnings listed."""
MAX_WARNED = 5
"""Items named for each."""

ITEM = np.dtype([("end_s", "f8"), ("wall_s", "f8"), ("peak_bytes", "f8"), ("is_failed", "?"), ("worker", "i4")])
"""One processed item: time of completion (POSIX), its cost, peak memory (NaN: not measured), number of its worker."""

_LAST_DATE_S = 253370764800
"""The year 9999, the last that a date can have, POSIX time."""


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
    warnings: list[Warned]
    """What items warned of, those of the most items first."""
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
        """Whether it goes on, as far as this machine knows, and something is left to do."""
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
    return RunData(
        run=run,
        items=items,
        n_undated=int(np.count_nonzero(np.isnan(items["end_s"]))),
        n_vanished=store.n_vanished(run.run_id),
        stages=store.stage_totals(run.run_id),
        slowest=store.slowest(run.run_id, MAX_SLOWEST),
        failures=store.failures(run.run_id, limit=MAX_FAILURES),
        error_kinds=store.error_kinds(run.run_id, MAX_KINDS),
        warnings=store.warnings(run.run_id, MAX_WARNINGS, MAX_WARNED),
        workers=[_worker(worker_id, recorded.get(worker_id or "")) for worker_id in numbers],
        jobs=store.job_usage(run.run_id),
        is_being_written=is_going_on,
    )


def _items(store: MetricsStore, run_id: int, numbers: dict[str | None, int]) -> Iterator[tuple[Any, ...]]:
    missing = float("nan")
    for end_s, wall_s, peak_bytes, is_failed, worker_id in store.costs(run_id):
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
