"""Questions a pipeline answers about its recorded results."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from curator_core.errors import PipelineStateError
from curator_core.session.listing import Listing
from curator_core.session.plan import UP_TO_DATE, Comparison, compare
from curator_core.storage.locks import may_exist
from curator_core.store import MetricsStore, PipelineMetrics
from curator_core.store.inventory import is_being_written

if TYPE_CHECKING:
    from curator_core.pipeline.components import Source
    from curator_core.store import StoreWriter

T = TypeVar("T")


class QueryAPI:
    """Mix-in of `Pipeline`; every query raises `PipelineStateError` when tracking is off."""

    if TYPE_CHECKING:
        source: Source[Any]
        track_metrics: bool
        _run_id: int | None

        @property
        def config_hash(self) -> str: ...
        def _database(self) -> Path: ...
        def outputs_to_gather(self) -> list[str]: ...
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
        try:
            run = store.latest_run(self.config_hash)
        except BaseException:
            store.close()
            raise
        if run is None:
            store.close()
            return None
        return store, run.run_id

    def _compared(self) -> Comparison:
        """What is recorded, compared with what the source lists now."""

        def ask(store: MetricsStore, run_id: int) -> Comparison:
            return compare(Listing.of(self.source), store.recorded(run_id))

        return self._asked(ask) or compare(Listing.of(self.source), ())

    @property
    def completed_indices(self) -> set[int]:
        """Indices recorded as completed."""
        return set(self._compared().indices(UP_TO_DATE))

    @property
    def failed_indices(self) -> dict[int, str]:
        """``"ErrorType: message"`` by failed index."""
        return self._compared().errors

    def remaining_indices(self) -> list[int]:
        """Indices that are not completed, sorted."""
        reasons = self._compared().reasons
        return list(compress(range(len(reasons)), reasons))

    @property
    def metrics(self) -> PipelineMetrics:
        """Cost of every completed index."""
        return PipelineMetrics(self._asked(MetricsStore.metrics) or [])

    def summary(self) -> dict[str, Any]:
        """Counts, times and where they are recorded; what failed, and why, is in `failed_indices`.

        ``errors`` is the number of failed items, as ``failed`` is, by the name that physicsnemo-curator gives it.
        """
        found = self._compared()
        completed = found.reasons.count(UP_TO_DATE)
        n_measured, wall_time_ns = self._asked(MetricsStore.total_time) or (0, 0)
        errors = found.errors
        return {
            "total": len(found.reasons),
            "completed": completed,
            "failed": len(errors),
            "remaining": len(found.reasons) - completed,
            "errors": len(errors),
            "avg_time_ms": wall_time_ns / n_measured / 1e6 if n_measured else 0.0,
            "total_elapsed_s": wall_time_ns / 1e9,
            "workers": len(self._asked(MetricsStore.workers) or ()),
            "to_gather": self.outputs_to_gather(),
            "config_hash": self.config_hash,
            "db_path": os.fspath(self._database()),
        }

    @property
    def active_workers(self) -> list[dict[str, Any]]:
        """Workers registered for the latest run, however long ago; those at an item now have its ``current_index``."""
        if not self.track_metrics:
            return self._asked(MetricsStore.workers) or []
        is_going_on = is_being_written(self._database())  # asked before the workers are read, whom its end sets to idle
        found = self._asked(MetricsStore.workers) or []
        for worker in found:
            if not (is_going_on and may_exist(worker["hostname"], worker["pid"])):  # its run was killed
                worker |= {"current_index": None, "current_since": None}
        return found

    def output_paths_for_index(self, index: int) -> list[str]:
        """Paths that the sink wrote for an index."""
        return self._asked(lambda store, run_id: store.output_paths(run_id, index).get(index)) or []

    def filter_artifacts_for_index(self, index: int) -> list[str]:
        """Files that the filters wrote for an index."""
        found = self._asked(lambda store, run_id: store.artifacts(run_id, index).get(index)) or []
        return [artifact.path for artifact in found]

    def all_filter_artifacts(self) -> list[str]:
        """Files that the filters wrote, each once."""
        found = self._asked(lambda store, run_id: list(store.artifact_files(run_id))) or []
        return list(dict.fromkeys(path for index, _, path, _ in found if index >= 0))  # without vanished items

    def index_for_path(self, path: str | os.PathLike[str]) -> int | None:
        """Index whose sink or filters wrote `path`; ``None`` when none, or many, did."""
        owners = self._asked(lambda store, run_id: store.indices_of_path(run_id, os.fspath(path))) or set()
        return owners.pop() if len(owners) == 1 else None

    def output_paths_by_index(self) -> dict[int, list[str]]:
        """Paths that the sink wrote, for all indices at once."""
        found = self._asked(lambda store, run_id: store.output_paths(run_id)) or {}
        return {index: paths for index, paths in found.items() if index >= 0}

    def _asked(self, question: Callable[[MetricsStore, int], T]) -> T | None:
        """Answer from the database; ``None`` before the first result."""
        opened = self._opened()
        if opened is None:
            return None
        store, run_id = opened
        with store:
            return question(store, run_id)

    def reset(self) -> None:
        """Forget all that is recorded of this configuration: results, workers, log lines; outputs stay."""
        if self._exists():
            with self.open_writer() as writer:
                writer.fold()
                writer.clear()

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
