"""`run_pipeline`: any backend, every result recorded, one bad item never in the way of the others."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from curator_core.errors import ConfigError, PipelineStateError, RunFailed
from curator_core.gather import settle_shards
from curator_core.listing import Listing
from curator_core.pipeline import Pipeline
from curator_core.records import IndexResult
from curator_core.run.base import RunBackend, backends, get_backend
from curator_core.run.config import RunConfig, resolve_n_jobs
from curator_core.run.partition import pipeline_groups
from curator_core.run.progress import WorkerProgressDisplay
from curator_core.store import StoreWriter

logger = logging.getLogger("curator")


def run_pipeline(
    pipeline: Pipeline[Any],
    *,
    n_jobs: int = 1,
    backend: str = "auto",
    indices: Iterable[int] | None = None,
    progress: bool = True,
    resume: bool | None = None,
    db_dir: str | os.PathLike[str] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    **backend_kwargs: Any,
) -> list[list[str]]:
    """Process a pipeline's indices and record every result.

    Parameters
    ----------
    pipeline
        A pipeline with a sink.
    n_jobs
        Number of workers; 1 forces the sequential backend, -1 is all CPUs, -2 all but one.
    backend
        Name of a backend, see `list_backends`; ``"auto"`` picks one.
    indices
        What to process; all by default.
    progress
        Show progress.
    resume
        Skip what is complete; the pipeline's own setting by default.
    db_dir
        Folder of the metrics database, in place of the pipeline's.
    on_error
        ``"raise"``: after all indices are processed, raise `RunFailed` if some failed; ``"skip"``: log a
        warning and return ``[]`` in their places.
    **backend_kwargs
        Options of the backend; unknown ones are refused.

    Returns
    -------
    list[list[str]]
        The sink's paths, in the order of `indices`.

    Raises
    ------
    RunFailed
        Some indices failed; everything else was processed and recorded.
    ConfigError
        A setting is wrong; nothing was processed.
    PipelineStateError
        The pipeline has no sink.
    MissingDependencyError
        The backend needs a package that is not installed.
    StoreBusyError
        Another process is writing the metrics database.
    KeyboardInterrupt
        Ctrl-C or SIGTERM; what is complete is recorded.
    """
    if pipeline.sink is None:
        raise PipelineStateError("The pipeline has no sink: finish it with .write(sink) before running it.")
    if on_error not in ("raise", "skip"):
        raise ConfigError(f"on_error must be 'raise' or 'skip', not {on_error!r}.")
    workers = resolve_n_jobs(n_jobs)
    engine = _chosen_backend(backend, workers)
    engine.check_options(backend_kwargs)
    pipeline.check()
    listing = Listing.of(pipeline.source)
    wanted = listing.checked(indices)
    if not wanted:
        return []
    should_resume = pipeline.resume if resume is None else resume
    with ExitStack() as stack:
        stack.enter_context(_sigterm_as_interrupt())
        writer = None
        if pipeline.track_metrics:
            pipeline.begin_run(resume=should_resume, db_dir=db_dir)
            writer = stack.enter_context(pipeline.open_writer(len(listing), resume=should_resume))
        return _Run(pipeline, engine(), writer, listing).execute(
            wanted, n_jobs=workers, progress=progress, resume=should_resume, on_error=on_error, options=backend_kwargs
        )


class _Run:
    """One run: what is due, its results, its end."""

    def __init__(
        self, pipeline: Pipeline[Any], engine: RunBackend, writer: StoreWriter | None, listing: Listing
    ) -> None:
        self._pipeline = pipeline
        self._engine = engine
        self._writer = writer
        self._listing = listing
        self._paths: dict[int, list[str]] = {}
        self._failures: dict[int, str] = {}
        self._cause: BaseException | None = None

    def execute(
        self,
        wanted: list[int],
        *,
        n_jobs: int,
        progress: bool,
        resume: bool,
        on_error: str,
        options: dict[str, Any],
    ) -> list[list[str]]:
        due = self._skip_completed(wanted) if resume and self._writer is not None else wanted
        if due:
            sink = self._pipeline.sink
            assert sink is not None  # noqa: S101 - checked by run_pipeline
            config = RunConfig(
                n_jobs=n_jobs,
                indices=due,
                progress=progress,
                backend_options=options,
                items=[self._listing.item(index) for index in due],
                groups=pipeline_groups(self._pipeline.source, sink, due),
            )
            with WorkerProgressDisplay(len(due), config.resolved_n_jobs, progress) as display:
                for result in self._results(config):
                    self._take(result)
                    display.complete_item(failed=not result.is_completed)
        return self._end(wanted, on_error)

    def _skip_completed(self, wanted: list[int]) -> list[int]:
        assert self._writer is not None  # noqa: S101 - see execute
        self._writer.fold()
        settle_shards(self._pipeline, self._writer, self._listing)
        plan = self._pipeline.with_settings(db_file=self._writer.path, resume=True).plan()
        done = [index for index in wanted if not plan.items[index].is_due]
        if done:
            recorded = self._pipeline._by_index("output_paths")  # noqa: SLF001 - one query for all indices
            self._paths = {index: recorded.get(index, []) for index in done}
        skipped = set(done)
        return [index for index in wanted if index not in skipped]

    def _results(self, config: RunConfig) -> Iterator[IndexResult]:
        if self._engine.is_streaming:
            yield from self._engine.stream(self._pipeline, config)
            return
        taken: list[IndexResult] = []
        paths = self._engine.run(self._pipeline.recorded_by(taken.append), config)
        yield from taken
        reported = {result.index for result in taken}
        now = datetime.now(UTC).isoformat()
        for item, written in zip(config.items, paths, strict=True):
            if item.index not in reported:  # processed by a copy of the pipeline in another process
                yield IndexResult(item.index, item.key, "completed", item.fingerprint, tuple(written), completed_at=now)

    def _take(self, result: IndexResult) -> None:
        if self._writer is not None:
            self._writer.write(result)
        self._paths[result.index] = list(result.output_paths) if result.is_completed else []
        if not result.is_completed:
            self._failures[result.index] = result.error or "failed"
            self._cause = self._cause or result.exception

    def _end(self, wanted: list[int], on_error: str) -> list[list[str]]:
        results = [self._paths[index] for index in wanted]
        if not self._failures:
            return results
        text = _failure_text(self._failures, len(wanted), self._listing)
        if on_error == "skip":
            logger.warning(text)
            return results
        raise RunFailed(text, failures=self._failures, results=results) from self._cause


def _failure_text(failures: dict[int, str], n_wanted: int, listing: Listing) -> str:
    shown = [f"{listing.keys[index]}: {failures[index]}" for index in sorted(failures)[:5]]
    more = [f"and {len(failures) - 5} more"] if len(failures) > 5 else []
    return "\n  ".join([f"{len(failures)} of {n_wanted} items failed:", *shown, *more])


def _chosen_backend(name: str, n_workers: int) -> type[RunBackend]:
    if name not in ("auto", *backends.names()):
        get_backend(name)  # raises, listing the known ones
    if name == "auto":
        chosen = "sequential" if n_workers == 1 else "process_pool"
        logger.info("backend 'auto' picked %r", chosen)
        return get_backend(chosen)
    return get_backend("sequential" if n_workers == 1 and name == "process_pool" else name)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM stops a run as Ctrl-C does: cleanly."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
