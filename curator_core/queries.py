"""Questions a pipeline answers about its recorded results."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator_core.errors import PipelineStateError
from curator_core.listing import Listing
from curator_core.store import ItemRecord, MetricsStore, PipelineMetrics

if TYPE_CHECKING:
    from curator_core.components import Source
    from curator_core.store import StoreWriter

HEARTBEAT_TIMEOUT = timedelta(seconds=60)
"""A worker that was not heard of for longer is not counted as active."""


class QueryAPI:
    """Mix-in of `Pipeline`; every query raises `PipelineStateError` when tracking is off."""

    if TYPE_CHECKING:
        source: Source[Any]
        track_metrics: bool
        _run_id: int | None

        @property
        def config_hash(self) -> str: ...
        def _database(self) -> Path: ...
        def open_writer(self, total_indices: int | None = None) -> StoreWriter: ...

    @property
    def db_path(self) -> Path | None:
        """Path of the metrics database, ``None`` when tracking is off."""
        return self._database() if self.track_metrics else None

    def _opened(self) -> tuple[MetricsStore, int] | None:
        """The database and the run to ask about; ``None`` before the first result."""
        if not self.track_metrics:
            raise PipelineStateError("Nothing is recorded: the pipeline was built with track_metrics=False.")
        path = self._database()
        if not path.exists():
            return None
        store = MetricsStore(path)
        if self._run_id is not None:
            return store, self._run_id
        run = store.latest_run(self.config_hash)
        if run is None:
            store.close()
            return None
        return store, run.run_id

    def _current(self) -> list[ItemRecord]:
        """Records that hold for the items the source lists now, at their present indices."""
        opened = self._opened()
        if opened is None:
            return []
        store, run_id = opened
        with store:
            recorded = store.items(run_id)
        listing = Listing.of(self.source)
        current = []
        for index, (key, fingerprint) in enumerate(zip(listing.keys, listing.fingerprints, strict=True)):
            record = recorded.get(key)
            if record is not None and record.fingerprint == fingerprint:
                current.append(ItemRecord(index, key, record.status, fingerprint, record.error))
        return current

    @property
    def completed_indices(self) -> set[int]:
        """Indices recorded as completed."""
        return {record.index for record in self._current() if record.status == "completed"}

    @property
    def failed_indices(self) -> dict[int, str]:
        """``"ErrorType: message"`` by failed index."""
        return {record.index: record.error or "" for record in self._current() if record.status == "error"}

    def remaining_indices(self) -> list[int]:
        """Indices that are not completed, sorted."""
        done = self.completed_indices
        return [index for index in range(len(self.source)) if index not in done]

    @property
    def metrics(self) -> PipelineMetrics:
        """Cost of every completed index."""
        opened = self._opened()
        if opened is None:
            return PipelineMetrics([])
        store, run_id = opened
        with store:
            return PipelineMetrics(store.metrics(run_id))

    def summary(self) -> dict[str, Any]:
        """Counts, times and where they are recorded."""
        current = self._current()
        completed = sum(record.status == "completed" for record in current)
        errors = {record.index: record.error or "" for record in current if record.status == "error"}
        metrics = self.metrics
        opened = self._opened()
        workers: list[dict[str, Any]] = []
        if opened is not None:
            with opened[0] as store:
                workers = store.workers(opened[1])
        return {
            "total": len(self.source),
            "completed": completed,
            "failed": len(errors),
            "remaining": len(self.source) - completed,
            "errors": errors,
            "avg_time_ms": metrics.mean_index_time_ns / 1e6,
            "total_elapsed_s": metrics.total_wall_time_ns / 1e9,
            "workers": len(workers),
            "config_hash": self.config_hash,
            "db_path": os.fspath(self._database()),
        }

    @property
    def active_workers(self) -> list[dict[str, Any]]:
        """Workers heard of within the last minute."""
        opened = self._opened()
        if opened is None:
            return []
        since = (datetime.now(UTC) - HEARTBEAT_TIMEOUT).isoformat()
        with opened[0] as store:
            return [worker for worker in store.workers(opened[1]) if worker["last_heartbeat"] >= since]

    def output_paths_for_index(self, index: int) -> list[str]:
        """Paths that the sink wrote for an index."""
        return self._by_index("output_paths").get(index, [])

    def filter_artifacts_for_index(self, index: int) -> list[str]:
        """Files that the filters wrote for an index."""
        return [artifact.path for artifact in self._by_index("artifacts").get(index, [])]

    def all_filter_artifacts(self) -> list[str]:
        """Files that the filters wrote, each once."""
        found = [artifact.path for artifacts in self._by_index("artifacts").values() for artifact in artifacts]
        return list(dict.fromkeys(found))

    def index_for_path(self, path: str | os.PathLike[str]) -> int | None:
        """Index whose sink or filters wrote `path`; ``None`` when none, or many, did."""
        wanted = os.fspath(path)
        owners = {index for index, paths in self._by_index("output_paths").items() if wanted in paths}
        for index, artifacts in self._by_index("artifacts").items():
            if any(artifact.path == wanted for artifact in artifacts):
                owners.add(index)
        return owners.pop() if len(owners) == 1 else None

    def output_paths_by_index(self) -> dict[int, list[str]]:
        """Paths that the sink wrote, for all indices at once."""
        return self._by_index("output_paths")

    def _by_index(self, what: str) -> dict[int, list[Any]]:
        opened = self._opened()
        if opened is None:
            return {}
        with opened[0] as store:
            found: dict[int, list[Any]] = getattr(store, what)(opened[1])
        return {index: entries for index, entries in found.items() if index >= 0}  # without vanished items

    def reset(self) -> None:
        """Forget every recorded result of this configuration; outputs stay."""
        if self._exists():
            with self.open_writer() as writer:
                writer.fold()
                with MetricsStore(writer.path) as store:
                    indices = [record.index for record in store.items(writer.run_id).values()]
                writer.forget(indices)

    def reset_index(self, index: int) -> None:
        """Forget the recorded result of one index of the present listing.

        Raises
        ------
        IndexError
            Out of range.
        """
        listing = Listing.of(self.source)
        listing.checked([index])
        if self._exists():
            with self.open_writer() as writer:
                writer.fold()
                with MetricsStore(writer.path) as store:
                    record = store.items(writer.run_id).get(listing.keys[index])
                writer.forget([] if record is None else [record.index])

    def _exists(self) -> bool:
        opened = self._opened()
        if opened is not None:
            opened[0].close()
        return opened is not None
