"""One step of a workflow, carried out in this process and its workers."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from curator_core.errors import ExperimentsNotFoundError, OutputError, RunFailed, TaskEndedError, WorkflowError
from curator_core.experiments.data import ExperimentData
from curator_core.experiments.stored.claims import open_rows
from curator_core.experiments.stored.collection import collect_results
from curator_core.experiments.stored.files import made_by
from curator_core.experiments.stored.results import result_rows, write_result
from curator_core.pipeline.pipeline import Pipeline
from curator_core.run import run_pipeline
from curator_core.run.config import BackendChoice
from curator_core.run.workers.worker import ITERATION
from curator_core.storage.disk import make_folder
from curator_core.workflow.block import Block
from curator_core.workflow.experiments_pipeline import Experiments, experiments_pipeline, is_plain_generator
from curator_core.workflow.step import Step

METRICS_FOLDER = "metrics"
"""Folder of metrics databases, one for each parallel step, within the folder of the job."""

logger = logging.getLogger("curator")


def run_step(step: Step, job_dir: Path, *, iteration: int, workers: BackendChoice, attempt: str) -> None:
    """Carry out a step.

    Parameters
    ----------
    step, job_dir
        The step, and the folder of its job.
    iteration
        Iteration of its loop, from 0.
    workers
        Who carries out a parallel one.
    attempt
        Identifies this execution: a table that it stored before it was killed is not made again.

    Raises
    ------
    WorkflowError
        What the block gave is no table, or experiments are still open.
    """
    folder = step.folder(job_dir)
    make_folder(folder)
    with iteration_told(iteration):
        if isinstance(step.block, Pipeline):
            _curate(step.block, workers if step.parallel else BackendChoice(n_jobs=1))
        elif is_evaluated_by_row(step):
            _evaluate(step, job_dir, workers if step.parallel else BackendChoice("sequential", 1), attempt)
        elif isinstance(step.block, Block):
            _call(step, step.block, folder, attempt)
        else:
            step.block(project_dir=folder, **step.kwargs)


def is_evaluated_by_row(step: Step) -> bool:
    """Whether each row of the step's table is evaluated, and kept, by itself: one that fails is an error of its own."""
    return isinstance(step.block, Block) and (step.parallel or is_plain_generator(step.block))


def _curate(pipeline: Pipeline[Any], workers: BackendChoice) -> None:
    run_pipeline(pipeline, backend=workers.backend, n_jobs=workers.n_jobs, resume=True, gather=True, **workers.options)


def _evaluate(step: Step, job_dir: Path, workers: BackendChoice, attempt: str) -> None:
    folder = step.folder(job_dir)
    collect_results(folder)  # of a run that was killed
    rows = open_rows(folder)
    pipeline = step_pipeline(step, job_dir, rows, attempt)
    options = {"backend": workers.backend, "n_jobs": workers.n_jobs, **workers.options}
    if rows:
        reasons = run_experiments(pipeline, step, folder, resume=False, **options)
        collect_results(folder)
        check_evaluated(folder, rows, reasons)


def step_pipeline(step: Step, job_dir: Path, rows: Sequence[int], attempt: str) -> Pipeline[Any]:
    """Rows of a step's table as a pipeline, which records its metrics in the folder of the job."""
    db_file = job_dir / METRICS_FOLDER / f"{step.name}.db"
    make_folder(db_file.parent)
    block = cast("Block", step.block)
    return experiments_pipeline(step.folder(job_dir), block, step.kwargs, rows, db_file=db_file, attempt=attempt)


def run_experiments(pipeline: Pipeline[Any], step: Step, folder: Path, **options: Any) -> dict[int, str]:  # noqa: ANN401 - as `run_pipeline`
    """Evaluate rows; one that fails is an error of the table, one whose worker was taken away stays open.

    Returns
    -------
    dict[int, str]
        Why rows stay open.
    """
    rows = cast("Experiments", pipeline.source).rows
    try:
        run_pipeline(pipeline, **options)
    except RunFailed as exc:
        logger.warning("step %r: %s", step.name, exc)
        return write_failures(folder, {rows[index]: error for index, error in exc.failures.items()})
    return {}


def write_failures(folder: Path, failures: Mapping[int, str]) -> dict[int, str]:
    """Write the error of rows whose worker died, and could not.

    Parameters
    ----------
    folder
        Of the table.
    failures
        Error by row.

    Returns
    -------
    dict[int, str]
        Why rows stay open: their workers were taken away, or the disk is full.
    """
    reasons: dict[int, str] = {}
    waiting = result_rows(folder) if failures else set()
    for row, error in failures.items():
        if error.startswith(TaskEndedError.__name__):
            reasons[row] = error.partition(": ")[2]
        elif row not in waiting:
            if error.startswith(OutputError.__name__):  # nothing is wrong with the experiment
                reasons[row] = f"its result cannot be written: {error.partition(': ')[2]}"
                continue
            try:
                write_result(folder, row, error=error)
            except OSError as exc:
                reasons[row] = f"its result cannot be written: {exc}"
    return reasons


def check_evaluated(folder: Path, rows: Collection[int], reasons: Mapping[int, str] | None = None) -> None:
    """After a parallel step, none of its rows may be open.

    Raises
    ------
    WorkflowError
        Some are.
    """
    left = sorted(set(rows).intersection(open_rows(folder)))
    if left:
        why = (reasons or {}).get(left[0], "it has no valid result (see the log)")
        raise WorkflowError(
            f"{len(left)} of {len(rows)} experiments are still open; row {left[0]}: {why}. The next run does them."
        )


def _call(step: Step, block: Block, folder: Path, attempt: str) -> None:
    if made_by(folder) == attempt:
        return  # killed right after it was done
    try:
        data = ExperimentData.from_file(folder)
    except ExperimentsNotFoundError:
        data = ExperimentData(project_dir=folder)  # the step makes it
    result: object = block(data, **step.kwargs)
    if not isinstance(result, ExperimentData):
        raise WorkflowError(f"Step {step.name!r}: {type(block).__name__}.call() gave {result!r}, no ExperimentData.")
    result.store(folder, maker=attempt)


@contextmanager
def iteration_told(iteration: int) -> Iterator[None]:
    """Set the iteration of its loop for the step, and for workers that it starts."""
    before = os.environ.get(ITERATION)
    os.environ[ITERATION] = str(iteration)
    try:
        yield
    finally:
        if before is None:
            del os.environ[ITERATION]
        else:
            os.environ[ITERATION] = before
