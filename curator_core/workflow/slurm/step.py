"""A step as a SLURM job: submitted, followed, and ``python -m curator_core.workflow.slurm.step FOLDER ATTEMPT``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from curator_core.errors import TaskEndedError, WorkflowError
from curator_core.run.config import BackendChoice
from curator_core.slurm import ArrayState, find_job, job_state
from curator_core.storage.atomic import publish_text
from curator_core.storage.disk import make_folder
from curator_core.workflow.execution import run_step
from curator_core.workflow.slurm.jobs import FOLDER, SlurmPlan, step_comment
from curator_core.workflow.state import Progress
from curator_core.workflow.step import Step

MAX_ATTEMPTS = 2
"""How often a step is tried whose job dies."""


def follow_step(plan: SlurmPlan, step: Step, progress: Progress) -> tuple[str, ...]:
    """Submit a step's job if it is not submitted yet; the number of the job to wait for, nothing once it is done.

    Raises
    ------
    WorkflowError
        The step failed, or its job died twice.
    TaskEndedError
        The job was cancelled or reached its time limit.
    """
    job = _StepJob(attempt_folder(plan.job_dir, progress.attempt))
    running = job.job_ids[-1] if job.job_ids else find_job(step_comment(progress.attempt))
    state = None if running is None else job_state(running)
    if job.is_done():  # after the question for the state: a job that is over has said what it had to say
        return ()
    if running is not None and state is not None and not state.is_over:
        return (running,)
    if progress.is_anew:
        job.forget()
    elif running is not None:
        job.judge(running, state)
    text = plan.step_script(step, progress.attempt, progress.place.iteration)
    job_id = plan.submit(f"{FOLDER}-{progress.attempt}", text)
    job.submitted(job_id)
    return (job_id,)


def attempt_folder(job_dir: Path, attempt: str) -> Path:
    """What belongs to one execution of a step."""
    return job_dir / FOLDER / attempt


class _StepJob:
    """What a step's job and the orchestrator write for each other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)

    @property
    def job_ids(self) -> list[str]:
        """Numbers of the jobs that have tried it, oldest first."""
        numbers = {path: path.name.partition("-")[2] for path in self._folder.glob("job-*")}
        paths = sorted((path for path, number in numbers.items() if number.isdecimal()), key=lambda p: int(numbers[p]))
        said = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
        return [job_id for job_id in said if re.fullmatch("[0-9]+", job_id)]

    def submitted(self, job_id: str) -> None:
        """Write a job's number down."""
        self._publish(f"job-{len(self.job_ids)}", job_id)

    def forget(self) -> None:
        """Jobs that have tried it count no more."""
        for path in self._folder.glob("job-*"):
            path.unlink()

    def ended(self, error: str | None) -> None:
        """Write the outcome of the step."""
        self._publish("outcome.json", json.dumps({"error": error}))

    def is_done(self) -> bool:
        """Whether a job has carried the step out; its failure is raised."""
        # Listing the folder, not asking for the name: a network file system may remember that it was not there.
        if "outcome.json" not in {path.name for path in self._folder.iterdir()}:
            return False
        path = self._folder / "outcome.json"
        try:
            error = json.loads(path.read_text(encoding="utf-8"))["error"]
        except (OSError, KeyError, RecursionError, TypeError, ValueError) as exc:
            raise WorkflowError(f"{path} does not tell what became of the step ({exc}); delete it.") from exc
        if error is not None:
            raise WorkflowError(error)
        return True

    def judge(self, job_id: str, state: ArrayState | None) -> None:
        """A job has ended without a word: raise, or try again."""
        if state is ArrayState.CANCELLED:
            raise TaskEndedError(f"job {job_id} was cancelled")
        if state is ArrayState.TIMEOUT:
            raise TaskEndedError(f"job {job_id} reached its time limit; raise `time` of the step's resources")
        if len(self.job_ids) >= MAX_ATTEMPTS:
            why = "forgotten by SLURM" if state is None else state.value
            raise WorkflowError(f"its job died {MAX_ATTEMPTS} times, the last one, {job_id}, of: {why}")

    def _publish(self, name: str, text: str) -> None:
        publish_text(text, self._folder / name)


def main(folder: str, attempt: str) -> None:
    """Carry out the step that the workflow is at, in this process."""
    plan = SlurmPlan.read(Path(folder))
    progress = Progress.read(plan.job_dir)
    if progress is None or progress.attempt != attempt:
        sys.exit("The workflow has gone on without this job.")
    job, step = _StepJob(attempt_folder(plan.job_dir, attempt)), plan.course.step(progress.place)
    try:
        workers = BackendChoice("sequential", 1)
        run_step(step, plan.job_dir, iteration=progress.place.iteration, workers=workers, attempt=attempt)
    except Exception as exc:
        job.ended(f"{type(exc).__name__}: {exc}")
        raise
    job.ended(None)


if __name__ == "__main__":
    main(*sys.argv[1:])
