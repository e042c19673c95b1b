"""Index results as rows of the seven tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Protocol, Self

from curator_core.records import IndexResult, Status, WorkerUsage
from curator_core.store.schema import INDEXED_TABLES


class WorkerPresence(Protocol):
    """What a worker does at the moment."""

    @property
    def worker_id(self) -> str:
        """Its id."""

    @property
    def pid(self) -> int:
        """Its process."""

    @property
    def host(self) -> str:
        """Its host."""

    @property
    def index(self) -> int | None:
        """The index it processes, ``None`` when idle."""

    @property
    def since(self) -> float:
        """When it began that, seconds since the epoch."""


Placed = tuple[int, IndexResult]
"""A result and the index of its row: the item's present position."""


Move = tuple[int, int]
"""Old and new index of a row."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What tells whether a result that arrives late is news."""

    idx: int
    """Index of the row."""
    worker_id: str | None
    """Who did it."""
    completed_at: str | None
    """When it was done, ISO-8601."""
    status: Status
    """How it ended."""
    fingerprint: str | None
    """Fingerprint of the item then."""

    @classmethod
    def of(cls, idx: int, result: IndexResult) -> Self:
        """The row that a result becomes."""
        return cls(idx, result.worker_id, result.completed_at, result.status, result.fingerprint)

    def is_newer_than(self, result: IndexResult) -> bool:
        """Whether the row is this very result, or the same item completed later.

        A time to come says nothing: the clock was ahead when it was written, or has been put back since.
        """
        if (self.worker_id, self.completed_at) == (result.worker_id, result.completed_at):
            return True
        if (self.status, self.fingerprint) != ("completed", result.fingerprint):
            return False
        return (result.completed_at or "") < (self.completed_at or "") <= datetime.now(UTC).isoformat()


def begin_run(
    db: sqlite3.Connection, config_hash: str, config_json: str, total_indices: int | None, *, resume: bool
) -> int:
    """The latest run of a configuration to go on with, if there is one; otherwise a new one."""
    (latest,) = db.execute("SELECT max(run_id) FROM pipeline_runs WHERE config_hash = ?", (config_hash,)).fetchone()
    if resume and latest is not None:
        if total_indices is not None:
            db.execute("UPDATE pipeline_runs SET total_indices = ? WHERE run_id = ?", (total_indices, latest))
        return int(latest)
    cursor = db.execute(
        "INSERT INTO pipeline_runs (config_hash, config_json, started_at, run_dir, total_indices)"
        " VALUES (?, ?, ?, ?, ?)",
        (config_hash, config_json, datetime.now(UTC).isoformat(), str(Path.cwd()), total_indices or 0),
    )
    return int(cursor.lastrowid or 0)


def insert_results(db: sqlite3.Connection, run_id: int, results: Sequence[Placed]) -> None:
    """Insert results whose indices have no rows yet."""
    db.executemany(
        "INSERT OR REPLACE INTO index_results (idx, run_id, status, output_paths, completed_at, wall_time_ns,"
        " peak_memory_bytes, gpu_memory_bytes, error, worker_id, item_key, fingerprint, traceback, written_idx,"
        " started_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(idx, run_id, r.status, _as_json(r.output_paths), r.completed_at, r.wall_time_ns),
                *(r.peak_memory_bytes, r.gpu_memory_bytes, r.error, r.worker_id),
                *(r.key, r.fingerprint, r.traceback, r.index, r.started_at),
            )
            for idx, r in results
        ],
    )
    db.executemany(
        "INSERT OR REPLACE INTO stage_metrics VALUES (?, ?, ?, ?, ?)",
        [(run_id, idx, k, s.name, s.wall_time_ns) for idx, r in results for k, s in enumerate(r.stages)],
    )
    db.executemany(
        "INSERT OR REPLACE INTO output_files (run_id, idx, seq, path, written) VALUES (?, ?, ?, ?, ?)",
        [
            (run_id, idx, k, path, mark)
            for idx, r in results
            for k, (path, mark) in enumerate(zip_longest(r.output_paths, r.written))
        ],
    )
    db.executemany(
        "INSERT OR REPLACE INTO filter_artifacts (run_id, idx, filter_order, path, filter_name, written)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [(run_id, idx, a.filter_order, a.path, a.filter_name, a.written) for idx, r in results for a in r.artifacts],
    )
    db.executemany(
        "INSERT INTO logs (run_id, timestamp, level, level_name, logger_name, message, worker_id, idx)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (run_id, line.timestamp, line.level, line.level_name, line.logger_name, line.message, r.worker_id, idx)
            for idx, r in results
            for line in r.logs
        ],
    )


def _as_json(paths: Sequence[str]) -> str:
    """What `json.dumps` gives, in half the time, which counts for every index."""
    return f"[{', '.join(map(encode_basestring_ascii, paths))}]"


def move_results(db: sqlite3.Connection, run_id: int, moves: Iterable[Move]) -> bool:
    """Give rows other indices, all at once; tell whether there was anything to move.

    The rows are set aside in the order of their new indices, and put back in it: a million of them are
    appended, where moving one after the other would rebuild the table around each.
    """
    db.execute("CREATE TEMP TABLE moves (new INTEGER PRIMARY KEY, old INTEGER NOT NULL)")
    db.executemany("INSERT INTO moves (old, new) VALUES (?, ?)", moves)
    (n_moved,) = db.execute("SELECT count(*) FROM moves").fetchone()
    for table in INDEXED_TABLES if n_moved else ():
        columns = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
        moved_columns = ", ".join("new" if name == "idx" else f"{table}.{name}" for name in columns)
        db.execute(
            f"CREATE TEMP TABLE aside AS SELECT {moved_columns} FROM moves CROSS JOIN {table}"  # noqa: S608 - constants
            " WHERE run_id = ? AND idx = old ORDER BY new",
            (run_id,),
        )
        db.execute(f"DELETE FROM {table} WHERE run_id = ? AND idx IN (SELECT old FROM moves)", (run_id,))  # noqa: S608
        db.execute(f"INSERT INTO {table} SELECT * FROM aside")  # noqa: S608
        db.execute("DROP TABLE aside")
    if n_moved:
        moved = "idx IN (SELECT old FROM moves)"
        new = "(SELECT new FROM moves WHERE old = idx)"
        db.execute(f"UPDATE logs SET idx = {new} WHERE run_id = ? AND {moved}", (run_id,))  # noqa: S608 - constants
    db.execute("DROP TABLE moves")
    return bool(n_moved)


def count_workers(db: sqlite3.Connection, run_id: int, invocation_id: str, results: Sequence[Placed]) -> None:
    """Add the results to their workers' counts; a worker that is not known yet gets a row."""
    latest: dict[str, tuple[IndexResult, int]] = {}
    for _, result in results:
        if result.worker_id is not None:
            _, count = latest.get(result.worker_id, (result, 0))
            latest[result.worker_id] = (result, count + 1)
    now = datetime.now(UTC).isoformat()
    for worker_id, (result, count) in latest.items():
        db.execute(
            "INSERT OR IGNORE INTO workers (worker_id, run_id, pid, hostname, started_at, last_heartbeat,"
            " completed_count, invocation_id) VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
            (
                *(worker_id, run_id, result.worker_pid or 0, result.worker_host or ""),
                *(result.started_at or now, result.completed_at or now, invocation_id),
            ),
        )
        db.execute(
            "UPDATE workers SET last_heartbeat = ?, completed_count = completed_count + ? WHERE worker_id = ?",
            (result.completed_at or now, count, worker_id),
        )


def record_presences(
    db: sqlite3.Connection, run_id: int, invocation_id: str, presences: Sequence[WorkerPresence]
) -> None:
    """Set what every worker does now; one that is not known yet gets a row, all others are at nothing."""
    now = datetime.now(UTC).isoformat()
    clear_presences(db, present=[p.worker_id for p in presences])
    db.executemany(
        "INSERT INTO workers (worker_id, run_id, pid, hostname, started_at, last_heartbeat, current_index,"
        " current_since, completed_count, invocation_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)"
        " ON CONFLICT (worker_id) DO UPDATE SET last_heartbeat = excluded.last_heartbeat,"
        " current_index = excluded.current_index, current_since = excluded.current_since",
        [(p.worker_id, run_id, p.pid, p.host, now, now, p.index, _began(p), invocation_id) for p in presences],
    )


def record_usage(db: sqlite3.Connection, run_id: int, invocation_id: str, used: Iterable[WorkerUsage]) -> None:
    """Set what workers used; one that is not known yet gets a row."""
    now = datetime.now(UTC).isoformat()
    db.executemany(
        "INSERT INTO workers (worker_id, run_id, pid, hostname, started_at, last_heartbeat, invocation_id,"
        " job, job_state, elapsed_s, n_cpus, cpu_s, peak_memory_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (worker_id) DO UPDATE SET job = excluded.job, job_state = excluded.job_state,"
        " elapsed_s = excluded.elapsed_s, n_cpus = excluded.n_cpus, cpu_s = excluded.cpu_s,"
        " peak_memory_bytes = excluded.peak_memory_bytes",
        [
            (
                *(u.worker_id, run_id, u.pid, u.host, now, now, invocation_id),
                *(u.job, u.job_state, u.elapsed_s, u.n_cpus, u.cpu_s, u.peak_memory_bytes),
            )
            for u in used
        ],
    )


def clear_presences(db: sqlite3.Connection, *, present: Sequence[str] = ()) -> None:
    """Record that no worker is at anything, apart from those that are present."""
    db.execute(
        "UPDATE workers SET current_index = NULL, current_since = NULL"
        " WHERE current_index IS NOT NULL AND worker_id NOT IN (SELECT value FROM json_each(?))",
        (json.dumps(present),),
    )


def _began(presence: WorkerPresence) -> str | None:
    return None if presence.index is None else datetime.fromtimestamp(presence.since, UTC).isoformat()
