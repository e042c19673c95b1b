"""One step of a workflow, carried out in this process and its workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curator_core.errors import ExperimentsNotFoundError, WorkflowError
from curator_core.gather import gather_pipeline
from curator_core.pipeline import Pipeline
from curator_core.run import run_pipeline
from curator_core.shards import sharded_outputs
from curator_core.workflow.block import Block
from curator_core.workflow.experiments import ExperimentData
from curator_core.workflow.experiments_pipeline import experiments_pipeline
from curator_core.workflow.results import collect_results
from curator_core.workflow.step import Step

ITERATION = "CURATOR_ITERATION"
"""Environment variable that tells a step which iteration of its loop this is, from 0."""
METRICS_FOLDER = "metrics"
"""Folder of metrics databases, one for each parallel step, within the folder of the job."""


@dataclass(frozen=True)
class Workers:
    """Who carries out parallel steps."""

    backend: str = "auto"
    """Name of a run backend."""
    n_jobs: int = -1
    """Number of workers; -1 for all CPUs."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the backend."""


def run_step(step: Step, job_dir: Path, *, iteration: int, workers: Workers) -> None:
    """Carry out a step.

    Raises
    ------
    WorkflowError
        What the block gave is no table.
    """
    folder = step.folder(job_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with _iteration_told(iteration):
        if isinstance(step.block, Pipeline):
            _curate(step.block, workers if step.parallel else Workers(n_jobs=1))
        elif isinstance(step.block, Block) and step.parallel:
            _evaluate(step, step.block, job_dir, workers)
        elif isinstance(step.block, Block):
            _call(step, step.block, folder)
        else:
            step.block(project_dir=folder, **step.kwargs)


def _curate(pipeline: Pipeline[Any], workers: Workers) -> None:
    run_pipeline(pipeline, backend=workers.backend, n_jobs=workers.n_jobs, resume=True, **workers.options)
    if sharded_outputs(pipeline):
        gather_pipeline(pipeline)


def _evaluate(step: Step, block: Block, job_dir: Path, workers: Workers) -> None:
    """Rows that fail are errors of the table; the step goes on."""
    folder, db_file = step.folder(job_dir), job_dir / METRICS_FOLDER / f"{step.name}.db"
    collect_results(folder)  # of a run that was killed
    db_file.parent.mkdir(exist_ok=True)
    pipeline = experiments_pipeline(folder, block, step.kwargs, db_file=db_file)
    if len(pipeline.source):
        options = {"backend": workers.backend, "n_jobs": workers.n_jobs, **workers.options}
        run_pipeline(pipeline, resume=False, on_error="skip", **options)
        collect_results(folder)


def _call(step: Step, block: Block, folder: Path) -> None:
    try:
        data = ExperimentData.from_file(folder)
    except ExperimentsNotFoundError:
        data = ExperimentData(project_dir=folder)  # the step makes it
    result: object = block(data, **step.kwargs)
    if not isinstance(result, ExperimentData):
        raise WorkflowError(f"Step {step.name!r}: {type(block).__name__}.call() gave {result!r}, no ExperimentData.")
    result.store(folder)


@contextmanager
def _iteration_told(iteration: int) -> Iterator[None]:
    before = os.environ.get(ITERATION)
    os.environ[ITERATION] = str(iteration)
    try:
        yield
    finally:
        if before is None:
            del os.environ[ITERATION]
        else:
            os.environ[ITERATION] = before
