"""Items of a batch, processed in the step itself or by a run backend such as a job array on SLURM."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import current_process
from pathlib import Path
from typing import Any

from dagster import DagsterExecutionInterruptedError, OpExecutionContext

from curator_core import IndexResult, Item, Pipeline, get_backend
from curator_core.datasets import Encode
from curator_core.run import (
    BackendChoice,
    IndexProcessor,
    Processing,
    available_cpus,
    interruptible_run,
    segment_encoder,
)
from curator_core.session import Session
from curator_dagster.curation.curation import Curation
from curator_dagster.steps.import_paths import make_importable
from curator_dagster.steps.run_log import RunLog

logger = logging.getLogger("curator")

Taker = Callable[[IndexResult], None]


def may_have_begun(context: OpExecutionContext) -> bool:
    """Whether an attempt before this one, or the run that this one re-executes, may have been at the same batch."""
    return context.retry_number > 0 or context.run.parent_run_id is not None


def workers_of(context: OpExecutionContext, curation: Curation | None = None) -> BackendChoice | None:
    """Who processes what: the curation's backend, or ``None`` for the step's own process, which is the quickest.

    Where the process of an earlier attempt may have died, a process beside this one does it: an item that ends that
    twice fails by name, and those after it are processed. Workers of celery may start no processes.
    """
    if curation is not None and curation.backend is not None:
        return BackendChoice(curation.backend, options=curation.backend_options or {})
    if may_have_begun(context) and not current_process().daemon:
        context.log.info(
            "An attempt before this one may have died: what is left is done in a process of its own, so that an item "
            "that ends its process fails by name, and alone."
        )
        # A fork server would keep the environment that it was started in.
        return BackendChoice("process_pool", n_jobs=1, options={"mp_context": "spawn"})
    return None


def process_items(
    context: OpExecutionContext,
    session: Session,
    items: Sequence[Item],
    take: Taker,
    *,
    workers: BackendChoice | None,
    needs: Sequence[object] = (),
) -> None:
    """Process items.

    Parameters
    ----------
    context
        Of the step.
    session, items
        What to process.
    take
        Gets every result as it comes, and has it written down when it returns.
    workers
        Who does it; the step's own process by ``None``.
    needs
        Objects besides the pipeline's components whose modules workers must be able to import.

    Raises
    ------
    DagsterExecutionInterruptedError
        The run is being terminated; what a backend was running is cancelled.
    """
    pipeline = session.pipeline
    if workers is None:
        with IndexProcessor(pipeline, is_worker=True) as process:  # Dagster's handlers raise its own errors
            for item in items:
                take(process(item))
    elif items:
        make_importable([*needs, pipeline.source, *pipeline.filters, pipeline.sink])
        with logging_to_run(context):
            _run_backend(workers, session, items, take)


def segments_encoder(context: OpExecutionContext, curation: Curation, session: Session) -> Encode | None:
    """Who encodes segments of the dataset that is published: the curation's backend, or processes of this machine."""
    if curation.backend is not None:
        workers = BackendChoice(curation.backend, options=curation.backend_options or {})
    elif current_process().daemon or available_cpus() == 1:
        return None
    else:
        workers = BackendChoice("process_pool", options={"mp_context": "spawn"})
    encode = segment_encoder(workers.backend, workers.n_jobs, _ending(workers.backend) | dict(workers.options))
    if encode is None:
        return None

    def logged(segments: Pipeline[Any], folder: Path) -> None:
        pipeline = session.pipeline
        make_importable([pipeline.source, *pipeline.filters, pipeline.sink])
        with logging_to_run(context), backend_interrupts():
            encode(segments, folder)

    return logged


def _ending(backend: str) -> dict[str, Any]:
    """Options by which a run that is terminated leaves nothing running; one that is killed cannot help it."""
    return {"cancel_on_interrupt": True} if get_backend(backend).cancels_on_interrupt else {}


def _run_backend(workers: BackendChoice, session: Session, items: Sequence[Item], take: Taker) -> None:
    engine = get_backend(workers.backend)
    item_of = {item.index: item for item in items}.get
    processing = Processing(session.pipeline, engine, item_of, [take], journals=session.journals)
    with backend_interrupts():
        indices = [item.index for item in items]
        options = _ending(workers.backend) | dict(workers.options)
        processing.run(indices, items, n_jobs=workers.n_jobs, options=options, resumes=True)
    if used := engine.usage():
        session.writer.record_usage(used)
        session.rest()
        n_known = sum(usage.cpu_s is not None for usage in used)
        cpu_s = sum(usage.cpu_s or 0.0 for usage in used)
        logger.info("%d of %d cluster jobs have accounts: CPU time %.1f s", n_known, len(used), cpu_s)
    engine.recorded()


@contextmanager
def backend_interrupts() -> Iterator[None]:
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


class _ToRunLog(logging.Handler):
    def __init__(self, context: OpExecutionContext) -> None:
        super().__init__(logging.INFO)
        self._log = RunLog(context)

    def emit(self, record: logging.LogRecord) -> None:
        self._log.write(record.levelno, "%s", record.getMessage())


@contextmanager
def logging_to_run(context: OpExecutionContext) -> Iterator[None]:
    """What a backend says about its jobs is in the run's log."""
    handler = _ToRunLog(context)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
