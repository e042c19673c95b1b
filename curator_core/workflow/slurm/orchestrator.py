"""``python -m curator_core.workflow.slurm.orchestrator FOLDER``: the small job that goes on with a workflow on SLURM.

It submits its own successor first, which begins when this one ends, however it ends. Then it reads the outcome of the
running step, submits the next one, and lets the successor wait for that: so nothing waits in an allocation, the queue
holds one step at a time, and a kill costs a restart. What is done is read from the folder, never remembered.
"""

from __future__ import annotations

import json
import logging
import operator
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from curator_core.errors import ArrayUnfinishedError, WorkflowError
from curator_core.experiments.sample import JobStatus
from curator_core.experiments.stored.claims import open_rows
from curator_core.experiments.stored.collection import collect_results
from curator_core.experiments.stored.files import read_jobs
from curator_core.merge.archive import sharded_outputs
from curator_core.pipeline.pipeline import Pipeline
from curator_core.run import run_pipeline
from curator_core.run.due import gathered_later
from curator_core.slurm import SlurmError, cancel, find_job, is_alive, patiently, wait_for
from curator_core.storage.atomic import publish_text
from curator_core.storage.disk import make_folder
from curator_core.workflow.execution import check_evaluated, iteration_told, run_experiments, step_pipeline
from curator_core.workflow.slurm.jobs import LOCK_TIMEOUT_S, SlurmPlan, orchestrator_comment
from curator_core.workflow.slurm.step import attempt_folder, follow_step
from curator_core.workflow.state import Position, Progress, WorkflowStatus, job_lock
from curator_core.workflow.step import Step

MAX_DEATHS = 5
"""How often in succession the orchestrator may die before the workflow fails."""

logger = logging.getLogger("curator")


class Orchestrator:
    """One turn of it.

    Parameters
    ----------
    plan
        The workflow, and where it runs.
    job_id
        This job's number.
    """

    def __init__(self, plan: SlurmPlan, job_id: str) -> None:
        self._plan = plan
        self._job_dir = plan.job_dir
        self._job_id = job_id

    def take_turn(self) -> None:
        """Go on as far as it goes without waiting.

        Raises
        ------
        WorkflowError
            Another orchestrator goes on with this folder, or the workflow failed.
        """
        progress = Progress.read(self._job_dir)
        if progress is None or progress.status is not WorkflowStatus.RUNNING:
            return
        other = progress.orchestrator
        if other not in (None, self._job_id) and is_alive(other):
            raise WorkflowError(f"SLURM's job {other} goes on with the workflow of {self._job_dir}, so this one ends.")
        successor = None
        try:
            if progress.n_deaths >= MAX_DEATHS:
                raise WorkflowError(f"The orchestrator died {MAX_DEATHS} times in succession; see its log.")  # noqa: TRY301
            successor = patiently(self._successor)
            progress = replace(progress, orchestrator=successor, n_deaths=progress.n_deaths + 1)
            progress.write(self._job_dir)
            progress = patiently(self._go_on)
        except Exception as exc:
            found = Progress.read(self._job_dir) or progress
            replace(found.failed(exc), n_deaths=0).write(self._job_dir)
            if successor is not None:
                with suppress(SlurmError):  # it would see that the workflow failed
                    cancel(successor)
            raise
        if progress.jobs:
            with suppress(SlurmError):  # they are over and forgotten: it begins when this one ends
                patiently(lambda: wait_for(successor, progress.jobs))
        else:
            patiently(lambda: cancel(successor))

    def _successor(self) -> str:
        """Number of the job that begins when this one is over, which is submitted if there is none."""
        found = find_job(orchestrator_comment(self._job_dir), is_waiting=True)
        return found or self._plan.submit_orchestrator(f"--dependency=afterany:{self._job_id}")

    def _go_on(self) -> Progress:
        """From step to step until one is to be waited for, or all are done."""
        progress = cast("Progress", Progress.read(self._job_dir))
        place: Position | None = progress.place
        while place is not None:
            progress, place = self._carried_out(progress)
            if progress.jobs:
                progress = replace(progress, n_deaths=0)
                progress.write(self._job_dir)
                return progress
            folder = attempt_folder(self._job_dir, progress.attempt)
            if place is not None:
                progress = progress.at(place)
                progress.write(self._job_dir)
            shutil.rmtree(folder, ignore_errors=True)
        progress = replace(progress.at(None), n_deaths=0)
        progress.write(self._job_dir)
        return progress

    def _carried_out(self, progress: Progress) -> tuple[Progress, Position | None]:
        """With the jobs to wait for, none once the step is over; and the place of the next one."""
        course, place = self._plan.course, progress.place
        step = course.step(place)
        try:
            jobs = self._followed(step, progress)
        except SlurmError:
            raise
        except Exception as exc:
            following = course.after_failure(place, self._job_dir)
            if following is None:
                exc.add_note(f"In step {step.name!r} of the workflow in {self._job_dir}; the next run goes on with it.")
                raise
            logger.exception("step %r failed; the next one does not depend on it", step.name)
            return replace(progress.failed_alone(step.name, exc), jobs=(), is_anew=False), following
        following = place if jobs else course.following(place, self._job_dir)
        return replace(progress, jobs=jobs, is_anew=False), following

    def _followed(self, step: Step, progress: Progress) -> tuple[str, ...]:
        """Begin a step, or read its outcome: jobs to wait for, nothing once it is done."""
        make_folder(step.folder(self._job_dir))
        if not step.parallel:
            return follow_step(self._plan, step, progress)
        try:
            with iteration_told(progress.place.iteration), gathered_later():
                if isinstance(step.block, Pipeline):
                    run_pipeline(step.block, resume=True, **self._array_options(step, progress))
                else:
                    self._evaluate(step, progress)
        except ArrayUnfinishedError as exc:
            return exc.job_ids
        if isinstance(step.block, Pipeline) and sharded_outputs(step.block):
            return follow_step(self._plan, step, progress)  # nothing is due any more: it gathers the shards
        return ()

    def _array_options(self, step: Step, progress: Progress) -> dict[str, Any]:
        return {
            "backend": "slurm",
            "wait": False,
            "tries_anew": progress.is_anew,
            "progress": False,
            "cluster": self._plan.array_cluster(progress.place.iteration),
            "resources": step.resources,
            "job_name": self._plan.job_name(step),
        }

    def _evaluate(self, step: Step, progress: Progress) -> None:
        folder = step.folder(self._job_dir)
        rows = self._rows(folder, progress)
        jobs = read_jobs(folder)
        reasons: dict[int, str] = {}
        is_open = [index for index, row in enumerate(rows) if jobs.get(row) is JobStatus.OPEN]
        if is_open:
            pipeline = step_pipeline(step, self._job_dir, rows, progress.attempt)
            options = self._array_options(step, progress)
            reasons = run_experiments(pipeline, step, folder, indices=is_open, resume=True, **options)
        if open_rows(folder) or not self._plan.course.is_collected_next(progress.place):
            collect_results(folder)
        check_evaluated(folder, rows, reasons)

    def _rows(self, folder: Path, progress: Progress) -> list[int]:
        """The rows that this execution of the step evaluates: those that were open when it began."""
        path = attempt_folder(self._job_dir, progress.attempt) / "rows.json"
        if path.exists():
            try:
                return list(map(operator.index, json.loads(path.read_text(encoding="ascii"))))
            except (OSError, RecursionError, TypeError, ValueError) as exc:
                raise WorkflowError(f"{path} does not tell which rows a step evaluates ({exc}); delete it.") from exc
        collect_results(folder)  # of an earlier one
        rows = open_rows(folder)
        make_folder(path.parent)
        publish_text(json.dumps(rows), path)
        return rows


def main(folder: str) -> None:
    """Take a turn."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    plan, job_id = SlurmPlan.read(Path(folder)), os.environ["SLURM_JOB_ID"]
    with job_lock(plan.job_dir, f"SLURM's job {job_id}", timeout_s=LOCK_TIMEOUT_S):
        Orchestrator(plan, job_id).take_turn()


if __name__ == "__main__":
    main(*sys.argv[1:])
