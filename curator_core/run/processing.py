"""Items of a pipeline through a backend: the one place that takes results from any, and sees to interrupts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from curator_core.pipeline.components import required_sink
from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult, Item, Status
from curator_core.run.base import RunBackend
from curator_core.run.config import RunConfig
from curator_core.run.foreign import accepted, as_generator, checked_paths, ended_badly, is_own
from curator_core.run.partition import pipeline_groups
from curator_core.run.progress import WorkerProgressDisplay
from curator_core.run.scheduling.monitor import Monitor
from curator_core.run.signals import signals_deferred
from curator_core.run.workers.ability import temporary_folder
from curator_core.run.workers.heartbeats import Heartbeats, WorkerStatus
from curator_core.session.returning import RecordingPipeline, ReturnPath
from curator_core.store import read_journals

Consumer = Callable[[IndexResult], object]
"""Gets results as they come: the metrics database, the compactor, the display, a listener."""


class Processing:
    """Items of a pipeline, processed by one backend.

    What the backend gives is checked where it is of another package; an item that it gives no result for fails by
    name; an interrupt ends what is running, once what is complete by then was taken.

    Parameters
    ----------
    pipeline
        A pipeline with a sink.
    engine
        The backend.
    item_of
        The item at an index; ``None`` where there is none.
    consumers
        Each gets the first result of every item, one at a time, while signals wait: it is recorded then.
    watchers
        As consumers, once the result is recorded; the display is one of them.
    checked
        Gives the result as it is to be recorded, before any consumer gets it.
    journals
        Folder and configuration hash of the journals to which workers write what they cannot hand over.
    heartbeat
        Records what the workers are at.
    """

    def __init__(
        self,
        pipeline: Pipeline[Any],
        engine: RunBackend,
        item_of: Callable[[int], Item | None],
        consumers: Sequence[Consumer],
        *,
        watchers: Sequence[Consumer] = (),
        checked: Callable[[IndexResult], IndexResult] | None = None,
        journals: tuple[Path, str] | None = None,
        heartbeat: Callable[[Sequence[WorkerStatus]], None] | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._sink = required_sink(pipeline.sink)
        self._engine = engine
        self._item_of = item_of
        self._consumers = tuple(consumers)
        self._watchers = tuple(watchers)
        self._checked = checked
        self._journals = journals
        self._heartbeat = heartbeat
        self._is_due = bytearray()
        self._guard = threading.Lock()

    def run(
        self,
        due: Sequence[int],
        items: Sequence[Item],
        *,
        n_jobs: int,
        options: Mapping[str, Any],
        progress: bool = False,
        resumes: bool = False,
    ) -> None:
        """Process items.

        Parameters
        ----------
        due, items
            Their indices; the items themselves, in the same order.
        n_jobs, options
            Workers, and options of the backend.
        progress
            Show progress.
        resumes
            Reuse what jobs of earlier runs left.

        Raises
        ------
        KeyboardInterrupt
            SIGINT or SIGTERM, within `interruptible_run`.
        Exception
            Whatever ends the backend; what was complete by then was taken.
        """
        self._is_due = bytearray(1 + max(due, default=-1))
        for index in due:
            self._is_due[index] = True
        with ExitStack() as stack:
            config = RunConfig(
                n_jobs=n_jobs,
                indices=due,
                progress=progress,
                backend_options=options,
                items=items,
                groups=pipeline_groups(self._pipeline.source, self._sink, due),
                journals=self._journals,
                resumes=resumes,
                board=Heartbeats(stack.enter_context(temporary_folder("The run"))),
            )
            display = stack.enter_context(WorkerProgressDisplay(len(due), config.resolved_n_jobs, progress))
            self._all_watchers = (display.take, *self._watchers)
            stack.enter_context(closing(Monitor(config.board, display, self._heartbeat)))
            try:
                self._consume(config)
            except Exception as exc:
                told = ended_badly(self._engine, exc)
                if told is exc:
                    raise
                raise told from exc
            for index, item in zip(due, items, strict=True):
                if self._is_due[index]:
                    error = f"ComponentError: backend {self._engine.name!r} gave no result for item {item.key!r}"
                    self._take(_result(item, "error", error=error))

    def _consume(self, config: RunConfig) -> None:
        if not self._engine.is_streaming:
            self._consume_paths(config)
            return
        earlier = set(_kept(config.journals))
        try:
            self._consume_stream(config)
        except KeyboardInterrupt:
            self._take_kept(config.journals, earlier)
            raise

    def _consume_stream(self, config: RunConfig) -> None:
        take = self._take if is_own(self._engine) else self._take_foreign
        with closing(as_generator(self._engine, self._engine.stream(self._pipeline, config))) as results:
            try:
                for result in results:
                    take(result)
            except KeyboardInterrupt as interrupt:
                with suppress(StopIteration):
                    take(results.throw(interrupt))
                for result in results:
                    take(result)
                raise

    def _consume_paths(self, config: RunConfig) -> None:
        """Run a simple backend, which may send copies of the pipeline to other processes."""
        journals = config.journals or (config.board.folder / "results", "untracked")
        earlier = set(_kept(journals))
        recording = RecordingPipeline(self._pipeline, self._take, ReturnPath(*journals))
        try:
            returned: object = self._engine.run(recording, config)
        finally:
            self._take_kept(journals, earlier)
        for item, paths in zip(config.items, checked_paths(self._engine, returned, len(config.items)), strict=True):
            if self._is_due[item.index]:  # it was processed in a way of the backend's own
                self._take_foreign(_result(item, "completed", paths=tuple(paths)))

    def _take_foreign(self, given: object) -> None:
        result = accepted(self._engine, given, self._item_of)
        if result is not None:
            self._take(result)

    def _take_kept(self, journals: tuple[Path, str] | None, earlier: Collection[Path]) -> None:
        """Take what workers of this run put into journals, since they could not hand it over."""
        with signals_deferred():
            for path, results in _kept(journals).items():
                for result in results if path not in earlier else ():
                    item = self._item_of(result.index)
                    if item is not None and (result.key, result.fingerprint) == (item.key, item.fingerprint):
                        self._take(result)

    def _take(self, result: IndexResult) -> None:
        with signals_deferred(), self._guard:  # a simple backend may process indices in threads
            if result.index >= len(self._is_due) or not self._is_due[result.index]:
                return  # told twice, or not asked for
            if self._checked is not None:
                result = self._checked(result)
            for consume in self._consumers:
                consume(result)
            self._is_due[result.index] = False
            for watch in self._all_watchers:
                watch(result)


def _kept(journals: tuple[Path, str] | None) -> dict[Path, list[IndexResult]]:
    return {} if journals is None else dict(read_journals(*journals))


def _result(item: Item, status: Status, *, paths: tuple[str, ...] = (), error: str | None = None) -> IndexResult:
    now = datetime.now(UTC).isoformat()
    return IndexResult(item.index, item.key, status, item.fingerprint, paths, error=error, completed_at=now)
