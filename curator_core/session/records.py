"""What is recorded of a pipeline: in which database, in which run, and the answers to questions about it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from curator_core.errors import PipelineStateError
from curator_core.merge.archive import sharded_outputs
from curator_core.merge.output_names import check_output_names
from curator_core.merge.retained import RetainedItems
from curator_core.session.by_hand import process_by_hand
from curator_core.session.listing import Listing
from curator_core.session.overwriting import OwnersByHand
from curator_core.session.plan import UP_TO_DATE, Comparison, Plan, compare
from curator_core.session.session import Session
from curator_core.session.ungathered import outputs_to_gather
from curator_core.storage.locks import may_exist
from curator_core.store import MetricsStore, PipelineMetrics, StoreWriter, database_path
from curator_core.store.inventory import is_being_written

if TYPE_CHECKING:
    from curator_core.pipeline.pipeline import Pipeline

T = TypeVar("T")

_choosing = threading.RLock()
"""Threads that process indices of one pipeline record them in one database; a pipeline that is pickled has no lock."""


class Records:
    """Where a pipeline's results are recorded, from one run to the next.

    Every question raises `PipelineStateError` when tracking is off.

    Parameters
    ----------
    pipeline
        The pipeline.
    former
        Those of the pipeline that it is a copy of, whose database it shares.
    """

    def __init__(self, pipeline: Pipeline[Any], former: Records | None = None) -> None:
        self._pipeline = pipeline
        self._database: Path | None = pipeline.__dict__.get("_db_path")  # of a pickle of an earlier version
        if former is not None:
            self._database = former._database  # noqa: SLF001 - of its own class
        self.run_id: int | None = None
        """The run that this process wrote last; the latest one of the configuration, when it wrote none."""
        self.owners = OwnersByHand()
        """Items by the paths that they returned, while indices are processed one by one."""
        self.retained = RetainedItems()
        """Items inside the merged outputs, while indices are processed one by one."""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"run_id": None, "owners": OwnersByHand(), "retained": RetainedItems()}

    def are_of(self, pipeline: object) -> bool:
        """Whether they are those of this very object."""
        return self._pipeline is pipeline

    def database(self, config_hash: str | None = None) -> Path:
        """The metrics database, chosen when it is first asked for.

        Parameters
        ----------
        config_hash
            The pipeline's, where it is known already.
        """
        with _choosing:
            if self._database is None:
                self._database = self._chosen(config_hash, resume=self._pipeline.resume)
            return self._database

    def begin(self, *, resume: bool, db_dir: str | os.PathLike[str] | None = None) -> None:
        """Choose the database of the next run: the same one when resuming, else a fresh one."""
        if not resume or db_dir is not None or self._database is None:
            self._database = self._chosen(None, resume=resume, db_dir=db_dir)
        self.run_id = None

    def _chosen(self, config_hash: str | None, *, resume: bool, db_dir: str | os.PathLike[str] | None = None) -> Path:
        pipeline = self._pipeline
        if config_hash is None:
            config_hash = "" if pipeline.db_file is not None else pipeline.config_hash  # which costs more
        return database_path(
            config_hash,
            db_file=pipeline.db_file,
            db_dir=db_dir or pipeline.db_dir,
            resume=resume,
        )

    def plan(self, listing: Listing | None = None) -> Plan:
        """What a run would process and why."""
        with Session(self._pipeline, listing=listing) as session:
            return session.plan

    def open_writer(self, n_items: int | None, *, resume: bool) -> StoreWriter:
        """The records, open for writing until the writer is closed."""
        session = Session(self._pipeline, resume=resume)
        session.n_items = n_items
        return session.writer

    def check_outputs(self) -> None:
        """Raise `ConfigError` when the merged outputs cannot be where they are to be."""
        check_output_names(self._pipeline)

    def process(self, index: int) -> list[str]:
        """Process one index in this process and record it; the sink's paths."""
        return process_by_hand(self._pipeline, index)

    @property
    def db_path(self) -> Path | None:
        """Path of the metrics database, ``None`` when tracking is off."""
        return self.database() if self._pipeline.track_metrics else None

    def _opened(self) -> tuple[MetricsStore, int] | None:
        """The database and the run to ask about; ``None`` before the first result."""
        if not self._pipeline.track_metrics:
            raise PipelineStateError("Nothing is recorded: the pipeline was built with track_metrics=False.")
        path = self.database()
        if not path.exists():
            return None
        store = MetricsStore(path)
        if self.run_id is not None:
            return store, self.run_id
        try:
            run = store.latest_run(self._pipeline.config_hash)
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
            return compare(Listing.of(self._pipeline.source), store.recorded(run_id))

        return self._asked(ask) or compare(Listing.of(self._pipeline.source), ())

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
            "config_hash": self._pipeline.config_hash,
            "db_path": os.fspath(self.database()),
        }

    @property
    def active_workers(self) -> list[dict[str, Any]]:
        """Workers registered for the latest run, however long ago; those at an item now have its ``current_index``."""
        if not self._pipeline.track_metrics:
            return self._asked(MetricsStore.workers) or []
        is_going_on = is_being_written(self.database())  # asked before the workers are read, whom its end sets to idle
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

    def outputs_to_gather(self) -> list[str]:
        """The merged outputs that gathering would change: shards of completed items wait for it."""
        pipeline, outputs, digest = self._pipeline, sharded_outputs(self._pipeline), self._pipeline.config_hash
        given = pipeline.split, pipeline.dataset
        return self._asked(lambda store, run_id: outputs_to_gather(outputs, digest, store, run_id, given)) or []

    def reset(self) -> None:
        """Forget all that is recorded of this configuration: results, workers, log lines; outputs stay."""
        if self._exists():
            with Session(self._pipeline, resume=True) as session:
                session.writer.fold()
                session.writer.clear()

    def reset_index(self, index: int) -> None:
        """Forget the recorded result of one index of the present listing.

        Raises
        ------
        IndexError
            Out of range.
        """
        listing = Listing.of(self._pipeline.source)
        listing.checked([index])
        if self._exists():
            with Session(self._pipeline, resume=True) as session:
                session.writer.fold()
                record = session.store.items(session.writer.run_id).get(listing.keys[index])
                session.writer.forget([] if record is None else [record.index])

    def _exists(self) -> bool:
        opened = self._opened()
        if opened is not None:
            opened[0].close()
        return opened is not None
