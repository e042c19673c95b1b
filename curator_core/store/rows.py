"""Index results as rows of the seven tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import zip_longest
from json.encoder import encode_basestring_ascii
from operator import attrgetter
from pathlib import Path
from typing import Protocol, Self

from curator_core.records import IndexResult, Status, WorkerUsage
from curator_core.store.columns import (
    FILTER_ARTIFACTS,
    INDEX_RESULTS,
    INDEXED_TABLES,
    LOGS,
    OUTPUT_FILES,
    PIPELINE_RUNS,
    STAGE_METRICS,
    WORKERS,
    Table,
)


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

MAX_WORKERS = 1000
"""Workers of which nothing recorded is left, of a configuration that is processed every minute, that are kept."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is known of an item: a result that arrives late is compared with it."""

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
        PIPELINE_RUNS.insertion(("config_hash", "config_json", "started_at", "run_dir", "total_indices")),
        (config_hash, config_json, datetime.now(UTC).isoformat(), str(Path.cwd()), total_indices or 0),
    )
    return int(cursor.lastrowid or 0)


class _Insertion:
    """Inserts records in a table: in a row, what no record has comes first."""

    def __init__(self, table: Table, given: Sequence[str], verb: str) -> None:
        fields = table.fields(*given)
        self.statement = table.insertion([*given, *fields], verb)
        self.taken: Callable[[object], tuple[object, ...]] = attrgetter(*fields.values())
        """Values of a record, which are two at least; to be added to a tuple, which is faster than unpacking."""


_RESULT = _Insertion(INDEX_RESULTS, ("run_id", "idx", "output_paths"), "INSERT OR REPLACE")
_ARTIFACT = _Insertion(FILTER_ARTIFACTS, ("run_id", "idx"), "INSERT OR REPLACE")
_LINE = _Insertion(LOGS, ("id", "run_id", "worker_id", "idx"), "INSERT")
_INSERT_STAGE = STAGE_METRICS.insertion(STAGE_METRICS.names, "INSERT OR REPLACE")
_INSERT_FILE = OUTPUT_FILES.insertion(("run_id", "idx", "seq", "path", "written"), "INSERT OR REPLACE")


def insert_results(db: sqlite3.Connection, run_id: int, results: Sequence[Placed]) -> None:
    """Insert results whose indices have no rows yet."""
    db.executemany(
        _RESULT.statement,
        [(run_id, idx, _as_json(r.output_paths)) + _RESULT.taken(r) for idx, r in results],  # noqa: RUF005
    )
    db.executemany(
        _INSERT_STAGE,
        [(run_id, idx, k, s.name, s.wall_time_ns) for idx, r in results for k, s in enumerate(r.stages)],
    )
    db.executemany(
        _INSERT_FILE,
        [
            (run_id, idx, k, path, mark)
            for idx, r in results
            for k, (path, mark) in enumerate(zip_longest(r.output_paths, r.written))
        ],
    )
    db.executemany(
        _ARTIFACT.statement,
        [(run_id, idx) + _ARTIFACT.taken(a) for idx, r in results for a in r.artifacts],  # noqa: RUF005
    )
    db.executemany(
        _LINE.statement,
        [(None, run_id, r.worker_id, idx) + _LINE.taken(line) for idx, r in results for line in r.logs],  # noqa: RUF005
    )


def _as_json(paths: Sequence[str]) -> str:
    """What `json.dumps` gives, in half the time, which counts for every index."""
    return f"[{', '.join(map(encode_basestring_ascii, paths))}]"


def move_results(db: sqlite3.Connection, run_id: int, moves: Iterable[Move]) -> bool:
    """Give rows other indices, all at once; whether there was anything to move.

    The rows are set aside in the order of their new indices, and put back in it: a million of them are
    appended, where moving one after the other would rebuild the table around each.
    """
    db.execute("CREATE TEMP TABLE moves (new INTEGER PRIMARY KEY, old INTEGER NOT NULL)")
    db.executemany("INSERT INTO moves (old, new) VALUES (?, ?)", moves)
    (n_moved,) = db.execute("SELECT count(*) FROM moves").fetchone()
    for table in INDEXED_TABLES if n_moved else ():
        columns = ", ".join("new" if name == "idx" else f"{table.name}.{name}" for name in table.names)
        db.execute(
            f"CREATE TEMP TABLE aside AS SELECT {columns} FROM moves CROSS JOIN {table.name}"  # noqa: S608 - constants
            " WHERE run_id = ? AND idx = old ORDER BY new",
            (run_id,),
        )
        db.execute(f"DELETE FROM {table.name} WHERE run_id = ? AND idx IN (SELECT old FROM moves)", (run_id,))  # noqa: S608
        db.execute(f"INSERT INTO {table.name} ({', '.join(table.names)}) SELECT * FROM aside")  # noqa: S608
        db.execute("DROP TABLE aside")
    if n_moved:
        moved = "idx IN (SELECT old FROM moves)"
        new = "(SELECT new FROM moves WHERE old = idx)"
        db.execute(f"UPDATE logs SET idx = {new} WHERE run_id = ? AND {moved}", (run_id,))  # noqa: S608 - constants
    db.execute("DROP TABLE moves")
    return bool(n_moved)


_NEW_WORKER = ("worker_id", "run_id", "pid", "hostname", "started_at", "last_heartbeat", "invocation_id")
_USAGE = tuple(f.name for f in fields(WorkerUsage) if f.name in WORKERS.names and f.name not in _NEW_WORKER)


def _setting(*columns: str) -> str:
    """Statement that sets columns of a worker, from values of `_NEW_WORKER` and them."""
    sets = ", ".join(f"{name} = excluded.{name}" for name in columns)
    names = dict.fromkeys([*_NEW_WORKER, *columns])
    return f"{WORKERS.insertion([*names])} ON CONFLICT (worker_id) DO UPDATE SET {sets}"


_INSERT_WORKER = WORKERS.insertion(_NEW_WORKER, "INSERT OR IGNORE")
_SET_PRESENCE = _setting("last_heartbeat", "current_index", "current_since")
_SET_USAGE = _setting(*_USAGE)


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
            _INSERT_WORKER,
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
        _SET_PRESENCE,
        [(p.worker_id, run_id, p.pid, p.host, now, now, invocation_id, p.index, _began(p)) for p in presences],
    )


def record_usage(db: sqlite3.Connection, run_id: int, invocation_id: str, used: Iterable[WorkerUsage]) -> None:
    """Set what workers used; one that is not known yet gets a row."""
    now = datetime.now(UTC).isoformat()
    db.executemany(
        _SET_USAGE,
        [(u.worker_id, run_id, u.pid, u.host, now, now, invocation_id, *(getattr(u, n) for n in _USAGE)) for u in used],
    )


def clear_presences(db: sqlite3.Connection, *, present: Sequence[str] = ()) -> None:
    """Record that no worker is at anything, apart from those that are present."""
    db.execute(
        "UPDATE workers SET current_index = NULL, current_since = NULL"
        " WHERE current_index IS NOT NULL AND worker_id NOT IN (SELECT value FROM json_each(?))",
        (json.dumps(present),),
    )


def forget_workers(db: sqlite3.Connection, run_id: int) -> None:
    """Delete workers whose results were all replaced since, and their log lines; the newest workers stay."""
    newest = "SELECT rowid FROM workers WHERE run_id = ? ORDER BY rowid DESC LIMIT 1 OFFSET ?"
    older = db.execute(newest, (run_id, MAX_WORKERS)).fetchone()
    if older is None:
        return
    former = (
        "run_id = ? AND rowid <= ? AND job IS NULL AND worker_id NOT IN"
        " (SELECT worker_id FROM index_results WHERE run_id = ? AND worker_id IS NOT NULL)"
    )
    which = (run_id, *older, run_id)
    db.execute(f"DELETE FROM logs WHERE worker_id IN (SELECT worker_id FROM workers WHERE {former})", which)  # noqa: S608
    db.execute(f"DELETE FROM workers WHERE {former}", which)  # noqa: S608 - of constants


def _began(presence: WorkerPresence) -> str | None:
    return None if presence.index is None else datetime.fromtimestamp(presence.since, UTC).isoformat()


_SHIFTED = "run_id = ? AND idx >= 0 AND idx != written_idx AND status = 'completed'"


class ShiftedOutputs:
    """Outputs of items that were written at another position than their present one, which others may overwrite.

    There are none until they are looked up.
    """

    def __init__(self) -> None:
        self.keys: Mapping[str, str] = {}
        """Keys of the items by path."""
        self._positions: set[int] = set()

    def look_up(self, db: sqlite3.Connection, run_id: int) -> None:
        """See what there is now."""
        sql = f"SELECT written_idx, item_key, output_paths FROM index_results WHERE {_SHIFTED}"  # noqa: S608 - a constant
        rows = db.execute(sql, (run_id,)).fetchall()
        self._positions = {written for written, _, _ in rows}
        self.keys = {path: key for _, key, paths in rows for path in json.loads(paths)}

    def displaced(self, db: sqlite3.Connection, run_id: int, results: Sequence[Placed]) -> list[int]:
        """Indices of all shifted items, where one of the results may have overwritten a file of one."""
        if not self._positions or not any(
            any(self.keys.get(path, r.key) != r.key for path in r.output_paths)
            or (not r.is_completed and r.index in self._positions)  # it may have written before it failed
            for _, r in results
        ):
            return []
        written = {idx for idx, _ in results}
        rows = db.execute(f"SELECT idx FROM index_results WHERE {_SHIFTED}", (run_id,))  # noqa: S608
        return [idx for (idx,) in rows if idx not in written]

    def clear(self) -> None:
        """Nothing is shifted any more."""
        self._positions, self.keys = set(), {}
