"""One index through one pipeline: from an `Item` to an `IndexResult`, whatever happens."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from curator_core.engine.accumulating import FilterOutputs
from curator_core.engine.clock import StageClock
from curator_core.engine.deadline import Deadline
from curator_core.engine.failure import MAX_ERROR, MAX_TRACEBACK, describe, shown, traceback_of
from curator_core.engine.logcapture import LogCapture, bounded, cut
from curator_core.engine.measure import MemoryProbe, NoProbe, gpu_peak_bytes, gpu_peak_reset, memory_probe
from curator_core.engine.reading import ItemReader, narrowed
from curator_core.engine.returns import checked_paths, is_relative
from curator_core.engine.surroundings import Surroundings
from curator_core.errors import ComponentError
from curator_core.interruption import is_interruption
from curator_core.pipeline.components import Sink, overrides, required_sink
from curator_core.pipeline.current import PROCESSED
from curator_core.printable import shortened
from curator_core.records import Artifact, IndexResult, Item, LogLine, StageMetrics
from curator_core.redaction import Redactor
from curator_core.storage.written import file_clock_ns, written_mark

if TYPE_CHECKING:
    from curator_core.pipeline.pipeline import Pipeline

logger = logging.getLogger("curator")


class IndexProcessor:
    """Processes indices of one pipeline in this process; one per worker, reused for every index.

    Use it as a context manager: it listens to the root logger while it is open.

    Parameters
    ----------
    pipeline
        The pipeline, with a sink.
    timeout
        Time that one index may take, seconds.
    is_worker
        Whether Ctrl-C is somebody else's business: a `KeyboardInterrupt` is the item's failure then.

    Raises
    ------
    PipelineStateError
        The pipeline has no sink.
    ConfigError
        The timeout cannot be kept.
    """

    def __init__(self, pipeline: Pipeline[Any], *, timeout: float | None = None, is_worker: bool = False) -> None:
        self._reader = ItemReader(narrowed(pipeline.source, pipeline.filters))
        self._filters = list(pipeline.filters)
        self._sink = sink = required_sink(pipeline.sink)
        self._sink.set_source(pipeline.source)
        if overrides(sink, Sink.set_config_hash):  # a configuration need not have one
            sink.set_config_hash(pipeline.config_hash)
        self._written = FilterOutputs(self._filters, (pipeline.source, sink))
        components = [pipeline.source, *pipeline.filters, sink]
        self._names = [c.component_name() for c in components]
        self._probe: MemoryProbe = memory_probe(pipeline.track_memory) if pipeline.track_metrics else NoProbe()
        self._gpu = pipeline.track_gpu and pipeline.track_metrics
        self._logs = LogCapture()
        self._deadline = Deadline(timeout)
        self._surroundings = Surroundings()
        self._is_worker = is_worker
        self._redacted = Redactor(value for c in components for value in c.secret_values())
        self.worker_id = uuid.uuid4().hex
        self.pid = os.getpid()
        self.host = socket.gethostname()

    def __enter__(self) -> Self:
        self._logs.install()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening to the root logger and release the memory probe."""
        self._logs.remove()
        self._probe.close()
        self._probe = NoProbe()

    def __call__(self, item: Item) -> IndexResult:
        """Process one item; a failure is a value of the result, never an exception.

        Ctrl-C alone passes through, outside workers.
        """
        started = datetime.now(UTC).isoformat()
        self._logs.begin()
        self._probe.start()
        if self._gpu:
            gpu_peak_reset()
        clock = StageClock(len(self._names))
        artifacts: list[Artifact] = []
        outputs, marks, failure = self._attempt(item, clock, artifacts)
        moved_to = self._surroundings.has_moved()
        if moved_to is not None and failure is None:
            failure = self._astray(item, moved_to, outputs, artifacts)
        failure = self._ended(failure)
        if failure is not None:
            outputs, marks = [], []
        if changed := self._surroundings.restored():
            logger.warning("item %r changed %s and left it so; it was put back", item.key, ", ".join(changed))
        clock.switch(0)
        return IndexResult(
            index=item.index,
            key=item.key,
            fingerprint=item.fingerprint,
            status="completed" if failure is None else "error",
            output_paths=tuple(outputs),
            written=tuple(marks),
            artifacts=tuple(artifacts) if failure is None else (),
            stages=tuple(map(StageMetrics, self._names, clock.spent_ns)),
            wall_time_ns=sum(clock.spent_ns),
            peak_memory_bytes=self._probe.peak_bytes(),
            gpu_memory_bytes=gpu_peak_bytes() if self._gpu else None,
            error=None if failure is None else shortened(self._storable(describe(failure)), MAX_ERROR),
            traceback=None if failure is None else shortened(self._storable(traceback_of(failure)), MAX_TRACEBACK),
            logs=self._log_lines(),
            worker_id=self.worker_id,
            worker_pid=self.pid,
            worker_host=self.host,
            started_at=started,
            completed_at=datetime.now(UTC).isoformat(),
            exception=failure,
        )

    def _attempt(
        self, item: Item, clock: StageClock, artifacts: list[Artifact]
    ) -> tuple[list[str], list[int | None], BaseException | None]:
        """Paths of the sink and their marks, or what was raised."""
        token = PROCESSED.set(item)
        try:
            with self._deadline:
                return *self._run(item, clock, artifacts), None
        except BaseException as exc:  # the per-index boundary: recorded with its traceback
            if self._is_interrupted(exc):
                self._written.end_item(exc)
                raise
            return [], [], exc
        finally:
            PROCESSED.reset(token)

    def _ended(self, failure: BaseException | None) -> BaseException | None:
        """Let filters forget the item; its failure, or that of theirs to do so."""
        try:
            self._written.end_item(failure)
        except BaseException as exc:  # the components' own code, still of this item
            if self._is_interrupted(exc):
                raise
            return failure or exc
        return failure

    def _is_interrupted(self, exc: BaseException) -> bool:
        """Whether Ctrl-C ends the run, and not something that the item itself raised."""
        return not self._is_worker and is_interruption(exc)

    def _astray(
        self, item: Item, moved_to: str, outputs: list[str], artifacts: list[Artifact]
    ) -> ComponentError | None:
        """The failure of an item that left the process in another folder, where its files are relative to that."""
        relative = next((path for path in (*outputs, *(a.path for a in artifacts)) if is_relative(path)), None)
        if relative is None:
            logger.warning("item %r left the working directory at %s; it was put back", item.key, moved_to)
            return None
        return ComponentError(
            f"the working directory was changed to {moved_to} while item {item.key!r} was processed, so that "
            f"{relative!r} was not written below {self._surroundings.folder}. Change it back in the component that "
            "does so (contextlib.chdir), or give it absolute paths.",
            key=item.key,
            file=relative,
        )

    def _log_lines(self) -> tuple[LogLine, ...]:
        lines = self._logs.end()
        if not lines:
            return ()
        storable = [replace(line, message=cut(self._storable(line.message))) for line in lines]
        return tuple(bounded(storable))

    def _storable(self, text: str) -> str:
        """Text without secrets and without what UTF-8 cannot hold (names of files may)."""
        text = self._redacted(text)
        return text if text.isascii() else text.encode(errors="backslashreplace").decode()

    def _run(self, item: Item, clock: StageClock, artifacts: list[Artifact]) -> tuple[list[str], list[int | None]]:
        opened: list[Generator[Any, None, None]] = []
        begun_ns = file_clock_ns()
        try:
            items = self._open(self._reader.read(item, opened), 0, clock, opened)
            for order, step in enumerate(self._filters, start=1):
                items = self._open(step(items), order, clock, opened)
            sink_stage = len(self._names) - 1
            clock.switch(sink_stage)
            paths = checked_paths(self._sink(items, item.index), self._names[sink_stage], item)
            marks = _marks(paths, begun_ns, self._names[sink_stage], item)
            for order in range(1, sink_stage):
                clock.switch(order)
                written = self._written.collect(order, item.index)
                artifacts.extend(Artifact(p, self._names[order], order, written_mark(p, begun_ns)) for p in written)
            return paths, marks
        finally:
            for generator in reversed(opened):
                generator.close()

    def _open(
        self, produced: object, stage: int, clock: StageClock, opened: list[Generator[Any, None, None]]
    ) -> Generator[Any, None, None]:
        if not isinstance(produced, Iterator):
            raise ComponentError(
                f"{self._names[stage]} returned {type(produced).__name__}, not a generator: it must yield its items.",
                component=self._names[stage],
            )
        if isinstance(produced, Generator):
            opened.append(produced)
        timed = clock.items(produced, stage)
        opened.append(timed)
        return timed


def process_index(pipeline: Pipeline[Any], item: Item, *, worker_id: str | None = None) -> IndexResult:
    """Process a single item in this process."""
    with IndexProcessor(pipeline) as process:
        process.worker_id = worker_id or process.worker_id
        return process(item)


def _marks(paths: list[str], begun_ns: int, sink: str, item: Item) -> list[int | None]:
    marks = [None if "://" in path else written_mark(path, begun_ns) for path in paths]
    if None in marks:
        for path, mark in zip(paths, marks, strict=True):
            if mark is None and "://" not in path:
                raise ComponentError(
                    f"{sink} returned {shown(path)}, but there is nothing at that path.",
                    component=sink,
                    key=item.key,
                    file=path,
                )
    return marks
