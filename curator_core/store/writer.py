"""The only writer of the metrics database: batched, durable within 200 ms of an item's end, see `BATCH_SECONDS`."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Self

from curator_core.records import IndexResult, WorkerUsage
from curator_core.store.columns import INDEXED_TABLES, LOGS, WORKERS
from curator_core.store.held import HeldDatabase
from curator_core.store.journal import ended_journals, journal_directory, read_journals, remove_journal
from curator_core.store.location import note_latest
from curator_core.store.rows import (
    Move,
    Placed,
    Recorded,
    ShiftedOutputs,
    WorkerPresence,
    begin_run,
    clear_presences,
    count_workers,
    forget_workers,
    insert_results,
    move_results,
    record_presences,
    record_usage,
)

BATCH_SIZE = 100
"""Results per commit, at most."""
BATCH_SECONDS = 0.06
"""How long a result waits for its commit, at most, after `curator_core.run.workers.keeper` has held it back."""
LOCK_TIMEOUT_S = 5.0
"""How long a second coordinator waits for the first."""


class StoreWriter(HeldDatabase):
    """Writes the results of one configuration; holds the database's lock until it is closed.

    Parameters
    ----------
    path
        The database; created when absent.
    config_hash, config_json
        The pipeline's configuration.
    resume
        Go on with the latest run of this configuration, if there is one; otherwise begin a new run.
    total_indices
        Number of items of the source; ``None`` leaves what is recorded.

    Raises
    ------
    StoreBusyError
        Another coordinator is writing this database.
    StoreError
        The database cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        config_hash: str,
        config_json: str,
        resume: bool,
        total_indices: int | None = None,
    ) -> None:
        super().__init__(path, timeout_s=LOCK_TIMEOUT_S)
        self.config_hash = config_hash
        self.invocation_id = uuid.uuid4().hex
        self._pending: list[Placed] = []
        self._written: set[int] = set()
        self._shifted = ShiftedOutputs()
        self._displaced: list[int] = []
        self._last_commit = 0.0
        self._failure: BaseException | None = None
        self._is_closed = False
        self._flusher: threading.Thread | None = None
        self._is_flusher_asleep = False  # waking it for every batch would cost two switches of threads
        with self._releasing():
            self._older_journals = {path.name for path in journal_directory(self.path).glob("*.jsonl")}
            """Those begun before anything that this writer records itself."""
            with self._changing():
                self.run_id = begin_run(self._db, config_hash, config_json, total_indices, resume=resume)
                clear_presences(self._db)  # what a killed run left
                (self._has_rows,) = self._db.execute(
                    "SELECT EXISTS (SELECT 1 FROM index_results WHERE run_id = ?)", (self.run_id,)
                ).fetchone()
            note_latest(self.path, config_hash)
            self._await_tick()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, result: IndexResult) -> None:
        """Take a result; it is committed with others, `BATCH_SECONDS` later at the latest.

        Raises
        ------
        StoreError
            This or an earlier commit failed.
        """
        with self._guard:
            self._raise_failure()
            self._pending.append((result.index, result))
            now = time.monotonic()
            if len(self._pending) >= BATCH_SIZE or now - self._last_commit >= BATCH_SECONDS:
                self._commit()
            elif self._flusher is None:
                self._flusher = threading.Thread(target=self._flush_in_time, name="curator-store", daemon=True)
                self._flusher.start()
            elif self._is_flusher_asleep:
                self._guard.notify()

    def flush(self) -> None:
        """Commit what is pending."""
        with self._guard:
            self._raise_failure()
            self._commit()

    def heartbeat(self, presences: Sequence[WorkerPresence]) -> None:
        """Record what every worker does at the moment."""
        with self._guard:
            if not self._is_closed:
                with self._changing():
                    record_presences(self._db, self.run_id, self.invocation_id, presences)

    def record_usage(self, used: Iterable[WorkerUsage]) -> None:
        """Record what workers used that a cluster ran as jobs."""
        with self._changing():
            record_usage(self._db, self.run_id, self.invocation_id, used)

    def close(self) -> None:
        """Commit what is pending, release the lock; further calls do nothing."""
        if self._is_closed:
            return
        try:
            self.flush()
            with self._changing():
                clear_presences(self._db)
                forget_workers(self._db, self.run_id)
            note_latest(self.path, self.config_hash)
        finally:
            with self._guard:
                self._is_closed = True
                self._guard.notify()
            if self._flusher is not None:
                self._flusher.join()
            self._release()

    def fold(self) -> int:
        """Take over what workers left in journals beside the database; returns the number of results.

        A journal whose writer still runs is read, and stays.
        """
        ended = ended_journals(journal_directory(self.path), self.config_hash)
        journals = read_journals(journal_directory(self.path), self.config_hash)
        if not journals:
            return 0
        self.flush()
        recorded, free = self._recorded({result.key for _, results in journals for result in results})
        folded = 0
        for path, results in journals:
            placed = []
            is_older = path.name in self._older_journals
            for result in {result.key: result for result in results}.values():
                known = recorded.get(result.key)
                if known is None:
                    free -= 1
                elif known.is_newer_than(result) or (is_older and known.idx in self._written):
                    continue
                idx = free if known is None else known.idx
                placed.append((idx, result))
                recorded[result.key] = Recorded.of(idx, result)
            with self._guard:
                self._has_rows = True
                self._pending = placed
                self._commit(is_streamed=False)
            if path in ended:
                remove_journal(path, ended[path])
            folded += len(placed)
        return folded

    def _recorded(self, keys: set[str]) -> tuple[dict[str, Recorded], int]:
        """Rows of some items by key, and the lowest index of all; a new item waits below it for `reindex`."""
        sql = "SELECT item_key, idx, worker_id, completed_at, status, fingerprint FROM index_results WHERE run_id = ?"
        lowest = "SELECT min(idx) FROM index_results WHERE run_id = ?"
        with self._asking():
            (free,) = self._db.execute(lowest, (self.run_id,)).fetchone()
            rows = self._db.execute(sql, (self.run_id,))
            return {key: Recorded(*rest) for key, *rest in rows if key in keys}, min(free or 0, 0)

    def reindex(self, keys: Sequence[str]) -> bool:
        """Move recorded results to the present positions of their items.

        Parameters
        ----------
        keys
            Keys of the source's items, in order. Results of items that are not among them stay, retired.

        Returns
        -------
        bool
            Whether anything moved.
        """
        self.flush()
        with self._changing():
            has_moved = move_results(self._db, self.run_id, self._moves(keys))
        self._has_rows = self._has_rows or has_moved  # `_written` knows the former positions
        return has_moved

    def _moves(self, keys: Sequence[str]) -> Iterator[Move]:
        position = {key: index for index, key in enumerate(keys)}
        (lowest,) = self._db.execute("SELECT min(idx) FROM index_results WHERE run_id = ?", (self.run_id,)).fetchone()
        retired = min(lowest or 0, 0)
        for idx, key in self._db.execute("SELECT idx, item_key FROM index_results WHERE run_id = ?", (self.run_id,)):
            new = position.get(key)
            if new is None and idx >= 0:
                retired -= 1
                yield idx, retired
            elif new is not None and new != idx:
                yield idx, new

    def watch_shifted(self) -> None:
        """Guard the outputs of items that were written at another position than their present one.

        A sink names its files by index, so an item at a shifted item's former position may overwrite its
        files. As soon as that happens all shifted items are forgotten, see `take_displaced`.
        """
        self.flush()
        with self._asking():
            self._shifted.look_up(self._db, self.run_id)

    @property
    def shifted_paths(self) -> Mapping[str, str]:
        """Outputs that items at other positions may overwrite, see `watch_shifted`, each with its item's key."""
        return self._shifted.keys

    def take_displaced(self) -> list[int]:
        """Indices that are open again because others wrote over their outputs; each is given once."""
        self.flush()
        displaced, self._displaced = self._displaced, []
        return displaced

    def replace_paths(
        self,
        kind: str,
        order: int,
        replacements: Iterable[tuple[int, str, str]],
        marks: Mapping[str, int | None] = MappingProxyType({}),
    ) -> None:
        """Record that an index's output is now at another path: absorbed, merged into the final file, or moved.

        Parameters
        ----------
        kind
            ``"filter"`` or ``"sink"``.
        order
            Position of the filter; ignored for the sink.
        replacements
            Index, recorded path and new path of each.
        marks
            Marks by new path, of shards.
        """
        rows = list(replacements)
        self.flush()
        with self._changing():
            if kind == "sink":
                paths = [(path, marks.get(path), self.run_id, idx) for idx, _, path in rows]
                self._db.executemany(
                    "UPDATE output_files SET path = ?, written = ? WHERE run_id = ? AND idx = ?", paths
                )
                self._db.executemany(
                    "UPDATE index_results SET output_paths = ? WHERE run_id = ? AND idx = ?",
                    [(json.dumps([path]), self.run_id, idx) for idx, _, path in rows],
                )
            else:
                self._db.executemany(
                    "UPDATE OR REPLACE filter_artifacts SET path = ?, written = ?"
                    " WHERE run_id = ? AND idx = ? AND filter_order = ? AND path = ?",
                    [(path, marks.get(path), self.run_id, idx, order, former) for idx, former, path in rows],
                )

    def forget(self, indices: Iterable[int]) -> None:
        """Delete the results of some indices: they are open again."""
        self.flush()
        with self._changing():
            self._delete([(self.run_id, index) for index in indices])

    def clear(self) -> None:
        """Delete all that is recorded of this run: results, workers and log lines."""
        self.flush()
        with self._changing():
            for table in (*INDEXED_TABLES, WORKERS, LOGS):
                self._db.execute(f"DELETE FROM {table.name} WHERE run_id = ?", (self.run_id,))  # noqa: S608 - constants

    def _delete(self, rows: list[tuple[int, int]]) -> None:
        for table in INDEXED_TABLES:
            self._db.executemany(f"DELETE FROM {table.name} WHERE run_id = ? AND idx = ?", rows)  # noqa: S608

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _flush_in_time(self) -> None:
        with self._guard:
            while not self._is_closed:
                if not self._pending:
                    self._is_flusher_asleep = True
                    self._guard.wait()
                    self._is_flusher_asleep = False
                    continue
                left = self._last_commit + BATCH_SECONDS - time.monotonic()
                if left > 0:
                    self._guard.wait(left)
                    continue
                try:
                    self._commit()
                except Exception as exc:  # noqa: BLE001 - raised by the next call of the coordinator
                    self._failure = exc
                    return

    def _commit(self, *, is_streamed: bool = True) -> None:
        if self._pending:
            with self._changing():
                displaced = self._shifted.displaced(self._db, self.run_id, self._pending)
                self._delete([(self.run_id, idx) for idx in displaced])
                self._insert(self._pending, is_streamed=is_streamed)
            self._pending = []
            if displaced:
                self._displaced += displaced
                self._shifted.clear()
        self._last_commit = time.monotonic()

    def _insert(self, results: list[Placed], *, is_streamed: bool) -> None:
        results = list({idx: (idx, result) for idx, result in results}.values())
        if self._has_rows or not self._written.isdisjoint(idx for idx, _ in results):
            self._delete([(self.run_id, idx) for idx, _ in results])
        if is_streamed:
            self._written.update(idx for idx, _ in results)
        insert_results(self._db, self.run_id, results)
        count_workers(self._db, self.run_id, self.invocation_id, results)
