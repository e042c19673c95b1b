"""Read-only queries on a metrics database, also while a run is writing it."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from curator_core.errors import StoreError
from curator_core.records import IndexResult
from curator_core.store.checked import of_index
from curator_core.store.columns import INDEX_RESULTS, LOGS, WORKERS, Table
from curator_core.store.metrics import CostReader, JobUsage
from curator_core.store.outputs import ItemRecord, OutputReader

__all__ = ["FailedItem", "ItemRecord", "JobUsage", "MetricsStore", "RecordedRow", "RunRecord", "Warned"]


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


_SELECT_RUNS = f"SELECT {', '.join(field.name for field in fields(RunRecord))} FROM pipeline_runs"  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class FailedItem:
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
class Warned:
    """What some items warned of."""

    message: str
    """The warning."""
    n_items: int
    """How many of the present listing did."""
    keys: list[str]
    """The first of them."""


RecordedRow = tuple[int, str, str | None, str | None]
"""Position, key, fingerprint and error (``None`` when completed) of one item."""


class MetricsStore(OutputReader, CostReader):
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

    def runs(self) -> list[RunRecord]:
        """All runs, oldest first."""
        return [RunRecord(*row) for row in self._rows(f"{_SELECT_RUNS} ORDER BY run_id")]

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
        where, values = of_index(position)
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

    def items(self, run_id: int) -> dict[str, ItemRecord]:
        """Record of every item by key, vanished ones included."""
        sql = "SELECT idx, item_key, status, fingerprint, error FROM index_results WHERE run_id = ? ORDER BY idx"
        return {row[1]: ItemRecord(*row) for row in self._rows(sql, run_id)}

    def keys_of_other_configs(self, config_hash: str) -> set[str]:
        """Keys completed under another configuration."""
        sql = (
            "SELECT item_key FROM index_results WHERE status = 'completed'"
            " AND run_id IN (SELECT run_id FROM pipeline_runs WHERE config_hash != ?)"
        )
        return {key for (key,) in self.query(sql, config_hash)}

    def results(self, run_id: int) -> Iterator[IndexResult]:
        """Full record of every item of the present listing, in index order; without its log lines."""
        stages, artifacts = self._stages(run_id), self.artifacts(run_id)
        outputs: dict[int, list[tuple[str, int | None]]] = defaultdict(list)
        for idx, path, mark in self.sink_files(run_id):
            outputs[idx].append((path, mark))
        taken = INDEX_RESULTS.fields("run_id", "idx", "output_paths", "written_idx")
        sql = f"SELECT idx, {', '.join(taken)} FROM index_results WHERE run_id = ? AND idx >= 0 ORDER BY idx"  # noqa: S608 - constants
        for idx, *values in self._rows(sql, run_id):
            yield IndexResult(
                index=idx,
                output_paths=tuple(path for path, _ in outputs[idx]),
                written=tuple(mark for _, mark in outputs[idx]),
                artifacts=tuple(artifacts.get(idx, ())),
                stages=tuple(stages.get(idx, ())),
                **dict(zip(taken.values(), values, strict=True)),
            )

    def workers(self, run_id: int) -> list[dict[str, Any]]:
        """Rows of ``workers``, oldest first."""
        return self._dicts(WORKERS, ("run_id",), "WHERE run_id = ? ORDER BY started_at", run_id)

    def logs(self, run_id: int, index: int | None = None) -> list[dict[str, Any]]:
        """Log lines of a run, or of one index."""
        where, values = of_index(index)
        return self._dicts(LOGS, ("id", "run_id"), f"WHERE run_id = ?{where} ORDER BY id", run_id, *values)

    def warnings(self, run_id: int, limit: int, n_keys: int) -> list[Warned]:
        """Warnings, and worse, of items of the present listing as they were last processed, with some of their keys.

        Parameters
        ----------
        run_id
            The run.
        limit
            Number of messages, those of the most items first.
        n_keys
            Number of keys of each, the first of the listing.
        """
        sql = (
            "WITH said AS (SELECT DISTINCT message, index_results.idx AS idx, item_key FROM logs JOIN index_results"
            " ON index_results.run_id = logs.run_id AND index_results.idx = logs.idx"
            " AND index_results.worker_id IS logs.worker_id"
            " WHERE logs.run_id = ? AND level >= ? AND logs.idx >= 0),"
            " ranked AS (SELECT message, item_key, idx, count(*) OVER said_by AS n, min(idx) OVER said_by AS first,"
            " row_number() OVER (said_by ORDER BY idx) AS place FROM said WINDOW said_by AS (PARTITION BY message))"
            " SELECT message, n, item_key FROM ranked WHERE place <= ? ORDER BY n DESC, first, message, place"
        )
        found: dict[str, Warned] = {}
        for message, n_items, key in self.query(sql, run_id, logging.WARNING, n_keys):
            if message not in found and len(found) == limit:
                break
            found.setdefault(message, Warned(message, n_items, [])).keys.append(key)
        return list(found.values())

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

    def n_vanished(self, run_id: int) -> int:
        """Number of items recorded that the source no longer lists."""
        ((n_vanished,),) = self._rows("SELECT count(*) FROM index_results WHERE run_id = ? AND idx < 0", run_id)
        return int(n_vanished)

    def failures(self, run_id: int, *, without: Iterable[str] = (), limit: int = -1) -> list[FailedItem]:
        """Failed items of the present listing in index order, some keys left out; the first ones alone if limited."""
        sql = (
            "SELECT idx, item_key, coalesce(error, 'failed') AS error, traceback FROM index_results WHERE run_id = ?"
            " AND idx >= 0 AND status = 'error' AND item_key NOT IN (SELECT value FROM json_each(?))"
            " ORDER BY idx LIMIT ?"
        )
        return [FailedItem(*row) for row in self.query(sql, run_id, json.dumps(list(without)), limit)]

    def errors(self, run_id: int) -> dict[str, str]:
        """Errors of the failed items of the present listing by key, in index order."""
        sql = (
            "SELECT item_key, coalesce(error, 'failed') FROM index_results"
            " WHERE run_id = ? AND idx >= 0 AND status = 'error' ORDER BY idx"
        )
        return dict(self.query(sql, run_id))

    def error_kinds(self, run_id: int, limit: int) -> list[tuple[str, int]]:
        """Types of errors with the number of their items in the present listing, the most frequent ones first."""
        error = "coalesce(error, 'failed')"
        sql = (
            f"SELECT substr({error}, 1, instr({error} || ':', ':') - 1), count(*) AS n FROM index_results"  # noqa: S608 - constants
            " WHERE run_id = ? AND idx >= 0 AND status = 'error' GROUP BY 1 ORDER BY n DESC, 1 LIMIT ?"
        )
        return self._rows(sql, run_id, limit)

    def keys_at(self, run_id: int, positions: Iterable[int]) -> dict[int, str]:
        """Keys of the items that are recorded at some positions, by position."""
        sql = "SELECT idx, item_key FROM index_results WHERE run_id = ? AND idx IN (SELECT value FROM json_each(?))"
        return dict(self.query(sql, run_id, json.dumps(list(positions))))

    def completed_versions(self, run_id: int) -> Iterator[tuple[str, str | None]]:
        """Key and fingerprint of every completed item of the present listing, in index order."""
        sql = (
            "SELECT item_key, fingerprint FROM index_results WHERE run_id = ? AND idx >= 0 AND status = 'completed'"
            " ORDER BY idx"
        )
        return self.query(sql, run_id)

    def last_rows(self) -> tuple[int, int]:
        """Number of the last run, and of the last worker's row; 0 where there is none."""
        sql = "SELECT ifnull((SELECT max(run_id) FROM pipeline_runs), 0), ifnull((SELECT max(rowid) FROM workers), 0)"
        ((run_id, worker_row),) = self._rows(sql)
        return run_id, worker_row

    def n_completed_since(self, config_hash: str, *, run_id: int = 0, worker_row: int = 0, time: str = "") -> int:
        """Number of completed items in the newest run of a configuration that are newer than what was there.

        Parameters
        ----------
        config_hash
            The configuration.
        run_id, worker_row
            What `last_rows` gave: all items of later runs count, and those of later workers.
        time
            ISO-8601: items that no worker is recorded of count when they were completed then or later.
        """
        sql = (
            "SELECT count(*) FROM index_results WHERE status = 'completed' AND idx >= 0"
            " AND run_id = (SELECT max(run_id) FROM pipeline_runs WHERE config_hash = ?)"
            " AND (run_id > ? OR worker_id IN (SELECT worker_id FROM workers WHERE rowid > ?)"
            " OR (worker_id IS NULL AND completed_at >= ?))"
        )
        ((n_completed,),) = self._rows(sql, config_hash, run_id, worker_row, time)
        return int(n_completed)

    def last_activity(self) -> str | None:
        """When something was last recorded in any run, ISO-8601; ``None`` before the first run."""
        sql = (
            "SELECT max(time) FROM (SELECT max(started_at) AS time FROM pipeline_runs UNION ALL"
            " SELECT max(last_heartbeat) FROM workers UNION ALL SELECT max(completed_at) FROM index_results)"
        )
        ((time,),) = self._rows(sql)
        return None if time is None else str(time)

    def _dicts(self, table: Table, apart_from: Iterable[str], rest: str, *values: object) -> list[dict[str, Any]]:
        """Rows of a table as dictionaries, some columns left out."""
        columns = list(table.fields(*apart_from))
        sql = f"SELECT {', '.join(columns)} FROM {table.name} {rest}"  # noqa: S608 - constants
        return [dict(zip(columns, row, strict=True)) for row in self._rows(sql, *values)]
