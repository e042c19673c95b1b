"""Index results into Dagster's event log, its mirror of the metrics store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from dagster import AssetKey, AssetObservation, MetadataValue, OpExecutionContext

from curator_core import IndexResult
from curator_core.pipeline import overrides
from curator_core.run import ItemPaths, describe, full_path
from curator_core.session import Session
from curator_dagster._compat.events.asset_events import DATA_VERSION_TAG, EventBatch, EventLogError
from curator_dagster._compat.events.serialized import normalized
from curator_dagster.curation.curation import Curation
from curator_dagster.curation.partition_block import BlockResults
from curator_dagster.metadata.item import ERROR, failure_metadata
from curator_dagster.steps.run_log import RETRY_AFTER_S, RunLog
from curator_dagster.translator import CurationTranslator

MAX_EVENTS = 2000
"""Events that are stored at once."""
MAX_DELAY_S = 1.0
"""An event waits for others when the last ones were stored less than this ago, seconds."""
MAX_LOGGED_FAILURES = 20
"""Failed items that a step writes to the run's log, with their tracebacks; all are in the partition's metadata."""


class Recorder:
    """Records the results of one pipeline from one op; in a ``with`` block, at whose end everything is stored.

    Parameters
    ----------
    context
        The op's context.
    curation, session
        What the results are of.
    """

    def __init__(self, context: OpExecutionContext, curation: Curation, session: Session) -> None:
        self._context = context
        self._log = RunLog(context)
        self._curation = curation
        self._database = session.database
        self._translator = curation.translation
        described = (CurationTranslator.item_metadata, CurationTranslator.block_metadata)
        self._is_translated = any(overrides(self._translator, method) for method in described)
        self._config_hash = session.config_hash
        self._merged = {output.order: full_path(output.path) for output in session.outputs}
        self._paths = ItemPaths(session.pipeline.source, self._log.warning)
        self._sink_order = session.n_stages - 1
        self._events = EventBatch(context)
        self._stored_at = time.monotonic()
        self._retry_at = 0.0
        self._n_failed = 0

    def planned(self, partitions: Sequence[str]) -> None:
        """Record that the run means to materialize partitions, unless it is recorded already.

        They show as in progress until each is done or the run ends.

        Parameters
        ----------
        partitions
            What the run is to do, or a step of it: all of them are planned, or none is yet.
        """
        samples = self._curation.samples_key
        if partitions and not self._is_planned(samples, partitions[0]):
            for partition in partitions:
                self._events.add_planned(samples, partition)
                self._store_some()

    def planned_dataset(self) -> None:
        """Record that the run means to publish the dataset, unless it is recorded already."""
        if not self._is_planned(self._curation.dataset_key):
            self._events.add_planned(self._curation.dataset_key)

    def _is_planned(self, asset: AssetKey, partition: str | None = None) -> bool:
        """Whether Dagster planned it for this run, or an earlier step did."""
        last = self._context.instance.get_latest_planned_materialization_info(asset, partition)
        return last is not None and last.run_id == self._context.run_id

    def completed(self, done: BlockResults) -> None:
        """Record the materialization of a partition."""
        metadata = self._metadata(done)
        tags = {DATA_VERSION_TAG: done.block.version}
        took_s = sum(result.wall_time_ns for result in done.results) / 1e9
        message = f"{done.block.partition}: {took_s:.3g} s"
        self._events.add_materialization(self._curation.samples_key, done.block.partition, metadata, tags, message)
        self._store_some()

    def _metadata(self, done: BlockResults) -> Mapping[str, Any]:
        try:
            found = self._described(done)
            return normalized(found) if self._is_translated else found
        except Exception as exc:
            if not self._is_translated:
                raise
            # Whatever a user's translator raises: the item is processed, and its record must not be lost.
            self._log.warning(
                "%s gives no metadata of %s, from here on the default is recorded: %s",
                *(type(self._translator).__name__, done.block.partition, describe(exc)),
            )
            self._translator, self._is_translated = CurationTranslator(), False
            return self._described(done)

    def _described(self, done: BlockResults) -> Mapping[str, Any]:
        if self._curation.partition_size == 1:
            (result,) = done.results
            return self._translator.item_metadata(self._located(result), self._config_hash)
        return self._translator.block_metadata(done.results, len(done.block.indices), self._config_hash)

    def failed(self, result: IndexResult, partition: str) -> None:
        """Record why an item failed, on its partition and in the run's log.

        The partition, which was planned, shows as failed when the run fails, which the collecting op sees to.
        """
        samples = self._curation.samples_key
        metadata = failure_metadata(self._located(result), self._curation.retry_name)
        self._events.add_observation(
            AssetObservation(samples, partition=partition, description=result.error, metadata=metadata),
            f"{result.key} failed: {result.error}",
        )
        self._n_failed += 1
        if self._n_failed <= MAX_LOGGED_FAILURES:
            self._log.error("%s failed: %s\n%s", result.key, result.error, result.traceback)
        elif self._n_failed == MAX_LOGGED_FAILURES + 1:
            self._log.error("More items failed; the errors of all are on their partitions and in the metrics store.")
        self._store_some()

    def unlisted(self, partition: str) -> None:
        """Record that the source lists nothing for a partition, such as one that somebody typed."""
        name = self._curation.name
        text = (
            f"The source of {name} lists no item {partition!r}. Partitions are the items of the source: "
            f"{name}_refresh adds what is new, and curator sync --prune {name} removes what is not listed."
        )
        self._events.add_observation(
            AssetObservation(
                self._curation.samples_key,
                partition=partition,
                description=text,
                metadata={ERROR: MetadataValue.text(text)},
            ),
            text,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._events.store()
        except EventLogError as exc:
            message = (
                f"{exc}. {len(self._events)} events are missing there, but nothing is lost: all results are recorded "
                f"for {self._database}, and the next run of {self._curation.name}_refresh reports them."
            )
            if error is None:
                raise EventLogError(message) from None  # all that the database's library says is in it
            self._log.error(message)

    def _store_some(self) -> None:
        now = time.monotonic()
        if now < self._retry_at or (len(self._events) < MAX_EVENTS and now - self._stored_at < MAX_DELAY_S):
            return
        try:
            self._events.store()
        except EventLogError as exc:
            self._retry_at = time.monotonic() + RETRY_AFTER_S
            self._log.warning("%s. Trying again later.", exc)
        self._stored_at = time.monotonic()

    def _located(self, result: IndexResult) -> IndexResult:
        """The result with paths for people: of the item, and in full."""
        # Shards are gone once they are merged; what they are merged into lasts.
        artifacts = tuple(replace(a, path=self._lasting(a.filter_order, a.path)) for a in result.artifacts)
        outputs = tuple(self._lasting(self._sink_order, path) for path in result.output_paths)
        outputs = outputs[:1] if self._sink_order in self._merged else outputs
        return replace(result, artifacts=artifacts, output_paths=outputs, item_path=self._paths.of(result))

    def _lasting(self, order: int, path: str) -> str:
        return self._merged[order] if order in self._merged else full_path(path)
