"""Questions a pipeline answers about its recorded results; who answers them is its `Records`."""

from __future__ import annotations

import os
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curator_core.pipeline.pipeline import Pipeline
    from curator_core.session.listing import Listing
    from curator_core.session.plan import Plan
    from curator_core.session.records import Records
    from curator_core.store import PipelineMetrics, StoreWriter


_making = threading.RLock()
"""Threads that ask a pipeline get the same records."""


class QueryAPI:
    """Mix-in of `Pipeline`; every query raises `PipelineStateError` when tracking is off."""

    _records: Records | None = None

    @property
    def records(self) -> Records:
        """What is recorded of the pipeline, and where."""
        found = self._records
        if found is None or not found.are_of(self):  # a shallow copy has those of its original
            with _making:
                found = self._records
                if found is None or not found.are_of(self):
                    found = self._records = records_of(self, former=found)  # type: ignore[arg-type]
        return found

    @property
    def db_path(self) -> Path | None:
        """Path of the metrics database, ``None`` when tracking is off."""
        return self.records.db_path

    @property
    def completed_indices(self) -> set[int]:
        """Indices recorded as completed."""
        return self.records.completed_indices

    @property
    def failed_indices(self) -> dict[int, str]:
        """``"ErrorType: message"`` by failed index."""
        return self.records.failed_indices

    def remaining_indices(self) -> list[int]:
        """Indices that are not completed, sorted."""
        return self.records.remaining_indices()

    @property
    def metrics(self) -> PipelineMetrics:
        """Cost of every completed index."""
        return self.records.metrics

    def summary(self) -> dict[str, Any]:
        """Counts, times and where they are recorded; what failed, and why, is in `failed_indices`.

        ``errors`` is the number of failed items, as ``failed`` is, by the name that physicsnemo-curator gives it.
        """
        return self.records.summary()

    @property
    def active_workers(self) -> list[dict[str, Any]]:
        """Workers registered for the latest run, however long ago; those at an item now have its ``current_index``."""
        return self.records.active_workers

    def output_paths_for_index(self, index: int) -> list[str]:
        """Paths that the sink wrote for an index."""
        return self.records.output_paths_for_index(index)

    def filter_artifacts_for_index(self, index: int) -> list[str]:
        """Files that the filters wrote for an index."""
        return self.records.filter_artifacts_for_index(index)

    def all_filter_artifacts(self) -> list[str]:
        """Files that the filters wrote, each once."""
        return self.records.all_filter_artifacts()

    def index_for_path(self, path: str | os.PathLike[str]) -> int | None:
        """Index whose sink or filters wrote `path`; ``None`` when none, or many, did."""
        return self.records.index_for_path(path)

    def output_paths_by_index(self) -> dict[int, list[str]]:
        """Paths that the sink wrote, for all indices at once."""
        return self.records.output_paths_by_index()

    def outputs_to_gather(self) -> list[str]:
        """The merged outputs that `gather_pipeline` would change: shards of completed items wait for it."""
        return self.records.outputs_to_gather()

    def plan(self, listing: Listing | None = None) -> Plan:
        """What a run would process and why, without touching an item.

        Without tracking, or when every run starts afresh (``resume=False``), all items are new.

        Parameters
        ----------
        listing
            The source's listing where it is known already.
        """
        return self.records.plan(listing)

    def reset(self) -> None:
        """Forget all that is recorded of this configuration: results, workers, log lines; outputs stay."""
        self.records.reset()

    def reset_index(self, index: int) -> None:
        """Forget the recorded result of one index of the present listing.

        Raises
        ------
        IndexError
            Out of range.
        """
        self.records.reset_index(index)

    def open_writer(self, total_indices: int | None = None, *, resume: bool = True) -> StoreWriter:
        """The records, open for writing; deprecated, see `curator_core.session.Session`.

        Parameters
        ----------
        total_indices
            Number of items of the source, to be recorded.
        resume
            Add to the latest run of this configuration; otherwise begin a new one.
        """
        message = "Pipeline.open_writer is deprecated: use the writer of a curator_core.session.Session."
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return self.records.open_writer(total_indices, resume=resume)


def records_of(pipeline: Pipeline[Any], former: Records | None = None) -> Records:
    """What is recorded of a pipeline: the one import of what runs it, late, since all of that is about pipelines."""
    from curator_core.session.records import Records  # noqa: PLC0415

    return Records(pipeline, former)
