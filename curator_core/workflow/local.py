"""A workflow in this process and its workers."""

from __future__ import annotations

import logging
from pathlib import Path

from curator_core.run.config import BackendChoice
from curator_core.workflow.execution import run_step
from curator_core.workflow.sequence import StepSequence
from curator_core.workflow.state import Position, Progress, WorkflowStatus

logger = logging.getLogger("curator")


def run_here(course: StepSequence, job_dir: Path, workers: BackendChoice) -> None:
    """Carry out a course from where it is, one step after the other; the caller holds the folder's lock."""
    progress = course.progress(job_dir)
    place: Position | None = progress.place if progress.status is WorkflowStatus.RUNNING else None
    while place is not None:
        progress = progress.at(place)
        progress.write(job_dir)
        progress, place = _carried_out(course, progress, job_dir, workers)
    progress.at(None).write(job_dir)


def _carried_out(
    course: StepSequence, progress: Progress, job_dir: Path, workers: BackendChoice
) -> tuple[Progress, Position | None]:
    """A step, and the place of the next one."""
    step, iteration = course.step(progress.place), progress.place.iteration
    logger.info("step %r, iteration %d", step.name, iteration)
    try:
        try:
            run_step(step, job_dir, iteration=iteration, workers=workers, attempt=progress.attempt)
        except Exception as exc:
            following = course.after_failure(progress.place, job_dir)
            if following is None:
                raise
            logger.exception("step %r failed; the next one does not depend on it", step.name)
            return progress.failed_alone(step.name, exc), following
        return progress, course.following(progress.place, job_dir)
    except Exception as exc:
        progress.failed(exc).write(job_dir)
        exc.add_note(f"In step {step.name!r} of the workflow in {job_dir}; the next run goes on with it.")
        raise
