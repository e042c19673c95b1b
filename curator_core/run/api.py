"""`run_pipeline`: any backend, every result recorded, one bad item never in the way of the others."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any, Literal, cast

from curator_core.datasets.manifest import standing_head
from curator_core.engine.accumulating import check_accumulating
from curator_core.engine.failure import annotate
from curator_core.errors import ConfigError, RunFailed
from curator_core.garbage import gc_paused
from curator_core.merge.archive import sharded_outputs
from curator_core.pipeline.components import required_sink
from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult
from curator_core.run.base import RunBackend
from curator_core.run.choice import chosen_backend
from curator_core.run.config import resolve_n_jobs
from curator_core.run.due import tell_due
from curator_core.run.listeners import Listener, Listeners
from curator_core.run.processing import Consumer, Processing
from curator_core.run.scheduling.owners import PathOwners
from curator_core.run.segments import segment_encoder
from curator_core.run.signals import defer_signals, interruptible_run
from curator_core.run.workers.ability import temporary_folder
from curator_core.session.compaction import Compactor
from curator_core.session.gather import publish
from curator_core.session.listing import Listing
from curator_core.session.session import Session

logger = logging.getLogger("curator")

_MAX_SHOWN = 5


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
    gather: bool = False,
    listeners: Sequence[Listener] = (),
    **backend_kwargs: Any,  # noqa: ANN401 - the backend knows the types of its options
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
    gather
        Merge shards into the published outputs at the end, as `gather_pipeline` does, also without tracking;
        not when `RunFailed` is raised.
    listeners
        Objects that are notified of every result, see `Listener`.
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
        Another process is writing the metrics database, or the same outputs with another one.
    KeyboardInterrupt
        Ctrl-C or SIGTERM; what is complete is recorded.
    """
    required_sink(pipeline.sink)
    if on_error not in ("raise", "skip"):
        raise ConfigError(f"on_error must be 'raise' or 'skip', not {on_error!r}.")
    workers = resolve_n_jobs(n_jobs)
    audience = Listeners(listeners)
    if gather and not pipeline.track_metrics and sharded_outputs(pipeline):
        with temporary_folder("The run") as folder:
            recorded = pipeline.with_settings(track_metrics=True, track_memory=False, db_file=folder / "run.db")
            settings: dict[str, Any] = {"n_jobs": n_jobs, "backend": backend, "progress": progress}
            settings |= {"indices": indices, "on_error": on_error, "gather": True}
            settings |= {"listeners": listeners, **backend_kwargs}
            return run_pipeline(recorded, resume=False, **settings)
    engine, options = chosen_backend(backend, workers, backend_kwargs)
    _check(pipeline, engine)
    listing = Listing.of(pipeline.source)
    if pipeline.split is not None:
        pipeline.split.check(listing.keys)
    wanted = listing.checked(indices)
    if not wanted:
        with audience.notified_of_end(0):
            audience.begin(())
        if gather:
            publish(pipeline)
        return []
    should_resume = pipeline.resume if resume is None else resume
    with audience.notified_of_end(len(wanted)), ExitStack() as stack:
        stack.enter_context(interruptible_run())
        if not engine.copies_pipeline:
            _initialize(backend_kwargs)
        if pipeline.track_metrics:
            pipeline.records.begin(resume=should_resume, db_dir=db_dir)
        session = stack.enter_context(Session.open(pipeline, resume=should_resume, listing=listing))
        stack.enter_context(session.live(wanted, listing.keys.__getitem__))
        run = _Run(session, engine, audience)
        stack.callback(defer_signals)  # what is complete is written, whatever interrupts
        results = run.process(wanted, n_jobs=workers, progress=progress, options=options)
    try:
        results = run.finish(results, on_error)
    except RunFailed:
        tell_due(pipeline)
        raise
    if gather:
        publish(pipeline, encode=segment_encoder(engine.name, workers, options))
    else:
        tell_due(pipeline)
    return results


def _check(pipeline: Pipeline[Any], engine: RunBackend) -> None:
    pipeline.check()
    for output in sharded_outputs(pipeline):
        if output.kind == "sink":
            standing_head(output.location)  # one that a newer curator published is refused before anything runs
    if engine.is_streaming and engine.copies_pipeline:
        check_accumulating(pipeline.filters, f"a worker of backend {engine.name!r}")


class _Run:
    """One run: what is due, its results, its end."""

    def __init__(self, session: Session, engine: RunBackend, listeners: Listeners) -> None:
        self._session = session
        self._engine = engine
        self._writer = session.writer if session.is_recorded else None
        self._listing = session.listing
        self._listeners = listeners
        # Tuples while the run goes on: the garbage collector does not search them again and again.
        self._paths: list[Sequence[str] | None] = [None] * len(session.listing)
        self._failures: dict[int, str] = {}
        self._cause: BaseException | None = None
        self._owners = PathOwners(session.sink, session.listing.keys.__getitem__)

    def process(
        self, wanted: Sequence[int], *, n_jobs: int, progress: bool, options: dict[str, Any]
    ) -> list[list[str]]:
        """Process what is due of `wanted`; the paths of all of them."""
        session, writer = self._session, self._writer
        due = self._skip_completed(wanted) if session.resume else wanted
        processing = Processing(
            session.pipeline,
            self._engine,
            self._listing.find,
            self._consumers(),
            watchers=[self._listeners.take] if self._listeners else [],
            checked=self._owners.checked,
            journals=None if writer is None else session.journals,
            heartbeat=None if writer is None else writer.heartbeat,
        )
        if not due:
            self._listeners.begin(())
        while due:
            if session.resume:
                for index in due:
                    self._paths[index] = None
                self._owners.begin(self._paths, () if writer is None else writer.shifted_paths)
            items = self._listing.items(due)
            self._listeners.begin(items)
            processing.run(due, items, n_jobs=n_jobs, options=options, progress=progress, resumes=session.resume)
            due = self._displaced(wanted)
        if writer is not None:
            writer.fold()  # journals of long groups, which are recorded by now
            writer.flush()
            writer.record_usage(self._engine.usage())
            self._engine.recorded()
        paths = cast("list[Sequence[str]]", self._paths)  # every wanted item has its result by now
        with gc_paused():
            return [found if isinstance(found := paths[index], list) else list(found) for index in wanted]

    def finish(self, results: list[list[str]], on_error: str) -> list[list[str]]:
        """The results; what failed is raised or warned of, as `on_error` says."""
        if not self._failures:
            return results
        text = _failure_text(self._failures, len(results), self._listing)
        if on_error == "skip":
            logger.warning(text)
            return results
        raise RunFailed(text, failures=self._failures, results=results) from self._cause

    def _skip_completed(self, wanted: Sequence[int]) -> Sequence[int]:
        if self._writer is None:
            return wanted
        self._session.take_over()
        plan = self._session.plan
        if plan.due:
            self._session.watch_shifted()
        self._session.invalidate()
        self._paths = cast("list[Sequence[str] | None]", plan.recorded_paths)
        return [index for index in wanted if plan.reasons[index]] if len(plan.due) < len(self._listing) else wanted

    def _displaced(self, wanted: Sequence[int]) -> list[int]:
        """Items whose files other items overwrote, after the source's listing shifted."""
        displaced = set(self._writer.take_displaced()) if self._writer is not None else set()
        if displaced:
            logger.info("%d items had moved and their files were overwritten: processing them again", len(displaced))
        return [index for index in wanted if index in displaced]

    def _consumers(self) -> list[Consumer]:
        """What takes the results: the metrics database, this run, and what absorbs loose shards."""
        if self._writer is None:
            return [self._keep]
        return [self._writer.write, self._keep, Compactor(self._session).add]

    def _keep(self, result: IndexResult) -> None:
        is_completed = result.is_completed
        self._paths[result.index] = result.output_paths if is_completed else ()
        self._failures.pop(result.index, None)
        if not is_completed:
            self._failures[result.index] = result.error or "failed"
            self._cause = self._cause or _with_traceback(result)


def _with_traceback(result: IndexResult) -> BaseException | None:
    exception = result.exception
    is_without = exception is not None and object.__getattribute__(exception, "__traceback__") is None
    if exception is not None and is_without and result.traceback is not None:  # pickling lost it
        annotate(exception, f"In a worker process:\n{result.traceback}")
    return exception


def _failure_text(failures: dict[int, str], n_wanted: int, listing: Listing) -> str:
    shown = [f"{listing.keys[index]}: {failures[index]}" for index in sorted(failures)[:_MAX_SHOWN]]
    more = [f"and {len(failures) - _MAX_SHOWN} more"] if len(failures) > _MAX_SHOWN else []
    return "\n  ".join([f"{len(failures)} of {n_wanted} items failed:", *shown, *more])


def check_script(backend: str, n_jobs: int, options: dict[str, Any]) -> None:
    """Refuse a script whose worker processes would run it from its top, before it does something else first.

    `options` are those of `run_pipeline` and of the backend.

    Raises
    ------
    ConfigError
        The script lacks the guard, there is no such backend, or it has no such options.
    """
    own = inspect.signature(run_pipeline).parameters
    options = {name: value for name, value in options.items() if name not in own}
    engine, options = chosen_backend(backend, resolve_n_jobs(n_jobs), options)
    engine.check_script(options)


def _initialize(options: dict[str, Any]) -> None:
    """What a worker would call first: components may rely on it in a plain loop, too."""
    if (initializer := options.get("initializer")) is not None:
        initializer(*(options.get("initargs") or ()))
