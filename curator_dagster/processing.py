"""Items of a batch, processed in the step itself or by a run backend such as a job array on SLURM."""

from __future__ import annotations

import logging
import math
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dagster import DagsterExecutionInterruptedError, OpExecutionContext

from curator_core import IndexResult, Item, Pipeline, RunConfig, get_backend
from curator_core.atomic import exclusive_lock
from curator_core.engine import IndexProcessor
from curator_core.errors import StoreBusyError
from curator_core.run.board import WorkerBoard
from curator_core.run.interrupts import held, interruptible_run
from curator_core.run.partition import pipeline_groups
from curator_core.store import journal_directory
from curator_dagster.curation import Curation
from curator_dagster.import_paths import make_importable

Taker = Callable[[IndexResult], None]


def process_items(
    context: OpExecutionContext, curation: Curation, pipeline: Pipeline[Any], items: Sequence[Item], take: Taker
) -> None:
    """Process items; `take` gets every result as it comes, and has it written down when it returns.

    Raises
    ------
    DagsterExecutionInterruptedError
        The run is being terminated; what a backend had at work is cancelled.
    """
    if curation.backend is None:
        with IndexProcessor(pipeline) as process:
            for item in items:
                take(process(item))
    elif items:
        with _telling(context):
            _run_backend(curation, pipeline, items, take)


@contextmanager
def sole_run(context: OpExecutionContext, curation: Curation) -> Iterator[None]:
    """With a backend, one run after the other has the items: a job array belongs to the database, not to a run."""
    if curation.backend is None:
        yield
        return
    lock = f"{curation.open_pipeline().db_path}.{curation.backend}-lock"
    holder = f"Dagster run {context.run_id}"
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive_lock(lock, timeout_s=0, holder=holder))
        except StoreBusyError as exc:
            context.log.info("Another run has items of this curation at work; this one waits for its end. %s", exc)
            stack.enter_context(exclusive_lock(lock, timeout_s=math.inf, holder=holder))
        yield


def _run_backend(curation: Curation, pipeline: Pipeline[Any], items: Sequence[Item], take: Taker) -> None:
    assert curation.backend is not None  # noqa: S101 - see the caller
    assert pipeline.db_path is not None  # noqa: S101 - a curation always tracks
    assert pipeline.sink is not None  # noqa: S101 - Curation.open_pipeline checked it
    make_importable([curation.factory, pipeline.source, *pipeline.filters, pipeline.sink])
    engine = get_backend(curation.backend)()
    indices = [item.index for item in items]
    # A run that is terminated leaves nothing at work; one that is killed cannot help it, and the next takes over.
    ending = {"cancel_on_interrupt": True} if "cancel_on_interrupt" in (engine.options or ()) else {}
    with TemporaryDirectory(prefix="curator-", ignore_cleanup_errors=True) as folder:
        config = RunConfig(
            n_jobs=-1,
            indices=indices,
            progress=False,
            backend_options={**ending, **curation.backend_options},
            items=items,
            groups=pipeline_groups(pipeline.source, pipeline.sink, indices),
            journals=(journal_directory(pipeline.db_path), pipeline.config_hash),
            resumes=True,
            board=WorkerBoard(Path(folder)),
        )
        with _interrupts():
            _take_all(engine.stream(pipeline, config), take)
    engine.recorded()


def _take_all(stream: Generator[IndexResult, None, None], take: Taker) -> None:
    with closing(stream) as results:
        try:
            for result in results:
                with held():
                    take(result)
        except KeyboardInterrupt as interrupt:
            with held(), suppress(StopIteration):  # the backend ends what is at work, and gives what is done by now
                take(results.throw(interrupt))
                for result in results:
                    take(result)
            raise


@contextmanager
def _interrupts() -> Iterator[None]:
    """Within, a signal raises what backends expect, where they expect it; outside, what Dagster does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with interruptible_run():
            yield
    except KeyboardInterrupt:
        raise DagsterExecutionInterruptedError from None
    finally:
        signal.signal(signal.SIGINT, before)


class _RunLog(logging.Handler):
    def __init__(self, context: OpExecutionContext) -> None:
        super().__init__(logging.INFO)
        self._log = context.log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, "%s", record.getMessage())


@contextmanager
def _telling(context: OpExecutionContext) -> Iterator[None]:
    """What a backend says about its jobs is in the run's log."""
    logger, handler = logging.getLogger("curator"), _RunLog(context)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
