"""Read-only queries on a metrics database, also while a run is writing it."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from curator_core.errors import StoreError
from curator_core.garbage import gc_paused
from curator_core.records import Artifact, IndexResult, StageMetrics, Status
from curator_core.store.connection import classified, open_for_reading
from curator_core.store.kinds import check_measures, sound_rows
from curator_core.store.metrics import IndexMetrics


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One row of ``pipeline_runs``."""

    run_id: int
    config_hash: str
    config_json: str
    started_at: str
    run_dir: str | None
    total_indices: int

    @property
    def components(self) -> list[str] | None:
        """Names of source, filters and sink; ``None`` where the configuration is none that curator writes."""
        try:
            config = json.loads(self.config_json)
            parts = [config["source"], *config["filters"], config["sink"]]
            names = [part["component"] for part in parts if part]
        except (LookupError, RecursionError, TypeError, ValueError):
            return None
        return [name.rpartition(":")[2] for name in names] if all(isinstance(name, str) for name in names) else None


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """What is recorded of one item, without its metrics."""

    index: int
    """Present position; negative for an item that vanished from the source."""
    key: str
    """Key of the item."""
    status: Status
    """How its last processing ended."""
    fingerprint: str | None
    """Its fingerprint then."""
    error: str | None
    """Why it failed."""


@dataclass(frozen=True, slots=True)
class JobUsage:
    """What the workers of a run used that a cluster ran as jobs, as its accounting has it."""

    n_jobs: int
    """How many they are."""
    cpu_s: float
    """CPU time they used, seconds."""
    allotted_s: float
    """CPU time they had: for each its CPUs times how long it had them, seconds."""
    peak_memory_bytes: int | None
    """Largest memory of any; ``None`` where the cluster measured none."""

    @property
    def efficiency(self) -> float | None:
        """The part of the CPU time they had that they used, 0 to 1."""
        return self.cpu_s / self.allotted_s if self.allotted_s else None


RecordedRow = tuple[int, str, str | None, str | None]
"""Position, key, fingerprint and error (``None`` when completed) of one item."""


class MetricsStore:
    """A metrics database, opened read-only.

    Parameters
    ----------
    path
        The database.

    Raises
    ------
    StoreError
        It does not exist, is no metrics database, or is of a newer schema version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._db = open_for_reading(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _rows(self, sql: str, *values: object) -> list[Any]:
        with classified(self.path):
            return list(sound_rows(self.path, self._db.execute(sql, values)))

    def _dicts(self, columns: Sequence[str], table: str, rest: str, *values: object) -> list[dict[str, Any]]:
        sql = f"SELECT {', '.join(columns)} FROM {table} {rest}"  # noqa: S608 - constants
        return [dict(zip(columns, row, strict=True)) for row in self._rows(sql, *values)]

    def query(self, sql: str, *values: object) -> Iterator[Any]:
        """Rows of any SELECT, one at a time."""
        with classified(self.path):
            yield from sound_rows(self.path, self._db.execute(sql, values))

    def check_measures(self, run_id: int) -> None:
        """Raise `StoreCorruptError` when a measure of a run cannot be true: negative, far too large, or no number."""
        with classified(self.path):
            check_measures(self.path, self._db, run_id)

    def runs(self) -> list[RunRecord]:
        """All runs, oldest first."""
        sql = "SELECT run_id, config_hash, config_json, started_at, run_dir, total_indices FROM pipeline_runs"
        return [RunRecord(*row) for row in self._rows(f"{sql} ORDER BY run_id")]

    def latest_run(self, config_hash: str | None = None) -> RunRecord | None:
        """Newest run, of one configuration if given."""
        return next((run for run in reversed(self.runs()) if config_hash in (None, run.config_hash)), None)

    def run(self, run_id: int | None = None, *, config_hash: str | None = None) -> RunRecord:
        """One run, the newest by default, of one configuration if given.

        Raises
        ------
        StoreError
            There is none.
        """
        runs = [run for run in self.runs() if config_hash in (None, run.config_hash)]
        chosen = [run for run in runs if run_id in (None, run.run_id)]
        if chosen:
            return chosen[-1]
        which = "no run" if run_id is None or not runs else f"no run {run_id}"
        known = f" It has: {', '.join(str(run.run_id) for run in runs[-20:])}." if runs else ""
        raise StoreError(f"{self.path} holds {which}{' of this configuration' if config_hash else ''}.{known}")

    def recorded(self, run_id: int, position: int | None = None) -> Iterator[RecordedRow]:
        """What is recorded of every item, in the order of positions, vanished items first; of one alone if given."""
        where, values = _of_index(position)
        sql = (
            "SELECT idx, item_key, fingerprint, CASE status WHEN 'error' THEN ifnull(error, '') END"  # noqa: S608 - constants
            f" FROM index_results WHERE run_id = ?{where} ORDER BY idx"
        )
        return self.query(sql, run_id, *values)

    def key_at(self, run_id: int, position: int) -> str | None:
        """Key of the item that is recorded at a position; ``None`` where none is."""
        rows = self._rows("SELECT item_key FROM index_results WHERE run_id = ? AND idx = ?", run_id, position)
        return rows[0][0] if rows else None

    def position_of(self, run_id: int, key: str, expected: int) -> int | None:
        """Position at which an item is recorded, wherever that is; ``None`` where it is not.

        Costs next to nothing where it is the expected one; elsewhere the keys are searched, none of which is loaded.
        """
        if self.key_at(run_id, expected) == key:
            return expected
        rows = self._rows("SELECT idx FROM index_results WHERE run_id = ? AND item_key = ? LIMIT 1", run_id, key)
        return rows[0][0] if rows else None

    def is_shared(self, run_id: int, path: str, position: int) -> bool:
        """Whether `path` is also recorded of an item at another position."""
        sql = (
            "SELECT EXISTS (SELECT 1 FROM output_files WHERE run_id = ?1 AND path = ?2 AND idx != ?3)"
            " OR EXISTS (SELECT 1 FROM filter_artifacts WHERE run_id = ?1 AND path = ?2 AND idx != ?3)"
        )
        ((found,),) = self._rows(sql, run_id, path, position)
        return bool(found)

    def sink_files(self, run_id: int, position: int | None = None) -> Iterator[tuple[int, str, int | None]]:
        """Position, path and mark of every file that the sink wrote, in its order; for one item alone if given."""
        where, values = _of_index(position)
        sql = f"SELECT idx, path, written FROM output_files WHERE run_id = ?{where} ORDER BY idx, seq"  # noqa: S608
        return self.query(sql, run_id, *values)

    def artifact_files(self, run_id: int, position: int | None = None) -> Iterator[tuple[int, int, str, int | None]]:
        """Position, stage, path and mark of every file that the filters wrote, in that order; for one item if given."""
        where, values = _of_index(position)
        sql = (
            f"SELECT idx, filter_order, path, written FROM filter_artifacts WHERE run_id = ?{where}"  # noqa: S608
            " ORDER BY idx, filter_order, path"
        )
        return self.query(sql, run_id, *values)

    def files_of_other_configs(self, config_hash: str) -> Iterator[tuple[str, int]]:
        """Path and mark of the files that the latest runs of other configurations wrote, as far as they have marks."""
        latest = "SELECT max(run_id) FROM pipeline_runs WHERE config_hash != ? GROUP BY config_hash"
        tables = ("output_files", "filter_artifacts")
        sql = " UNION ".join(
            f"SELECT path, written FROM {table} WHERE written IS NOT NULL AND run_id IN ({latest})"  # noqa: S608 - constants
            for table in tables
        )
        return self.query(sql, config_hash, config_hash)

    def items(self, run_id: int) -> dict[str, ItemRecord]:
        """Record of every item by key, vanished ones included."""
        sql = "SELECT idx, item_key, status, fingerprint, error FROM index_results WHERE run_id = ? ORDER BY idx"
        return {row[1]: ItemRecord(*row) for row in self._rows(sql, run_id)}

    def completed_outputs(
        self,
        run_id: int,
        filter_order: int | None,
        *,
        indices: Iterable[int] | None = None,
        elsewhere_than: Iterable[str] = (),
    ) -> list[tuple[ItemRecord, str, int | None]]:
        """Completed items with path and mark of one of their outputs, in index order; vanished items first.

        Parameters
        ----------
        run_id
            The run.
        filter_order
            Position of the filter that wrote it; ``None`` for the first path of the sink.
        indices
            Only these; all by default.
        elsewhere_than
            Only outputs at other paths than these.
        """
        table, match = "output_files", "seq = 0"
        values: list[object] = [run_id]
        if filter_order is not None:
            table, match = "filter_artifacts", "filter_order = ?"
            values.append(filter_order)
        chosen = "" if indices is None else " AND idx IN (SELECT value FROM json_each(?))"
        sql = (
            f"SELECT idx, item_key, status, fingerprint, error, path, written FROM index_results JOIN {table}"  # noqa: S608
            f" USING (run_id, idx) WHERE run_id = ? AND {match} AND status = 'completed'{chosen}"
            " AND path NOT IN (SELECT value FROM json_each(?)) ORDER BY idx, path"
        )
        values += [] if indices is None else [json.dumps(list(indices))]
        rows = self._rows(sql, *values, json.dumps(list(elsewhere_than)))
        return [(ItemRecord(*record), path, mark) for *record, path, mark in rows]

    def keys_of_other_configs(self, config_hash: str) -> set[str]:
        """Keys completed under another configuration."""
        sql = (
            "SELECT item_key FROM index_results WHERE status = 'completed'"
            " AND run_id IN (SELECT run_id FROM pipeline_runs WHERE config_hash != ?)"
        )
        return {key for (key,) in self.query(sql, config_hash)}

    def output_paths(self, run_id: int, index: int | None = None) -> dict[int, list[str]]:
        """Paths that the sink wrote, by index; of one index alone if given."""
        found: dict[int, list[str]] = defaultdict(list)
        where, values = _of_index(index)
        sql = f"SELECT idx, path FROM output_files WHERE run_id = ?{where} ORDER BY idx, seq"  # noqa: S608 - constants
        for idx, path in self.query(sql, run_id, *values):
            found[idx].append(path)
        return dict(found)

    def artifacts(self, run_id: int, index: int | None = None) -> dict[int, list[Artifact]]:
        """Files that the filters wrote, by index; of one index alone if given."""
        found: dict[int, list[Artifact]] = defaultdict(list)
        where, values = _of_index(index)
        sql = (
            f"SELECT idx, path, filter_name, filter_order, written FROM filter_artifacts WHERE run_id = ?{where}"  # noqa: S608
            " ORDER BY idx, filter_order, path"
        )
        for idx, *artifact in self.query(sql, run_id, *values):
            found[idx].append(Artifact(*artifact))
        return dict(found)

    def indices_of_path(self, run_id: int, path: str) -> set[int]:
        """Indices of the present listing whose sink or filters wrote `path`."""
        sql = (
            "SELECT idx FROM output_files WHERE run_id = ?1 AND path = ?2 AND idx >= 0"
            " UNION SELECT idx FROM filter_artifacts WHERE run_id = ?1 AND path = ?2 AND idx >= 0"
        )
        return {idx for (idx,) in self._rows(sql, run_id, path)}

    def metrics(self, run_id: int) -> list[IndexMetrics]:
        """Cost of every completed index of the present listing."""
        sql = (
            "SELECT idx, wall_time_ns, peak_memory_bytes, gpu_memory_bytes FROM index_results"
            " WHERE run_id = ? AND status = 'completed' AND idx >= 0 ORDER BY idx"
        )
        self.check_measures(run_id)
        with gc_paused():
            stages = self._stages(run_id)
            rows = self.query(sql, run_id)
            return [IndexMetrics(idx, stages.pop(idx, []), wall, peak, gpu) for idx, wall, peak, gpu in rows]

    def total_time(self, run_id: int) -> tuple[int, int]:
        """Number of the completed indices of the present listing, and the sum of their wall times in nanoseconds."""
        self.check_measures(run_id)
        sql = "SELECT count(*), CAST(total(wall_time_ns) AS INTEGER) AS wall_time_ns FROM index_results"
        ((n_completed, spent),) = self._rows(f"{sql} WHERE run_id = ? AND status = 'completed' AND idx >= 0", run_id)
        return n_completed, spent

    def _stages(self, run_id: int) -> dict[int, list[StageMetrics]]:
        stages: dict[int, list[StageMetrics]] = defaultdict(list)
        sql = "SELECT idx, stage_name, wall_time_ns FROM stage_metrics WHERE run_id = ? ORDER BY idx, stage_order"
        for idx, name, spent in self.query(sql, run_id):
            stages[idx].append(StageMetrics(name, spent))
        return stages

    def results(self, run_id: int) -> Iterator[IndexResult]:
        """Full record of every item of the present listing, in index order; without its log lines."""
        stages, artifacts = self._stages(run_id), self.artifacts(run_id)
        outputs: dict[int, list[tuple[str, int | None]]] = defaultdict(list)
        for idx, path, mark in self.sink_files(run_id):
            outputs[idx].append((path, mark))
        sql = (
            "SELECT idx, item_key, status, fingerprint, wall_time_ns, peak_memory_bytes, gpu_memory_bytes, error,"
            " traceback, worker_id, started_at, completed_at FROM index_results WHERE run_id = ? AND idx >= 0"
            " ORDER BY idx"
        )
        rows = self._rows(sql, run_id)
        for idx, key, status, fingerprint, wall, peak, gpu, error, trace, worker, started, completed in rows:
            yield IndexResult(
                index=idx,
                key=key,
                status=status,
                fingerprint=fingerprint,
                output_paths=tuple(path for path, _ in outputs[idx]),
                written=tuple(mark for _, mark in outputs[idx]),
                artifacts=tuple(artifacts.get(idx, ())),
                stages=tuple(stages.get(idx, ())),
                wall_time_ns=wall,
                peak_memory_bytes=peak,
                gpu_memory_bytes=gpu,
                error=error,
                traceback=trace,
                worker_id=worker,
                started_at=started,
                completed_at=completed,
            )

    def workers(self, run_id: int) -> list[dict[str, Any]]:
        """Rows of ``workers``, oldest first."""
        columns = (
            *("worker_id", "pid", "hostname", "started_at", "last_heartbeat"),
            *("current_index", "current_since", "completed_count", "invocation_id"),
            *("job", "job_state", "elapsed_s", "n_cpus", "cpu_s", "peak_memory_bytes"),
        )
        return self._dicts(columns, "workers", "WHERE run_id = ? ORDER BY started_at", run_id)

    def job_usage(self, run_id: int) -> JobUsage | None:
        """What a run's workers used in all; ``None`` where no cluster kept accounts of them."""
        sql = (
            "SELECT count(*), total(cpu_s), total(elapsed_s * n_cpus), max(peak_memory_bytes) AS peak_memory_bytes"
            " FROM workers WHERE run_id = ? AND job IS NOT NULL"
        )
        ((n_jobs, *used),) = self._rows(sql, run_id)
        return JobUsage(n_jobs, *used) if n_jobs else None

    def logs(self, run_id: int, index: int | None = None) -> list[dict[str, Any]]:
        """Log lines of a run, or of one index."""
        columns = ("timestamp", "level", "level_name", "logger_name", "message", "worker_id", "idx")
        where, values = _of_index(index)
        return self._dicts(columns, "logs", f"WHERE run_id = ?{where} ORDER BY id", run_id, *values)

    def config(self, run_id: int) -> dict[str, Any]:
        """Canonical configuration of a run."""
        ((text,),) = self._rows("SELECT config_json FROM pipeline_runs WHERE run_id = ?", run_id)
        return dict(json.loads(text))

    def has_other_formats(self, config_format: int) -> bool:
        """Whether a run's configuration is written in another format."""
        return any(f'"format":{config_format}' not in run.config_json for run in self.runs())

    def counts(self, run_id: int) -> dict[str, int]:
        """Number of items of the present listing by status."""
        sql = "SELECT status, count(*) FROM index_results WHERE run_id = ? AND idx >= 0 GROUP BY status"
        return dict(self._rows(sql, run_id))

    def last_activity(self) -> str | None:
        """When something was last recorded in any run, ISO-8601; ``None`` before the first run."""
        sql = (
            "SELECT max(time) FROM (SELECT max(started_at) AS time FROM pipeline_runs UNION ALL"
            " SELECT max(last_heartbeat) FROM workers UNION ALL SELECT max(completed_at) FROM index_results)"
        )
        ((time,),) = self._rows(sql)
        return None if time is None else str(time)


def _of_index(index: int | None) -> tuple[str, tuple[int, ...]]:
    """Condition that leaves the rows of one index, and its values."""
    return ("", ()) if index is None else (" AND idx = ?", (index,))
