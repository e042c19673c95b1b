"""A workflow on SLURM as its submitter sees it: followed to its end, or cancelled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from curator_core.errors import WorkflowError
from curator_core.slurm import SlurmAwayError, cancel, find_jobs, patiently
from curator_core.workflow.execution import METRICS_FOLDER
from curator_core.workflow.slurm.jobs import LOCK_TIMEOUT_S, orchestrating_job, orchestrator_comment, step_comment
from curator_core.workflow.state import Progress, WorkflowStatus, job_lock

POLL_S = 1.0
"""Between two looks at the folder of the job, seconds."""
ASK_EVERY_S = 10.0
"""Between two questions to the scheduler whether somebody goes on with the workflow, seconds."""
CANCEL_PAUSES_S = (2, 5, 10)
"""Between attempts to cancel where the scheduler does not answer, seconds."""
LOOK_S = 0.2
"""Between two looks at jobs that end, seconds."""


def follow_workflow(job_dir: Path) -> Iterator[Progress]:
    """What is written down, look after look, until the workflow is done or has failed.

    Raises
    ------
    WorkflowError
        Its jobs are gone, as if somebody cancelled them.
    """
    asked_s, before = time.monotonic(), None
    while True:
        progress = Progress.read(job_dir)
        if progress is None:
            raise WorkflowError(f"{job_dir} holds no workflow any more.")
        yield progress
        if progress.status is not WorkflowStatus.RUNNING:
            return
        if time.monotonic() > asked_s + ASK_EVERY_S:
            if progress == before and _is_abandoned(job_dir, progress):
                raise WorkflowError(
                    f"The jobs of the workflow in {job_dir} are gone: somebody cancelled them, or they ended "
                    "before they did anything; orchestrator-*.out in the cluster's log_dir says why. The next "
                    "run resumes it."
                )
            asked_s, before = time.monotonic(), progress
        time.sleep(POLL_S)


def _is_abandoned(job_dir: Path, progress: Progress) -> bool:
    try:
        return orchestrating_job(job_dir, progress) is None and Progress.read(job_dir) == progress
    except SlurmAwayError:  # the next look tries again
        return False


def cancel_workflow(job_dir: Path) -> list[str]:
    """Cancel a workflow's jobs on SLURM, and give their numbers; the next run resumes the workflow.

    Raises
    ------
    SlurmError
        The scheduler refuses, or does not answer for a while.
    WorkflowError
        An orchestrator does not end.
    """
    with job_lock(job_dir, "the cancellation", timeout_s=LOCK_TIMEOUT_S):  # so that no orchestrator submits meanwhile
        progress = Progress.read(job_dir)
        if progress is None or progress.status is not WorkflowStatus.RUNNING:
            return []
        orchestrator = orchestrator_comment(job_dir)
        arrays = {f"curator-{path.name}" for path in job_dir.glob(f"{METRICS_FOLDER}/*.slurm/*")}
        comments = {orchestrator, step_comment(progress.attempt), *arrays}
        found = patiently(lambda: find_jobs(comments), CANCEL_PAUSES_S)
        jobs = sorted({*found, *progress.jobs}, key=int)
        if jobs:
            patiently(lambda: cancel(*jobs), CANCEL_PAUSES_S)
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while left := patiently(lambda: find_jobs({orchestrator}), CANCEL_PAUSES_S):
            if time.monotonic() > deadline:
                raise WorkflowError(f"The orchestrator of {job_dir} does not end; cancel it: scancel {' '.join(left)}")
            time.sleep(LOOK_S)
        return jobs
